"""Describes the rows of an Examples artifact."""
