"""Predicts many rows with the pushed entity models."""
