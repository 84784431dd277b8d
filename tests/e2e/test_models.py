"""Candidates that compete run after run: each starts from, and has to be as good as, the current
model. One process and one root, because importing TFX is most of what a run costs."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines import metadata
from pipelines.pipeline import Pipeline
from pipelines.summary import Summary, summarise
from pipelines.summary_view import show_summary
from tests.e2e.small_models import HPARAMS, write_rows

pytestmark = pytest.mark.e2e
HERE = "tests.e2e.small_models"
GOOD, POOR, TINY = {"epochs": 6}, {"epochs": 0}, {"units": 2, "epochs": 0}


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

    def pipeline(self, seed: int, push: bool, candidates: dict[str, Any]) -> Pipeline:
        rows = self.root / f"rows-{seed}.csv"
        pipeline = (
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
            .cache()
        )
        return pipeline.push_to() if push else pipeline

    def run(
        self, seed: int, orchestrator: str = "beam", push: bool = False, **candidates: Any
    ) -> Summary:
        from pipelines import runner

        self.count += 1
        built = self.pipeline(seed, push, candidates).build()
        runner.run(built, f"run-{self.count}", orchestrator, Silent())
        return summarise(metadata.read_run(self.root, f"run-{self.count}"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("models"))


def by_name(summary: Summary) -> dict[str, Any]:
    return {row["name"]: row for row in summary.evaluation["candidates"]}


def models_of(summary: Summary) -> dict[str, str]:
    """Folder of the model by name of the candidate."""
    nodes = metadata.read_run(Path(summary.root), summary.run).nodes
    outputs = [(node.name, node.output("model")) for node in nodes]
    return {
        name.removeprefix("Trainer-"): f"{model.uri}/Format-Serving"
        for name, model in outputs
        if name.startswith("Trainer") and model
    }


def shapes(folder: str) -> list[tuple[int, ...]]:
    from components.saved_model.weights import read_weights

    return [weight.shape for weight in read_weights(folder)]


@pytest.fixture(scope="module")
def first(runs: Runs) -> Summary:
    return runs.run(1, trained=GOOD, poor=POOR, tiny=TINY)


@pytest.fixture(scope="module")
def second(runs: Runs, first: Summary) -> Summary:
    """Other rows; `poor` is trained for no epoch at all."""
    return runs.run(2, trained=GOOD, poor=POOR)


def test_the_best_that_passes_is_blessed(first: Summary) -> None:
    evaluation, rows = first.evaluation, by_name(first)
    assert evaluation["blessed"] and evaluation["chosen"] == "trained"
    assert [row["name"] for row in rows.values()] == ["poor", "tiny", "trained", "constant"]
    assert not rows["poor"]["passes"] and "the threshold is 0.8" in rows["poor"]["reason"]
    best = rows["trained"]
    assert (best["chosen"], rows["poor"]["chosen"]) == (True, False)
    assert evaluation["overall"]["candidate"]["auc"] == best["auc"]
    assert best["auc_low"] < best["auc"] < best["auc_high"]
    assert evaluation["intervals"]["auc"] == [best["auc_low"], best["auc_high"]]
    assert evaluation["compared_with"] == "nothing: no model is pushed or blessed yet"
    assert first.warm_start == {"uri": "", "notes": ""}


def test_hyperparameters_that_were_found_win_over_those_of_all_but_not_over_a_candidates_own(
    first: Summary,
) -> None:
    models = models_of(first)
    assert shapes(models["trained"])[0] == (2, 8)  # not 4
    assert shapes(models["tiny"])[0] == (2, 2)


def test_the_table_is_shown_on_any_width(first: Summary) -> None:
    for width, shown in ((200, True), (80, False)):
        screen = Console(file=io.StringIO(), width=width)
        show_summary(first, screen)
        text = screen.file.getvalue()
        assert "(best constant)" in text and "passes, the best" in text and "fails" in text
        assert "poor: auc is" in text and "the threshold is 0.8" in text
        assert ("2 more metrics with --json" in text) != shown
        assert f"{by_name(first)['trained']['auc']:.4g}" in text and "best by auc" in text
        assert "warm start" in text and "trained from scratch" in text


def test_the_same_rows_are_not_trained_on_or_judged_twice(runs: Runs, first: Summary) -> None:
    again = runs.run(1, "local", trained=GOOD, poor=POOR, tiny=TINY)
    trained = {"Trainer-poor", "Trainer-tiny", "Trainer-trained", "Evaluator"}
    assert trained <= set(again.cached)
    assert again.evaluation["compared_with"] == first.evaluation["compared_with"]


def test_a_training_starts_from_the_latest_blessed_model(first: Summary, second: Summary) -> None:
    from components.saved_model.weights import read_weights

    base = models_of(first)["trained"]
    assert second.warm_start["uri"] == base.removesuffix("/Format-Serving")
    before, after = read_weights(base), read_weights(models_of(second)["poor"])
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    trained = read_weights(models_of(second)["trained"])
    assert not np.array_equal(before[0], trained[0])


def test_nothing_pushed_the_latest_blessed_model_is_what_has_to_be_beaten(
    first: Summary, second: Summary
) -> None:
    uri = by_name(first)["trained"]["uri"]
    assert uri.removesuffix("/Format-Serving") in second.evaluation["compared_with"]
    assert second.evaluation["compared_with"].startswith("the latest blessed model")
    blessed = second.evaluation["overall"]["blessed"]
    assert by_name(second)["blessed"]["auc"] == blessed["auc"] > 0.9


@pytest.fixture(scope="module")
def third(runs: Runs, second: Summary) -> Summary:
    """The same as the second one, and what is blessed is pushed."""
    return runs.run(2, "local", push=True, trained=GOOD, poor=POOR)


def test_the_chosen_model_itself_is_pushed(runs: Runs, second: Summary, third: Summary) -> None:
    assert {"Trainer-trained", "Trainer-poor"} <= set(third.cached)
    assert third.push["version"] == 1 and third.evaluation["chosen"] == second.evaluation["chosen"]
    chosen = Path(models_of(third)[third.evaluation["chosen"]])
    pushed = runs.root / "pushed" / "1"
    files = {str(file.relative_to(chosen)) for file in chosen.rglob("*") if file.is_file()}
    assert {"saved_model.pb", "beamfleet.json", "variables/variables.index"} <= files
    assert all((pushed / name).read_bytes() == (chosen / name).read_bytes() for name in files)
    details = json.loads((pushed / "version.json").read_text())
    assert details["candidate_uri"] == str(chosen.parent)
    # Where a pipeline pushes, what is pushed is the current model: so far there is none.
    assert third.evaluation["compared_with"].startswith("nothing")


def test_lineage_leads_from_what_is_pushed_to_every_candidate(runs: Runs, third: Summary) -> None:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    from components.current_model.strategy import inputs_of

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(runs.root / metadata.DATABASE)
    store = MetadataStore(config)
    [chosen] = [a for a in store.get_artifacts_by_type("Model") if "/Evaluator/" in a.uri][-1:]
    read = store.get_artifacts_by_id(inputs_of(store, chosen.id)["model"])
    assert {f"{model.uri}/Format-Serving" for model in read} == set(models_of(third).values())


def test_another_candidate_beside_the_pushed_one_is_a_new_contest(
    runs: Runs, third: Summary
) -> None:
    pushed = third.evaluation["chosen"]
    candidates = {pushed: GOOD if pushed == "trained" else POOR, "longer": {"epochs": 9}}
    fourth = runs.run(2, "local", push=True, **candidates)
    assert f"Trainer-{pushed}" in fourth.cached
    assert fourth.evaluation["compared_with"] == "the pushed version 1"
    assert fourth.evaluation["chosen"] == ("longer" if fourth.push["pushed"] else pushed)
