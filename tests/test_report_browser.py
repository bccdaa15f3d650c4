"""`report.html` in a real headless browser: `make report-test`. Needs Chromium and its driver; without them it fails.

Screenshots are left in build/report/, to be looked at.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports import made_of
from tests.test_report import HOSTILE
from transforms import (
    SequenceGroup,
    categorical_column_with_vocabulary_list,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.distributions.facts import Timed
from transforms.events.figures import DAY, in_buckets, of_times
from transforms.events.make_events import make_events
from transforms.splits.rule import Split

pytestmark = pytest.mark.browser

FOLDER = Path("build/report")
START = 19723 * DAY
"""2024-01-01."""
SMALL, PHONE, DESK = 360, 390, 1280
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The address of a report with every kind of column, 24 of them, some with hostile names."""
    names = [*HOSTILE, "temperature", "a_rather_long_name_of_a_column_that_is_not_broken_anywhere_by_itself"]
    generator = np.random.default_rng(0)
    kinds: list[Any] = [sequence_numeric_column(name, non_finite="fill", group="g") for name in names]
    kinds += [sequence_numeric_column(f"pair {k}", shape=(2,), group="g") for k in range(4)]
    kinds += [sequence_categorical_column_with_identity(f"id {k}", 5000, group="g") for k in range(5)]
    kinds += [sequence_categorical_column_with_vocabulary_list("words", ["a", "b"], group="g")]
    kinds += [categorical_column_with_vocabulary_list("word", ["a", "b"], num_oov_buckets=2), passthrough_column("key")]
    rows = []
    for k in range(400):
        steps = int(generator.integers(0, 90)) if k % 9 else 100
        row: dict[str, Any] = {name: generator.normal(0, 10, steps).tolist() for name in names}
        row |= {f"pair {i}": generator.normal(0, [1, 1000], (steps, 2)).reshape(-1).tolist() for i in range(4)}
        row |= {f"id {i}": np.minimum(generator.zipf(1.5, steps), 5000 + k % 2).tolist() for i in range(5)}
        row["words"] = ["a"] * steps
        rows.append({**row, "word": "abc"[k % 3], "key": HOSTILE[k % len(HOSTILE)]})
    spec = make_spec(kinds, {"g": SequenceGroup(max_length=64)})
    times = [
        Timed("prepare", 0, 9_000),
        Timed("pass 1: read, analyse", 9_000, 70_000),
        Timed("publish", 70_000, 75_000),
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(made_of(spec, rows, times, **events(), words={"word": lambda ids: [HOSTILE[k] for k in ids]}))
    FOLDER.mkdir(parents=True, exist_ok=True)
    return f"file://{path}"


def events() -> dict[str, Any]:
    """Events that the rows are said to be sequences of: 150 days, of three splits, with sessions and rejected ones."""
    generator = np.random.default_rng(1)
    at = START + (150 * DAY * generator.beta(4, 1.5, 60_000)).astype(np.int64)
    of_key = np.minimum(generator.zipf(1.6, 3000), 50_000)
    pauses = np.where(generator.random(57_000) < 0.07, 0, generator.lognormal(8, 3, 57_000)).astype(np.int64)
    numbers = {"events": of_key, "gaps": pauses, "steps": np.minimum(of_key, 50)}
    numbers |= {"sessions": generator.integers(1, 9, 3000), "session_events": of_key, "session_times": pauses}
    when = of_times(at, 10**9)
    figures = replace(
        when,
        counts={what: in_buckets(own) for what, own in numbers.items()},
        largest={what: int(own.max()) for what, own in numbers.items()},
        splits=(40_000, 12_000, 8_000),
    )
    one = {
        "rows": {"read": 60_010, "used": 52_000, "rejected": 10},
        "dropped": {"unique": 3000, "windows": 0, "min_events": 5000, "longer": 0},
    }
    made = {"rows": 2900, "steps": 51_000, "targets": 2900, "used_again": 1900, "too_long": 3}
    book = {**one, "rejected_by_reason": {"missing": 7, "not_a_time": 3}, "sequences": made}
    bad = [
        {"file": HOSTILE[k], "row": k, "column": HOSTILE[1], "value": HOSTILE[2], "message": HOSTILE[4]} for k in (0, 3)
    ]
    section = {"key": "user", "order_by": "at", "sessions": {"gap": "30m"}}
    split = Split(by="time", validation="2024-04-10", borders={"a_test_with_a_long_name": "2024-05-07T12:00"})
    return {
        "events": {**book, "files": {f"{HOSTILE[0]}/events-{k}.parquet": one for k in range(4)}},
        "of_events": {"events": make_events(section), "split": split},
        "figures": figures,
        "examples_of_events": {"missing": bad},
        "columns_file": HOSTILE[1],
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    """A headless Chromium with an empty profile. Selenium must not look for one elsewhere: it would download it."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "no chromium, or no chromedriver: apt-get install chromium chromium-driver"
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, Service(driver)) as running:
        yield running


def show(browser: Any, page: str, width: int, scheme: str = "light", media: str = "screen") -> None:
    """Opens a page at a width, as a phone does below 600 pixels."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(page)


def complaints(browser: Any) -> list[str]:
    """Returns what the console says since the last time."""
    return [entry["message"] for entry in browser.get_log("browser")]


def asked(browser: Any) -> set[str]:
    """Returns the addresses that were asked for since the last time."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    found = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    return {address for address in found if not address.startswith("data:")}


def width_of(browser: Any) -> int:
    """Returns how wide the page is, whatever the window."""
    return int(browser.execute_script("return document.scrollingElement.scrollWidth"))


def test_what_is_looked_for_would_be_found(browser, tmp_path):
    """A page that asks for a picture, complains, and is too wide."""
    bad = (
        '<body><div style="width:500px">x</div><img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>'
    )
    (tmp_path / "bad.html").write_text(bad)
    complaints(browser), asked(browser)
    show(browser, f"file://{tmp_path}/bad.html", PHONE)
    assert any('"no"' in line for line in complaints(browser))
    assert "http://127.0.0.1:9/x.png" in asked(browser)
    assert width_of(browser) > PHONE


SIZES = [(width, scheme) for width in (SMALL, PHONE, DESK) for scheme in ("light", "dark")]


@pytest.mark.parametrize("width, scheme", SIZES)
def test_it_fits_and_is_silent(browser, page, width, scheme):
    complaints(browser), asked(browser)
    show(browser, page, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.execute_script("return window.innerWidth") == width
    assert width_of(browser) <= width
    wide = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1"
        " && !one.closest('.wide')).map(one => one.outerHTML.slice(0, 200))"
    )
    assert not wide
    cut = browser.execute_script(
        "return [...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth + 1"
        " && getComputedStyle(one).overflowX !== 'auto').map(one => one.outerHTML.slice(0, 200))"
    )
    assert not cut  # a wide table scrolls by itself
    assert not complaints(browser)
    assert asked(browser) == {page}


CONTRASTS = """
const light = colour => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255).map(
    v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const under = one => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour;
  }
  return 'rgb(255, 255, 255)';
};
const found = [];
for (const one of document.querySelectorAll('body *')) {
  const style = getComputedStyle(one);
  const shape = one.matches('svg path, svg rect') && style.fill !== 'none';
  const text = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && one.tagName !== 'SCRIPT';
  if (!shape && !text) continue;
  const [a, b] = [light(shape ? style.fill : style.color), light(under(one))].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), shape, one.outerHTML.slice(0, 120)]);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_colours_can_be_told_apart(browser, page, scheme):
    """WCAG 2 asks for 4.5 of text, and for 3 of what is drawn."""
    show(browser, page, DESK, scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 500 and any(shape for _, shape, _ in found)
    assert not [one for one in found if one[0] < (3 if one[1] else 4.5)]


def test_nothing_that_it_shows_runs_or_becomes_an_element(browser, page):
    show(browser, page, DESK)
    tags = browser.execute_script("return [...new Set([...document.querySelectorAll('*')].map(one => one.tagName))]")
    assert not {"IMG", "IFRAME", "OBJECT", "FORM", "INPUT"} & set(tags)
    assert browser.execute_script("return document.scripts.length") == 0
    names = browser.execute_script(
        "return [...document.querySelectorAll('.column > summary .name')].map(e => e.textContent)"
    )
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3]} <= set(names)
    assert browser.title == "seqcols report 20260101T000000-00000000"


