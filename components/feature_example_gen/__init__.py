"""FeatureExampleGen: labels with the features of their time become Examples."""
