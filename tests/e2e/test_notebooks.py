"""The notebooks: run headless on census and taxi, and looked at in JupyterLab in Chromium."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from tests.components.caption_report.browser import PROGRAM, Browser
from tests.e2e.conftest import Ran
from tests.e2e.jupyter import NOTEBOOKS, execute, jupyterlab, text_of

pytestmark = pytest.mark.e2e
needs_browser = pytest.mark.skipif(not PROGRAM, reason="neither chromium nor chrome is on PATH")
FIGURES = {
    "census-explore_data": 1, "census-analyse_model": 3, "census-lineage": 2,
    "taxi-explore_data": 2, "taxi-analyse_model": 2, "taxi-lineage": 2,
}  # fmt: skip
PLOTLY = "application/vnd.plotly.v1+json"


@pytest.fixture(scope="module")
def executed(census: Ran, taxi: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    asyncio.run(execute({"census": census[0], "taxi": taxi[0]}, folder))
    return folder


def test_they_are_committed_without_outputs() -> None:
    for file in NOTEBOOKS.glob("*.ipynb"):
        for cell in nbformat.read(file, as_version=4).cells:
            assert not cell.get("outputs") and cell.get("execution_count") is None, file.name


@pytest.mark.parametrize("name", FIGURES)
def test_they_run_and_draw_by_data_alone(executed: Path, name: str) -> None:
    """A figure is data for JupyterLab's own renderer: no script in it, nothing to be fetched."""
    cells = nbformat.read(executed / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum(PLOTLY in output.get("data", {}) for output in outputs) == FIGURES[name]
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in str(output)]
    assert pages and not [page for page in pages if "<script" in page]
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.fixture(scope="module")
def pages(executed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What JupyterLab shows of each, untrusted as it is: these were run by nobody in it."""
    home = tmp_path_factory.mktemp("jupyterlab")
    with jupyterlab(executed, home) as address, Browser(height=1000) as browser:
        shown = {}
        for name in ("taxi-explore_data", "census-analyse_model", "census-lineage"):
            shown[name] = text_of(browser, address.format(f"{name}.ipynb"), FIGURES[name])
            asked = [url.removeprefix("blob:") for url in browser.requests()]
            hosts = {urlsplit(url).hostname for url in asked}
            assert hosts == {"127.0.0.1"}, hosts
            assert "exceptionDetails" not in json.dumps(browser.complaints())
    return shown


@needs_browser
def test_the_data_are_explored_in_jupyterlab(pages: dict[str, str], taxi: Ran) -> None:
    page, (_, summary) = pages["taxi-explore_data"], taxi
    assert f"run {summary['run']} of taxi, done" in page
    assert f"'rows_train': {summary['examples']['rows_train']}" in page
    # The anomalies as the run printed them, and the figure of the distance.
    [fare] = [line for line in summary["validation"]["found"] if "train, column 'fare'" in line]
    assert fare.partition(": ")[2] in page
    assert "Mobile" in page and "COMPARATOR_L_INFTY_HIGH" in page
    assert "newest span" in page and "previous span" in page  # legends of the figure


@needs_browser
def test_the_model_is_analysed_in_jupyterlab(pages: dict[str, str], census: Ran) -> None:
    page, (_, summary) = pages["census-analyse_model"], census
    accuracy = summary["evaluation"]["overall"]["composed"]["accuracy"]
    assert f"{accuracy:.6f}" in page  # of the table
    assert f"all rows {accuracy:.4g}" in page  # of the figure of slices, which TFMA measured
    for entity in summary["entities"]:
        assert entity["entity"] in page and entity["reason"] in page
    assert "sex=Female" in page and "majority" in page


@needs_browser
def test_the_lineage_is_shown_in_jupyterlab(pages: dict[str, str], census: Ran) -> None:
    page = pages["census-lineage"]
    assert "user_code.census.train_fn" in page and "user_code.census.clean_fn" in page
    assert "data/census/census.data" in page  # the file that was read
    assert "EntityTrainer/model/" in page and "BulkInferrer" in page
    assert census[1]["run"] in page