def test_the_index_opens_the_column_that_it_leads_to(browser, page):
    show(browser, page, PHONE)
    opened = "return document.querySelectorAll('.column[open]').length"
    assert browser.execute_script(opened) == 0
    (link,) = [one for one in browser.find_elements("css selector", "table a") if one.text == "temperature"]
    browser.execute_script("arguments[0].click()", link)
    assert browser.execute_script(opened) == 1
    shown = browser.execute_script("return document.querySelector('.column[open] > summary .name').textContent")
    assert shown == "temperature"
    top = browser.execute_script("return document.querySelector('.column[open] > summary').getBoundingClientRect().top")
    assert 0 <= top < 400


def test_it_prints_whole_with_every_column_unfolded(browser, page):
    show(browser, page, 800, "dark", media="print")
    hidden = browser.execute_script(
        "return [...document.querySelectorAll('.column figure')].filter(one => !one.checkVisibility()).length"
    )
    assert hidden == 0 and browser.execute_script("return document.querySelectorAll('.column figure').length") > 40
    assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert width_of(browser) <= 800
    made = base64.b64decode(
        browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.7})["data"]
    )
    assert (
        made.startswith(b"%PDF-")
        and made.count(b"/Type /Page\n") + made.count(b"/Type/Page") + made.count(b"/Type /Page ") > 8
    )
    (FOLDER / "print.pdf").write_bytes(made)


def test_screenshots_are_left_to_be_looked_at(browser, page):
    found = {}
    for width, scheme in SIZES:
        show(browser, page, width, scheme)
        height = browser.execute_script("return Math.min(document.documentElement.scrollHeight, 6000)")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        found[width, scheme] = base64.b64decode(shot["data"])
        (FOLDER / f"{width}-{scheme}.png").write_bytes(found[width, scheme])
    assert all(one.startswith(b"\x89PNG") and len(one) > 50_000 for one in found.values())
    assert all(first != second for first, second in itertools.combinations(found.values(), 2))
