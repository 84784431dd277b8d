"""Values of a view as its events come: one sweep of a key's state, on Beam and in process."""
