"""Nodes from events to features, and from features to examples."""

from pipelines import steps
from pipelines.nodes.graph import Graph


def from_feature_view(graph: Graph, step: steps.FromFeatureView) -> None:
    from components.feature_computer.component import FeatureComputer
    from components.feature_example_gen.component import FeatureExampleGen

    computer = FeatureComputer(step.config.features, step.store, step.config.as_of)
    graph.add(computer, "FeatureComputer", views="views")
    node = FeatureExampleGen(step.config, step.store, graph.channels["views"])
    graph.add(node, "ExampleGen", examples="examples")
