"""What the heavy imports leave out is there when it is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from components.imports import tfx_imports

with tfx_imports():
    from tfx.components.schema_gen.component import SchemaGen
    import apache_beam.ml.inference.base

print(sorted({"kubernetes", "torch"} & set(sys.modules)))
import tfx.components
from tfx.components import Pusher, SchemaGen as Same
print(Same is SchemaGen, tfx.components.Pusher is Pusher, type(tfx.components).__name__)
"""


@pytest.mark.e2e
def test_what_is_left_out_is_there_when_it_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.splitlines() == ["[]", "True True module"]
