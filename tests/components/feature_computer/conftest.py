"""A project for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.feature_computer import shop


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with definitions and data, on the path."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    shop.make(tmp_path)
    shop.forget()
    yield tmp_path
    shop.forget()
