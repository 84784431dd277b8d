"""Checks in SQL: what is refused at once, what rows and statistics say, what is out of reach."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.errors import BeamfleetError
from components.example_validator import database
from components.example_validator.evaluate import failed_checks
from components.example_validator.expressions import Checks, check_columns
from components.examples.read import ExamplesSplit
from tests.components.memory_files import MemoryFileSystem

FARES = [[1.0], [2.0], [], [-3.0]]


@pytest.fixture
def split(tmp_path: Path) -> tuple[ExamplesSplit, str]:
    """Four trips; the name of the folder has a quote."""
    folder = tmp_path / "it's" / "Split-train"
    folder.mkdir(parents=True)
    columns = {"fare": FARES, "Company": [["a"], ["b"], [], ["c"]], "column": [[1], [2], [3], [4]]}
    pq.write_table(pa.table(columns), folder / "data.parquet")
    return ExamplesSplit(str(folder.parent), "train"), str(statistics(tmp_path))


def statistics(folder: Path) -> Path:
    document = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = document.datasets.add(num_examples=4)
    fare = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
    fare.path.step.append("fare")
    fare.num_stats.common_stats.num_non_missing = 3
    fare.num_stats.median = 1.0
    company = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    company.path.step.append("Company")
    company.string_stats.unique = 3
    company.string_stats.top_values.add(value="a", frequency=1)
    file = folder / "FeatureStats.pb"
    file.write_bytes(document.SerializeToString())
    return file


def failing(given: tuple[ExamplesSplit, str], /, **checks: str) -> dict[str, str]:
    return dict(failed_checks(Checks(of_split=checks), *given))


def test_what_holds_of_all_rows_is_no_anomaly(split: tuple[ExamplesSplit, str]) -> None:
    found = failing(
        split,
        rows="count(*) = 4 and count(fare) = 3",
        column='sum("column") = 10',
        words="count(distinct company) = 3",
        subquery="(select count(*) from examples where fare > 0) = 2",
        statistics="(select missing_share from statistics where name = 'fare') = 0.25",
        names="(select string_agg(name order by name) from statistics) = 'Company,fare'",
        share="(select top_share from statistics where name = 'Company') = 0.25",
        split="split_name() = 'train'",
    )
    assert found == {}


def test_every_one_of_several_values_counts(split: tuple[ExamplesSplit, str]) -> None:
    [file] = Path(split[0].uri).rglob("data.parquet")
    tags = pa.array([[1, -9], [2], [], [3]])
    pq.write_table(pq.read_table(file).append_column("tags", tags), file)
    with pytest.raises(BeamfleetError, match=r"bool_and\(tags > 0"):
        failing(split, first="min(tags) > 0 and bool_and(tags > 0)")
    assert "list_min" in failing(split, every="min(list_min(tags)) > 0")["every"]
    assert failing(split, most="max(len(tags)) = 2") == {}


def test_false_null_and_what_cannot_be_computed_are_anomalies(
    split: tuple[ExamplesSplit, str],
) -> None:
    found = failing(
        split,
        positive="min(fare) > 0",
        unknown="(select mean from statistics where name = 'tips') < 1",
        number="sum(company::int) > 0",
    )
    assert found["positive"] == "check 'positive': min(fare) > 0 is false"
    assert found["unknown"].endswith("< 1 is NULL")
    assert "cannot be computed: Conversion Error: Could not convert string 'a'" in found["number"]


def test_rows_that_do_not_satisfy_are_counted_and_the_first_named(
    split: tuple[ExamplesSplit, str],
) -> None:
    checks = Checks(of_row={"positive": "fare > 0", "few": '"column" < 9', "null": "fare <> 9"})
    [(name, why), null] = failed_checks(checks, *split)
    assert name == "positive"
    assert null[1] == (
        "check 'null': fare <> 9 is NULL for 1 of 4 rows: row 3 of data.parquet (fare = NULL)"
    )
    assert "is false for 1 and NULL for 1 of 4 rows" in why
    assert "row 3 of data.parquet (fare = NULL); row 4 of data.parquet (fare = -3.0)" in why


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("min(fares) > 0", '"fares" not found'),
        ("min(fare)", "is DOUBLE, expected BOOLEAN"),
        ("fare > 0", "goes into row_checks"),
        ("median(company) + 1 > 0", r"explicit type casts\.$"),
        ("(select count(*) from read_csv('/etc/passwd')) > 0", "Cannot access file"),
        ("(select count(*) from '/etc/passwd') > 0", "does not exist|Cannot access"),
        ("(select count(*) from read_text('http://127.0.0.1:9/x')) > 0", "Cannot access file"),
        ("(select count(*) from glob('/etc/*')) > 0", "Cannot access file"),
    ],
)
def test_an_expression_without_sense_stops_and_is_named(
    split: tuple[ExamplesSplit, str], expression: str, said: str
) -> None:
    with pytest.raises(BeamfleetError, match=rf"check 'it' (.|\n)*({said})"):
        failing(split, it=expression)


def test_a_row_check_takes_no_aggregate(split: tuple[ExamplesSplit, str]) -> None:
    with pytest.raises(BeamfleetError, match=r"goes into checks=\{"):
        failed_checks(Checks(of_row={"it": "min(fare) > 0"}), *split)


def test_nothing_can_be_changed_or_loaded(split: tuple[ExamplesSplit, str]) -> None:
    with database.open_split(*split) as tables:
        for statement in (
            "SET enable_external_access = true",
            "SET allowed_paths = ['/etc/passwd']",
            "INSTALL httpfs",
            "LOAD httpfs",
            "COPY (SELECT 1) TO '/tmp/beamfleet-written.csv'",
            "ATTACH '/tmp/beamfleet-written.db'",
        ):
            with pytest.raises(Exception, match=r"locked|disabled|Cannot access"):
                tables.connection.execute(statement)
        [[memory]] = tables.connection.execute("SELECT current_setting('memory_limit')").fetchall()
    assert memory.endswith("MiB")


@pytest.mark.parametrize(
    "expression",
    [
        "1; drop table examples",
        "true) from examples where (true",
        "true from examples",
        "fare >",
        "true, false",
        "true as it",
        "fare > ?",
        "fare > $limit",
        "select 1",
        "",
    ],
)
def test_what_is_not_one_expression_is_refused_at_once(expression: str) -> None:
    with pytest.raises(ValueError, match="check 'it'"):
        Checks(of_split={"it": expression})
    assert Checks(of_row={"it": "company <> 'a?$b' -- all"})


def test_checks_come_back_from_json_in_order() -> None:
    checks = Checks({"b": "count(*) > 1", "a": "min(fare) > 0"}, {"c": "fare > 0"})
    assert list(Checks.from_json(checks.to_json()).all()) == list(checks.all())
    assert Checks().to_json() == "" and not Checks.from_json("")
    with pytest.raises(ValueError, match=r"\['a'\] name a check and a row check"):
        Checks({"a": "true"}, {"a": "true"})


def test_unknown_columns_show_before_there_are_rows() -> None:
    fine = Checks(
        {"a": "avg(fare) > 0 and (select min from statistics where name = 'fare') > 0"},
        {"b": "tips <= fare"},
    )
    check_columns(fine, ["fare", "tips"], "the header")
    with pytest.raises(
        BeamfleetError, match=r"check 'b' .*'tips' is not in the header; it has fare"
    ):
        check_columns(fine, ["fare"], "the header")


def test_files_of_a_store_are_read_too(split: tuple[ExamplesSplit, str]) -> None:
    content = Path(split[0].uri, "Split-train", "data.parquet").read_bytes()
    MemoryFileSystem.files["memory://x/Split-train/data.parquet"] = content
    assert FileSystems.exists("memory://x/Split-train/data.parquet")
    remote = ExamplesSplit("memory://x", "train")
    [(_, why)] = failed_checks(Checks(of_row={"it": '"column" > 1'}), remote, split[1])
    assert "false for 1 of 4 rows: row 1 of " in why and "data.parquet" in why


def test_columns_that_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "Split-train"
    folder.mkdir()
    pq.write_table(pa.table({"fare": [[1]], "Fare": [[2]]}), folder / "data.parquet")
    with pytest.raises(BeamfleetError, match="'fare' and 'Fare'"):
        failing((ExamplesSplit(str(tmp_path), "train"), str(statistics(tmp_path))), it="true")


def test_tf_examples_are_refused(split: tuple[ExamplesSplit, str]) -> None:
    examples = ExamplesSplit(split[0].uri, "train", "FORMAT_TF_EXAMPLE")
    with pytest.raises(BeamfleetError, match="checks read Parquet"):
        failing((examples, split[1]), it="true")


MEMORY = """
import resource, sys
from components.example_validator import database
from components.example_validator.evaluate import failed_checks
from components.example_validator.expressions import Checks
from components.examples.read import ExamplesSplit
database.MEMORY = "100MB"
order = "lag(id) over (order by id) <> id or id = 0"
checks = Checks({"all": "count(distinct word) = 2000000"}, {"sorted": order})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert failed_checks(checks, ExamplesSplit(sys.argv[1], "train"), sys.argv[2]) == []
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


def test_memory_is_bounded_whatever_the_number_of_rows(tmp_path: Path) -> None:
    folder = tmp_path / "Split-train"
    folder.mkdir()
    schema = pa.schema([("id", pa.list_(pa.int64())), ("word", pa.list_(pa.string()))])
    with pq.ParquetWriter(folder / "data.parquet", schema, compression="snappy") as writer:
        for start in range(0, 2_000_000, 500_000):
            ids = pa.array(range(start, start + 500_000))
            offsets = pa.array(range(500_001), pa.int32())
            lists = [pa.ListArray.from_arrays(offsets, a) for a in (ids, ids.cast(pa.string()))]
            writer.write_table(pa.table(lists, schema=schema))
    arguments = [tmp_path, statistics(tmp_path)]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, arguments)],
        capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400  # MB
