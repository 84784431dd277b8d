"""What must hold for a handler of any framework as a stage."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from components.ensemble.graph import Ensemble, Stage
from components.ensemble.record import Record
from components.ensemble.run import RunEnsemble
from tests.components.ensemble.handlers import COLLECTED, collect


def run(transform: beam.PTransform, records: Sequence[Record]) -> list[Record]:
    COLLECTED.clear()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records) | transform | "Collect" >> beam.Map(collect)
    return list(COLLECTED)


def check_stage(
    stage: Stage,
    values: Sequence[Any],
    expected: Callable[[Any], Any],
    bad: Sequence[Any] = (),
) -> list[Record]:
    """Runs the stage on Beam; every value of column `x` must come out with its own prediction.

    Args:
      stage: reads `x`.
      values: examples, or dicts of columns where the stage reads several.
      expected: what the model gives for one of them, called directly.
      bad: what must become a dead letter, scattered among the values.

    Returns:
      The dead letters.
    """
    rows = [value if isinstance(stage.inputs, dict) else {"x": value} for value in values]
    records = [Record(f"good {n}", row) for n, row in enumerate(rows)]
    for n, value in enumerate(bad):
        row = value if isinstance(stage.inputs, dict) else {"x": value}
        records.insert((n * 7 + 3) % (len(records) + 1), Record(f"bad {n}", row))
    results = run(RunEnsemble(Ensemble(stage)), records)
    assert Counter(r.key for r in results) == Counter(r.key for r in records)
    dead = [r for r in results if r.failure]
    assert {r.key for r in dead} == {f"bad {n}" for n in range(len(bad))}, dead[:3]
    for record in results:
        if not record.failure:
            number = int(record.key.removeprefix("good "))
            check_equal(record.values[stage.name], expected(values[number]), record.key)
    return dead


def check_equal(found: Any, expected: Any, where: str = "") -> None:
    """Equal in form and, but for rounding, in value."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for name, value in expected.items():
            check_equal(found[name], value, f"{where}[{name!r}]")
    elif isinstance(expected, str):
        assert found == expected, where
    else:
        one, other = np.asarray(found), np.asarray(expected)
        assert one.shape == other.shape, (where, one.shape, other.shape)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=where)


def numbers(count: int, width: int = 4, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.normal(size=(count, width)).astype(np.float32))
