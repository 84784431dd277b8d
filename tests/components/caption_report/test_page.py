"""The contact sheet, as a real browser shows it."""

import base64
import json

import pytest

from components.caption_report.contact_sheet import SheetConfig, write_contact_sheet
from tests.components.caption_report.browser import PROGRAM, Browser
from tests.components.caption_report.results import HOSTILE, image, row, write_result

needs_browser = pytest.mark.skipif(not PROGRAM, reason="neither chromium nor chrome is on PATH")

NAMES = "[...document.querySelectorAll('.card .name')].map(e => e.textContent)"
SCORE = "document.getElementById('score').innerText"
STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


def scenes(count):
    """Every tenth is wrong, every tenth has it at second place, every fourth is unsure."""
    for i in range(count):
        true, other = f"a small red circle {i}", f"a large blue square {i}"
        texts = {0: (other, "no"), 1: (other, true)}.get(i % 10, (true, other))
        best = 0.4 if i % 4 == 0 else 0.55 + 0.4 * i / count
        variant = "challenger" if i % 2 else "champion"
        yield row(f"/photos/{i:05}.png", *texts, best=best, reference=true, variant=variant,
                  objects=i % 3 + 1, thumbnail=picture(i),
                  versions=[("caption", f"blip@{i % 2}"), ("rank", "clip@2")])  # fmt: skip


def picture(number):
    """A thumbnail that no other image has; one image has none."""
    return None if number == 300 else image(f"#{number:06x}", "PNG")


BEST_FIRST = sorted(range(1000), key=lambda i: -i if i % 4 else i + 1000)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thousand")
    dead = [(f"/photos/broken/{i}.jpg", "read", f"the file is empty ({i})") for i in range(12)]
    write_contact_sheet(
        write_result(folder / "result", scenes(1000), dead), str(folder / "captions.html")
    )
    return folder / "captions.html"


@needs_browser
def test_a_thousand_images_can_all_be_reached(browser, thousand):
    browser.open(thousand)
    browser.wait("document.querySelectorAll('.card').length === 1000")
    assert browser.run(NAMES) == [f"{i:05}.png" for i in range(1000)]
    assert browser.run(STATUS) == "1,000 images"
    header = browser.run("document.querySelector('.counts').textContent")
    assert header == "1,000 images captioned, 12 failed"
    score = browser.run(SCORE)
    assert score == "exact match 0.800: 800 of 1,000 captions are the reference"
    pictures = browser.run("[...document.querySelectorAll('.card .picture')].map("
                           "e => e.querySelector('img')?.src ?? e.textContent)")  # fmt: skip
    for i, shown in enumerate(pictures):
        content = picture(i)
        data = content and f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
        assert shown == (data or "no thumbnail"), i
    # Also those far below: scrolled to, the picture is decoded.
    last = "document.querySelector('.card:last-child img')"
    browser.run(f"{last}.scrollIntoView()")
    browser.wait(f"{last}.complete && {last}.naturalWidth === 8")


@needs_browser
def test_nothing_is_fetched_and_the_policy_is_kept(browser, thousand):
    browser.open(thousand, "#wrong")
    browser.wait("document.querySelectorAll('.card').length === 200")
    assert browser.requests() == [f"{thousand.as_uri()}"]
    assert browser.complaints() == []
    # The policy holds: a script or style that somebody gets in does nothing.
    browser.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'window.owned = 1'})),"
        "document.body.insertAdjacentHTML('beforeend', '<img src=https://example.org/x.png>')"
    )
    assert browser.run("typeof window.owned") == "undefined"
    assert len(browser.complaints()) == 2
    assert browser.requests() == [f"{thousand.as_uri()}"]


@needs_browser
def test_a_card_says_all_about_an_image(browser, thousand):
    browser.open(thousand, "#q=00021")
    text = browser.run("document.querySelector('.card').innerText").split("\n")
    text = [line for line in text if line]
    assert text == [
        "00021.png", "wrong, caption 2 is right", "a large blue square 21", "0.56",
        "a small red circle 21", "0.44", "Reference a small red circle 21",
        "challenger", "objects: 1", "caption by blip@1", "rank by clip@2",
    ]  # fmt: skip
    assert browser.run("document.querySelector('.card img').alt") == "Thumbnail of 00021.png"
    widths = browser.run("[...document.querySelectorAll('.gauge i')].map(e => e.style.width)")
    assert widths == ["55.84%", "44.16%"]


