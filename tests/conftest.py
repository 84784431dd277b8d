"""What every test needs before it imports anything."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from components.native import shield_triton

shield_triton()  # tests of TensorFlow and of PyTorch share this process, in any order


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Takes what libraries leave behind: TFX 50 MB for every executor that runs Beam."""
    tmp_path_factory.getbasetemp()  # stays where it is: the last sessions' can be looked at
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        if variable is not None:
            os.environ["TMPDIR"] = variable
