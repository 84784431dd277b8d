"""FeatureComputer: definitions and events become the store of features."""
