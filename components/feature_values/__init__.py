"""From events to the values of a view over time."""
