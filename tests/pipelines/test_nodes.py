"""The TFX pipelines that the builder makes; importing TFX takes most of the time here."""

import json

import pytest

from components.errors import BeamfleetError
from components.example_gen.source import IngestConfig
from pipelines.pipeline import Pipeline, from_csv

TRAIN = "tests.pipelines.test_nodes.train_fn"


def train_fn(examples, hparams):
    return None


def trained(pipeline):
    return pipeline.train_per_entity(
        TRAIN, entity="shop", label="sales", task="regression", min_rows=7
    )


def start(rows, **options):
    return Pipeline("shop", root=rows.parent / "root").from_csv(rows, **options)


def nodes_of(built):
    return {node.id: node for node in built.components}


def producers(node):
    return {key: channel.producer_component_id for key, channel in node.inputs.items()}


def test_the_whole_chain_is_a_plain_tfx_pipeline(rows):
    built = (
        trained(start(rows).generate_statistics().infer_schema().validate_examples())
        .evaluate(metrics=["mae"])
        .infra_validate(max_p99_ms=50)
        .push_to(keep=2, traffic={"champion": 3, "challenger": 1}, approve="manual")
        .bulk_infer(from_csv(rows))
        .cache()
        .build()
    )
    nodes = nodes_of(built)
    assert set(nodes) == {
        "ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "EntityTrainer",
        "EntityEvaluator", "InfraValidator", "Pusher", "UnlabelledExampleGen", "BulkInferrer",
    }  # fmt: skip
    assert built.enable_cache
    assert built.pipeline_info.pipeline_root == str(rows.parent / "root" / "artifacts")
    assert built.beam_pipeline_args == ["--runner=FnApiRunner"]
    assert producers(nodes["EntityTrainer"]) == {"examples": "ExampleGen", "schema": "SchemaGen"}
    assert producers(nodes["Pusher"]) == {
        "model": "EntityEvaluator",
        "model_blessing": "EntityEvaluator",
        "infra_blessing": "InfraValidator",
    }
    assert producers(nodes["BulkInferrer"]) == {
        "examples": "UnlabelledExampleGen",
        "pushed_model": "Pusher",
    }
    assert nodes["EntityTrainer"].exec_properties["min_rows"] == 7
    assert nodes["Pusher"].exec_properties["keep_versions"] == 2
    assert json.loads(nodes["Pusher"].exec_properties["traffic"])["shares"]["champion"] == 3
    assert nodes["Pusher"].exec_properties["approval_root"] == str(rows.parent / "root")
    assert nodes["InfraValidator"].exec_properties["max_p99_ms"] == 50
    pushed = str(rows.parent / "root" / "pushed")
    for name in ("EntityEvaluator", "Pusher", "BulkInferrer"):
        assert nodes[name].exec_properties["push_destination"] == pushed


def test_nothing_is_trained_on_examples_that_were_found_wanting(rows):
    built = trained(start(rows).generate_statistics().infer_schema().validate_examples()).build()
    order = [node.id for node in built.components]
    assert order.index("ExampleValidator") < order.index("EntityTrainer")
    upstream = {node.id for node in nodes_of(built)["EntityTrainer"].upstream_nodes}
    assert "ExampleValidator" in upstream


def test_a_curated_schema_wins_and_types_the_files(rows):
    schema = rows.parent / "schema.pbtxt"
    schema.write_text(
        'feature { name: "shop" type: BYTES } feature { name: "price" type: FLOAT }'
        ' feature { name: "sales" type: INT }'
    )
    built = (
        trained(start(rows, types={"price": "int64"}).generate_statistics().infer_schema())
        .with_schema(schema)
        .push_to()
        .bulk_infer(from_csv(rows))
        .build()
    )
    nodes = nodes_of(built)
    assert nodes["SchemaGen"].exec_properties["schema_file"] == str(schema)
    assert producers(nodes["StatisticsGen"])["schema"] == "SchemaGen"
    assert producers(nodes["ExampleGen"])["schema"] == "SchemaGen"


