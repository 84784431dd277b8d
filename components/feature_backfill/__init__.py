"""Computes the whole history of feature views."""
