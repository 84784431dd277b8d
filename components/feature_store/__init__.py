"""One store of features: what a feature, a training and an inference pipeline share."""
