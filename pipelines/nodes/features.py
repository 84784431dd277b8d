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


def stream_features(graph: Graph, step: steps.StreamFeatures) -> None:
    from components.feature_streamer.component import FeatureStreamer

    view = _view(graph)
    node = FeatureStreamer(
        view.config.features, view.store, view.config.as_of, step.until, graph.channels["views"]
    )
    graph.add(node, "FeatureStreamer", stream="stream")


def predict_online(graph: Graph, step: steps.PredictOnline) -> None:
    from components.online_predictor.component import OnlinePredictor

    node = OnlinePredictor(
        _view(graph).config,
        graph.push_directory,
        step.requests,
        graph.channels["stream"],
        graph.channels["pushed_model"],
    )
    graph.add(node, "OnlinePredictor")


def _view(graph: Graph) -> steps.FromFeatureView:
    view = graph.steps[steps.FromFeatureView]
    assert isinstance(view, steps.FromFeatureView)
    return view
