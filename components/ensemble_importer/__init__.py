"""Brings an ensemble and its weights into the pipeline as one Model artifact."""
