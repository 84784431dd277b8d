"""The latest blessed models that a run of the pipeline made."""

from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common.resolver import ResolverStrategy


class LatestBlessedModel(ResolverStrategy):
    """Takes the newest blessing that is positive, and the model that it is about.

    TFX's own LatestBlessedModelStrategy gives the model that was evaluated. Where the evaluator
    composed another from it (an entity whose new model is worse keeps its current one), that one
    was blessed: it is the Model among the outputs of the evaluation.

    Example:
        resolver = Resolver(
            LatestBlessedModel,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
        )
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Gives one model and its blessing, or empty lists if nothing was blessed yet.

        Args:
          store: ML Metadata.
          input_dict: `model` and `model_blessing`: all that the pipeline's runs have made.
        """
        models = {model.id: model for model in input_dict["model"]}
        blessings = [b for b in input_dict["model_blessing"] if _is_blessed(b)]
        for blessing in sorted(blessings, key=lambda b: b.id, reverse=True):
            evaluated = blessing.get_int_custom_property("current_model_id")
            for number in (*_made_with(store, blessing.id), evaluated):
                if number in models:
                    return {"model": [models[number]], "model_blessing": [blessing]}
        return {"model": [], "model_blessing": []}


def _is_blessed(blessing: types.Artifact) -> bool:
    return bool(blessing.get_int_custom_property("blessed") == 1)


def _made_with(store: Any, artifact: int) -> list[int]:
    """The outputs of the executions that gave this artifact out, the newest first."""
    kinds = metadata_store_pb2.Event
    given = (kinds.OUTPUT, kinds.DECLARED_OUTPUT)
    events = [e for e in store.get_events_by_artifact_ids([artifact]) if e.type in given]
    executions = [event.execution_id for event in events]
    outputs = store.get_events_by_execution_ids(executions) if executions else []
    return sorted((e.artifact_id for e in outputs if e.type in given), reverse=True)
