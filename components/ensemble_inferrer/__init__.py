"""Runs a pushed or new ensemble over many records."""