@needs_browser
@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#wrong", [i for i in range(1000) if i % 10 < 2]),
        ("#right", [i for i in range(1000) if i % 10 > 1]),
        ("#low", list(range(0, 1000, 4))),
        ("#wrong&q=square objects:2", [i for i in range(1000) if i % 10 < 2 and i % 3 == 1]),
        ("#variant=challenger&order=least", list(range(1, 1000, 2))),
        (
            "#right&order=most&q=.png 99",
            [i for i in BEST_FIRST if i % 10 > 1 and "99" in f"{i:05}"],
        ),
        ("#q=nothing+like+this", []),
    ],
)
def test_filters_order_and_search_follow_the_address(browser, thousand, fragment, expected):
    browser.open(thousand, fragment)
    browser.wait(f"document.querySelectorAll('.card').length === {len(expected)}")
    assert browser.run(NAMES) == [f"{i:05}.png" for i in expected]
    assert browser.run(STATUS).startswith(f"{len(expected)} of 1,000 images")


@needs_browser
def test_keys_alone_search_and_filter(browser, thousand):
    browser.open(thousand)
    for _ in range(7):  # past the link in the header and the five filters
        browser.press("Tab", 9)
    assert browser.run("document.activeElement.id") == "query"
    browser.type("circle 7")
    browser.wait(f"{STATUS} === '271 of 1,000 images'")  # whose number has a 7
    assert browser.run("location.hash") == "#q=circle%207"
    browser.run("document.querySelector('[data-view=wrong]').focus()")
    browser.press("Enter", 13)
    browser.wait(f"{STATUS} === '38 of 1,000 images'")
    assert browser.run("document.querySelector('[aria-current]').textContent") == "Wrong 200"
    assert browser.run("document.getElementById('query').value") == "circle 7"


@needs_browser
def test_what_is_drawn_is_what_was_asked_for_last(browser, thousand):
    """Cards come in several steps; a search in the middle of them ends the earlier ones."""
    browser.open(thousand)
    count = browser.run(
        "new Promise((done) => { location.hash = '#order=name'; setTimeout(() => {"
        "  location.hash = '#wrong&q=00021'; setTimeout(() => done("
        "    document.querySelectorAll('.card').length), 1500); }, 0); })"
    )
    assert count == 1
    assert browser.run(NAMES) == ["00021.png"]


@needs_browser
def test_a_click_makes_a_picture_larger_and_small_again(browser, thousand):
    browser.open(thousand, "#q=00021")
    browser.wait("document.querySelectorAll('.card').length === 1")
    button = "document.querySelector('.card .picture')"
    width = f"{button}.querySelector('img').getBoundingClientRect().width"
    small = browser.run(width)
    assert small >= 140
    browser.run(f"{button}.click()")
    assert browser.run(width) >= 2 * small
    assert browser.run(f"{button}.getAttribute('aria-expanded')") == "true"
    browser.run(f"{button}.click()")
    assert browser.run(width) == small


@needs_browser
def test_low_confidence_says_below_what(browser, thousand):
    browser.open(thousand, "#low")
    assert browser.run(STATUS) == "250 of 1,000 images with a best caption below 0.5"
    title = browser.run("document.querySelector('[data-view=low]').title")
    assert title == "Images whose best caption has a probability below 0.5"


@needs_browser
def test_those_that_failed_have_a_table(browser, thousand):
    browser.open(thousand, "#failed")
    rows = browser.run(
        "[...document.querySelectorAll('#failures tbody tr')].map(row => row.innerText)"
    )
    assert rows == [f"broken/{i}.jpg\tread\tthe file is empty ({i})" for i in range(12)]
    assert browser.run(STATUS) == "12 failed images"
    heads = "[...document.querySelectorAll('#failures thead th')].map(e => e.clientHeight)"
    assert max(browser.run(heads)) < 2 * 16 * 1.45 + 16  # one line each, with its padding
    assert browser.run("document.getElementById('cards').checkVisibility()") is False
    browser.run("location.hash = '#'")
    browser.wait("document.getElementById('cards').checkVisibility()")
    assert browser.run("document.getElementById('failures').checkVisibility()") is False


