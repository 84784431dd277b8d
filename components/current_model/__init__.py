"""The model that a new one starts from, and has to be as good as."""
