"""Transform: TFX's interface, on the Arrow of our examples."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Transform as TransformExecution

from components.transform.executor import Executor
from components.user_function import code_fingerprint


class TransformSpec(ComponentSpec):
    """Inputs, outputs and parameters of Transform."""

    PARAMETERS = {
        "preprocessing_fn": ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
        "analyze_split": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }
    TYPE_ANNOTATION = TransformExecution


class Transform(base_beam_component.BaseBeamComponent):
    """Preprocesses all splits by a `preprocessing_fn` of TensorFlow Transform.

    Writes what the stock Transform writes (without its statistics): the graph that the Trainer
    puts into the model, and the preprocessed rows as gzipped tf.Examples. The code's fingerprint
    is a parameter, so that a change of the code is no cache hit.

    Example:
        transform = Transform(
            examples=example_gen.outputs["examples"],
            schema=schema_gen.outputs["schema"],
            preprocessing_fn="user_code.taxi.preprocessing_fn",
        )
    """

    SPEC_CLASS = TransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: channel.BaseChannel,
        schema: channel.BaseChannel,
        preprocessing_fn: str,
        analyze_split: str = "train",
    ) -> None:
        """Makes the node.

        Args:
          examples: Examples; every split is preprocessed.
          schema: Schema of the examples.
          preprocessing_fn: Dotted path of `preprocessing_fn(inputs) -> outputs`.
          analyze_split: Split whose means, vocabularies and so on are taken.

        Raises:
          BeamfleetError: `preprocessing_fn` cannot be found.
        """
        spec = TransformSpec(
            examples=examples,
            schema=schema,
            preprocessing_fn=preprocessing_fn,
            code_fingerprint=code_fingerprint(preprocessing_fn),
            analyze_split=analyze_split,
            transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
            transformed_examples=channel.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
