"""Pages that quote the benchmarks have the figures of the last ones. `make bench ARGS=--write` runs this, too."""

from __future__ import annotations

import re

import pytest

from tests.benchmarks import data
from tests.benchmarks.jobs import OURS, TFT
from tests.benchmarks.results import load
from tests.test_contributing import ROOT
from tests.test_docs import TEXTS

RESULTS = load(ROOT / "docs" / "benchmarks.json")
SIZES, LARGE = (200_000, 800_000), (800_000, 3_200_000)
POLARS = "Polars"


def gigabytes(job: str, contender: str, rows: int) -> float:
    return RESULTS[job].median(contender, rows, "peak") / 1e9


def seconds(job: str, contender: str, rows: int) -> float:
    return RESULTS[job].median(contender, rows, "wall")


def microseconds(job: str, contender: str, sizes: tuple[int, int] = SIZES) -> float:
    return RESULTS[job].slope(contender, sizes, "cpu") * 1e6


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


@pytest.mark.parametrize(("job", "kind", "sizes"), [("J1", "tfrecord", LARGE), ("J2", "parquet", SIZES)])
def test_the_cost_of_1_tb_is_that_of_the_benchmarks(job, kind, sizes, tmp_path):
    """Within a quarter: figures of a new measurement may differ by some percent."""
    rows = 10_000  # a row group
    data.make(tmp_path, rows, kind, files=1)
    size = sum(path.stat().st_size for path in tmp_path.rglob(f"*.{kind}")) / rows
    shown = re.search(rf"\({job}\) \| ([\d.]+) µs \| ([\d.]+) \| ([\d.]+) \|", TEXTS["deploy/dataflow/README.md"])
    assert shown
    assert float(shown[1]) == pytest.approx(microseconds(job, OURS, sizes), rel=0.25)
    assert float(shown[2]) == pytest.approx(size, rel=0.05)
    assert float(shown[3]) == pytest.approx(1e12 / float(shown[2]) * float(shown[1]) * 1e-6 / 3600, rel=0.02)


def test_the_large_run_on_paper_is_that_of_the_benchmarks():
    shown = re.search(r"some (\d+) core-hours, at (\d+) microseconds a row", TEXTS["deploy/README.md"])
    assert shown and int(shown[2]) == pytest.approx(microseconds("J1", OURS, LARGE), rel=0.25)
    assert int(shown[1]) == pytest.approx(11.5e9 * int(shown[2]) * 1e-6 / 3600, rel=0.02)


def test_the_readme_has_the_figures_of_the_benchmarks():
    words = (
        r"it takes (\S+) of the CPU a row and (\S+) of the memory of tf.Transform in its recommended form, and is (\S+) times as "
        r"fast a row as MLTransform; 3.2 million rows take (\S+) of the memory of 800,000. Of events to sequences, 40 million "
        r"take (\S+) s and (\S+) GB, and Polars (\S+) s and (\S+) GB"
    )
    memory, few = (gigabytes("J1", OURS, 800_000), gigabytes("J1", TFT, 800_000)), microseconds("J1", OURS)
    figures = [
        few / microseconds("J1", TFT),
        memory[0] / memory[1],
        SLOWER,
        gigabytes("J1", OURS, 3_200_000) / memory[0],
    ]
    figures += [figure("J5", who, 40_000_000) for who in (OURS, POLARS) for figure in (seconds, gigabytes)]
    shown = re.search(words, " ".join(TEXTS["README.md"].split()))
    assert shown
    assert [float(text) for text in shown.groups()] == pytest.approx(figures, rel=0.05)
