"""Nodes of several models in one: images, captions, their report."""

from pipelines import steps
from pipelines.nodes.graph import Graph


def with_ensemble(graph: Graph, step: steps.WithEnsemble) -> None:
    from components.ensemble_importer.component import EnsembleImporter

    node = EnsembleImporter(step.ensemble_fn, step.models, step.hparams)
    graph.add(node, "EnsembleImporter", model="model")


def infer_images(graph: Graph, step: steps.InferImages) -> None:
    from components.ensemble_inferrer.component import EnsembleInferrer

    examples, common = graph.channels["examples"], {"columns": step.columns, **step.options}
    node = EnsembleInferrer(examples=examples, model=graph.channels["model"], **common)
    if graph.gate is not None:
        node.add_upstream_node(graph.gate)
    graph.add(node, "BulkInferrer", captions="inference_result")
    if graph.compares_with_pushed:
        node = EnsembleInferrer(examples=examples, push_destination=graph.push_directory, **common)
        graph.add(node, "PushedBulkInferrer", pushed_captions="inference_result")


def evaluate_captions(graph: Graph, step: steps.EvaluateCaptions) -> None:
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


def report_captions(graph: Graph, step: steps.ReportCaptions) -> None:
    from components.caption_report.component import CaptionReport

    examples = graph.channels["examples"]
    node = CaptionReport(graph.channels["captions"], examples=examples, note=step.note)
    graph.add(node, "CaptionReport")
    graph.sheet = node
