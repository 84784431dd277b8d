"""Pushes blessed models as numbered versions."""
