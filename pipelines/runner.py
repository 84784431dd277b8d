"""Runs a pipeline with TFX's own orchestrators, launcher and ML Metadata."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from components.imports import tfx_imports
from pipelines import metadata, plan, unchanged
from pipelines.events import CONDITION, SKIPPED, NodeEvent, Observer
from pipelines.pipeline import Pipeline
from pipelines.progress import Progress
from pipelines.recording import Recording

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline as TfxPipeline

ORCHESTRATORS = ("beam", "local")


def new_run_id(root: Path) -> str:
    """A name by the clock, to the second; a number behind it where that second is taken."""
    logs = root / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    stem = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        name = stem if number == 1 else f"{stem}-{number}"
        try:
            (logs / f"{name}.log").touch(exist_ok=False)
        except FileExistsError:
            continue
        return name
    raise BeamfleetError(f"{logs} has a thousand runs of {stem}")


class _Tally:
    """Passes on what happens, and remembers the nodes that conditions kept from running."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.left_out: list[str] = []

    def nodes(self, names: list[str]) -> None:
        self._observer.nodes(names)

    def on(self, event: NodeEvent) -> None:
        if event.state == SKIPPED and event.reason == CONDITION:
            self.left_out.append(event.node)
        self._observer.on(event)


def run_or_reuse(pipeline: Pipeline, run_id: str, orchestrator: str, progress: Progress) -> None:
    """Runs a pipeline; without TFX where every node would come from the cache.

    Raises:
      BeamfleetError: the pipeline cannot run, or a node failed.
    """
    progress.stage("Looking for changes")
    digest = plan.digest_of(pipeline)
    if found := unchanged.find(pipeline.root, digest):
        unchanged.register(pipeline.root, run_id, found, progress)
        return
    progress.stage("Loading TFX and TensorFlow")
    with tfx_imports():
        built = pipeline.build()
    recording = Recording()
    run(built, run_id, orchestrator, progress, recording)
    if digest and digest == plan.digest_of(pipeline):  # nothing was edited meanwhile
        names = [component.id for component in built.components]
        plan.save(pipeline.root, digest, recording.plan(names))


def run(
    pipeline: "TfxPipeline",
    run_id: str,
    orchestrator: str,
    observer: Observer,
    recording: Recording | None = None,
) -> None:
    """Runs every node in dependency order, one after the other.

    The nodes whose conditions did not hold are noted on the run, also if another one fails: by
    themselves they leave nothing in ML Metadata.

    Args:
      pipeline: As `Pipeline.build` makes it.
      run_id: Name of the run, in ML Metadata as well.
      orchestrator: "beam" or "local": both are TFX's.
      observer: Gets the events.
      recording: Gets what decides the cache.

    Raises:
      NodeFailedError: a node failed; those behind it did not run.
    """
    from pipelines.launching import NodeFailedError, observed

    tally = _Tally(observer)
    tally.nodes([component.id for component in pipeline.components])
    try:
        with observed(tally, recording or Recording()), _beam_arguments("--runner=FnApiRunner"):
            _orchestrator(orchestrator, run_id).run(pipeline)
    except NodeFailedError:
        raise
    except Exception as error:
        # Beam wraps what a node raises into an error of its own.
        link: BaseException | None = error
        while link is not None:
            if isinstance(link, NodeFailedError):
                raise link from error
            link = link.__cause__ or link.__context__
        raise
    finally:
        if tally.left_out:
            root = Path(pipeline.pipeline_info.pipeline_root).parent
            metadata.note_left_out(root, run_id, tally.left_out)


def _orchestrator(name: str, run_id: str) -> Any:
    if name == "local":
        from tfx.orchestration.local.local_dag_runner import LocalDagRunner as Base
    else:
        from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner as Base

    class Named(Base):
        """The orchestrator with our name of the run, which the log file bears too."""

        def run_with_ir(self, pipeline: Any, *arguments: Any, **keywords: Any) -> Any:
            from tfx.dsl.compiler import constants
            from tfx.orchestration.portable import runtime_parameter_utils

            values: Mapping[str, str] = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
            runtime_parameter_utils.substitute_runtime_parameter(pipeline, values)
            return super().run_with_ir(pipeline, *arguments, **keywords)

    return Named()


@contextmanager
def _beam_arguments(*arguments: str) -> Iterator[None]:
    """Stands in for the command line, where the orchestrating Beam pipeline reads its options.

    There is no other way in; without a runner there Beam would look for Prism on the network.
    """
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before