def test_checks_read_the_rows_that_are_validated(rows):
    schema = rows.parent / "schema.pbtxt"
    schema.write_text('feature { name: "price" type: INT }')
    (rows.parent / "span-1").mkdir()
    spans = (
        Pipeline("shop", root=rows.parent / "root")
        .from_csv(rows.parent / "span-{SPAN}", window=2)
        .generate_statistics()
        .with_schema(schema)
        .validate_examples(drift={"price": 0.1}, checks={"some": "count(*) > 1"})
    )
    node = nodes_of(spans.build())["ExampleValidator"]
    assert producers(node) == {
        "statistics": "NewestStatisticsGen",
        "examples": "NewestExampleGen",
        "previous_statistics": "PreviousStatisticsGen",
        "schema": "SchemaGen",
    }
    assert node.exec_properties["reviewed"] == 1  # in the cache key, as `checks` are
    assert json.loads(node.exec_properties["checks"])["of_split"] == {"some": "count(*) > 1"}
    plain = start(rows).generate_statistics().infer_schema().validate_examples().build()
    node = nodes_of(plain)["ExampleValidator"]
    assert "examples" not in producers(node) and node.exec_properties["reviewed"] == 0


def test_rows_to_predict_are_read_in_the_types_of_the_rows_to_train_on(rows):
    built = trained(start(rows).generate_statistics().infer_schema()).push_to()
    nodes = nodes_of(built.bulk_infer(from_csv(rows)).build())
    assert producers(nodes["UnlabelledExampleGen"]) == {"schema": "SchemaGen"}
    assert "schema" not in producers(nodes["ExampleGen"])


def test_without_evaluation_the_candidate_itself_is_validated_and_pushed(rows):
    built = (
        trained(start(rows).generate_statistics().infer_schema())
        .infra_validate()
        .push_to("/models")
        .build()
    )
    nodes = nodes_of(built)
    assert producers(nodes["InfraValidator"])["model"] == "EntityTrainer"
    assert producers(nodes["Pusher"]) == {
        "model": "EntityTrainer",
        "infra_blessing": "InfraValidator",
    }
    assert not built.enable_cache


def test_without_pushing_the_trained_models_predict(rows):
    built = (
        trained(start(rows).generate_statistics().infer_schema()).bulk_infer(from_csv(rows)).build()
    )
    assert producers(nodes_of(built)["BulkInferrer"]) == {
        "examples": "UnlabelledExampleGen",
        "model": "EntityTrainer",
    }


def test_another_components_examples_are_taken(rows):
    from components.example_gen.component import ExampleGen
    from components.example_gen.source import CsvSource

    other = ExampleGen(IngestConfig(CsvSource((str(rows),)))).with_id("MyExamples")
    built = Pipeline("shop").with_examples(other).generate_statistics().build()
    assert producers(nodes_of(built)["StatisticsGen"]) == {"examples": "MyExamples"}


def test_payload_is_written_into_the_configuration(rows):
    built = start(rows).generate_statistics().build()
    source = json.loads(nodes_of(built)["ExampleGen"].exec_properties["source"])
    assert source["payload"] == "parquet"


def _raised(error, cause=None):
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BeamfleetError("row 3 is broken"), "row 3 is broken"),
        (BeamfleetError("row 3 is broken [while running 'Read/Map']"), "row 3 is broken"),
        (_raised(RuntimeError("outer"), BeamfleetError("row 3 is broken")), "row 3 is broken"),
        (
            RuntimeError(
                "Traceback (most recent call last):\n  File x\n"
                "components.errors.BeamfleetError: row 3 is broken\n\n"
                "During handling of the above exception, another exception occurred:\n ..."
            ),
            "row 3 is broken",
        ),
        (
            RuntimeError("Traceback (most recent call last):\n  File x\nKeyError: 'age'"),
            "RuntimeError: KeyError: 'age'",
        ),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (OSError(), "OSError: "),
    ],
)
def test_a_failure_is_said_in_one_sentence(error, reason):
    from pipelines.launching import reason_of

    assert reason_of(error) == reason
