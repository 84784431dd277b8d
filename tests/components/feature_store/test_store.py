"""From events to training sets and online values, on real files."""

import json
import math
import multiprocessing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_backfill.logs import read_events
from components.feature_groups.stored import StoredGroup
from components.feature_store import split_files
from components.feature_store.splits import SPLITS, ByHash, ByTime
from components.feature_store.store import FeatureStore
from components.feature_stream import read_late, run_stream
from components.features import FeatureGroup, FeatureService, InRange, LabelEncoder
from tests.components.feature_store.cards import (
    CARD,
    START,
    fraud_service,
    last_view,
    spend_view,
    write_data,
    write_stream,
)
from tests.components.feature_values.naive import value_at

BY_TIME = ByTime(validation=0.2, test=0.2, gap="4h")
US = timedelta(microseconds=1)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a store with its histories; not changed by a test."""
    folder = tmp_path_factory.mktemp("cards")
    write_data(folder)
    store = FeatureStore(folder / "store")
    store.apply(fraud_service(folder))
    assert store.backfill()["card_spend"].events == 400
    return folder


@pytest.fixture(name="own")
def _own(tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    write_data(tmp_path)
    FeatureStore(tmp_path / "store").backfill(spend_view(tmp_path, online=True))
    FeatureStore(tmp_path / "store").backfill(last_view(tmp_path, online=True))
    return tmp_path


@pytest.mark.parametrize("as_known", [False, True])
def test_every_row_has_the_values_of_its_time_by_definition(folder: Path, as_known: bool) -> None:
    store, service = FeatureStore(folder / "store"), fraud_service(folder)
    made = store.create_train_validation_test_split(
        service, BY_TIME, as_known=as_known, transformed=False
    )
    views = {"spend": spend_view(folder), "last": last_view(folder)}
    events = {name: read_events(view, folder / "store") for name, view in views.items()}
    for row in pl.concat([made.train, made.validation, made.test]).to_dicts():
        at = row["event_time"]
        key = [row["card_id"]]
        mean, count = value_at(views["spend"], events["spend"], key, at, as_known)
        last_at, shop = value_at(views["last"], events["last"], key, at, as_known)
        assert row["mean_4h"] == (None if mean is None else pytest.approx(mean, rel=1e-9))
        assert row["count_4h"] == count or (count == 0 and row["count_4h"] is None)
        assert row["last_shop"] == shop
        passed = None if last_at is None else (at - last_at).total_seconds()
        assert row["since_last"] == passed
        assert row["per_second"] == (None if passed is None else row["asked"] / (passed + 1))


@pytest.mark.parametrize("left_out", ["gap", "known_late"])
def test_no_label_is_lost(folder: Path, left_out: str) -> None:
    made = FeatureStore(folder / "store").create_train_validation_test_split(
        fraud_service(folder), BY_TIME, as_known=left_out == "known_late"
    )
    counts = made.manifest["counts"]
    assert counts["rows_in"] == 120
    assert counts[left_out] > 0
    heights = {name: getattr(made, name).height for name in SPLITS}
    assert {name: counts[name] for name in SPLITS} == heights
    assert sum(heights.values()) + counts["gap"] + counts["known_late"] == 120
    assert made.train.columns == [
        "card_id", "event_time", "event_id", "asked", "mean_4h", "count_4h", "last_shop",
        "since_last", "per_second", "is_fraud",
    ]  # fmt: skip


def test_transformations_learn_from_the_training_split_only(folder: Path) -> None:
    store, service = FeatureStore(folder / "store"), fraud_service(folder)
    made = store.create_train_validation_test_split(service, BY_TIME)
    raw = store.get_train_validation_test_split(service, made.number, transformed=False)
    values = raw.train["mean_4h"].drop_nulls()
    assert made.fitted["mean_4h"]["mean"] == pytest.approx(values.mean(), rel=1e-12)
    everything = pl.concat([raw.train, raw.validation, raw.test])["mean_4h"]
    assert made.fitted["mean_4h"]["mean"] != pytest.approx(everything.mean(), rel=1e-6)
    assert made.train["mean_4h"].mean() == pytest.approx(0, abs=1e-12)
    assert made.test["last_shop"].dtype == pl.Int64
    expected = (raw.test["mean_4h"] - made.fitted["mean_4h"]["mean"]) / made.fitted["mean_4h"][
        "scale"
    ]
    assert made.test["mean_4h"].equals(expected)


def test_a_training_set_stays_as_it_is_though_data_change(own: Path) -> None:
    store, service = FeatureStore(own / "store"), fraud_service(own)
    first = store.create_train_validation_test_split(service, BY_TIME)
    write_data(own, seed=8)
    store.backfill(spend_view(own, online=True))
    store.backfill(last_view(own, online=True))
    again = FeatureStore(own / "store").get_train_validation_test_split(service, first.number)
    assert all(getattr(again, name).equals(getattr(first, name)) for name in SPLITS)
    assert again.fitted == first.fitted
    second = store.create_train_validation_test_split(service, BY_TIME)
    assert (first.number, second.number) == (1, 2)
    assert not second.train.equals(first.train)
    assert second.manifest["labels"] != first.manifest["labels"]
    assert second.manifest["views"] != first.manifest["views"]


def test_an_entity_is_in_one_split_only(folder: Path) -> None:
    store = FeatureStore(folder / "store")
    made = store.create_train_validation_test_split(fraud_service(folder), ByHash(0.2, 0.3, CARD))
    cards = [set(getattr(made, name)["card_id"]) for name in SPLITS]
    assert not (cards[0] & cards[1] or cards[0] & cards[2] or cards[1] & cards[2])
    assert sum(getattr(made, name).height for name in SPLITS) == 120
    assert made.manifest["split"] == {
        "by": "ByHash", "validation": 0.2, "test": 0.3, "entity": "card",
    }  # fmt: skip


def _create(folder: Path, numbers: Any) -> None:
    store = FeatureStore(folder / "store")
    made = store.create_train_validation_test_split(fraud_service(folder), BY_TIME)
    numbers.put(made.number)


def test_two_processes_get_two_numbers(own: Path) -> None:
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    FeatureStore(own / "store").apply(fraud_service(own))
    started = [context.Process(target=_create, args=(own, numbers)) for _ in range(2)]
    for one in started:
        one.start()
    for one in started:
        one.join(60)
    assert sorted(numbers.get(timeout=5) for _ in started) == [1, 2]


def test_what_was_killed_leaves_no_number(own: Path) -> None:
    service, store = fraud_service(own), FeatureStore(own / "store")
    folder = own / "store" / "services" / "fraud" / "v1" / "splits"
    (folder / ".abc.tmp").mkdir(parents=True)
    (folder / ".abc.tmp" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(BeamfleetError, match=r"no splits 1 in .*; there are none"):
        store.get_train_validation_test_split(service, 1)
    assert store.create_train_validation_test_split(service, BY_TIME).number == 1


def test_a_file_that_was_changed_is_refused(own: Path) -> None:
    service, store = fraud_service(own), FeatureStore(own / "store")
    store.create_train_validation_test_split(service, BY_TIME)
    path = own / "store" / "services" / "fraud" / "v1" / "splits" / "1" / "train.parquet"
    pl.read_parquet(path).head(3).write_parquet(path)
    with pytest.raises(BeamfleetError, match=r"train\.parquet is not as it was written"):
        store.get_train_validation_test_split(service, 1)


def test_labels_after_the_point_in_time_are_left_out_and_counted(own: Path) -> None:
    store, service, at = FeatureStore(own / "store"), fraud_service(own), START + timedelta(days=6)
    with pytest.raises(BeamfleetError, match="was backfilled as of all that there is, asked for"):
        store.create_train_validation_test_split(service, BY_TIME, as_of=at)
    store.apply(service)
    store.backfill(as_of=at)
    made = store.create_train_validation_test_split(service, BY_TIME)
    rejected = made.manifest["counts"]["rejected"]
    assert rejected == {f"not known as of {at.isoformat()}": 120 - sum(
        count for name, count in made.manifest["counts"].items()
        if name not in ("rows_in", "rejected"))}  # fmt: skip
    assert made.test["event_time"].max() <= at
    assert made.manifest["as_of"] == at.isoformat()
    with pytest.raises(BeamfleetError, match="backfill them further"):
        store.get_batch_data(service, at, at + timedelta(days=2), split=1)


def test_online_is_what_batch_is(own: Path) -> None:
    """The newest values, of the moment of each label, by both roads."""
    store, service = FeatureStore(own / "store"), fraud_service(own)
    split = store.create_train_validation_test_split(service, BY_TIME).number
    batch = store.get_batch_data(service, START, START + timedelta(days=11), split=split)
    assert batch.height == 120
    columns = [*service.keys, *service.request, *service.features]
    for row in batch.sort("event_time").to_dicts():
        for view in (spend_view(own, online=True), last_view(own, online=True)):
            store.materialize(view, row["event_time"])
        vector = store.get_feature_vector(
            service, {"card_id": row["card_id"]}, {"asked": row["asked"]}, row["event_time"],
            split=split,
        )  # fmt: skip
        assert list(vector) == columns
        for name in columns:
            if isinstance(row[name], float) and not math.isnan(row[name]):
                assert vector[name] == pytest.approx(row[name], rel=1e-9, abs=1e-9)
            else:
                assert vector[name] == row[name]


def test_a_service_that_transforms_is_told_by_what(own: Path) -> None:
    store, service = FeatureStore(own / "store"), fraud_service(own)
    for view in (spend_view(own, online=True), last_view(own, online=True)):
        store.materialize(view, START + timedelta(days=9))
    with pytest.raises(BeamfleetError, match="split=NUMBER, or ask for transformed=False"):
        store.get_feature_vector(service, {"card_id": "c1"}, {"asked": 1})
    now = START + timedelta(days=9)
    raw = store.get_feature_vector(service, {"card_id": "c1"}, {"asked": 1}, now, transformed=False)
    assert raw["asked"] == 1
    frame = pl.DataFrame({"card_id": ["none", "c1"], "asked": [2, 1]})
    both = store.get_feature_vectors(service, frame, now, transformed=False)
    assert both["card_id"].to_list() == ["none", "c1"]
    assert both["mean_4h"][0] is None
    assert both.row(1, named=True) == raw


def test_a_repeated_materialization_changes_nothing(own: Path) -> None:
    store, view = FeatureStore(own / "store"), spend_view(own, online=True)
    late, early = START + timedelta(days=8), START + timedelta(days=2)
    store.materialize(view, late)
    keys = pl.DataFrame({"card_id": [f"c{number}" for number in range(12)]})
    before = store.online.read(view, keys, late)
    assert store.materialize(view, early).stale >= 0
    store.materialize(view, late)
    assert store.online.read(view, keys, late).equals(before)


def test_a_window_ends_online_though_nobody_writes(own: Path) -> None:
    store, view = FeatureStore(own / "store"), spend_view(own, online=True)
    at = START + timedelta(days=5)
    store.materialize(view, at)
    keys = pl.DataFrame({"card_id": [f"c{number}" for number in range(12)]})
    assert store.online.read(view, keys, at)["count_4h"].sum() > 0
    assert store.online.read(view, keys, START + timedelta(days=15))["count_4h"].sum() == 0


def test_of_a_number_that_another_one_took_meanwhile_the_next_is_taken(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, service = FeatureStore(own / "store"), fraud_service(own)
    first = store.create_train_validation_test_split(service, BY_TIME)
    monkeypatch.setattr(split_files, "numbers", lambda root, service: [])
    assert store.create_train_validation_test_split(service, ByTime(0.3, 0.3)).number == 2
    again = store.get_train_validation_test_split(service, 1)
    assert again.train.equals(first.train)


def test_without_labels_a_batch_has_a_row_for_each_change(folder: Path) -> None:
    store, service = FeatureStore(folder / "store"), FeatureService("plain", [spend_view(folder)])
    start, end = START + timedelta(days=1), START + timedelta(days=2)
    rows = store.get_batch_data(service, start, end)
    assert rows.columns == ["card_id", "event_time", "mean_4h", "count_4h"]
    assert rows["event_time"].min() >= start
    assert rows["event_time"].max() < end
    events = read_events(spend_view(folder), folder / "store")
    for row in rows.head(20).to_dicts():
        _, count = value_at(spend_view(folder), events, [row["card_id"]], row["event_time"])
        assert row["count_4h"] == count
    with pytest.raises(BeamfleetError, match="it has request columns"):
        store.get_batch_data(fraud_service(folder, labels=None, label=""), start, end,
                             transformed=False)  # fmt: skip


def test_an_offset_gives_the_values_of_so_long_before(folder: Path) -> None:
    store = FeatureStore(folder / "store")
    at = START + timedelta(days=5)
    batch = {
        hours: store.get_batch_data(
            fraud_service(folder, offset=f"{hours}h"), at, at + timedelta(days=1), transformed=False
        )
        for hours in (0, 3)
    }
    events = read_events(last_view(folder), folder / "store")
    for row in batch[3].to_dicts():
        before = row["event_time"] - timedelta(hours=3)
        last_at, shop = value_at(last_view(folder), events, [row["card_id"]], before)
        assert row["last_shop"] == shop
        assert row["since_last"] == (before - last_at).total_seconds()
    assert not batch[0]["since_last"].equals(batch[3]["since_last"])


def test_a_changed_definition_needs_a_new_version(own: Path) -> None:
    store = FeatureStore(own / "store")
    store.apply(fraud_service(own))
    with pytest.raises(BeamfleetError, match="card_spend"):
        store.apply(spend_view(own, ttl="1h", online=True))
    changed = spend_view(own, ttl="1h", online=True, version=2)
    store.apply(changed)
    with pytest.raises(BeamfleetError, match="version 2 has no history"):
        store.get_batch_data(FeatureService("plain", [changed]), START, START + timedelta(days=1))


def test_values_that_are_not_expected_are_never_seen(own: Path) -> None:
    store = FeatureStore(own / "store")
    before = store.get_batch_data(FeatureService("plain", [spend_view(own, online=True)]), START,
                                  START + timedelta(days=9))  # fmt: skip
    pl.read_parquet(own / "txns" / "2.parquet").with_columns(
        pl.lit(9e6).alias("amount")
    ).write_parquet(own / "txns" / "2.parquet")
    expecting = spend_view(own, online=True, expect=[InRange("mean_4h", max=100)])
    with pytest.raises(BeamfleetError, match="stays as it was") as error:
        store.backfill(expecting)
    assert "view 'card_spend'" in str(error.value)
    assert "mean_4h" in str(error.value)
    assert "card_id c" in str(error.value)
    after = store.get_batch_data(FeatureService("plain", [spend_view(own, online=True)]), START,
                                 START + timedelta(days=9))  # fmt: skip
    assert after.equals(before)


@pytest.mark.parametrize("lateness", ["2h", "1m"])
def test_stream_and_backfill_of_a_day_are_compared(tmp_path: Path, lateness: str) -> None:
    write_data(tmp_path)
    write_stream(tmp_path)
    store, view = FeatureStore(tmp_path / "store"), spend_view(tmp_path, lateness, online=True)
    report = store.backfill(view)["card_spend"]
    run_stream([view], store.online, tmp_path / "state.db", store.root, until_idle=True,
               at_idle=lambda: START + timedelta(days=20))  # fmt: skip
    days = [store.check_parity(view, date(2024, 5, 1) + timedelta(days=day)) for day in range(11)]
    log = sum(one.both + one.only_backfill for one in days)
    assert log == report.rows_out
    if lateness == "2h":
        assert all(one.same for one in days)
        return
    late = read_late(view, store.root).height
    assert late > 0
    assert sum(one.only_backfill for one in days) > late
    assert sum(one.differing["count_4h"] for one in days) > 0
    assert next(one for one in days if not one.same).examples["card_id"][0].startswith("c")


@pytest.mark.parametrize("as_known", [False, True])
def test_a_group_stands_beside_a_view(own: Path, as_known: bool) -> None:
    store = FeatureStore(own / "store")
    profile = FeatureGroup("profile", CARD, "since", {"limit": int}, created="told", online=True)
    at = [START + timedelta(days=day) for day in (0, 4)]
    rows = {"card_id": ["c1"] * 2, "since": at, "told": [at[0], at[1] + timedelta(days=3)],
            "limit": [10, 20]}  # fmt: skip
    StoredGroup(profile, store.root).insert(pl.DataFrame(rows))
    service = FeatureService(
        "both", [spend_view(own, online=True), profile], labels=fraud_service(own).labels
    )
    store.apply(service)
    made = store.get_batch_data(service, START, START + timedelta(days=10), as_known=as_known)
    known = at[1] + timedelta(days=3 if as_known else 0)
    for row in made.to_dicts():
        expected = (20 if row["event_time"] >= known else 10) if row["card_id"] == "c1" else None
        assert row["limit"] == expected
    assert made["limit"].drop_nulls().n_unique() == 2
    assert store.materialize(profile).written == 1
    store.materialize(spend_view(own, online=True))
    vector = store.get_feature_vector(service, {"card_id": "c1"})
    assert vector == {"card_id": "c1", "mean_4h": None, "count_4h": 0, "limit": 20}


def test_nothing_to_backfill_says_so(tmp_path: Path) -> None:
    with pytest.raises(BeamfleetError, match="nothing to backfill"):
        FeatureStore(tmp_path).backfill()


def test_the_manifest_is_json_that_people_can_read(own: Path) -> None:
    store, service = FeatureStore(own / "store"), fraud_service(own)
    store.create_train_validation_test_split(service, ByTime("2024-05-06", "2024-05-08"))
    folder = own / "store" / "services" / "fraud" / "v1" / "splits" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["split"] == {
        "by": "ByTime", "validation": "2024-05-06", "test": "2024-05-08",
    }  # fmt: skip
    assert set(manifest["sha256"]) == {
        "train.parquet", "validation.parquet", "test.parquet", "rejects.parquet", "fitted.json",
    }  # fmt: skip
    assert datetime.fromisoformat(manifest["made"]) <= datetime.now(UTC)
    assert date(2024, 5, 8) <= pl.read_parquet(folder / "test.parquet")["event_time"].min().date()


def test_a_key_that_is_a_request_column_too_is_there_once(folder: Path) -> None:
    store = FeatureStore(folder / "store", online=f"sqlite:///{folder / 'by_card.db'}")
    for view in (spend_view(folder, online=True), last_view(folder, online=True)):
        store.materialize(view)
    service = fraud_service(
        folder, request={"asked": int, "card_id": str}, transformations={}, name="by_card"
    )
    made = store.create_train_validation_test_split(service, BY_TIME)
    assert made.train.columns[0] == "card_id" and made.train["card_id"].null_count() == 0
    start, end = START, START + timedelta(days=10)
    assert store.get_batch_data(service, start, end).columns == made.train.columns
    vector = store.get_feature_vector(service, {"card_id": "c1"}, {"asked": 3})
    assert list(vector)[:2] == ["card_id", "asked"] and vector["card_id"] == "c1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"request": {"asked": int, "card_id": int}}, r"write request=\{'card_id': str\}"),
        ({"request": {"card_id": str}, "transformations": {"card_id": LabelEncoder()}},
         "card_id is a key, which cannot be transformed"),
    ],
)  # fmt: skip
def test_a_key_of_another_type_or_transformed_is_refused(
    folder: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(BeamfleetError, match=says):
        fraud_service(folder, **options)


def test_a_view_that_is_not_online_is_refused_with_its_name(own: Path) -> None:
    store, quiet = FeatureStore(own / "store"), spend_view(own)
    service = FeatureService("quiet", [quiet])
    for ask in (
        lambda: store.materialize(quiet),
        lambda: store.get_feature_vector(service, {"card_id": "c1"}),
    ):
        with pytest.raises(BeamfleetError, match=r"card_spend.* declared with online=False"):
            ask()


def test_a_view_that_was_never_materialized_is_refused_with_its_name(own: Path) -> None:
    store, view = FeatureStore(own / "store"), spend_view(own, online=True)
    service = FeatureService("asked", [view])
    with pytest.raises(BeamfleetError, match=r"no value of view 'card_spend'.*materialize\(view\)"):
        store.get_feature_vector(service, {"card_id": "c1"})
    store.materialize(view)
    assert "mean_4h" in store.get_feature_vector(service, {"card_id": "c1"})


def test_a_feature_that_says_nothing_is_told(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FeatureStore(own / "store")
    profile = FeatureGroup("profile", CARD, "since", {"limit": int})
    options = {"transformations": {}, "request": {}, "name": "beside"}
    service = fraud_service(own, features=[spend_view(own, online=True), profile], **options)
    with pytest.raises(BeamfleetError, match=r"group 'profile' version 1 has no rows .*insert"):
        store.create_train_validation_test_split(service, BY_TIME)
    at = START - timedelta(days=1)
    rows = {"card_id": [f"c{n}" for n in range(12)], "since": [at] * 12, "limit": [10] * 12}
    StoredGroup(profile, store.root).insert(pl.DataFrame(rows))
    whole = store.create_train_validation_test_split(service, BY_TIME)
    assert whole.manifest["warnings"] == [] and not caplog.text
    as_of = START + timedelta(days=8)  # before the insert
    store.backfill(spend_view(own, online=True), as_of=as_of)
    made = store.create_train_validation_test_split(service, BY_TIME)
    said = made.manifest["warnings"]
    assert [one.split(" in all")[0] for one in said] == ["service 'beside': limit is null"] * 3
    assert "rows of profile inserted after 2024-05-09" in said[0] and said[0] in caplog.text


def test_texts_frames_and_lists_are_taken(own: Path) -> None:
    store, view = FeatureStore(own / "store"), spend_view(own, online=True)
    service = FeatureService("taken", [view])
    made = store.backfill(service, as_of="2024-05-08")
    assert list(made) == ["card_spend"]
    naive = datetime(2024, 5, 8)
    assert store.backfill(view, as_of=naive) == made
    store.materialize(view, now="2024-05-07")
    asked = [{"card_id": "c1"}, {"card_id": "c2"}]
    expected = store.get_feature_vectors(service, pl.DataFrame(asked), naive)
    for rows in (asked, pl.DataFrame(asked).to_pandas(), pl.DataFrame(asked).to_arrow()):
        assert store.get_feature_vectors(service, rows, "2024-05-08").equals(expected)
    with pytest.raises(BeamfleetError, match=r"service 'taken': got builtins.str"):
        store.get_feature_vectors(service, "c1")
    with pytest.raises(BeamfleetError, match="as_of is 'May', expected a day or a time"):
        store.backfill(view, as_of="May")
    batch = store.get_batch_data(service, "2024-05-02", "2024-05-03")
    assert batch.height and batch["event_time"].min() >= START + timedelta(days=1)


def test_a_new_object_has_no_declarations(own: Path) -> None:
    with pytest.raises(BeamfleetError, match=r"Declarations are code.*store.backfill\(view\), or"):
        FeatureStore(own / "store").backfill()


def test_a_group_is_stored_under_a_text(tmp_path: Path) -> None:
    profile = FeatureGroup("profile", CARD, "since", {"limit": int}, created="told")
    group = StoredGroup(profile, str(tmp_path))
    group.insert(pl.DataFrame({"card_id": ["c"], "since": [START], "told": [START], "limit": [1]}))
    assert group.read(datetime(2024, 5, 1)).height == 1
