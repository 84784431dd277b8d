"""What a piece of work costs is measured, with its children."""

import subprocess
import sys
import time

from pipelines.costs import Meter

_BUSY = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\n"


def test_children_are_counted_whether_they_have_ended_or_not() -> None:
    with Meter() as meter:
        subprocess.run([sys.executable, "-c", _BUSY], check=True)
    assert 0.4 <= meter.cpu_seconds < 2
    program = f"{_BUSY}print('done', flush=True)\ninput()"
    with Meter() as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
    child.communicate(b"\n")
    assert 0.4 <= meter.cpu_seconds < 2


def test_waiting_costs_nothing_and_memory_that_was_given_back_counts() -> None:
    program = "x = bytearray(300_000_000)\nprint('held', flush=True)\ninput()"
    with Meter() as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(1.2)  # it looks once a second at least
        child.communicate(b"\n")
    assert meter.cpu_seconds < 1
    assert 250 < meter.peak_mb - meter.start_mb < 400


def test_an_error_is_measured_too() -> None:
    meter = Meter()
    try:
        with meter:
            sum(range(10**7))
            raise ValueError
    except ValueError:
        pass
    assert meter.cpu_seconds > 0.02 and meter.peak_mb > 10
