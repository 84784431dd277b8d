"""Runs of the shipped pipelines that several modules look at."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.beamfleet import run

Ran = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="session")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Root and summary of `beamfleet run taxi`."""
    root = tmp_path_factory.mktemp("taxi")
    return root, run("taxi", "--root", root)


@pytest.fixture(scope="session")
def census(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Root and summary of `beamfleet run census`."""
    root = tmp_path_factory.mktemp("census")
    return root, run("census", "--root", root)
