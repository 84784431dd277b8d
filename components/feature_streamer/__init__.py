"""FeatureStreamer: features are brought up to date by their streams."""
