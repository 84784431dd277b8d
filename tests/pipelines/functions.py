"""User functions for the tests of the builder; the missing import shows that nobody runs this."""

import a_framework_that_is_not_installed  # type: ignore[import-not-found] # noqa: F401


def train_fn(examples, hparams):
    return None


def train_with_parent_fn(examples, hparams, parent=None):
    return None


def wrong_fn(rows):
    return None


def clean_fn(table):
    return table


def preprocessing_fn(inputs):
    return inputs


def run_fn(fn_args):
    return None


def tuner_fn(fn_args):
    return None
