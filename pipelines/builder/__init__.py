"""The steps of the fluent builder by subject; `pipelines.pipeline` puts them together."""
