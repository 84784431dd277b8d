"""Labels are typed, counted, and refused with file, row and reason."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_backfill.source_files import Batch
from components.feature_store.labels import read_labels, typed_labels
from components.features import FeatureService, Source
from components.features.source import JsonLines
from tests.components.feature_store.cards import fraud_service, spend_view, write_data

ROWS = pl.DataFrame(
    {
        "card_id": ["a", None, "b", "c", "d"],
        "ts": ["2024-05-01", "2024-05-01", "soon", "2024-05-02T10:00:00+02:00", "2024-05-03"],
        "seen": ["2024-05-02", "2024-05-02", "2024-05-02", "2024-05-02", "2024-05-04"],
        "id": [1, 2, 3, 4, 5],
        "asked": [1, 2, 3, None, 5],
        "is_fraud": [True, False, True, False, None],
        "more": 0,
    }
)
SERVICE = fraud_service(Path("x"))


def part(file: str, rows: pl.DataFrame) -> tuple[str, Batch]:
    none = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String})
    return file, Batch(rows, np.arange(rows.height), none)


def test_rows_that_are_no_labels_are_named() -> None:
    made = typed_labels(SERVICE, [part("f", ROWS.head(1)), part("g", ROWS)])
    assert made.rejects.rows() == [
        ("g", 0, "the same keys, time and id are there twice; the first that was created counts"),
        ("g", 1, "card_id is missing or cannot be read"),
        ("g", 2, "ts is missing or cannot be read"),
        ("g", 4, "is_fraud is missing or cannot be read"),
    ]
    assert made.rows.columns == [
        "card_id",
        "event_time",
        "created",
        "event_id",
        "asked",
        "is_fraud",
    ]
    assert made.rows["event_time"].dt.to_string("%d %H").to_list() == ["01 00", "02 08"]
    assert made.rows_in == 6


def test_what_has_no_label_can_be_predicted() -> None:
    made = typed_labels(SERVICE, [part("g", ROWS)], unlabelled=True)
    assert made.rows["card_id"].to_list() == ["a", "c", "d"]
    assert (
        typed_labels(SERVICE, [part("g", ROWS.drop("is_fraud"))], unlabelled=True).rows.height == 3
    )


def test_of_labels_that_are_there_twice_the_first_created_counts() -> None:
    later = ROWS.head(1).with_columns(seen=pl.lit("2024-05-03"), is_fraud=False)
    made = typed_labels(SERVICE, [part("f", later), part("g", ROWS.head(1))])
    assert made.rows["is_fraud"].to_list() == [True]
    assert made.rejects["file"].to_list() == ["f"]


def test_the_files_of_a_folder_are_read_in_order(tmp_path: Path) -> None:
    write_data(tmp_path)
    made = read_labels(fraud_service(tmp_path))
    assert made.rows["event_id"].to_list() == [str(number) for number in range(120)]
    assert made.rejects.height == 0


def test_labels_as_lines_of_json(tmp_path: Path) -> None:
    write_data(tmp_path)
    ROWS.write_ndjson(tmp_path / "labels.jsonl")
    source = Source("l", JsonLines(tmp_path / "labels.jsonl"), "ts", created="seen", id="id")
    made = read_labels(fraud_service(tmp_path, labels=source))
    assert (made.rows.height, made.rejects.height) == (2, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop("asked", "id"), "no column id, asked; it has card_id"),
        (lambda f: f.drop("is_fraud"), "no column is_fraud"),
        (lambda f: f.with_columns(card_id=pl.lit(1.5)), "card_id is Float64"),
        (lambda f: f.with_columns(ts=pl.lit(1)), "ts is Int32, expected timestamps"),
        (lambda f: f.with_columns(asked=pl.lit("1")), "asked is String, declared as int"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(change: Any, says: str) -> None:
    with pytest.raises(BeamfleetError, match="service 'fraud', labels 'labels', g") as error:
        typed_labels(SERVICE, [part("f", ROWS), part("g", change(ROWS))])
    assert says in str(error.value)


def test_files_that_differ_in_a_type_are_refused() -> None:
    other = ROWS.with_columns(is_fraud=pl.lit("yes"))
    with pytest.raises(BeamfleetError, match="is_fraud is Boolean in f, String in g"):
        typed_labels(SERVICE, [part("f", ROWS), part("g", other)])


def test_a_service_without_labels_says_so() -> None:
    with pytest.raises(BeamfleetError, match="service 'plain' has no labels"):
        read_labels(FeatureService("plain", [spend_view(Path("x"))]))


def test_files_that_are_not_there_or_not_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"source 'labels' has no files at"):
        read_labels(fraud_service(tmp_path / "none"))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.parquet").write_text("no")
    with pytest.raises(BeamfleetError, match=r"1\.parquet is no Parquet file"):
        read_labels(fraud_service(tmp_path))
