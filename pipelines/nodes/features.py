"""Nodes from events to features, and from features to examples."""

from pipelines import steps
from pipelines.nodes.graph import Graph


def compute_features(graph: Graph, step: steps.ComputeFeatures) -> None:
    from components.feature_computer.component import FeatureComputer

    node = FeatureComputer(step.features, step.store, step.as_of)
    graph.add(node, "FeatureComputer", views="views")


def from_feature_view(graph: Graph, step: steps.FromFeatureView) -> None:
    from components.feature_example_gen.component import FeatureExampleGen

    computed = graph.steps[steps.ComputeFeatures]
    assert isinstance(computed, steps.ComputeFeatures)
    node = FeatureExampleGen(step.config, computed.store, graph.channels["views"])
    graph.add(node, "ExampleGen", examples="examples")
