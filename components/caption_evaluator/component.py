"""CaptionEvaluator: may this ensemble that captions images be pushed?"""

import json
from collections.abc import Mapping, Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from components.caption_evaluator.config import CaptionEvaluationConfig
from components.caption_evaluator.executor import Executor
from components.entity_evaluator.driver import Driver
from components.errors import BeamfleetError


class CaptionEvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of the CaptionEvaluator; structures are JSON."""

    PARAMETERS = {
        "thresholds": ExecutionParameter(type=str),
        "slices": ExecutionParameter(type=str),
        "confidence": ExecutionParameter(type=float),
        "push_destination": ExecutionParameter(type=str),
    }
    INPUTS = {
        "inference_result": ChannelParameter(type=standard_artifacts.InferenceResult),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline_result": ChannelParameter(type=standard_artifacts.InferenceResult, optional=True),
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class CaptionEvaluator(base_beam_component.BaseBeamComponent):
    """Measures captions against references, and blesses the ensemble that made them or not.

    It predicts nothing itself: `inference_result` is what the ensemble made of images whose source
    has references. Metrics: exact_match of the best caption; own_order_exact_match, that of the
    captioner's own first; oracle_exact_match, whether any candidate is right; bleu (corpus, 0 to
    100); clip_score (0 to 2.5); coverage, the share of images that have a caption, of those that
    could be read (ImageExampleGen bounds the others: max_rejected_share). Images that failed count
    in coverage only, so that it should have a threshold too. `gate.py` has the rules
    of the blessing.

    Outputs: `evaluation` holds metrics.json, images.parquet (all measures of each image) and
    slices.parquet, and opens with `tfma.load_eval_result`; its custom properties are rows_in,
    rows_evaluated, rows_without_reference, rows_failed, baseline_version (ints), confidence,
    overall (JSON: metrics by model), intervals (JSON: [low, high] of the candidate's), ranking
    (JSON: exact_match against own_order_exact_match, with interval and p-value) and notes.
    `blessing` has the file BLESSED or NOT_BLESSED and the properties blessed, unchanged (0 or 1)
    and reason.

    Example:
        evaluator = CaptionEvaluator(
            inference_result=candidate_captions.outputs["inference_result"],
            baseline_result=pushed_captions.outputs["inference_result"],
            model=ensemble.outputs["model"],
            thresholds={"exact_match": {"min": 0.9, "max_drop": 0.02}, "coverage": {"min": 0.95}},
            slices=[["objects"], ["colours"], ["objects", "colours"]],
            push_destination="/models/captions",
        )
    """

    SPEC_CLASS = CaptionEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        inference_result: channel.BaseChannel,
        model: channel.BaseChannel,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        slices: Sequence[Sequence[str]] | None = None,
        confidence: float = 0.95,
        push_destination: str = "",
        baseline_result: channel.BaseChannel | None = None,
    ) -> None:
        """Makes the node.

        Args:
          inference_result: InferenceResult of the ensemble.
          model: Model, the ensemble that is blessed or not.
          thresholds: By metric: min, the value that has to be reached; max_drop, how much worse
            than the pushed version it may be, which needs `baseline_result` where there is one.
          slices: Columns of the result that are crossed, a list a slicing. A value such as
            "blue+red" is taken as it is. Default: each column of the source by itself, unless it
            has more than 50 values.
          confidence: Of intervals; 1 - the level of tests.
          push_destination: Directory of the Pusher; tells what is pushed.
          baseline_result: InferenceResult of the pushed ensemble on the same images; one that was
            skipped because nothing is pushed yet will do.

        Raises:
          BeamfleetError: a parameter makes no sense.
        """
        structures = {
            "thresholds": dict(thresholds or {}),
            "slices": None
            if slices is None
            else [[one] if isinstance(one, str) else list(one) for one in slices],
        }
        config = CaptionEvaluationConfig.from_dict({**structures, "confidence": confidence})
        if config.dropping and push_destination and baseline_result is None:
            raise BeamfleetError(
                f"max_drop of {', '.join(config.dropping)} compares with the version in "
                f"{push_destination}: give baseline_result, its InferenceResult on the same images"
            )
        spec = CaptionEvaluatorSpec(
            inference_result=inference_result,
            model=model,
            baseline_result=baseline_result,
            **{name: json.dumps(value, sort_keys=True) for name, value in structures.items()},
            confidence=float(confidence),
            push_destination=push_destination,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)
