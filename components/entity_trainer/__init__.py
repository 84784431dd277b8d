"""Trains one model per entity and the fallback model of all of them."""
