"""Watches TFX's launcher, which both orchestrators use for every node."""

import functools
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tfx.orchestration.portable import cache_utils, launcher
from tfx.utils import dependency_utils

from components.errors import BeamfleetError
from components.user_function import own_fingerprint
from pipelines.costs import Meter
from pipelines.events import CACHED, CONDITION, DONE, FAILED, SKIPPED, STARTED, NodeEvent, Observer
from pipelines.metadata import CPU_SECONDS, PEAK_MB, START_MB, note_cost
from pipelines.recording import Recording

IN_PROCESS = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")
"""Beam's runners that start no worker elsewhere."""

# What a traceback says of our errors after Beam has turned it into text.
_OUR_ERROR = re.compile(
    r"^(?:components\.errors\.)?BeamfleetError: (.+?)"
    r"(?: \[while running .*|\n\n(?:During|The above)|\nTraceback|\Z)",
    re.MULTILINE | re.DOTALL,
)


_MISSING_INPUT = re.compile(r"inputs\[(\w+)\] has min_count = 1 but only got 0")
_CONDITION = re.compile(r"Failed to resolve placeholder expression: .*custom_property\(\"(\w+)\"")


class NodeFailedError(BeamfleetError):
    """A node failed; `node` is its id."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


class _ObservedLauncher(launcher.Launcher):
    """TFX's launcher that tells an observer, and takes a node that TFX gave up on as failed."""

    def __init__(
        self, *arguments: Any, observer: Observer, recording: Recording, **keywords: Any
    ) -> None:
        super().__init__(*arguments, **keywords)
        self._observer, self._recording = observer, recording
        self._driver = keywords.get("custom_driver_spec")
        self._node = self._pipeline_node.node_info.id
        self._state = DONE
        self._gave_up = self._skipped = ""
        self._execution: int | None = None

    def launch(self) -> Any:
        started = time.monotonic()
        self._observer.on(NodeEvent(self._node, STARTED))
        meter = Meter()
        try:
            with meter:
                result = super().launch()
            if self._gave_up:
                raise BeamfleetError(self._gave_up)
        except Exception as error:
            self._note_cost(meter)
            self._tell(FAILED, started)
            raise NodeFailedError(self._node, reason_of(error)) from error
        self._note_cost(meter)
        self._tell(self._state, started)
        return result

    def _note_cost(self, meter: Meter) -> None:
        """Into ML Metadata; what stops that, such as a full disk, has stopped the node before."""
        if self._execution is None:
            return
        cost = {
            CPU_SECONDS: meter.cpu_seconds,
            PEAK_MB: meter.peak_mb,
            START_MB: meter.start_mb,
        }
        with suppress(Exception), self._mlmd_connection as connection:
            note_cost(connection.store, self._execution, cost)

    def _tell(self, state: str, started: float) -> None:
        seconds = time.monotonic() - started
        self._observer.on(NodeEvent(self._node, state, seconds, self._skipped))

    def _prepare_execution(self) -> Any:
        prepared = super()._prepare_execution()
        if not prepared.is_execution_needed:
            self._state = CACHED if prepared.execution_metadata else SKIPPED
            self._skipped = "" if prepared.execution_metadata else CONDITION
        elif prepared.execution_metadata:
            self._execution = prepared.execution_metadata.id
        self._recording.prepared(self._pipeline_node, self._driver, prepared)
        return prepared

    def _publish_successful_execution(self, *arguments: Any) -> None:
        if reason := _skipped(arguments[-1]):
            self._state, self._skipped = SKIPPED, reason
        super()._publish_successful_execution(*arguments)

    def _publish_failed_execution(self, *arguments: Any, **keywords: Any) -> None:
        # After an input that cannot be resolved TFX publishes FAILED and returns as if all was
        # well: the nodes behind would run.
        output = keywords.get("executor_output")
        if output is not None and output.execution_result.result_message:
            self._gave_up = _why(output.execution_result.result_message)
        super()._publish_failed_execution(*arguments, **keywords)


def _why(message: str) -> str:
    """Says in our words why TFX could not find a node's inputs, in its own what we do not know."""
    if missing := _MISSING_INPUT.search(message):
        return f"there is no {missing[1]!r} yet that it reads"
    if asked := _CONDITION.search(message):
        return f"its condition asks for {asked[1]!r}: no such property, or one of another type"
    return message.strip().splitlines()[-1]


def _skipped(output: Any) -> str:
    """Why a node had nothing to do, which it says in a property of its output; "" if it had."""
    outputs = output.output_artifacts.values() if output is not None else ()
    found = (a.custom_properties for one in outputs for a in one.artifacts)
    return next((str(p["skipped"].string_value) for p in found if "skipped" in p), "")


@contextmanager
def observed(observer: Observer, recording: Recording) -> Iterator[None]:
    """Has every launcher that TFX's orchestrators make tell this observer, and be recorded.

    Meanwhile the cache key of a node has the code of all components in it, of which TFX's own knows
    the class name only: what another release made is not taken for what this one would make.
    """
    original, key = launcher.Launcher, cache_utils.get_cache_context
    launcher.Launcher = functools.partial(_ObservedLauncher, observer=observer, recording=recording)
    cache_utils.get_cache_context = functools.partial(
        _cache_context, key, own_fingerprint(), recording
    )
    try:
        with tfx_stays_here():
            yield
    finally:
        launcher.Launcher, cache_utils.get_cache_context = original, key


@contextmanager
def tfx_stays_here() -> Iterator[None]:
    """Has TFX pack itself for Beam's workers only where these are in other processes.

    For every node that runs Beam it would copy its own package to a temporary folder, 50 MB that
    nobody needs and nobody deletes.
    """
    original = dependency_utils.make_beam_dependency_flags

    def flags(arguments: Sequence[str]) -> list[str]:
        in_process = any(f"--runner={runner}" in arguments for runner in IN_PROCESS)
        return list(arguments) if in_process else original(list(arguments))

    dependency_utils.make_beam_dependency_flags = flags
    try:
        yield
    finally:
        dependency_utils.make_beam_dependency_flags = original


def _cache_context(
    key: Callable[..., Any],
    fingerprint: str,
    recording: Recording,
    parameters: Mapping[str, Any],
    **keywords: Any,
) -> Any:
    keywords["parameters"] = {**parameters, "beamfleet": fingerprint}
    recording.hashed(**keywords)
    return key(**keywords)


def reason_of(error: BaseException) -> str:
    """The message for the user: ours if one of ours is in the chain, else type and message."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, BeamfleetError):
            return _without_label(str(link))
    text = "".join(traceback.format_exception(error))
    if found := _OUR_ERROR.search(text):
        return found.group(1).strip()
    first = str(error).strip().splitlines() or [""]
    # Beam puts the worker's traceback into the message: the last line says what happened.
    line = first[-1] if first[0].startswith("Traceback") else first[0]
    return f"{type(error).__name__}: {line}"


def _without_label(message: str) -> str:
    return re.sub(r" \[while running '.*'\]$", "", message)
