"""Nodes that make and evaluate models."""

from collections.abc import Mapping
from typing import Any

from components.user_function import code_fingerprint
from pipelines import steps
from pipelines.nodes.graph import Graph


def train_per_entity(graph: Graph, step: steps.TrainPerEntity) -> None:
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


def preprocess(graph: Graph, step: steps.Preprocess) -> None:
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


def tune(graph: Graph, step: steps.Tune) -> None:
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


def with_hyperparameters(graph: Graph, step: steps.WithHyperparameters) -> None:
    from tfx.dsl.components.common.importer import Importer
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
    from tfx.types.channel import Channel
    from tfx.types.standard_artifacts import HyperParameters

    if step.path:
        node = Importer(source_uri=step.path, artifact_type=HyperParameters)
        graph.add(node, "HyperparametersImporter", hyperparameters="result")
        return
    node = Resolver(LatestArtifactStrategy, hyperparameters=Channel(type=HyperParameters))
    graph.add(node, "LatestHyperparameters", hyperparameters="hyperparameters")


def with_model(graph: Graph, step: steps.WithModel) -> None:
    from tfx.dsl.components.common.importer import Importer
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.types.channel import Channel
    from tfx.types.standard_artifacts import Model, ModelBlessing

    from components.model_resolver.strategy import LatestBlessedModel

    if step.path:
        node = Importer(source_uri=step.path, artifact_type=Model)
        graph.add(node, "ModelImporter", model="result")
        return
    channels = {"model": Channel(type=Model), "model_blessing": Channel(type=ModelBlessing)}
    graph.add(Resolver(LatestBlessedModel, **channels), "LatestBlessedModel", model="model")


def train(graph: Graph, step: steps.Train) -> None:
    from tfx.types.channel import union

    from components.trainer.component import Trainer

    base_model = _start(graph) if step.warm_start else None
    models = []
    for name, hparams in (step.candidates or {"": {}}).items():
        node = Trainer(
            examples=graph.channels["transformed_examples"],
            schema=graph.channels["schema"],
            transform_graph=graph.channels["transform_graph"],
            hyperparameters=graph.channels.get("hyperparameters"),
            base_model=base_model,
            run_fn=step.run_fn,
            label=step.label,
            candidate=name,
            candidate_hparams=hparams,
            **step.options,
        )
        if graph.gate is not None:
            node.add_upstream_node(graph.gate)
        # Not "Trainer.wide": a dot ends the name of the pipeline in ML Metadata.
        graph.add(node, f"Trainer-{name}" if name else "Trainer")
        models.append(node.outputs["model"])
    graph.channels["model"] = union(models) if step.candidates else models[0]


def _start(graph: Graph) -> Any:
    """The model to start from, a channel that may be empty."""
    from components.current_model.strategy import WarmStartStrategy

    examples = graph.channels["transformed_examples"]
    config = {"push_destination": graph.push_directory}
    node = _resolver(WarmStartStrategy, config, examples=examples)
    graph.add(node, "WarmStartResolver")
    return node.outputs["model"]


def _resolver(strategy: Any, config: Mapping[str, str], **channels: Any) -> Any:
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.types import Channel
    from tfx.types.standard_artifacts import Model, ModelBlessing

    return Resolver(
        strategy_class=strategy,
        config=dict(config),
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        **channels,
    )


def evaluate(graph: Graph, step: steps.Evaluate) -> None:
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


def _evaluate_one(graph: Graph, step: steps.Evaluate) -> None:
    from components.evaluator.component import Evaluator

    model, train = graph.channels["model"], graph.steps[steps.Train]
    assert isinstance(train, steps.Train)
    node = Evaluator(
        examples=graph.channels["examples"],
        model=model,
        transform_graph=graph.channels["transform_graph"],
        baseline_model=None if graph.push_directory else _baseline(graph),
        push_destination=graph.push_directory,
        several=bool(train.candidates),
        **step.options,
    )
    graph.add(node, "Evaluator", evaluation="evaluation", blessing="blessing")
    if train.candidates:
        graph.channels["model"] = node.outputs["chosen_model"]


def _baseline(graph: Graph) -> Any:
    """The latest blessed model: of a pipeline that pushes nowhere there is no other current one."""
    from components.current_model.strategy import BaselineStrategy

    node = _resolver(BaselineStrategy, {}, candidates=graph.channels["model"])
    graph.add(node, "BaselineResolver")
    return node.outputs["model"]
