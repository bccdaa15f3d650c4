"""The page of `seqcols compare` in a real headless browser: `make report-test`, as `tests/test_report_browser.py`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.compare.comparison import compare
from pipeline.compare.view import html
from tests.bins import bins_of
from tests.test_compare import side
from tests.test_report import HOSTILE
from tests.test_report_browser import (
    CONTRASTS,
    DESK,
    FOLDER,
    asked,
    browser,
    complaints,
    show,
    width_of,
)
from transforms import categorical_column_with_vocabulary_list, make_spec, sequence_numeric_column
from transforms.distributions.histograms import BEFORE, IDS

pytestmark = pytest.mark.browser
__all__ = ["browser"]

PHONE = 390
SIZES = [(width, scheme) for width in (PHONE, DESK) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The address of the page of two data sets with hostile names, numbers and words, one of them on one side only."""
    generator = np.random.default_rng(0)
    made: list[Any] = []
    for k in range(2):
        name = f"{HOSTILE[0]} a rather long name of a directory/of-a-day-{k}"
        one = sequence_numeric_column(HOSTILE[1])
        bins, counts = np.unique(bins_of(generator.normal(k, 2, 5000).astype(np.float32)), return_counts=True)
        own = side(
            make_spec([one]), name, {(one.name, BEFORE, 0): dict(zip(bins.tolist(), counts.tolist(), strict=True))}
        )
        word = categorical_column_with_vocabulary_list("word", ["a", "b"], num_oov_buckets=1)
        words = (HOSTILE[2].encode(), f"{HOSTILE[3]}{k}".encode())
        more = side(make_spec([word]), name, {("word", IDS, -1): {1: 5 + k, 2: 5, 3: k}}, words)
        last = side(make_spec([sequence_numeric_column(f"only {k}")]), name, {})
        parts = (own, more, last)
        ledger = {**own.ledger, "columns": {key: v for part in parts for key, v in part.ledger["columns"].items()}}
        ledger["rows"] = {**ledger["rows"], "rejected_by_reason": {"bad_record": k}}
        columns = {key: v for part in parts for key, v in part.statistics["columns"].items()}
        lengths = {"rows": 90, "mean": 30.5 + k, "max": 79, "histogram": [[at, 1 + k * (at > 60)] for at in range(80)]}
        counted = {**own.facts.counts, **more.facts.counts} if own.facts and more.facts else {}
        known = type(own.facts)({}, {}, counted, {}, most_ids=256) if own.facts else None
        groups = {HOSTILE[4]: {"T": 64, **lengths}}
        spec = make_spec([one, word, sequence_numeric_column(f"only {k}")])
        made.append(
            type(own)(
                name,
                "run",
                "2026-01-01",
                ledger,
                {"columns": columns, "groups": groups},
                known,
                spec,
                more.words,
                ("a note",),
            )
        )
    path = tmp_path_factory.mktemp("page") / "compared.html"
    path.write_bytes(html(compare(*made)))
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    return f"file://{path}"


@pytest.mark.parametrize("width, scheme", SIZES)
def test_it_fits_and_is_silent(browser, page, width, scheme):
    browser.get("about:blank")  # what a new browser asks for itself is over then
    complaints(browser), asked(browser)
    show(browser, page, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert width_of(browser) <= width
    wide = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1"
        " && !one.closest('.wide')).map(one => one.outerHTML.slice(0, 200))"
    )
    assert not wide and not complaints(browser) and asked(browser) == {page}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    (FOLDER / f"compared-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_colours_can_be_told_apart(browser, page, scheme):
    show(browser, page, DESK, scheme)
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 100 and any(shape for _, shape, _ in found)
    assert not [one for one in found if one[0] < (3 if one[1] else 4.5)]


def test_bars_and_outline_share_one_box(browser, page):
    show(browser, page, DESK)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('svg.over')].map(one => [one, ...one.querySelectorAll('path')].map("
        "e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }))"
    )
    assert len(boxes) == 2
    for whole, *paths in boxes:
        assert len(paths) == 2 and max(whole[3] - path[1] for path in paths) > 0.95 * (whole[3] - whole[1])
        for left, top, right, bottom in paths:
            assert left >= whole[0] - 2 and right <= whole[2] + 2 and top >= whole[1] - 2 and bottom <= whole[3] + 2


def test_nothing_that_it_shows_becomes_an_element(browser, page):
    show(browser, page, DESK)
    tags = browser.execute_script("return [...new Set([...document.querySelectorAll('*')].map(one => one.tagName))]")
    assert not {"IMG", "IFRAME", "OBJECT", "FORM", "INPUT", "SCRIPT"} & set(tags)
    names = browser.execute_script(
        "return [...document.querySelectorAll('.column > summary .name')].map(e => e.textContent)"
    )
    assert {HOSTILE[1], HOSTILE[4], "only 0", "only 1", "word"} == set(names)


def test_a_link_leads_to_its_column(browser, page):
    show(browser, page, PHONE)
    (link,) = [one for one in browser.find_elements("css selector", "table a") if one.text == "word"]
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = false)")
    browser.execute_script("arguments[0].click()", link)
    assert (
        browser.execute_script("return document.querySelector('.column[open] > summary .name').textContent") == "word"
    )
