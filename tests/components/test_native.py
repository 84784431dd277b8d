"""TensorFlow and PyTorch's stack live in one process, whichever comes first."""

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton comes with PyTorch for Linux only"
)

SHIELD = "from components.native import shield_triton; shield_triton()"


@pytest.mark.parametrize(
    "order",
    [
        f"import tensorflow; {SHIELD}; import triton",
        f"{SHIELD}; import tensorflow, triton",
        f"import triton, tensorflow; {SHIELD}",
    ],
)
def test_triton_and_tensorflow_live_in_one_process_in_any_order(order):
    command = [sys.executable, "-c", f"{order}; print('alive')"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{order}: ended with {done.returncode} {done.stderr[-1000:]}"
    assert done.stdout.endswith("alive\n")
