import pytest

from components.example_gen.source import (
    CsvSource,
    GivenSplit,
    HashSplit,
    IngestConfig,
    ParquetSource,
    TFRecordSource,
    TimeSplit,
)

CONFIGS = [
    IngestConfig(CsvSource(("a", "b"), ("x", "y"), (("x", "int64"),), ("?",), ";", span=3)),
    IngestConfig(ParquetSource(("a",)), TimeSplit("t", "2024-01-01", 60.0), "m.f", 0.5),
    IngestConfig(TFRecordSource(("a",)), GivenSplit(("b",)), payload="tf_example"),
    IngestConfig(CsvSource(("a",)), HashSplit((("unlabelled", 1),), ("k",))),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_json_round_trip(config: IngestConfig) -> None:
    assert IngestConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CsvSource("data"), "paths must be a tuple"),
        (lambda: CsvSource(()), "paths must be a tuple"),
        (lambda: CsvSource(("a",), columns=("x", "x")), "distinct"),
        (lambda: CsvSource(("a",), columns=("x",), types=(("y", "int64"),)), "not in columns"),
        (lambda: CsvSource(("a",), types=(("y", "date"),)), "'date'"),
        (lambda: CsvSource(("a",), delimiter="||"), "delimiter"),
        (lambda: ParquetSource(("a",), types=(("x", "int64"), ("x", "int64"))), "distinct"),
        (lambda: HashSplit(()), "at least one"),
        (lambda: HashSplit((("a", 0),)), "weight"),
        (lambda: HashSplit((("a/b", 1),)), "letters"),
        (lambda: TimeSplit("", 1), "column"),
        (lambda: TimeSplit("t", 1, gap=-1), "gap"),
        (lambda: TimeSplit("t", "soon"), "isoformat"),
        (lambda: GivenSplit(()), "paths"),
        (lambda: IngestConfig(CsvSource(("a",)), max_rejected_share=2), "0 to 1"),
        (lambda: IngestConfig(CsvSource(("a",)), payload="csv"), "payload"),
    ],
)
def test_nonsense_is_refused_at_once(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
