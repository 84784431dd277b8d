"""OnlinePredictor: requests to a running model server, with features from the online store."""
