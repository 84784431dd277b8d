"""Runs every case of every benchmark, one after the other.

    python -m benchmarks             # all; `make bench` does the same
    python -m benchmarks ingest      # one of them

Prints one JSON line a case.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Fails if a benchmark does."""
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().benchmark or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    for name in chosen:
        for case in _run(name, "--list").split():
            print(_run(name, "--case", case).splitlines()[-1], flush=True)


def _run(name: str, *options: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(
        command, check=True, cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main()
