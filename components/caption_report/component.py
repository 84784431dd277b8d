"""CaptionReport: a contact sheet of captioned images."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact, channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.caption_report.contact_sheet import SheetConfig, write_contact_sheet

SHEET = "captions.html"


class Report(artifact.Artifact):
    """A page for people."""

    TYPE_NAME = "Report"


class CaptionReportSpec(ComponentSpec):
    """Inputs, outputs and parameters of CaptionReport."""

    PARAMETERS = {
        "title": ExecutionParameter(type=str),
        "note": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }
    INPUTS = {
        "inference_result": ChannelParameter(type=standard_artifacts.InferenceResult),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {"report": ChannelParameter(type=Report)}
    TYPE_ANNOTATION = Process


class Executor(base_executor.BaseExecutor):
    """Writes captions.html."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [result] = input_dict["inference_result"]
        [report] = output_dict["report"]
        examples = input_dict.get("examples") or []
        rejects = f"{examples[0].uri}/rejects.parquet" if examples else ""
        run = self._context.pipeline_run_id if self._context else ""
        config = SheetConfig(exec_properties["title"], run or "", exec_properties["note"])
        write_contact_sheet(result.uri, f"{report.uri}/{SHEET}", config, rejects)


class CaptionReport(base_component.BaseComponent):
    """Writes captions.html, one file with all thumbnails and captions; see contact_sheet.py.

    Example:
        report = CaptionReport(inferrer.outputs["inference_result"], title="Holiday photographs")
    """

    SPEC_CLASS = CaptionReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        inference_result: channel.BaseChannel,
        examples: channel.BaseChannel | None = None,
        title: str = "Captions",
        note: str = "",
    ) -> None:
        """Makes the node.

        Args:
          inference_result: InferenceResult, as EnsembleInferrer writes it.
          examples: Examples that it was inferred from; what could not be read is named there only.
          title: Heading of the page.
          note: What whoever looks at it should know.
        """
        spec = CaptionReportSpec(
            inference_result=inference_result,
            examples=examples,
            title=title,
            note=note,
            code=_fingerprint(),
            report=channel.Channel(type=Report),
        )
        super().__init__(spec=spec)


def _fingerprint() -> str:
    """Of what makes the page, so that a better one is not hidden by the cache."""
    digest = hashlib.sha256()
    for path in _sources(Path(__file__).parent):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(
        path for path in folder.rglob("*") if path.suffix in (".py", ".html", ".css", ".js")
    )
