from pathlib import Path

import pytest

from tests.components.entity_evaluator.worlds import census, run, store


@pytest.mark.e2e
def test_first_version_blesses_what_is_better_and_tfma_opens_it(tmp_path: Path) -> None:
    table = census(
        {"better": 400, "same": 400, "small": 5, "unseen": 50},
        {"new": 0.1, "old": 0.2, "fallback": 0.25},
    )
    candidate = store(tmp_path / "model", {"better": "new", "same": "fallback", "small": None})
    result, entities, folder = run(
        tmp_path, table, candidate, slices=[["education"]], fairness=["sex"]
    )
    assert result.blessed, result.objections
    import json
    for row in entities.values():
        print(json.dumps(row, default=str)[:900])
    print(result)
    import tensorflow_model_analysis as tfma
    evaluation = tfma.load_eval_result(str(folder / "evaluation"))
    for key, metrics in evaluation.slicing_metrics:
        print(key, {k: list(v.values())[:1] for k, v in metrics[""][""].items()})
    import pyarrow.parquet as pq
    print(pq.read_table(folder / "evaluation/fairness.parquet").to_pandas())
    assert 0
