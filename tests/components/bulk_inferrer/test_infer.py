"""Bulk inference: every row comes out once, as a prediction or as a dead letter."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bulk_inferrer import infer as infer_module
from components.bulk_inferrer import write
from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, Summary, infer
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from tests.components.bulk_inferrer.data import (
    POISON,
    make_examples,
    make_models,
    make_pipeline,
    rows,
)
from tests.components.pusher.stores import make_store

_LENIENT = InferenceConfig(max_failed_share=1.0)


@pytest.fixture
def models(tmp_path: Path) -> ServedModel:
    return ServedModel(make_models(tmp_path / "models", ["Bachelors", "Masters"]), version=7)


def run(
    folder: Path,
    table: pa.Table,
    models: ServedModel,
    config: InferenceConfig = _LENIENT,
    files: int = 1,
) -> tuple[Summary, pa.Table, pa.Table]:
    """Summary, predictions and dead letters (None if there are none)."""
    split = make_examples(folder / "examples", table, files)
    summary = infer(make_pipeline, [split], models, str(folder / "result"), config)
    return summary, *read(folder / "result")


def read(result: Path) -> tuple[pa.Table, pa.Table | None]:
    letters = result / "dead_letters"
    return pq.read_table(result / "predictions"), pq.read_table(
        letters
    ) if letters.exists() else None


def test_rows_are_predicted_by_the_model_of_their_entity(tmp_path, models):
    table = rows(["Masters", "Bachelors", "Masters", "Bachelors"], [1.0, 1.0, 2.0, 0.0])
    summary, predictions, letters = run(
        tmp_path, table, models, replace(_LENIENT, output_columns=("id", "education"))
    )
    assert predictions.to_pylist() == [
        _row("id-1", "Bachelors", ">50K"),
        _row("id-3", "Bachelors", "<=50K"),
        _row("id-0", "Masters", "<=50K"),
        _row("id-2", "Masters", ">50K"),
    ]
    assert letters is None
    assert summary == Summary(4, 4, 0, 0, 7, models.uri)
    assert json.loads((tmp_path / "result/summary.json").read_text())["rows"] == 4


def _row(row_id: str, education: str, prediction: str) -> dict[str, object]:
    high = 0.75 if prediction == ">50K" else 0.25
    return {
        "id": row_id,
        "education": education,
        "prediction": prediction,
        "probabilities": [1 - high, high],
        "model_version": 7,
        "fallback": False,
    }


def test_unseen_entity_is_predicted_by_the_fallback_and_says_so(tmp_path, models):
    table = rows(["Doctorate", "Doctorate", "Masters"], [39.0, 41.0, 39.0])
    summary, predictions, _ = run(tmp_path, table, models)
    assert predictions.column("prediction").to_pylist() == ["<=50K", ">50K", ">50K"]
    assert predictions.column("fallback").to_pylist() == [True, True, False]
    assert summary.rows_fallback == 2


def test_entity_columns_are_written_where_none_are_named(tmp_path, models):
    _, predictions, _ = run(tmp_path, rows(["Masters"], [1.0]), models)
    assert predictions.schema.names == [
        "education", "prediction", "probabilities", "model_version", "fallback"
    ]  # fmt: skip


def test_bad_rows_become_dead_letters_and_good_ones_stay(tmp_path, models):
    ages = [POISON if i % 10 == 3 else float(i) for i in range(40)]
    table = rows(["Masters", "Bachelors"] * 20, ages)
    summary, predictions, letters = run(tmp_path, table, models, files=2)
    assert (summary.rows_in, summary.rows, summary.rows_failed) == (40, 36, 4)
    assert predictions.num_rows == 36
    assert letters is not None
    name = "Split-unlabelled/data-0000{}-of-00002.parquet"
    assert letters.to_pylist() == [
        {
            "entity": "Bachelors",
            "reason": "ValueError: age 666.0 of a F",
            "file": name.format(file),
            "row": row,
            "payload": None,
        }
        for file, row in ((0, 3), (0, 13), (1, 3), (1, 13))
    ]
    assert summary.reasons == {"ValueError: age 666.0 of a F": 4}


def test_missing_entity_key_is_a_dead_letter(tmp_path, models):
    _, predictions, letters = run(tmp_path, rows([None, "Masters"], [1.0, 1.0]), models)
    assert predictions.num_rows == 1
    assert letters.select(["entity", "reason", "row"]).to_pylist() == [
        {"entity": None, "reason": "entity key missing", "row": 0}
    ]


def test_payload_only_where_allowed_and_without_private_columns(tmp_path, models):
    table = rows(["Masters"], [POISON], ["a secret"])
    config = replace(_LENIENT, payload=True, private_columns=("sex",), retain_days=9)
    _, _, letters = run(tmp_path, table, models, config)
    [letter] = letters.to_pylist()
    assert json.loads(letter["payload"]) == {
        "education": "Masters", "age": POISON, "sex": "[redacted]", "id": "id-0"
    }  # fmt: skip
    assert letter["reason"] == "ValueError: age 666.0 of a [redacted]"
    stated = json.loads((tmp_path / "result/dead_letters/_retention.json").read_text())
    assert stated["retain_days"] == 9
    assert stated["redacted_columns"] == ["sex"]
    assert stated["delete_after"] > stated["written"][:10]


def test_private_values_are_nowhere(tmp_path, models):
    table = rows(["Masters", "a secret", None], [POISON] * 3, ["b secret"] * 3)
    private = ("education", "sex", "id")
    config = replace(_LENIENT, payload=True, private_columns=private)
    _, predictions, letters = run(tmp_path, table, models, config)
    assert "education" not in predictions.schema.names
    assert sorted(map(str, letters.column("entity").to_pylist())) == [
        "None", "[redacted]", "[redacted]"
    ]  # fmt: skip
    for path in (tmp_path / "result").rglob("*"):
        if path.suffix == ".parquet":
            text = str(pq.read_table(path).to_pylist())
            assert not any(word in text for word in ("secret", "id-0", "Masters")), path
        elif path.is_file():
            assert b"secret" not in path.read_bytes(), path


def test_more_failures_than_allowed_fail_the_node(tmp_path, models):
    table = rows(["Masters"] * 10, [POISON] * 2 + [1.0] * 8)
    message = r"2 of 10 rows failed, .* 0\.1 .*666\.0 of a F \(2x\).*result\.dead_letters;"
    with pytest.raises(BeamfleetError, match=message):
        run(tmp_path, table, models, InferenceConfig(max_failed_share=0.1))
    # Beside the result, whose folder TFX removes.
    assert pq.read_table(tmp_path / "result.dead_letters").num_rows == 2
    summary, *_ = run(tmp_path / "2", table, models, InferenceConfig(max_failed_share=0.2))
    assert summary.rows_failed == 2


def test_result_does_not_depend_on_batches_or_runs(tmp_path, models, monkeypatch):
    table = rows(
        [["Masters", "Bachelors", "Other", None][i % 4] for i in range(300)],
        [POISON if i % 50 == 0 else float(i % 60) for i in range(300)],
    )
    monkeypatch.setattr(infer_module, "_SHARD_BYTES", 2000)
    config = replace(_LENIENT, output_columns=("id",))
    split = make_examples(tmp_path / "examples", table, files=3)
    contents = []
    for i, batch_rows in enumerate((65_536, 7)):
        monkeypatch.setattr("components.bulk_inferrer.read._BATCH_ROWS", batch_rows)
        result = tmp_path / f"result-{i}"
        infer(make_pipeline, [split], models, str(result), config)
        contents.append({p.relative_to(result): p.read_bytes() for p in result.rglob("part-*")})
    assert contents[0] == contents[1]
    assert len(contents[0]) > 3


def test_same_rows_in_another_order_give_the_same_predictions(tmp_path, models):
    table = rows(["Masters", "Bachelors", "Other"] * 20, [float(i) for i in range(60)])
    config = replace(_LENIENT, output_columns=("id", "education"))
    _, one, _ = run(tmp_path / "1", table, models, config)
    _, two, _ = run(tmp_path / "2", table.take(list(range(60))[::-1]), models, config, files=4)
    assert one.sort_by("id") == two.sort_by("id")


def test_all_rows_of_an_entity_are_in_one_sorted_file(tmp_path, monkeypatch):
    entities = [f"e{i:03d}" for i in range(50)]
    models = ServedModel(make_models(tmp_path / "models", entities))
    monkeypatch.setattr(infer_module, "_SHARD_BYTES", 1000)
    run(tmp_path, rows(entities * 4, [1.0] * 200), models)
    files = [
        pq.read_table(path).column("education").to_pylist()
        for path in (tmp_path / "result/predictions").iterdir()
    ]
    assert len(files) > 2
    assert all(file == sorted(file) for file in files)
    assert sum(len(set(file)) for file in files) == 50


def test_no_rows_give_an_empty_result_with_columns(tmp_path, models):
    summary, predictions, letters = run(tmp_path, rows([], []), models)
    assert (summary.rows_in, summary.rows, predictions.num_rows, letters) == (0, 0, 0, None)
    assert predictions.schema.field("prediction").type == pa.string()
    assert predictions.schema.names[0] == "education"


@pytest.mark.parametrize("column", ["education", "age", "shoe size"])
def test_missing_column_is_named_before_anything_runs(tmp_path, models, column):
    table = rows(["Masters"], [1.0])
    table = table.drop_columns([column]) if column in table.schema.names else table
    config = replace(_LENIENT, output_columns=("shoe size",) if " " in column else ())
    with pytest.raises(BeamfleetError, match=rf"lacks the columns \['{column}'\]"):
        run(tmp_path, table, models, config)


def test_column_missing_in_a_later_file_is_not_read_as_null(tmp_path, models):
    split = make_examples(tmp_path / "examples", rows(["Masters"] * 2, [1.0, 2.0]), files=2)
    [last] = Path(split.uri).glob("Split-*/data-00001-*")
    pq.write_table(pq.read_table(last).drop_columns(["age"]), last)
    with pytest.raises(Exception, match=r"data-00001-.* lacks the columns \['age'\]"):
        infer(make_pipeline, [split], models, str(tmp_path / "result"), _LENIENT)


def test_column_of_another_type_is_refused(tmp_path, models):
    table = rows(["Masters"], [1.0]).set_column(1, "age", pa.array(["old"]))
    with pytest.raises(BeamfleetError, match="column 'age' is string"):
        run(tmp_path, table, models)


def test_split_without_files(tmp_path, models):
    with pytest.raises(BeamfleetError, match="no split 'eval'"):
        split = ExamplesSplit(str(tmp_path), "eval")
        infer(make_pipeline, [split], models, str(tmp_path / "result"), _LENIENT)


def test_lost_rows_fail_the_node(tmp_path, models, monkeypatch):
    real = write.rows_written
    monkeypatch.setattr(write, "rows_written", lambda uri, kind: max(real(uri, kind) - 1, 0))
    with pytest.raises(BeamfleetError, match="2 rows were read, but 1 predictions"):
        run(tmp_path, rows(["Masters"] * 2, [1.0, 2.0]), models)


def test_second_attempt_at_the_same_artifact_leaves_no_old_files(tmp_path, models):
    run(tmp_path, rows(["Masters", "Masters"], [1.0, POISON]), models)
    split = make_examples(tmp_path / "others", rows(["Masters"], [1.0]))
    infer(make_pipeline, [split], models, str(tmp_path / "result"), _LENIENT)
    predictions, letters = read(tmp_path / "result")
    assert predictions.num_rows == 1
    assert letters is None


def test_all_splits_are_read(tmp_path, models):
    one = make_examples(tmp_path / "1", rows(["Masters"], [1.0]))
    two = make_examples(tmp_path / "2", rows(["Masters"] * 2, [1.0, 2.0]))
    summary = infer(make_pipeline, [one, two], models, str(tmp_path / "result"), _LENIENT)
    assert summary.rows_in == 3


def test_private_column_cannot_be_chosen():
    with pytest.raises(BeamfleetError, match=r"private columns \['sex'\]"):
        InferenceConfig(output_columns=("sex",), private_columns=("sex",))


_KEYS = st.one_of(
    st.none(), st.text(max_size=6), st.sampled_from(["../../etc/passwd", "a/b", "\x00", "ß", "😀"])
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.lists(
        st.tuples(_KEYS, st.sampled_from([1.0, 50.0, POISON, None])), min_size=1, max_size=25
    )
)
def test_any_rows_come_out_once(tmp_path_factory, models, data):
    folder = tmp_path_factory.mktemp("any")
    table = rows([key for key, _ in data], [age for _, age in data])
    config = replace(_LENIENT, output_columns=("id",), payload=True)
    summary, predictions, letters = run(folder, table, models, config)
    failed = [json.loads(p)["id"] for p in letters.column("payload").to_pylist()] if letters else []
    assert sorted(predictions.column("id").to_pylist() + failed) == sorted(
        table.column("id").to_pylist()
    )
    assert len(failed) == summary.rows_failed
    assert len(failed) == sum(not key or age == POISON for key, age in data)
    names = {p.name for p in folder.rglob("*") if p.is_file()}
    assert names <= {
        "data-00000-of-00001.parquet", "part-00000-of-00001.parquet", "_retention.json",
        "summary.json",
    }  # fmt: skip


def test_ten_thousand_entities(tmp_path):
    entities = [f"entity {i}" for i in range(10_000)]
    models = ServedModel(make_models(tmp_path / "models", entities))
    table = rows(entities * 3, [float(i % 3) for i in range(30_000)])
    summary, predictions, _ = run(tmp_path, table, models, files=3)
    assert (summary.rows, summary.rows_fallback, summary.rows_failed) == (30_000, 0, 0)
    high = pc.sum(pc.equal(predictions.column("prediction"), ">50K")).as_py()
    assert high == sum(i % 3 > i % 10_000 for i in range(30_000))


def test_regression_has_no_probabilities(tmp_path):
    models = ServedModel(make_store(tmp_path / "models", {"Masters": 1.5, "": 0.5}))
    _, predictions, _ = run(tmp_path, rows(["Masters", "Other"], [1.0, 2.0]), models)
    assert predictions.column("prediction").to_pylist() == [1.5, 0.5]
    assert predictions.column("probabilities").to_pylist() == [None, None]
