import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import BeamfleetError
from components.example_gen.source import CsvSource, GivenSplit, HashSplit, TimeSplit
from pipelines import checks, steps
from pipelines.pipeline import Pipeline, from_csv

HERE = "tests.pipelines.functions"
TRAIN = f"{HERE}.train_fn"


def trained(pipeline: Pipeline, train_fn: str = TRAIN) -> Pipeline:
    return pipeline.train_per_entity(train_fn, entity="shop", label="sales", task="regression")


def complete(rows: Path) -> Pipeline:
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    return trained(pipeline)


def test_whole_chain_passes_the_checks(rows):
    (
        complete(rows)
        .validate_examples(on_anomaly="warn")
        .evaluate(metrics=["mae"], thresholds={"mae": {"max": 3.0}}, slices=["shop"])
        .infra_validate()
        .push_to("models")
        .bulk_infer(from_csv(rows))
        .cache()
        .check()
    )


def test_the_order_of_calls_does_not_matter(rows):
    trained(Pipeline("shop").evaluate().push_to()).infer_schema().generate_statistics().from_csv(
        rows
    ).check()


def one_model(rows: Path) -> Pipeline:
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    return pipeline.preprocess(f"{HERE}.preprocessing_fn").train(f"{HERE}.run_fn", label="sales")


def test_one_model_shares_its_traffic_by_request(rows):
    shares = {"champion": 90, "challenger": 10}
    one_model(rows).push_to(traffic=shares, end="2030-01-01T00:00+00:00", keep=2).check()
    complete(rows).push_to(traffic=shares, by="entity", approve="manual").check()
    with pytest.raises(BeamfleetError, match="has passed"):
        complete(rows).push_to(traffic=shares, end="2020-01-01T00:00Z").check()
    with pytest.raises(BeamfleetError, match='by="entity" needs one model for each entity'):
        one_model(rows).push_to(traffic=shares, by="entity").check()


def test_a_chain_with_one_model_passes_the_checks(rows):
    one_model(rows).evaluate(["accuracy"]).infra_validate().push_to("x").bulk_infer(
        from_csv(rows)
    ).cache().check()


def test_a_pipeline_makes_one_kind_of_models(rows):
    with pytest.raises(BeamfleetError, match=r"has train_per_entity and train: .* leave one out"):
        trained(one_model(rows)).check()


def test_what_a_model_is_made_by_has_the_right_parameters(rows):
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    with pytest.raises(BeamfleetError, match=r"wrong_fn\(rows\) .* expected \(inputs\[, custom"):
        pipeline.preprocess(f"{HERE}.wrong_fn").check()
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    with pytest.raises(BeamfleetError, match=r"wrong_fn\(rows\) .* expected \(fn_args\)"):
        pipeline.preprocess(f"{HERE}.preprocessing_fn").train(f"{HERE}.wrong_fn", label="x").check()


def test_hyperparameters_have_one_source_and_a_model_to_train(rows):
    found = f"{HERE}.tuner_fn"
    one_model(rows).tune(found, trials=2).check()
    one_model(rows).with_hyperparameters(rows.parent).check()
    with pytest.raises(BeamfleetError, match="there is no file or folder"):
        one_model(rows).with_hyperparameters(rows.parent / "nowhere").check()
    with pytest.raises(BeamfleetError, match="has tune and with_hyperparameters: leave one out"):
        one_model(rows).tune(found).with_hyperparameters(rows.parent).check()
    with pytest.raises(BeamfleetError, match=r"tune\(\) needs a model to train: add \.train\("):
        trained(Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()).preprocess(
            f"{HERE}.preprocessing_fn"
        ).tune(found).check()
    with pytest.raises(BeamfleetError, match="trials must be >= 1"):
        one_model(rows).tune(found, trials=0)
    with pytest.raises(BeamfleetError, match=r"wrong_fn\(rows\) .* expected \(fn_args\)"):
        one_model(rows).tune(f"{HERE}.wrong_fn").check()


def test_checks_name_columns_that_are_there(rows):
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    pipeline.validate_examples(checks={"a": "min(price) > 0"}, row_checks={"b": "sale > 0"})
    with pytest.raises(BeamfleetError, match=r"check 'b' .*column 'sale' is not in the first row"):
        pipeline.check()


def test_a_reviewed_schema_that_is_missing_can_be_made(rows):
    pipeline = Pipeline("shop").from_csv(rows).with_schema(rows.parent / "schema.pbtxt")
    with pytest.raises(BeamfleetError, match=r"no file or folder .*; `beamfleet schema init`"):
        pipeline.check()


