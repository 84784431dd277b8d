"""`beamfleet features`: what is registered in a feature store."""

import argparse
import importlib
from collections.abc import Callable


def main(arguments: argparse.Namespace) -> int:
    """Does one of the actions; its module is loaded only now."""
    module = importlib.import_module(f"pipelines.commands.features_{arguments.action}")
    action: Callable[[argparse.Namespace], int] = module.main
    return action(arguments)
