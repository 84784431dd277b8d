"""Makes TFX nodes from recorded steps. Imports TFX: only `Pipeline.build` imports this module."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline as TfxPipeline

from components.example_gen.source import HashSplit, IngestConfig
from components.images.fetch import FetchLimits
from components.user_function import code_fingerprint
from pipelines import steps
from pipelines.checks import payload
from pipelines.metadata import DATABASE
from pipelines.steps import Step

Steps = Mapping[type[Step], Step]
UNLABELLED = HashSplit(weights=(("unlabelled", 1),))


def build(name: str, root: Path, recorded: Steps, beam_args: Sequence[str]) -> TfxPipeline:
    """Makes the pipeline; `checks` has seen to it that every step finds what it needs."""
    graph = _Graph(recorded)
    for kind, add in _ADD.items():
        if kind in recorded:
            add(graph, recorded[kind])
    return TfxPipeline(
        pipeline_name=name,
        pipeline_root=str(root / "artifacts"),
        components=graph.nodes,
        enable_cache=steps.Cache in recorded,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / DATABASE)),
        beam_pipeline_args=list(beam_args),
    )


@dataclass
class _Graph:
    """The nodes made so far, and the channels that later nodes read."""

    steps: Steps
    nodes: list[Any] = field(default_factory=list)
    channels: dict[str, Any] = field(default_factory=dict)
    """Output channel by our name: examples, statistics, schema, model, ..."""
    gate: Any = None
    """The node that has to succeed before models are trained."""
    sheet: Any = None
    """The node that shows the captions."""

    def add(self, node: Any, node_id: str, **outputs: str) -> None:
        """Keeps a node; `outputs` says which of its outputs goes under which of our names."""
        self.nodes.append(node.with_id(node_id))
        self.channels.update({ours: node.outputs[theirs] for ours, theirs in outputs.items()})

    @property
    def push_directory(self) -> str:
        """Where versions are pushed to; empty: nowhere."""
        push = self.steps.get(steps.PushTo)
        return push.directory if isinstance(push, steps.PushTo) else ""

    @property
    def compares_with_pushed(self) -> bool:
        """Whether captions have to be as good as those of the pushed version."""
        evaluate = self.steps.get(steps.EvaluateCaptions)
        if not isinstance(evaluate, steps.EvaluateCaptions) or not self.push_directory:
            return False
        return any("max_drop" in b for b in evaluate.options.get("thresholds", {}).values())


def _read_examples(graph: _Graph, step: steps.ReadExamples) -> None:
    from components.example_gen.component import ExampleGen

    config = replace(step.config, payload=payload(graph.steps))
    node = ExampleGen(config, graph.channels.get("schema"))  # only a curated one is there already
    graph.add(node, "ExampleGen", examples="examples")


def _read_images(graph: _Graph, step: steps.ReadImages) -> None:
    from components.image_example_gen.component import ImageExampleGen

    node = ImageExampleGen(
        images=step.images,
        references=step.references,
        limits=FetchLimits(**step.limits),
        **step.options,
    )
    graph.add(node, "ExampleGen", examples="examples")


def _given_examples(graph: _Graph, step: steps.GivenExamples) -> None:
    graph.nodes.append(step.component)
    graph.channels["examples"] = step.component.outputs["examples"]


def _with_schema(graph: _Graph, step: steps.WithSchema) -> None:
    from components.curated_schema.component import CuratedSchema

    graph.add(CuratedSchema(step.path), "SchemaGen", schema="schema")


def _generate_statistics(graph: _Graph, step: steps.GenerateStatistics) -> None:
    from components.statistics_gen.component import StatisticsGen

    node = StatisticsGen(examples=graph.channels["examples"], schema=graph.channels.get("schema"))
    graph.add(node, "StatisticsGen", statistics="statistics")


def _infer_schema(graph: _Graph, step: steps.InferSchema) -> None:
    from tfx.components.schema_gen.component import SchemaGen

    if "schema" in graph.channels:
        return  # a curated schema wins
    node = SchemaGen(statistics=graph.channels["statistics"], infer_feature_shape=False)
    graph.add(node, "SchemaGen", schema="schema")


def _validate_examples(graph: _Graph, step: steps.ValidateExamples) -> None:
    from components.example_validator.component import ExampleValidator

    read = graph.steps.get(steps.ReadExamples)
    statistics, previous = graph.channels["statistics"], None
    if step.drift and isinstance(read, steps.ReadExamples):
        if read.config.source.window > 1:
            statistics = _statistics_of(graph, read.config, "Newest", back=0)
        previous = _statistics_of(graph, read.config, "Previous", back=1)
    node = ExampleValidator(
        statistics=statistics,
        schema=graph.channels["schema"],
        on_anomaly=step.on_anomaly,
        drift=step.drift,
        skew=step.skew,
        previous_statistics=previous,
        serving_statistics=_serving_statistics(graph) if step.skew else None,
    )
    graph.add(node, "ExampleValidator")
    graph.gate = node


def _statistics_of(graph: _Graph, config: IngestConfig, name: str, back: int) -> Any:
    """Reads one span of the source by itself, and gives the channel of its statistics."""
    from components.example_gen.component import ExampleGen
    from components.statistics_gen.component import StatisticsGen

    schema = graph.channels["schema"]  # what is a number in one span is no word in another
    config = replace(config, source=replace(config.source, window=1, back=back))
    examples = ExampleGen(config, schema)
    graph.add(examples, f"{name}ExampleGen")
    statistics = StatisticsGen(examples=examples.outputs["examples"], schema=schema)
    graph.add(statistics, f"{name}StatisticsGen")
    return statistics.outputs["statistics"]


def _serving_statistics(graph: _Graph) -> Any:
    from components.statistics_gen.component import StatisticsGen

    unlabelled = _unlabelled(graph)
    node = StatisticsGen(examples=unlabelled, schema=graph.channels["schema"])
    graph.add(node, "UnlabelledStatisticsGen")
    return node.outputs["statistics"]


def _unlabelled(graph: _Graph) -> Any:
    """The rows to predict, read once."""
    from components.example_gen.component import ExampleGen

    step = graph.steps[steps.BulkInfer]
    assert isinstance(step, steps.BulkInfer)
    if "unlabelled" not in graph.channels:
        # The schema of the training rows: what they had as a number is no word here.
        node = ExampleGen(
            IngestConfig(step.source, UNLABELLED, clean=step.clean), graph.channels["schema"]
        )
        graph.add(node, "UnlabelledExampleGen", unlabelled="examples")
    return graph.channels["unlabelled"]


def _train_per_entity(graph: _Graph, step: steps.TrainPerEntity) -> None:
    from components.entity_trainer.component import EntityTrainer

    config = step.config
    node = EntityTrainer(
        examples=graph.channels["examples"],
        schema=graph.channels["schema"],
        train_fn=config.train_fn,
        entity=config.entity,
        label=config.label,
        task=config.task,
        hparams=config.hparams,
        min_rows=config.min_rows,
        max_rows=config.max_rows,
        max_failed_share=config.max_failed_share,
        missing=config.missing,
    )
    if graph.gate is not None:
        node.add_upstream_node(graph.gate)  # no training on examples that were found wanting
    graph.add(node, "EntityTrainer", model="model")


def _preprocess(graph: _Graph, step: steps.Preprocess) -> None:
    from components.transform.component import Transform

    node = Transform(
        examples=graph.channels["examples"],
        schema=graph.channels["schema"],
        preprocessing_fn=step.preprocessing_fn,
    )
    if graph.gate is not None:
        node.add_upstream_node(graph.gate)
    graph.add(
        node,
        "Transform",
        transform_graph="transform_graph",
        transformed_examples="transformed_examples",
    )


def _tune(graph: _Graph, step: steps.Tune) -> None:
    from tfx.components.tuner.component import Tuner

    train = graph.steps[steps.Train]
    assert isinstance(train, steps.Train)
    node = Tuner(
        examples=graph.channels["transformed_examples"],
        schema=graph.channels["schema"],
        transform_graph=graph.channels["transform_graph"],
        tuner_fn=step.tuner_fn,
        custom_config={
            "hparams": train.options.get("hparams", {}),
            "trials": step.trials,
            # TFX's cache would not see a change of a function that is named by its path.
            "code_fingerprint": code_fingerprint(step.tuner_fn),
        },
    )
    graph.add(node, "Tuner", hyperparameters="best_hyperparameters")


def _with_hyperparameters(graph: _Graph, step: steps.WithHyperparameters) -> None:
    from tfx.dsl.components.common.importer import Importer
    from tfx.types.standard_artifacts import HyperParameters

    node = Importer(source_uri=step.path, artifact_type=HyperParameters)
    graph.add(node, "HyperparametersImporter", hyperparameters="result")


def _train(graph: _Graph, step: steps.Train) -> None:
    from components.trainer.component import Trainer

    node = Trainer(
        examples=graph.channels["transformed_examples"],
        schema=graph.channels["schema"],
        transform_graph=graph.channels["transform_graph"],
        hyperparameters=graph.channels.get("hyperparameters"),
        run_fn=step.run_fn,
        label=step.label,
        **step.options,
    )
    if graph.gate is not None:
        node.add_upstream_node(graph.gate)
    graph.add(node, "Trainer", model="model")


def _evaluate(graph: _Graph, step: steps.Evaluate) -> None:
    if steps.Train in graph.steps:
        _evaluate_one(graph, step)
        return
    from components.entity_evaluator.component import EntityEvaluator

    node = EntityEvaluator(
        examples=graph.channels["examples"],
        model=graph.channels["model"],
        push_destination=graph.push_directory,
        **step.options,
    )
    graph.add(
        node,
        "EntityEvaluator",
        evaluation="evaluation",
        blessing="blessing",
        model="composed_model",
    )


def _evaluate_one(graph: _Graph, step: steps.Evaluate) -> None:
    from components.evaluator.component import Evaluator

    node = Evaluator(
        examples=graph.channels["examples"],
        model=graph.channels["model"],
        transform_graph=graph.channels["transform_graph"],
        push_destination=graph.push_directory,
        **step.options,
    )
    graph.add(node, "Evaluator", evaluation="evaluation", blessing="blessing")


def _with_ensemble(graph: _Graph, step: steps.WithEnsemble) -> None:
    from components.ensemble_importer.component import EnsembleImporter

    node = EnsembleImporter(step.ensemble_fn, step.models, step.hparams)
    graph.add(node, "EnsembleImporter", model="model")


def _infer_images(graph: _Graph, step: steps.InferImages) -> None:
    from components.ensemble_inferrer.component import EnsembleInferrer

    examples, common = graph.channels["examples"], {"columns": step.columns, **step.options}
    node = EnsembleInferrer(examples=examples, model=graph.channels["model"], **common)
    if graph.gate is not None:
        node.add_upstream_node(graph.gate)
    graph.add(node, "BulkInferrer", captions="inference_result")
    if graph.compares_with_pushed:
        node = EnsembleInferrer(examples=examples, push_destination=graph.push_directory, **common)
        graph.add(node, "PushedBulkInferrer", pushed_captions="inference_result")


def _evaluate_captions(graph: _Graph, step: steps.EvaluateCaptions) -> None:
    from components.caption_evaluator.component import CaptionEvaluator

    node = CaptionEvaluator(
        inference_result=graph.channels["captions"],
        model=graph.channels["model"],
        baseline_result=graph.channels.get("pushed_captions"),
        push_destination=graph.push_directory,
        **step.options,
    )
    if graph.sheet is not None:
        node.add_upstream_node(graph.sheet)  # captions are worth a look even where this fails
    graph.add(node, "CaptionEvaluator", evaluation="evaluation", blessing="blessing")


def _report_captions(graph: _Graph, step: steps.ReportCaptions) -> None:
    from components.caption_report.component import CaptionReport

    examples = graph.channels["examples"]
    node = CaptionReport(graph.channels["captions"], examples=examples, note=step.note)
    graph.add(node, "CaptionReport")
    graph.sheet = node


def _infra_validate(graph: _Graph, step: steps.InfraValidate) -> None:
    from components.infra_validator.component import InfraValidator

    node = InfraValidator(
        model=graph.channels["model"],
        examples=graph.channels["examples"],
        **step.limits,
    )
    graph.add(node, "InfraValidator", infra_blessing="blessing")


def _push_to(graph: _Graph, step: steps.PushTo) -> None:
    from components.pusher.component import Pusher

    node = Pusher(
        model=graph.channels["model"],
        push_destination=step.directory,
        keep_versions=step.keep,
        model_blessing=graph.channels.get("blessing"),
        infra_blessing=graph.channels.get("infra_blessing"),
    )
    graph.add(node, "Pusher", pushed_model="pushed_model")


def _bulk_infer(graph: _Graph, step: steps.BulkInfer) -> None:
    from components.bulk_inferrer.component import BulkInferrer

    node = BulkInferrer(
        examples=_unlabelled(graph),
        model=graph.channels["model"],
        pushed_model=graph.channels.get("pushed_model"),
        push_destination=graph.push_directory,
        **step.options,
    )
    graph.add(node, "BulkInferrer")


# In the order of the data: what a step reads stands above it.
_ADD: Mapping[type[Step], Callable[[_Graph, Any], None]] = {
    steps.WithSchema: _with_schema,
    steps.ReadExamples: _read_examples,
    steps.ReadImages: _read_images,
    steps.GivenExamples: _given_examples,
    steps.GenerateStatistics: _generate_statistics,
    steps.InferSchema: _infer_schema,
    steps.ValidateExamples: _validate_examples,
    steps.TrainPerEntity: _train_per_entity,
    steps.Preprocess: _preprocess,
    steps.Tune: _tune,
    steps.WithHyperparameters: _with_hyperparameters,
    steps.Train: _train,
    steps.Evaluate: _evaluate,
    steps.WithEnsemble: _with_ensemble,
    steps.InferImages: _infer_images,
    steps.ReportCaptions: _report_captions,
    steps.EvaluateCaptions: _evaluate_captions,
    steps.InfraValidate: _infra_validate,
    steps.PushTo: _push_to,
    steps.BulkInfer: _bulk_infer,
}
