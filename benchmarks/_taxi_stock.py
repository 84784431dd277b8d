"""The nine nodes of TFX's own taxi example on our rows, wired as TFX's documentation does.

python -m benchmarks._taxi_stock ROOT MODULE_FILE
"""

import sys

from tensorflow_model_analysis.proto import config_pb2
from tfx.components import (
    CsvExampleGen,
    Evaluator,
    ExampleValidator,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
)
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.experimental import latest_blessed_model_resolver
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.proto import example_gen_pb2, pusher_pb2, trainer_pb2
from tfx.types import Channel
from tfx.types.standard_artifacts import Model, ModelBlessing

HPARAMS = {"units": 32, "learning_rate": 0.005, "epochs": 8, "batch_size": 128}


def create_pipeline(data_root: str, root: str, module_file: str) -> pipeline.Pipeline:
    """CsvExampleGen to Pusher."""
    example_gen = CsvExampleGen(
        input_base=data_root,
        input_config=example_gen_pb2.Input(
            splits=[example_gen_pb2.Input.Split(name="rows", pattern="span-{SPAN}/*")]
        ),
        output_config=example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(
                splits=[
                    example_gen_pb2.SplitConfig.Split(name="train", hash_buckets=2),
                    example_gen_pb2.SplitConfig.Split(name="eval", hash_buckets=1),
                ]
            )
        ),
    )
    statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"])
    schema_gen = SchemaGen(
        statistics=statistics_gen.outputs["statistics"], infer_feature_shape=False
    )
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        module_file=module_file,
    )
    trainer = Trainer(
        module_file=module_file,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        custom_config={"hparams": HPARAMS},
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
    )
    resolver = Resolver(
        strategy_class=latest_blessed_model_resolver.LatestBlessedModelResolver,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=_eval_config(),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=f"{root}/pushed")
        ),
    )
    return pipeline.Pipeline(
        pipeline_name="taxi",
        pipeline_root=f"{root}/artifacts",
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            transform,
            trainer,
            resolver,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            f"{root}/metadata.db"
        ),
        beam_pipeline_args=["--runner=FnApiRunner"],
    )


def _eval_config() -> config_pb2.EvalConfig:
    overall = config_pb2.SlicingSpec()

    def at_least(bound: float, max_drop: float = 1.0) -> config_pb2.PerSliceMetricThreshold:
        # Of the whole: a plain threshold would be asked of every slice.
        threshold = config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": bound}),
            change_threshold=config_pb2.GenericChangeThreshold(
                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
                absolute={"value": -max_drop},
            ),
        )
        return config_pb2.PerSliceMetricThreshold(slicing_specs=[overall], threshold=threshold)

    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_default",
                label_key="tipped",
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[
            overall,
            config_pb2.SlicingSpec(feature_keys=["trip_start_hour"]),
            config_pb2.SlicingSpec(feature_keys=["company"]),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    config_pb2.MetricConfig(class_name="ExampleCount"),
                    config_pb2.MetricConfig(
                        class_name="AUC", per_slice_thresholds=[at_least(0.85)]
                    ),
                    config_pb2.MetricConfig(
                        class_name="BinaryAccuracy",
                        per_slice_thresholds=[at_least(0.8, max_drop=0.02)],
                    ),
                ]
            )
        ],
    )


if __name__ == "__main__":
    LocalDagRunner().run(create_pipeline(*sys.argv[1:]))
