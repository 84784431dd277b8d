"""Executor of ImageExampleGen."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.errors import BeamfleetError
from components.image_example_gen.config import ImageSource
from components.image_example_gen.ingest import ImageCounts, ingest_images
from components.image_example_gen.plan import plan_images
from components.images.examples import SPLIT


class Executor(base_beam_executor.BaseBeamExecutor):
    """Translates a configuration into an Examples artifact."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        [examples] = output_dict["examples"]
        source = ImageSource.from_json(exec_properties["source"])
        plan = plan_images(source)
        if plan.fingerprint != exec_properties["input_fingerprint"]:
            raise BeamfleetError(
                f"{', '.join(source.images)}: files changed while the node started; run again"
            )
        counts = ingest_images(self._make_beam_pipeline, plan, source, examples.uri)
        examples.split_names = artifact_utils.encode_split_names([SPLIT])
        examples.span = 0
        # What tfx.components.util.examples_utils.set_payload_format does; to import it costs 8 s.
        examples.set_string_custom_property("payload_format", "FORMAT_PARQUET")
        _record(counts, examples)


def _record(counts: ImageCounts, examples: types.Artifact) -> None:
    examples.set_int_custom_property("rows_in", counts.rows_in)
    examples.set_int_custom_property("rows_rejected", counts.rows_rejected)
    examples.set_int_custom_property(f"rows_{SPLIT}", counts.rows)
    if counts.notes:
        examples.set_string_custom_property("notes", "\n".join(counts.notes))
