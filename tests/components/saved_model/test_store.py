"""A SavedModel that predicts, serves and is pushed like a store of entity models."""

import json
import math
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.bulk_inferrer.config import InferenceConfig
from components.bulk_inferrer.infer import ServedModel, infer
from components.entity_models.open import open_models
from components.entity_models.predict import predict
from components.entity_models.store import UnreadableModelError
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.model_server.entity_tensors import to_request
from components.pusher.versions import PushedVersions
from components.saved_model.store import SavedModel
from components.saved_model.write import describe
from components.traffic import variant_of
from tests.components.model_server.asking import HALF, answers, served_pair
from tests.components.saved_model import models
from tests.components.saved_model.models import save

ROWS = pa.table(
    {
        "miles": pa.array([0.5, None, 2.0, -4.0]),
        "hour": pa.array([0, 1, None, -1], pa.int64()),
        "company": pa.array(["A", "B", None, "A"]),
        "more": pa.array([1, 2, 3, 4]),
    }
)
LOGITS = [3.5, 1.0, 2.0, -2.0]


def described(folder: Path, model: models.Formula | None = None, **options: object) -> str:
    uri = save(folder, model)
    describe(uri, "tipped", str(options.get("task", "classification")), options.get("classes", ()))
    return uri


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_it_predicts_by_its_formula(tmp_path: Path) -> None:
    opened = open_models(described(tmp_path / "m"))
    result = predict(opened, ROWS)
    shares = [row[1] for row in result.column("probabilities").to_pylist()]
    assert shares == pytest.approx([sigmoid(x) for x in LOGITS], abs=1e-6)
    assert result.column("prediction").to_pylist() == [1, 1, 1, 0]
    assert result.column("error").null_count == 4 and not any(result.column("fallback").to_pylist())
    assert opened.spec.features == (("company", "string"), ("hour", "int64"), ("miles", "double"))


def test_classes_have_their_names(tmp_path: Path) -> None:
    uri = described(tmp_path / "m", models.Classes(), classes=["a", "b", "c"])
    result = predict(open_models(uri), ROWS)
    assert result.column("prediction").to_pylist() == ["c", "c", "c", "a"]
    assert [len(row) for row in result.column("probabilities").to_pylist()] == [3] * 4
    with pytest.raises(BeamfleetError, match="3 classes, but classes names 2"):
        described(tmp_path / "n", models.Classes(), classes=["a", "b"])


def test_logits_are_not_taken_for_probabilities(tmp_path: Path) -> None:
    result = predict(open_models(described(tmp_path / "m", models.Logits())), ROWS)
    errors = result.column("error").to_pylist()
    assert errors[1] is None  # 1.0 is a probability as well
    assert all("no probabilities" in errors[row] for row in (0, 2, 3))


def test_a_regression_gives_numbers(tmp_path: Path) -> None:
    uri = described(tmp_path / "m", models.Distance(), task="regression")
    assert predict(open_models(uri), ROWS).column("prediction").to_pylist() == LOGITS
    with pytest.raises(BeamfleetError, match="3 numbers a row, a regression gives 1"):
        described(tmp_path / "n", models.Classes(), task="regression")


def test_a_row_that_cannot_be_predicted_fails_alone(tmp_path: Path) -> None:
    class Picky(models.Formula):
        def _serve(self, examples):  # type: ignore[no-untyped-def]
            import tensorflow as tf

            logit = self._logit(examples)
            with tf.control_dependencies([tf.debugging.assert_less(logit, 3.0)]):
                return {"predictions": tf.sigmoid(logit)}

    result = predict(open_models(described(tmp_path / "m", Picky())), ROWS)
    failed = [error is not None for error in result.column("error").to_pylist()]
    assert failed == [True, False, False, False]


