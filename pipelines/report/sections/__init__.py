"""The sections of the report: each has a function `render` that turns a Source into Html."""
