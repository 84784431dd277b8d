"""Reads files into an Examples artifact."""
