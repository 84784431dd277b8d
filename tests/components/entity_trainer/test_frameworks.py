"""Models of other frameworks go through training and out of the store again."""

import pytest

from components.entity_models.predict import predict
from tests.components.entity_trainer.training import config_of, entries, people, table_of, train


@pytest.mark.parametrize(
    ("train_fn", "package"),
    [("boosted", "xgboost"), ("light", "lightgbm"), ("network", "keras")],
)
def test_models_of_other_frameworks(tmp_path, train_fn, package):
    pytest.importorskip(package)
    table = table_of(people("x", 40) + people("y", 30))
    models = train(tmp_path / "a", table, config_of(train_fn))
    assert models.counts["entities_trained"] == 2
    result = predict(models, table.slice(30, 20))
    assert set(result["prediction"].to_pylist()) <= {"low", "high"}
    assert result["fallback"].to_pylist() == [False] * 20
    if package != "keras":  # importing it into a process takes 10 CPU seconds
        again = train(tmp_path / "b", table, config_of(train_fn), workers=1)
        assert entries(again)["x"]["sha256"] == entries(models)["x"]["sha256"]
