"""One HTML file that shows a run to a person: it needs nothing else, and no network."""
