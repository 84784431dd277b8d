"""Makes TFX nodes from recorded steps. Imports TFX: only `Pipeline.build` imports this package."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline as TfxPipeline

from pipelines import steps
from pipelines.conditions import in_force
from pipelines.metadata import DATABASE
from pipelines.nodes import captions, delivery, examples, features, models
from pipelines.nodes.graph import Graph, Steps
from pipelines.steps import Step


def build(
    name: str,
    root: Path,
    recorded: Steps,
    beam_args: Sequence[str],
    conditions: Mapping[type[Step], str],
) -> TfxPipeline:
    """Makes the pipeline; `checks` has seen to it that every step finds what it needs."""
    graph = Graph(recorded)
    for kind, add in _ADD.items():
        if kind not in recorded:
            continue
        with ExitStack() as stack:
            for comparison in in_force(kind, conditions, recorded):
                stack.enter_context(Cond(graph.predicate(comparison)))
            add(graph, recorded[kind])
    return TfxPipeline(
        pipeline_name=name,
        pipeline_root=str(root / "artifacts"),
        components=graph.nodes,
        enable_cache=steps.Cache in recorded,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / DATABASE)),
        beam_pipeline_args=list(beam_args),
    )


# In the order of the data: what a step reads stands above it.
_ADD: Mapping[type[Step], Callable[[Graph, Any], None]] = {
    steps.WithModel: models.with_model,
    steps.WithSchema: examples.with_schema,
    steps.ReadExamples: examples.read_examples,
    steps.ReadImages: examples.read_images,
    steps.GivenExamples: examples.given_examples,
    steps.FromFeatureView: features.from_feature_view,
    steps.StreamFeatures: features.stream_features,
    steps.GenerateStatistics: examples.generate_statistics,
    steps.InferSchema: examples.infer_schema,
    steps.ValidateExamples: examples.validate_examples,
    steps.TrainPerEntity: models.train_per_entity,
    steps.Preprocess: models.preprocess,
    steps.Tune: models.tune,
    steps.WithHyperparameters: models.with_hyperparameters,
    steps.Train: models.train,
    steps.Evaluate: models.evaluate,
    steps.WithEnsemble: captions.with_ensemble,
    steps.InferImages: captions.infer_images,
    steps.ReportCaptions: captions.report_captions,
    steps.EvaluateCaptions: captions.evaluate_captions,
    steps.InfraValidate: delivery.infra_validate,
    steps.PushTo: delivery.push_to,
    steps.BulkInfer: delivery.bulk_infer,
    steps.PredictOnline: features.predict_online,
}
