"""Validates the serving of a model with the real server, without containers."""
