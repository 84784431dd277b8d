"""The entity models artifact: one model per entity in packed shards with an index."""
