"""The feature store in the report, as a real browser without a network shows it."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.feature_registry import Registry
from pipelines.report.make import Report, write_report
from tests.components.caption_report.browser import PROGRAM, Browser
from tests.components.feature_registry.declared import TXNS, many, service, view
from tests.pipelines.report.runs import HOSTILE, a_run, made, node

needs_browser = pytest.mark.skipif(not PROGRAM, reason="neither chromium nor chrome is on PATH")
BOX = "document.getElementById('registry-search')"
NAMES = (
    "[...document.querySelectorAll('.registry tbody tr')].filter(e => !e.hidden)"
    ".map(e => e.querySelector('th').firstChild.textContent.trim())"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """200 sources, 1,000 features, a hostile owner, a model."""
    root = tmp_path_factory.mktemp("payments")
    registry = Registry(root / "features" / "registry.db")
    registry.apply(many())
    odd = replace(TXNS, owner=HOSTILE, description=f"Of {HOSTILE}")
    registry.apply([service([view(description=HOSTILE, sources=(odd,))], labels=odd)])
    registry.link_training("fraud", 1, 1, f"pushed/{HOSTILE}", "monday")
    artifact = made(root, "FeatureComputer", "views", "FeatureViews", service="fraud", version=1)
    return write_report(a_run(root, [node("FeatureComputer", 1, outputs=[artifact])]))


@pytest.fixture(scope="module")
def page(report: Report) -> object:
    with Browser() as browser:
        browser.call(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip
        browser.open(report.path)
        yield browser


def _search(page: Browser, text: str) -> list[str]:
    page.run(f"{BOX}.value = {text!r}; {BOX}.dispatchEvent(new Event('input'))")
    return page.run(NAMES)  # type: ignore[no-any-return]


@needs_browser
def test_views_are_found_by_feature_owner_and_model(page: Browser) -> None:
    assert len(_search(page, "")) == 424
    assert _search(page, "mean_171 SPENDING") == ["spend_171@1"]
    assert _search(page, "pushed/ monday") == ["card_spend@3", "fraud@1"]
    assert "2 of 424" in page.run("document.getElementById('registry-status').textContent")
    assert _search(page, "nowhere at all") == []
    assert len(_search(page, " ")) == 424


@needs_browser
def test_what_others_wrote_is_text(page: Browser, report: Report) -> None:
    assert not report.problems
    text = page.run("document.getElementById('features').textContent")
    assert HOSTILE.splitlines()[0][:20] in text
    assert page.run("document.querySelectorAll('#features script, #features img').length") == 0
    assert "This run read fraud version 1" in text


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(page: Browser) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=1,
        mobile=True,
    )
    assert page.run("document.documentElement.scrollWidth") <= 390


def test_the_page_stays_small(report: Report) -> None:
    assert report.size < 2_500_000  # 1.7 MB of it are the charts' library


def test_a_run_without_features_says_so_in_a_line(tmp_path: Path) -> None:
    made_report = write_report(a_run(tmp_path, []))
    assert not made_report.problems
    assert "This run read no features of a store." in made_report.path.read_text()


def test_the_store_that_a_node_names_is_read(tmp_path: Path) -> None:
    Registry(tmp_path / "elsewhere" / "registry.db").apply([view()])
    artifact = made(tmp_path, "FeatureComputer", "views", "V", store=str(tmp_path / "elsewhere"))
    there = write_report(a_run(tmp_path, [node("FeatureComputer", 1, outputs=[artifact])]))
    assert "card_spend" in there.path.read_text()