def test_drift_needs_spans_and_skew_rows_to_predict(rows):
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    with pytest.raises(BeamfleetError, match=r"drift compares spans, and no path holds \{SPAN\}"):
        pipeline.validate_examples(drift={"sales": 0.1}).check()
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    with pytest.raises(BeamfleetError, match="skew compares with the rows to predict: add"):
        pipeline.validate_examples(skew={"sales": 0.1}).check()


@pytest.mark.parametrize(
    ("build", "advice"),
    [
        (lambda p, rows: p.generate_statistics(), "add .from_csv(path)"),
        (lambda p, rows: p.from_csv(rows).infer_schema(), "add .generate_statistics()"),
        (
            lambda p, rows: (
                p.from_csv(rows).generate_statistics().infer_schema().train(TRAIN, label="x")
            ),
            "train() needs preprocessed examples: add .preprocess(",
        ),
        (lambda p, rows: trained(p.from_csv(rows)), "add .infer_schema() or .with_schema(path)"),
        (
            lambda p, rows: p.from_csv(rows).generate_statistics().validate_examples(),
            "validate_examples() needs a schema",
        ),
        (lambda p, rows: p.from_csv(rows).evaluate(), "add .train_per_entity(...)"),
        (lambda p, rows: p.from_csv(rows).infra_validate(), "add .train_per_entity(...)"),
        (lambda p, rows: p.from_csv(rows).push_to("x"), "push_to() needs models"),
        (
            lambda p, rows: p.from_csv(rows).bulk_infer(from_csv(rows)),
            "bulk_infer() needs models of rows",
        ),
    ],
)
def test_a_missing_step_is_named(rows, build, advice):
    with pytest.raises(BeamfleetError, match="pipeline 'shop'") as refused:
        build(Pipeline("shop"), rows).check()
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda p, rows: p.from_csv(rows).from_csv(rows), "called twice"),
        (lambda p, rows: p.from_csv(rows).from_parquet(rows), "called twice"),
        (lambda p, rows: p.cache().cache(), "cache() was called twice"),
        (lambda p, rows: p.from_csv(rows, eval_data=rows, splits=HashSplit()), "not both"),
        (lambda p, rows: p.from_csv(rows, delimeter=";"), "unexpected keyword argument"),
        (lambda p, rows: p.from_csv(rows, delimiter=";;"), "one plain character"),
        (lambda p, rows: p.from_csv(rows, max_rejected_share=2), "expected 0 to 1"),
        (lambda p, rows: p.validate_examples("explode"), 'must be "stop" or "warn"'),
        (
            lambda p, rows: p.validate_examples(checks={"some": "count(*) > 1; drop table x"}),
            "check 'some': 'count(*) > 1; drop table x' is not one SQL expression",
        ),
        (lambda p, rows: p.push_to("x", keep=0), "keep must be >= 1"),
        (lambda p, rows: p.push_to(traffic={"champion": 1}), "one other"),
        (lambda p, rows: p.push_to(start="2026-01-01T00:00Z"), "start of push_to() need traffic"),
        (lambda p, rows: p.push_to(approve="later"), 'approve of push_to() is "manual"'),
        (lambda p, rows: p.infra_validate(max_startup_s=0), "must be above 0"),
        (lambda p, rows: p.evaluate(metrics=["beauty"]), "unknown metrics"),
        (lambda p, rows: p.with_examples("data"), "output 'examples'"),
        (lambda p, rows: p.bulk_infer("data.csv"), "takes a source such as from_csv"),
        (
            lambda p, rows: p.bulk_infer(from_csv(rows), max_failed_share=2),
            "max_failed_share is between 0 and 1",
        ),
        (lambda p, rows: p.train_per_entity(TRAIN, entity="a", label="a"), "not the label"),
        (lambda p, rows: p.train_per_entity(TRAIN, entity=[], label="a"), "at least one column"),
        (
            lambda p, rows: p.train_per_entity(TRAIN, entity="a", label="b", task="guess"),
            "task must be",
        ),
    ],
)
def test_nonsense_is_refused_at_once(rows, build, says):
    with pytest.raises(BeamfleetError) as refused:
        build(Pipeline("shop"), rows)
    assert says in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "../up", "x" * 64])
def test_a_name_that_no_store_takes_is_refused(name):
    with pytest.raises(BeamfleetError, match="pipeline name"):
        Pipeline(name)


