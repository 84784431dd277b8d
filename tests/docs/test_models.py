"""The pipelines in docs/models.md can be built."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]


def test_the_pipelines_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    candidates, warm = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"Pipeline": Pipeline}
    exec(candidates, names)
    names["pipeline"].check()
    base = Pipeline("taxi").from_csv("data/taxi/span-3").generate_statistics().infer_schema()
    names["pipeline"] = base.preprocess("user_code.taxi.preprocessing_fn")
    exec(warm, names)
    names["train"].check()
