"""Which model is the current one, as strategies of TFX's Resolver.

The current model is the current version of the pushed directory, which a rollback moves too; of a
pipeline that pushes nowhere it is the latest blessed one, as TFX's LatestBlessedModelStrategy finds
it. A training starts from that one as long as nothing is pushed.

Both strategies answer a repeated run as they answered the first one, so that it comes from the
cache: a model is not compared with itself, and not trained twice on the same rows.
"""

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)

from components.pusher.versions import PushedVersions

Artifacts = dict[str, list[types.Artifact]]
_INPUT = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)
_OUTPUT = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)


class BaselineStrategy(LatestBlessedModelStrategy):
    """The latest blessed model that is none of the candidates, for a pipeline without `push_to`.

    Example:
        Resolver(
            strategy_class=BaselineStrategy,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
            candidates=trainer.outputs["model"],
        )
    """

    def resolve_artifacts(self, store: MetadataStore, input_dict: Artifacts) -> Artifacts:
        """Gives the `model` and its `model_blessing`; both are empty where there is none."""
        candidates = input_dict["candidates"]
        ids = {candidate.id for candidate in candidates}
        models = [model for model in input_dict["model"] if model.id not in ids]
        asked = {"model": models, "model_blessing": input_dict["model_blessing"]}
        found = super().resolve_artifacts(store, asked)
        return {**(found or {"model": [], "model_blessing": []}), "candidates": candidates}


class WarmStartStrategy(LatestBlessedModelStrategy):
    """The current model; of one that was trained on these very examples, the one it started from.

    Example:
        Resolver(
            strategy_class=WarmStartStrategy,
            config={"push_destination": "/models/taxi"},
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
            examples=transform.outputs["transformed_examples"],
        )
    """

    def __init__(self, push_destination: str = "") -> None:
        """Takes the pushed directory; empty: there is none."""
        self._push_destination = push_destination

    def resolve_artifacts(self, store: MetadataStore, input_dict: Artifacts) -> Artifacts:
        """Gives the `model`, empty where there is none."""
        by_id = {model.id: model for model in input_dict["model"]}
        rows = {examples.id for examples in input_dict["examples"]}
        current = self._pushed(input_dict["model"]) or self._blessed(store, input_dict)
        while current is not None:
            inputs = inputs_of(store, current.id)
            if inputs.get("examples", set()) != rows:
                break
            earlier = inputs.get("base_model", set())
            current = next((by_id[one] for one in earlier if one in by_id), None)
        found = [current] if current is not None else []
        return {"model": found, "model_blessing": [], "examples": input_dict["examples"]}

    def _pushed(self, models: list[types.Artifact]) -> types.Artifact | None:
        """The Trainer's model behind the current version; None: another pipeline made it."""
        if not self._push_destination:
            return None
        version = PushedVersions(self._push_destination).current()
        uri = version.details["candidate_uri"] if version else None
        return next((model for model in models if model.uri == uri), None)

    def _blessed(self, store: MetadataStore, input_dict: Artifacts) -> types.Artifact | None:
        asked = {"model": list(input_dict["model"]), "model_blessing": input_dict["model_blessing"]}
        answer = super().resolve_artifacts(store, asked)
        return next(iter((answer or asked)["model"]), None) if answer else None


def inputs_of(store: MetadataStore, artifact: int) -> dict[str, set[int]]:
    """Ids of the artifacts that the making of this one read, by the name of the input."""
    made = [e for e in store.get_events_by_artifact_ids([artifact]) if e.type in _OUTPUT]
    if not made:
        return {}
    first = min(event.execution_id for event in made)  # later ones took it from the cache
    found: dict[str, set[int]] = {}
    for event in store.get_events_by_execution_ids([first]):
        if event.type in _INPUT:
            key = next((step.key for step in event.path.steps if step.HasField("key")), "")
            found.setdefault(key, set()).add(event.artifact_id)
    return found