def test_missing_files_are_named(tmp_path, rows):
    with pytest.raises(BeamfleetError, match=r"no file or folder .*nowhere"):
        Pipeline("shop").from_csv(tmp_path / "nowhere").check()
    with pytest.raises(BeamfleetError, match=r"nothing matches .*day-\*\.csv"):
        Pipeline("shop").from_csv(tmp_path / "day-*.csv").check()
    with pytest.raises(BeamfleetError, match=r"no file or folder .*schema.pbtxt"):
        Pipeline("shop").from_csv(rows).with_schema(tmp_path / "schema.pbtxt").check()
    for left_to_the_node in ("day-{SPAN}.csv", "below**.csv"):
        Pipeline("shop").from_csv(tmp_path / left_to_the_node).check()


def test_options_reach_the_reader(rows):
    pipeline = Pipeline("shop").from_csv(
        rows, columns=["a", "b"], types={"a": "string"}, eval_data=rows, max_rejected_share=0.5
    )
    read = pipeline._steps[steps.ReadExamples]
    assert read.config.source == CsvSource(
        (str(rows),), columns=("a", "b"), types=(("a", "string"),)
    )
    assert read.config.splits == GivenSplit((str(rows),))
    assert read.config.max_rejected_share == 0.5


def test_options_reach_the_bulk_inferrer(rows):
    pipeline = Pipeline("shop").bulk_infer(
        from_csv(rows), output_columns="shop", max_failed_share=0.2
    )
    options = pipeline._steps[steps.BulkInfer].options
    assert options == {"output_columns": ("shop",), "max_failed_share": 0.2}


def test_splits_that_a_step_reads_are_made(rows):
    pipeline = Pipeline("shop").from_csv(rows, splits=HashSplit((("learn", 1), ("eval", 1))))
    with pytest.raises(BeamfleetError, match="reads split 'train'"):
        trained(pipeline.generate_statistics().infer_schema()).check()
    by_time = Pipeline("shop").from_csv(rows, splits=TimeSplit("price", 3))
    trained(by_time.generate_statistics().infer_schema()).check()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("train_fn", "not a dotted path"),
        ("tests.pipelines.nowhere.train_fn", "no module"),
        ("tests.pipelines.functions.wrong_fn", r"has the wrong parameters, expected \(examples"),
        ("tests.pipelines.test_builder.no_such_fn", "has no function"),
    ],
)
def test_a_wrong_train_function_is_named(rows, function, says):
    pipeline = Pipeline("shop").from_csv(rows).generate_statistics().infer_schema()
    with pytest.raises(BeamfleetError, match=says):
        trained(pipeline, function).check()


def test_functions_are_checked_without_running_their_module(rows):
    trained(
        Pipeline("shop")
        .from_csv(rows, clean="tests.pipelines.functions.clean_fn")
        .generate_statistics()
        .infer_schema(),
        "tests.pipelines.functions.train_with_parent_fn",
    ).check()
    assert "tests.pipelines.functions" not in sys.modules


def test_a_clean_function_takes_one_table(rows):
    with pytest.raises(BeamfleetError, match=r"expected \(table\)"):
        Pipeline("shop").from_csv(rows, clean="tests.pipelines.functions.wrong_fn").check()


class _OnlyTfExample:
    payloads = ("tf_example",)


def test_payload_is_parquet_where_all_readers_read_it(rows):
    recorded = complete(rows)._steps
    assert checks.payload(recorded) == "parquet"
    assert checks.payload({**recorded, _OnlyTfExample: _OnlyTfExample()}) == "tf_example"
    validated = complete(rows).infra_validate()._steps
    with pytest.raises(BeamfleetError, match="no payload suits all steps"):
        checks.payload({**validated, _OnlyTfExample: _OnlyTfExample()})


def test_beam_runs_in_process_unless_a_runner_is_named():
    assert Pipeline("shop").beam_args == ("--runner=FnApiRunner",)
    with_workers = Pipeline("shop").with_beam_args("--direct_num_workers=2")
    assert with_workers.beam_args == ("--runner=FnApiRunner", "--direct_num_workers=2")
    assert Pipeline("shop").with_beam_args("--runner=Flink").beam_args == ("--runner=Flink",)


def test_root_is_absolute_and_named_after_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Pipeline("shop").root == tmp_path / "runs" / "shop"


def test_building_blocks_import_nothing_heavy():
    program = (
        "import sys; from pipelines.pipeline import Pipeline; import pipelines.census;"
        "print([m for m in ('tensorflow', 'tfx', 'apache_beam', 'pandas', 'pyarrow', 'numpy')"
        " if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr
