"""Finds the run that a command means."""

from pathlib import Path

from components.errors import BeamfleetError
from pipelines import metadata
from pipelines.spelling import meant

LATEST = "latest"


def find_run(name: str, base: Path) -> metadata.Run:
    """One run with all that its nodes made.

    Args:
      name: A run's name, `latest`, a root or its name below `base` (its latest run is meant), or
        `ROOT/NAME`.
      base: A root of runs, or a folder of roots; not looked at where `name` has a root.

    Raises:
      BeamfleetError: there is no such run; names the latest ones.
    """
    given = Path(name)
    for root in (given, base / name):
        if (root / metadata.DATABASE).is_file():
            return find_run(LATEST, root)
    if (given.parent / metadata.DATABASE).is_file() and len(given.parts) > 1:
        return find_run(given.name, given.parent)
    known = [(run, root) for root in metadata.find_roots(base) for run in metadata.read_runs(root)]
    known.sort(key=lambda pair: (pair[0].started, pair[0].run_id))
    if not known:
        raise BeamfleetError(f"no runs below {base}; start one with `beamfleet run`")
    named = [pair for pair in known if pair[0].run_id == name]
    if name == LATEST:
        named = known[-1:]
    if len(named) > 1:
        roots = " and ".join(str(root) for _, root in named)
        raise BeamfleetError(
            f"{roots} have a run {name!r} each: name one by --root, or ROOT/{name}"
        )
    for run, root in named:
        return metadata.read_run(root, run.run_id)
    names = [run.run_id for run, _ in known]
    raise BeamfleetError(
        f"no run {name!r} below {base}{meant(name, names)}; the latest are: {', '.join(names[-5:])}"
    )
