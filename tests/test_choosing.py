"""The page that compares seqcols with others has the figures of the last benchmarks."""

from __future__ import annotations

import re

import pytest

from tests.benchmarks.jobs import OURS, TFT
from tests.benchmarks.results import load
from tests.test_contributing import ROOT
from tests.test_docs import TEXTS

RESULTS = load(ROOT / "docs" / "benchmarks.json")
SIZES = (200_000, 800_000)
POLARS = "Polars"


def gigabytes(job: str, contender: str, rows: int) -> float:
    return RESULTS[job].median(contender, rows, "peak") / 1e9


def seconds(job: str, contender: str, rows: int) -> float:
    return RESULTS[job].median(contender, rows, "wall")


def microseconds(job: str, contender: str) -> float:
    return RESULTS[job].slope(contender, SIZES, "cpu") * 1e6


J1 = RESULTS["J1"]
SLOWER = J1.slope("MLTransform", (5_000, 20_000), "wall") / J1.slope(OURS, SIZES, "wall")
WORDS = [
    (
        r"it takes (\S+) µs of CPU a row, and (\S+) GB for 800,000 rows",
        [microseconds("J1", TFT), gigabytes("J1", TFT, 800_000)],
    ),
    (
        r"seqcols takes (\S+) µs and (\S+) GB, and (\S+) GB for 3.2 million rows",
        [microseconds("J1", OURS), gigabytes("J1", OURS, 800_000), gigabytes("J1", OURS, 3_200_000)],
    ),
    (r"\((\S+) s against (\S+) s\)", [seconds("J4", TFT, 1_000), seconds("J4", OURS, 1_000)]),
    (r"takes (\S+) times as long for a row", [SLOWER]),
    (
        r"\(J2\), 800,000 rows \| (\S+) s, (\S+) GB \| (\S+) s, (\S+) GB",
        [figure("J2", who, 800_000) for who in (POLARS, OURS) for figure in (seconds, gigabytes)],
    ),
    (
        r"\(J5\), 40 million events \| (\S+) s, (\S+) GB \| (\S+) s, (\S+) GB",
        [figure("J5", who, 40_000_000) for who in (POLARS, OURS) for figure in (seconds, gigabytes)],
    ),
]


@pytest.mark.parametrize(("words", "figures"), WORDS, ids=["TFT", "ours", "few", "MLTransform", "J2", "J5"])
def test_figures_are_those_of_the_last_benchmarks(words, figures):
    """Within a sixth: a measurement differs by some percent from the one before."""
    shown = re.search(words, " ".join(TEXTS["docs/choosing.md"].split()))
    assert shown, words
    assert [float(text) for text in shown.groups()] == pytest.approx(figures, rel=1 / 6)
