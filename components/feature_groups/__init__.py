"""Feature groups: rows that Python jobs insert, read back and joined as of a time."""