@needs_browser
def test_many_images_come_in_pages(browser, tmp_path):
    uri = write_result(tmp_path / "r", (row(f"/p/{i:05}.png", "a cat") for i in range(2501)))
    write_contact_sheet(uri, str(tmp_path / "captions.html"))
    browser.open(tmp_path / "captions.html")
    seen = []
    for page, size in ((1, 1000), (2, 1000), (3, 501)):
        browser.wait(f"document.querySelectorAll('.card').length === {size}")
        assert f"{1000 * page - 999:,} to {1000 * page - 1000 + size:,} here" in browser.run(STATUS)
        seen += browser.run(NAMES)
        buttons = "[...document.querySelector('.pages').querySelectorAll('button')]"
        assert browser.run(f"{buttons}.map(e => e.disabled)") == [page == 1, page == 3]
        browser.run(f"{buttons}[1].click()")
        if page < 3:
            browser.wait(f"{NAMES}[0] === '{1000 * page:05}.png'")
    assert seen == [f"{i:05}.png" for i in range(2501)]
    models = browser.run("document.getElementById('models').textContent")
    assert models == "caption by blip@1, rank by clip@2"  # the same for all
    assert browser.run("document.querySelectorAll('.card .version').length") == 0
    # Without references there is nothing to be right or wrong.
    assert browser.run(SCORE) == ""
    views = "[...document.querySelectorAll('#views a')].filter(e => !e.hidden)"
    assert browser.run(f"{views}.map(e => e.dataset.view)") == ["all", "low", "failed"]


@needs_browser
def test_hostile_names_and_captions_are_only_text(browser, tmp_path):
    rows = [
        row(f"/p/{i} {text}", text, text, reference=text, variant=text, objects=i,
            versions=[(text, text)])
        for i, text in enumerate(HOSTILE)
    ]  # fmt: skip
    uri = write_result(tmp_path / "r", rows, [(f"/p/{text}", text, text) for text in HOSTILE])
    sheet = tmp_path / "captions.html"
    title = "Title <b id=owned> </title>"
    write_contact_sheet(uri, str(sheet), SheetConfig(title, run=title, note=title))
    browser.open(sheet)
    browser.wait(f"document.querySelectorAll('.card').length === {len(HOSTILE)}")
    shown = browser.run("[...document.querySelectorAll('.best .text')].map(e => e.textContent)")
    assert shown[:5] == list(HOSTILE[:5])
    assert shown[5] == r"a\u2028b\u2029c\u202egnp.exe"
    assert shown[7] == r"\x1b[31m\x00"
    assert browser.run("document.title") == "Title <b id=owned> </title>"
    made = "document.querySelectorAll('svg, b:not(.about b, .reference b), [onerror], main script')"
    assert browser.run(f"{made}.length") == 0
    images = "[...document.images].every(e => e.src.startsWith('data:image/jpeg;base64,'))"
    assert browser.run(images)
    links = "[...document.links].every(e => new URL(e.href).protocol === 'file:')"
    assert browser.run(links)
    assert browser.complaints() == []
    # Nor does the address of the page become anything.
    browser.open(
        sheet, "#q=<img src=x onerror=document.title=1>&variant=<b>&page=-3&order=__proto__"
    )
    assert browser.run(STATUS) == f"0 of {len(HOSTILE)} images"


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(thousand):
    with Browser() as phone:
        phone.call(
            "Emulation.setDeviceMetricsOverride",
            width=360, height=740, deviceScaleFactor=2, mobile=True,
        )  # fmt: skip
        for fragment in ("", "#failed"):
            phone.open(thousand, fragment)
            assert phone.run("document.documentElement.scrollWidth") == 360
            assert phone.run("innerWidth") == 360


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, thousand, scheme):
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.open(thousand, "#wrong&q=00021")
    browser.run(CONTRAST)
    weakest = json.loads(browser.run("JSON.stringify(contrasts()[0])"))
    assert weakest[0] >= 4.5, weakest
    browser.call("Emulation.setEmulatedMedia", features=[])


# Of each element with text of its own: WCAG's contrast of its colour to what lies behind it.
CONTRAST = """
function contrasts() {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.body.querySelectorAll('*')].filter((e) => own(e) && e.checkVisibility()
      && !e.closest('script, style, template, noscript, :disabled')).map((e) => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 80)];
  }).sort((a, b) => a[0] - b[0]);
}
"""
