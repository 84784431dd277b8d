"""Features of labels, each as of the time of its label."""
