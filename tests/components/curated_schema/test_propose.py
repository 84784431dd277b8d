"""What is proposed where the data do not fit the reviewed schema, and how it reads."""

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.curated_schema.changes import described, schema_changes, with_changes
from components.curated_schema.propose import propose_schema
from components.curated_schema.text import edited, parse_schema
from components.errors import BeamfleetError
from components.statistics_gen.compute import write_statistics

TRIPS = {"fare": [1.5, 2.5, 3.5, 4.5], "paid": ["cash", "card"] * 2, "stop": [1, 2, 3, 4]}


def statistics(folder: Path, name: str, columns: dict[str, list[Any]]) -> str:
    write_statistics(
        tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns)), str(folder / name)
    )
    return str(folder / name / "FeatureStats.pb")


def inferred(path: str) -> schema_pb2.Schema:
    return tfdv.infer_schema(tfdv.load_stats_binary(path), infer_feature_shape=False)


def words(folder: Path, *splits: dict[str, list[Any]]) -> dict[str, str]:
    """Column -> what is proposed, after a schema of TRIPS."""
    schema = inferred(statistics(folder, "before", TRIPS))
    paths = [statistics(folder, str(number), split) for number, split in enumerate(splits)]
    proposed = propose_schema(schema, paths)
    assert schema == inferred(str(folder / "before" / "FeatureStats.pb"))  # not changed itself
    for path in paths:
        assert not tfdv.validate_statistics(tfdv.load_stats_binary(path), proposed).anomaly_info
    return {c.column: "; ".join(c.words) for c in schema_changes(schema, proposed)}


def test_data_that_fit_propose_nothing(tmp_path: Path) -> None:
    assert words(tmp_path, TRIPS, TRIPS) == {}


def test_each_kind_of_change_is_said_in_words(tmp_path: Path) -> None:
    found = words(
        tmp_path,
        {
            "fare": [1.5, None, 3.5, 4.5],
            "paid": ["cash", "Mobile"] * 2,
            "stop": [1.5, 2.5, 3.5, 4.5],
            "tips": [1, 2, 3, 4],
        },
    )
    assert found == {
        "fare": "in at least 75% of the rows (was: in every row)",
        "paid": "values: new 'Mobile'",
        "stop": "whole numbers (INT) become numbers (FLOAT)",
        "tips": "new column of whole numbers (INT), in every row",
    }


def test_a_column_that_no_split_has_is_deprecated(tmp_path: Path) -> None:
    less = {name: values for name, values in TRIPS.items() if name != "paid"}
    assert words(tmp_path, less, less) == {
        "paid": "no row has it: DEPRECATED, neither required nor trained on any more"
    }


def test_a_column_that_one_split_has_may_be_missing(tmp_path: Path) -> None:
    less = {name: values for name, values in TRIPS.items() if name != "paid"}
    assert words(tmp_path, TRIPS, less) == {"paid": "may be missing (was: in every row)"}


def test_values_of_all_splits_are_proposed(tmp_path: Path) -> None:
    found = words(
        tmp_path, {**TRIPS, "paid": ["a", "cash"] * 2}, {**TRIPS, "paid": ["b", "card"] * 2}
    )
    assert found == {"paid": "values: new 'a', 'b'"}


def test_words_without_end_may_be_any(tmp_path: Path) -> None:
    many = {"paid": [f"by {number}" for number in range(1500)]}
    found = words(tmp_path, {**{n: v * 375 for n, v in TRIPS.items()}, **many})
    assert found == {"paid": "any value (was: one of 2)"}


def test_whatever_the_data_the_proposal_fits_and_can_be_written(tmp_path: Path) -> None:
    for seed in range(40):
        generator = random.Random(seed)
        kinds = {name: generator.choice("fwW") for name in "pqr"}
        before = inferred(statistics(tmp_path, f"{seed}", rows(generator, kinds)))
        kinds = {n: generator.choice([k, "f", "w", "W"]) for n, k in {**kinds, "new": "f"}.items()}
        paths = [
            statistics(tmp_path, f"{seed}-{split}", rows(generator, kinds)) for split in range(2)
        ]
        loaded = [tfdv.load_stats_binary(path) for path in paths]
        proposed = propose_schema(before, paths)
        assert not any(tfdv.validate_statistics(one, proposed).anomaly_info for one in loaded)
        changes = schema_changes(before, proposed)
        differ = any(tfdv.validate_statistics(one, before).anomaly_info for one in loaded)
        assert bool(changes) == differ
        text = f"# kept by hand\n{before}"
        assert parse_schema(edited(text, before, proposed), "") == proposed
        assert edited(text, before, proposed).startswith("# kept by hand\n")
        first = [change.column for change in changes][:1]
        some = with_changes(before, proposed, first)
        assert [change.column for change in schema_changes(before, some)] == first


def rows(generator: random.Random, kinds: dict[str, str]) -> dict[str, list[Any]]:
    made = {
        "f": lambda: generator.random(),
        "w": lambda: generator.choice("abcdef"),
        "W": lambda: str(generator.random()),
    }
    shares = {name: generator.choice([0.0, 0.0, 0.3, 1.0]) for name in kinds}
    columns = {
        name: [None if generator.random() < shares[name] else made[kind]() for _ in range(30)]
        for name, kind in kinds.items()
        if generator.random() < 0.85
    }
    return columns or {"new": [1.5] * 30}


WRITTEN = """# Kept by the taxi team.
feature {  # dollars
  name: "fare"
  type: FLOAT
  presence { min_fraction: 1 min_count: 1 }
}
feature: < name: 'odd } {' type: BYTES domain: "odd" >
# what people paid with
string_domain { name: "odd" value: "a # b" value: "}" }
default_environment: "training"
"""


def test_a_file_keeps_what_people_wrote_where_nothing_changes() -> None:
    before = parse_schema(WRITTEN, "")
    after = parse_schema(WRITTEN, "")
    after.string_domain[0].value.append("c")
    after.feature.add(name="new", type=schema_pb2.INT)
    text = edited(WRITTEN, before, after)
    assert parse_schema(text, "") == after
    kept = [line for line in WRITTEN.splitlines() if not line.startswith("string_domain")]
    assert set(kept) <= set(text.splitlines()) and text.startswith(WRITTEN[:60])
    [change, new] = schema_changes(before, after)
    assert change.column == "odd } {" and change.words == ("values: new 'c'",)
    assert '+  value: "c"' in change.diff().splitlines() and new.before == ""
    assert described([change]).startswith("column 'odd } {': values: new 'c'\n@@")


def test_only_what_is_proposed_can_be_taken_over() -> None:
    before, after = parse_schema(WRITTEN, ""), parse_schema(WRITTEN, "")
    after.feature[0].type = schema_pb2.INT
    with pytest.raises(BeamfleetError, match=r"no change of 'fair' is proposed; .* of fare$"):
        with_changes(before, after, ["fair"])
    with pytest.raises(BeamfleetError, match=r"x\.pbtxt is not a schema in text form"):
        parse_schema("feature {", "x.pbtxt")
