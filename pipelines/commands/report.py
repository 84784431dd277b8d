"""`beamfleet report`: one HTML file that shows a run."""

import argparse
import json
from pathlib import Path

from components.errors import BeamfleetError
from pipelines.finding import find_run
from pipelines.render import shown
from pipelines.report.make import write_report


def main(arguments: argparse.Namespace) -> int:
    """Writes the report and says where it is."""
    run = find_run(arguments.run, Path(arguments.root))
    try:
        made = write_report(run, Path(arguments.out) if arguments.out else None)
    except OSError as error:
        raise BeamfleetError(f"the report cannot be written: {error}") from None
    if arguments.json:
        document = {"run": run.run_id, "path": str(made.path), "url": made.path.as_uri(),
                    "bytes": made.size, "problems": made.problems}  # fmt: skip
        print(json.dumps(document))
        return 0
    for problem in made.problems:
        print(f"not whole: {shown(problem)}")
    print(f"{made.path}\n{made.path.as_uri()}")
    return 0
