"""Holds the rows of an Examples artifact against its schema."""
