"""Several models in one pipeline, as a small declarative graph."""
