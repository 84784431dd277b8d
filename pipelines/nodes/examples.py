"""Nodes from files to validated examples."""

from dataclasses import replace
from typing import Any

from components.example_gen.source import HashSplit, IngestConfig
from components.images.fetch import FetchLimits
from pipelines import steps
from pipelines.checks import payload
from pipelines.nodes.graph import Graph

UNLABELLED = HashSplit(weights=(("unlabelled", 1),))


def read_examples(graph: Graph, step: steps.ReadExamples) -> None:
    from components.example_gen.component import ExampleGen

    config = replace(step.config, payload=payload(graph.steps))
    node = ExampleGen(config, graph.channels.get("schema"))  # only a curated one is there already
    graph.add(node, "ExampleGen", examples="examples")


def read_images(graph: Graph, step: steps.ReadImages) -> None:
    from components.image_example_gen.component import ImageExampleGen

    node = ImageExampleGen(
        images=step.images,
        references=step.references,
        limits=FetchLimits(**step.limits),
        **step.options,
    )
    graph.add(node, "ExampleGen", examples="examples")


def given_examples(graph: Graph, step: steps.GivenExamples) -> None:
    graph.nodes.append(step.component)
    graph.channels["examples"] = step.component.outputs["examples"]


def with_schema(graph: Graph, step: steps.WithSchema) -> None:
    from components.curated_schema.component import CuratedSchema

    graph.add(CuratedSchema(step.path), "SchemaGen", schema="schema")


def generate_statistics(graph: Graph, step: steps.GenerateStatistics) -> None:
    from components.statistics_gen.component import StatisticsGen

    node = StatisticsGen(examples=graph.channels["examples"], schema=graph.channels.get("schema"))
    graph.add(node, "StatisticsGen", statistics="statistics")


def infer_schema(graph: Graph, step: steps.InferSchema) -> None:
    from tfx.components.schema_gen.component import SchemaGen

    if "schema" in graph.channels:
        return  # a curated schema wins
    node = SchemaGen(statistics=graph.channels["statistics"], infer_feature_shape=False)
    graph.add(node, "SchemaGen", schema="schema")


def validate_examples(graph: Graph, step: steps.ValidateExamples) -> None:
    from components.example_validator.component import ExampleValidator

    read = graph.steps.get(steps.ReadExamples)
    examples, statistics, previous = graph.channels["examples"], graph.channels["statistics"], None
    if step.drift and isinstance(read, steps.ReadExamples):
        if read.config.source.window > 1:
            examples, statistics = _span(graph, read.config, "Newest", back=0)
        _, previous = _span(graph, read.config, "Previous", back=1)
    node = ExampleValidator(
        statistics=statistics,
        schema=graph.channels["schema"],
        on_anomaly=step.on_anomaly,
        drift=step.drift,
        skew=step.skew,
        previous_statistics=previous,
        serving_statistics=_serving_statistics(graph) if step.skew else None,
        checks=step.checks,
        examples=examples,
        reviewed=steps.WithSchema in graph.steps,
    )
    graph.add(node, "ExampleValidator", anomalies="anomalies")
    graph.gate = node


def _span(graph: Graph, config: IngestConfig, name: str, back: int) -> tuple[Any, Any]:
    """Reads one span of the source by itself; gives the channels of its rows and statistics."""
    from components.example_gen.component import ExampleGen
    from components.statistics_gen.component import StatisticsGen

    schema = graph.channels["schema"]  # what is a number in one span is no word in another
    config = replace(config, source=replace(config.source, window=1, back=back))
    examples = ExampleGen(config, schema)
    graph.add(examples, f"{name}ExampleGen")
    statistics = StatisticsGen(examples=examples.outputs["examples"], schema=schema)
    graph.add(statistics, f"{name}StatisticsGen")
    return examples.outputs["examples"], statistics.outputs["statistics"]


def _serving_statistics(graph: Graph) -> Any:
    from components.statistics_gen.component import StatisticsGen

    rows = unlabelled(graph)
    node = StatisticsGen(examples=rows, schema=graph.channels["schema"])
    graph.add(node, "UnlabelledStatisticsGen")
    return node.outputs["statistics"]


def unlabelled(graph: Graph) -> Any:
    """The rows to predict, read once."""
    from components.example_gen.component import ExampleGen

    step = graph.steps[steps.BulkInfer]
    assert isinstance(step, steps.BulkInfer)
    if "unlabelled" not in graph.channels:
        # The schema of the training rows: what they had as a number is no word here.
        node = ExampleGen(
            IngestConfig(step.source, UNLABELLED, clean=step.clean), graph.channels.get("schema")
        )
        graph.add(node, "UnlabelledExampleGen", unlabelled="examples")
    return graph.channels["unlabelled"]
