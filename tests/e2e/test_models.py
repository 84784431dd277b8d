"""Candidates that compete run after run: each starts from, and has to be as good as, the current
model. One process and one root, because importing TFX is most of what a run costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import BeamfleetError
from pipelines import metadata
from pipelines.candidates import show_candidates
from pipelines.pipeline import Pipeline
from pipelines.summary import Summary, summarise
from tests.e2e.small_models import HPARAMS, write_rows

pytestmark = pytest.mark.e2e
HERE = "tests.e2e.small_models"
GOOD, POOR = {"epochs": 6}, {"epochs": 0}


class Silent:
    def nodes(self, names: list[str]) -> None:
        pass

    def on(self, event: Any) -> None:
        pass


class Runs:
    """Runs the pipeline on given rows with given candidates, and reads what came of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        best = root / "best"
        best.mkdir()
        (best / "best_hyperparameters.txt").write_text(
            '{"space": [], "values": {"units": 8, "learning_rate": 0.02}}'
        )

    def pipeline(self, seed: int, candidates: dict[str, Any]) -> Pipeline:
        rows = self.root / f"rows-{seed}.csv"
        return (
            Pipeline("small", root=self.root)
            .from_csv(rows if rows.exists() else write_rows(rows, seed))
            .generate_statistics()
            .infer_schema()
            .preprocess(f"{HERE}.preprocessing_fn")
            .with_hyperparameters(self.root / "best")
            .train(
                f"{HERE}.run_fn",
                label="above",
                hparams=HPARAMS,
                candidates=candidates,
                warm_start=True,
            )
            .evaluate(["auc", "accuracy", "calibration"], {"auc": {"min": 0.8, "max_drop": 0.05}})
            .push_to()
            .cache()
        )

    def run(self, seed: int, orchestrator: str = "beam", **candidates: Any) -> Summary:
        from pipelines import runner

        self.count += 1
        built = self.pipeline(seed, candidates).build()
        runner.run(built, f"run-{self.count}", orchestrator, Silent())
        return summarise(metadata.read_run(self.root, f"run-{self.count}"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("models"))


def by_name(summary: Summary) -> dict[str, Any]:
    return {row["name"]: row for row in summary.evaluation["candidates"]}


def test_x(runs):
    import time
    t = time.process_time()
    s = runs.run(1, good=GOOD, poor=POOR)
    print("CPU", time.process_time() - t); t = time.process_time()
    print(s)
    from pipelines.summary_view import show_summary
    from rich.console import Console
    show_summary(s, Console(width=150))
    s = runs.run(1, "local", good=GOOD, poor=POOR)
    print("CPU", time.process_time() - t); t = time.process_time()
    show_summary(s, Console(width=150))
    s = runs.run(2, good=GOOD, poor=POOR)
    print("CPU", time.process_time() - t)
    show_summary(s, Console(width=150))
