"""Finds the captions that a command means."""

from dataclasses import dataclass
from pathlib import Path

from components.errors import BeamfleetError
from components.files import is_remote
from pipelines import metadata


@dataclass(frozen=True)
class Captions:
    """Where captions lie."""

    uri: str
    """Folder of an InferenceResult."""
    rejects: str = ""
    """File of the run's examples that names the images which could not be read; may be absent."""


def find_captions(given: str) -> Captions:
    """Finds the folder of a result itself, or the newest result below a root of runs.

    Args:
      given: folder of an InferenceResult, root of runs (`runs/captions`) or its name below `runs`.

    Raises:
      BeamfleetError: there are no captions.
    """
    if is_remote(given):
        return Captions(given)
    for candidate in (Path(given), Path("runs", given)):
        if (candidate / "predictions").is_dir():
            return Captions(str(candidate))
        if (candidate / metadata.DATABASE).is_file():
            return _newest(candidate)
    raise BeamfleetError(
        f"there are no captions at {given}: expected the folder of a result (with predictions/ in "
        "it), or the root of runs that captioned images"
    )


def _newest(root: Path) -> Captions:
    for run in reversed(metadata.read_runs(root)):
        found = _of_run(metadata.read_run(root, run.run_id))
        if found and _has_captions(found.uri):
            return found
    raise BeamfleetError(f"no run below {root} has captioned images; `beamfleet run captions` does")


def _of_run(run: metadata.Run) -> Captions | None:
    """By the run's own models: those that it is compared with infer in another node."""
    nodes = {node.name: node for node in run.nodes}
    inferrer, source = nodes.get("BulkInferrer"), nodes.get("ExampleGen")
    result = inferrer.output("inference_result") if inferrer else None
    examples = source.output("examples") if source else None
    rejects = f"{examples.uri}/rejects.parquet" if examples else ""
    return Captions(result.uri, rejects) if result else None


def _has_captions(uri: str) -> bool:
    """Entity models have results too, and one whose models were not there yet is empty."""
    files = sorted(Path(uri, "predictions").glob("part-*.parquet"))
    if not files:
        return False
    import pyarrow.parquet as pq

    return "captions" in pq.read_schema(files[0]).names