@pytest.mark.parametrize(
    ("name", "content"),
    [("saved_model.pb", b"x"), ("variables/variables.index", None), ("fingerprint.pb", b"")],
)
def test_changed_or_missing_files_are_refused(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    uri = described(tmp_path / "m")
    file = Path(uri, name)
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(BeamfleetError, match=f"{name}.*(SHA-256 differs|is missing)"):
        SavedModel(uri).check()
    with pytest.raises(UnreadableModelError, match=name):
        SavedModel(uri).own("")


def test_a_graph_that_was_exchanged_with_its_description_is_still_looked_at(tmp_path: Path) -> None:
    good, evil = described(tmp_path / "good"), save(tmp_path / "evil", models.Reading())
    document = json.loads(Path(good, "beamfleet.json").read_text())
    from components.saved_model.write import digest, files_of

    document["files"] = {name: digest(f"{evil}/{name}") for name in files_of(evil)}
    Path(evil, "beamfleet.json").write_text(json.dumps(document))
    with pytest.raises(UnreadableModelError, match="ReadFile"):
        SavedModel(evil).own("")


def test_what_was_not_described_is_not_whole(tmp_path: Path) -> None:
    uri = save(tmp_path / "m")
    with pytest.raises(BeamfleetError, match=r"has no beamfleet\.json"):
        open_models(uri)
    with pytest.raises(BeamfleetError, match=r"holds no SavedModel"):
        SavedModel(str(tmp_path))


def test_the_folder_of_tfx_is_found(tmp_path: Path) -> None:
    described(tmp_path / "model" / "Format-Serving")
    assert open_models(str(tmp_path / "model")).uri.endswith("Format-Serving")


def test_a_pushed_version_is_what_tensorflow_serving_takes(tmp_path: Path) -> None:
    import tensorflow as tf

    uri = described(tmp_path / "model" / "Format-Serving").removesuffix("/Format-Serving")
    version = PushedVersions(str(tmp_path / "pushed")).push(uri, uri, 0, keep=2)
    assert version.path == str(tmp_path / "pushed" / "1")
    example = tf.train.Example()
    example.features.feature["miles"].float_list.value.append(2.0)
    serve = tf.saved_model.load(version.path).signatures["serving_default"]
    found = serve(examples=tf.constant([example.SerializeToString()]))["predictions"]
    assert found.numpy() == pytest.approx(np.array([[sigmoid(2.0)]]), abs=1e-6)
    assert predict(open_models(version.path), ROWS).num_rows == 4


def test_bulk_inference_accounts_for_every_row(tmp_path: Path) -> None:
    rows = 150_000
    table = pa.table(
        {
            "miles": pa.array(np.linspace(-3, 3, rows)),
            "hour": pa.array(np.zeros(rows, np.int64)),
            "company": pa.array(["B"] * rows),
        }
    )
    folder = tmp_path / "examples" / "Split-new"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "data.parquet")
    summary = infer(
        lambda: beam.Pipeline(runner="FnApiRunner"),
        [ExamplesSplit(str(tmp_path / "examples"), "new")],
        ServedModel(described(tmp_path / "m"), 3),
        str(tmp_path / "out"),
        InferenceConfig(output_columns=("miles",)),
    )
    assert (summary.rows_in, summary.rows, summary.rows_failed, summary.rows_fallback) == (
        rows, rows, 0, 0,
    )  # fmt: skip
    found = pq.read_table(tmp_path / "out" / "predictions")
    share = np.array([row[1] for row in found.column("probabilities").to_pylist()])
    miles = found.column("miles").to_numpy()
    assert share == pytest.approx(1 / (1 + np.exp(-miles)), abs=1e-6)
    assert sorted(miles) == sorted(table.column("miles").to_numpy())


def test_two_of_them_share_the_requests_by_their_ids(tmp_path: Path) -> None:
    uris = [described(tmp_path / str(w), models.Formula(w)) for w in (1.0, -1.0)]
    pair = served_pair(str(tmp_path / "pushed"), uris)
    ids = [str(n) for n in range(40)]
    table = ROWS.select(["company", "hour", "miles"]).slice(0, 1)
    found = answers(pair, to_request(table, pair.served.servable.models.spec), ids)
    shares = {"1": sigmoid(3.5), "2": sigmoid(2.5)}
    assert {answer.model_version for answer in found.values()} == {"1", "2"}
    for key, answer in found.items():
        label = variant_of(tuple(sorted(HALF.items())), key)
        assert answer.parameters == {"label": label}
        assert answer.model_version == {"champion": "1", "challenger": "2"}[label]
        [probabilities] = [o for o in answer.outputs if o.name == "probabilities"]
        assert probabilities.data[1] == pytest.approx(shares[answer.model_version], abs=1e-6)
    counts = [one.snapshot() for one in pair.metrics()]
    assert sum(one["requests"] for one in counts) == 40
    assert all(sum(one["predictions"].values()) == one["requests"] for one in counts)
