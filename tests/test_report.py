"""`report.html`: what it says is what the data say, and nothing that it shows can do anything."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import load
from pipeline.command import demo
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import distributions
from pipeline.dataset.manifest import read as read_manifest
from pipeline.report import charts
from pipeline.verify.verify import verify
from tests.bins import bins_of
from tests.jobs import done, read_arrays, read_json
from tests.marks import slow_but
from tests.reports import Element, made_of, parsed, rendered
from transforms import (
    SequenceGroup,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.distributions import facts, histograms, spans
from transforms.distributions.facts import Timed

QUANTILES = charts.QUANTILES


def number(text: str) -> float:
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("value", [0.0, 7.0, 1.7e18, -(2.0**62), 1e300])
def test_one_number_has_a_bar_however_large_it_is(value, whole):
    """Next to 1.7e18, a time in nanoseconds, there is no number within 0.5."""
    bins = bins_of(np.zeros(1, np.float32))
    with np.errstate(all="raise", under="ignore"):
        chart = charts.chart(spans.of_bins(bins, np.array([5]), value, whole))
    assert chart is not None and chart.path and chart.outside == 0
    assert chart.low <= value <= chart.high


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> dict[str, Any]:
    """The demo, with a column that lies far from 0."""
    folder = tmp_path_factory.mktemp("report")
    columns, pattern, output = demo.make_sample(str(folder))
    assert done(load(columns), pattern, output).status == "done"
    path = Path(output) / "report.html"
    return {"root": output, "page": parsed(path.read_text("utf-8")), "arrays": read_arrays(output), "path": path}


def known_of(root: str | Path) -> facts.Facts:
    """Returns the lengths and distributions of a data set."""
    return distributions.read(read_manifest(str(root)))[facts.FITTED]


def column(page: Element, name: str) -> Element:
    (link,) = [one for one in page.all("a") if one.text == name]
    inside = (link.attributes["href"] or "").removeprefix("#")
    (found,) = [one for one in page.all("details", class_="column") if one.all(id=inside)]
    return found


def quantiles(part: Element) -> dict[str, list[float]]:
    """Returns the first table of quantiles, by the title of its row."""
    table = part.all("table", class_="figures quantiles")[0]
    return {cells[0]: [number(cell) for cell in cells[1:]] for cells in table.rows()[1:]}


def test_rows_and_reasons_are_the_ledgers(job):
    rows = read_json(job["root"], "ledger.json")["rows"]
    tiles = [one.text for one in job["page"].all("ul", class_="tiles")[0].all("li")]
    assert tiles == [f"{rows['read']:,} read", f"{rows['written']:,} written", f"{rows['rejected']:,} rejected (1.0 %)"]
    reasons = {cells[0]: int(cells[1]) for cells in job["page"].all("table")[0].rows()[1:]}
    assert reasons == rows["rejected_by_reason"]
    shown = [one for one in job["page"].all("table", class_="cards")]
    assert [len(one.rows()) - 1 for one in shown] == [3] * len(reasons)
    assert "5017 at step 6" in job["page"].text


def test_the_index_has_the_shares_that_the_ledger_gives(job):
    book = read_json(job["root"], "ledger.json")
    (index,) = [
        one for one in job["page"].all("table") if one.rows()[0][0] == "column" and one.rows()[0][-1] == "nulls"
    ]
    lines = {cells[0]: cells[1:] for cells in index.rows()[1:]}
    for name, counts in book["columns"].items():
        assert number(lines[name][0]) == counts["kept"]
        places = counts["kept"] + counts["completed"] + counts["padded"]
        for cell, part, whole in (
            (lines[name][1], counts["padded"], places),
            (lines[name][2], counts["truncated"], counts["truncated"] + counts["kept"]),
        ):
            if cell != "–":
                assert abs(number(cell.removesuffix(" %")) - 100 * part / whole) <= 0.05
    assert lines["videos"][1] != "–" and lines["viewer"][1] == "–"


def test_numbers_before_and_after_normalising_are_those_of_the_data(job):
    """The arrays are read back with TensorFlow; what stood before is the z-score undone."""
    mask, written = job["arrays"]["watch_mask"].astype(bool), job["arrays"]["watched"]
    statistics = read_json(job["root"], "statistics.json")["columns"]["watched"]
    part = column(job["page"], "watched")
    tables = part.all("table", class_="figures quantiles")
    assert len(tables) == 2
    for dimension, table in enumerate(tables):
        after = written[mask][:, dimension]
        before = after * np.sqrt(statistics["variance"][dimension]) + statistics["mean"][dimension]
        lines = {cells[0]: [number(cell) for cell in cells[1:]] for cells in table.rows()[1:]}
        for found, values in ((lines["before"], before), (lines["after"], after)):
            expected = np.quantile(values, QUANTILES)
            spread = expected[-1] - expected[0]
            assert np.abs(found - expected).max() <= (np.abs(expected) / 16 + spread / 50).max()
    count = f"{int(mask.sum()):,} values"
    assert part.text.count(count) >= 4


def test_gaps_that_are_filled_are_no_values(job):
    observed = job["arrays"]["temperature_observed"].astype(bool)
    assert f"{int(observed.sum()):,} values" in column(job["page"], "temperature").text
    expected = np.quantile(job["arrays"]["temperature"][observed], QUANTILES)
    assert np.abs(quantiles(column(job["page"], "temperature"))["after"] - expected).max() < 0.1


def test_the_most_frequent_ids_are_those_of_the_data(job):
    ids = job["arrays"]["videos"][job["arrays"]["watch_mask"].astype(bool)]
    found, counts = np.unique(ids, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:10]
    (table,) = [one for one in column(job["page"], "videos").all("table") if one.rows()[0][0] == "most frequent"]
    assert [(number(a), number(b)) for a, b, _ in table.rows()[1:]] == list(
        zip(found[order], counts[order], strict=True)
    )
    assert f"{len(ids):,} ids; {len(found):,} different ones" in column(job["page"], "videos").text


def test_lengths_are_those_of_accepted_rows(job):
    stats = read_json(job["root"], "statistics.json")["groups"]["watch"]
    lengths = np.repeat(*np.array(stats["histogram"]).T)
    line = next(cells for cells in job["page"].rows() if cells[0] == "steps")
    assert np.abs([number(cell) for cell in line[1:]] - np.quantile(lengths, QUANTILES)).max() <= 5
    assert f"longest {stats['max']}" in column(job["page"], "videos").text


def test_it_says_how_long_each_pass_took(job):
    parts = [cells for cells in job["page"].all("table", class_="times")[0].rows()[1:]]
    assert [cells[0] for cells in parts] == [
        "prepare",
        "pass 1: read, analyse",
        "fit, make the graph",
        "pass 2: read, normalise, write",
        "check and publish",
    ]
    known = known_of(job["root"])
    assert known is not None
    ((_, timed),) = known.times.items()
    assert all(first.ended == second.began for first, second in itertools.pairwise(timed))
    assert all(part.began <= part.ended for part in timed)


def test_it_is_named_by_the_manifest_and_verified(job, tmp_path):
    content = read_manifest(job["root"]).content
    assert content["report"] == "report.html" and len(content["report_sha256"]) == 64
    text = job["path"].read_bytes()
    try:
        job["path"].write_bytes(text.replace(b"2,000", b"3,000"))
        assert [line.partition("report.html: ")[2] for line in verify(job["root"], most=0).faults] == [
            "its SHA-256 is not what the manifest says"
        ]
        job["path"].unlink()
        assert verify(job["root"], most=0).faults == [f"{job['path']}: is missing"]
    finally:
        job["path"].write_bytes(text)
    assert not verify(job["root"], most=0).faults


@pytest.mark.slow
def test_two_runs_count_alike_but_for_the_times(job, tmp_path):
    demo_again = demo.make_sample(str(Path(job["root"]).parent))
    done(load(demo_again[0]), demo_again[1], tmp_path / "out", workers=2)
    first, second = (known_of(root) for root in (job["root"], tmp_path / "out"))
    assert first is not None and second is not None
    assert (first.lengths, first.sums, first.centres) == (second.lengths, second.sums, second.centres)
    assert first.counts.keys() == second.counts.keys()
    for key, (bins, counts) in first.counts.items():
        assert (bins == second.counts[key][0]).all() and (counts == second.counts[key][1]).all()
    assert first.times != second.times
    for name in ("ledger.json", "statistics.json"):
        assert "began" not in json.dumps(read_json(tmp_path / "out", name))


@pytest.mark.slow
def test_values_far_from_zero_have_narrow_bins_and_a_large_input_is_sampled(tmp_path, monkeypatch):
    generator = np.random.default_rng(2)
    pressure = generator.normal(1013, 6, (3000, 4))
    path = tmp_path / "in.tfrecord"
    write_examples(str(path), [{"p": list(row)} for row in pressure])
    monkeypatch.setattr(histograms, "COUNTED_WHOLE", path.stat().st_size // 2 + 1)
    spec = make_spec([sequence_numeric_column("p", normalizer_fn="z_score")], SequenceGroup(max_length=4))
    done(spec, path, tmp_path / "out")
    page = parsed((tmp_path / "out" / "report.html").read_text("utf-8"))
    known = known_of(tmp_path / "out")
    assert known is not None and known.one_in == 2
    counted, rows = known.rows
    assert rows == 3000 and 1300 < counted < 1700
    assert f"{counted:,} rows, one in 2" in page.text
    found = quantiles(column(page, "p"))
    expected = np.quantile(pressure, QUANTILES)
    assert np.abs(found["before"] - expected).max() < 1.5  # a bin around 1,013 would be 32 wide
    assert sum(known.counts["p", "before", 0][1]) == counted * 4


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</title></style></svg></details>",
    "\x00\x1b[31m\u202egnp.exe",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "<!--",
    "x" * 3000,
]


@pytest.mark.parametrize("text", slow_but(HOSTILE, *HOSTILE[-5:-2]), ids=range(len(HOSTILE)))
def test_whatever_a_column_a_group_or_a_value_is_called_it_stays_text(text):
    spec = make_spec(
        [sequence_numeric_column(text, group=text), sequence_categorical_column_with_identity("i", 3, group="g")],
        {text: SequenceGroup(max_length=3), "g": SequenceGroup(max_length=2)},
    )
    page = made_of(spec, [{text: [1.0, 2.0], "i": [0]}, {text: [3.0], "i": [9]}], [Timed(text, 0, 5)]).decode()
    elements = parsed(page)
    plain = parsed(
        made_of(
            make_spec(
                [sequence_numeric_column("x", group="h"), sequence_categorical_column_with_identity("i", 3, group="g")],
                {"h": SequenceGroup(max_length=3), "g": SequenceGroup(max_length=2)},
            ),
            [{"x": [1.0, 2.0], "i": [0]}, {"x": [3.0], "i": [9]}],
            [Timed("t", 0, 5)],
        ).decode()
    )
    assert shape(elements) == shape(plain)  # not one element or attribute more
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", page)
    shown = text.replace("\x00", "\\x00").replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert " ".join((shown if len(shown) <= 200 else shown[:200] + "…").split()) in elements.text


def shape(element: Element) -> Any:
    inside = [shape(one) for one in element.inside if isinstance(one, Element)]
    return element.tag, sorted(element.attributes), inside


def test_rejected_rows_and_files_are_escaped():
    spec = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=3))
    book: dict[str, Any] = {
        "rows": {"read": 1, "written": 0, "rejected": 1, "rejected_by_reason": {"bad_record": 1}},
        "columns": {"x": dict.fromkeys(("values", "kept", "padded", "truncated", "rejected", "completed"), 0)},
        "files": {HOSTILE[0]: {"rows": {"read": 1, "written": 0, "rejected": 1}}},
        "skipped_files": [{"path": HOSTILE[1], "bytes": 3, "reason": HOSTILE[2]}],
    }
    book["columns"]["x"] |= dict.fromkeys(
        ("replaced", "filled", "non_finite", "nulls", "present", "absent", "empty"), 0
    )
    by_key = {"link": 0, "per": "key", "key": HOSTILE[1], "keys": 1234, "by_key": {HOSTILE[2]: {}}}
    columns = {"x": {"fitted": [by_key, {"link": 1, "quantiles": {"0.5": [2.0]}}]}}
    stats = {"rows": 0, "columns": columns, "groups": {"sequence": {"T": 3}}}
    known = facts.Facts({}, {}, {}, {})
    bad = {"file": HOSTILE[3], "row": 1, "column": HOSTILE[4], "value": HOSTILE[0], "message": HOSTILE[1]}
    page = parsed(rendered(spec, book, stats, known, {"bad_record": [bad]}, columns_file=HOSTILE[7]).decode())
    assert not page.all("script") and not page.all("img")
    assert HOSTILE[7] in page.text and "key: <b>key</b>}" in page.text
    for text in HOSTILE[:5]:
        assert text in page.text
    assert f"Link 1 of the normaliser, by key {HOSTILE[1]} (1,234 keys)" in page.text
    assert "Link 2 of the normaliser; quantiles 0.5: 2" in page.text


def test_the_columns_file_is_shown_as_the_manifest_has_it(job):
    (text,) = job["page"].all("pre")
    lines = [line for line in "".join(one for one in text.inside if isinstance(one, str)).splitlines() if line]
    assert lines == read_manifest(job["root"]).content["columns"].splitlines()
    (section,) = [one for one in job["page"].all("section") if one.all("pre")]
    assert section.text.startswith(f"Columns file The columns {len(lines)} lines")  # they were given in Python


def test_a_column_with_a_vocabulary_shows_its_words(tmp_path):
    words = [["tea"] * 3, ["<b>", "<b>", "rum", "gin"], ["", "tea"]]
    pq.write_table(pa.table({"w": words, "v": words}), tmp_path / "in.parquet")
    columns = [
        sequence_categorical_column_with_learned_vocabulary("w", top_k=3, num_oov_buckets=1),
        sequence_categorical_column_with_vocabulary_list("v", ["tea", "gin", "unseen"]),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=4))
    root = tmp_path / "out"
    done(spec, tmp_path / "in.parquet", root, columns_file="shop/<columns>.yaml")
    page = parsed((root / "report.html").read_text("utf-8"))

    def top(name: str) -> list[list[str]]:
        (table,) = [one for one in column(page, name).all("table") if one.rows()[0][0].startswith("most frequent")]
        return table.rows()

    assert top("w") == [
        ["most frequent words", "id", "times", "share"],
        ["tea", "0", "4", "44.4 %"],
        ["<b>", "1", "2", "22.2 %"],
        ["(unknown words)", "3", "2", "22.2 %"],  # rum, and the empty word
        ["gin", "2", "1", "11.1 %"],
    ]
    assert [row[:3] for row in top("v")[1:]] == [["tea", "0", "4"], ["gin", "1", "1"]]
    assert "shop/<columns>.yaml" in page.text
    assert read_manifest(str(root)).content["columns_file"] == "shop/<columns>.yaml"


def test_nothing_is_fetched_and_nothing_runs(job):
    page = job["page"]
    for element in page.all():
        assert element.tag not in ("img", "iframe", "object", "embed", "form", "audio", "video", "base", "use")
        assert not any(name.startswith("on") for name in element.attributes)
        for name in ("src", "href", "action", "data", "xlink:href"):
            value = element.attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", (element.tag, value)
    (style,) = page.all("style")
    assert "url(" not in style.text and "@import" not in style.text
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in (policy.attributes["content"] or "")


def test_it_can_be_read_without_seeing_it(job):
    page = job["page"]
    assert page.all("html", lang="en")
    names = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(names) == len(set(names))
    assert all(one.attributes.get("aria-label") for one in page.all("svg"))
    assert all(one.attributes.get("scope") in ("col", "row") for one in page.all("th"))
    levels = [int(one.tag[1]) for one in page.all() if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for target in [one.attributes["href"] for one in page.all("a")]:
        assert (target or "").removeprefix("#") in names


@pytest.mark.slow
def test_hundreds_of_columns_are_folded_behind_an_index():
    names = [f"column_{k:03d}" for k in range(300)]
    spec = make_spec([sequence_numeric_column(name) for name in names], SequenceGroup(max_length=8))
    generator = np.random.default_rng(0)
    rows = [{name: generator.normal(0, 1, 5).tolist() for name in names} for _ in range(50)]
    made = made_of(spec, rows)
    assert len(made) < 3_000_000
    page = parsed(made.decode())
    found = page.all("details", class_="column")
    assert len(found) == 300 and not any("open" in one.attributes for one in found)
    assert [one.text for one in page.all("a") if one.text.startswith("column_")] == names


def test_an_empty_data_set_has_a_report():
    spec = make_spec(
        [sequence_numeric_column("x"), numeric_column("y", default_value=1.0)], SequenceGroup(max_length=2)
    )
    page = parsed(made_of(spec, []).decode())
    assert "No row was rejected." in page.text and "No lengths were counted." in page.text


def test_length_buckets_are_told():
    group = SequenceGroup(max_length=8, bucket_by_length=[2, 4])
    page = parsed(made_of(make_spec([sequence_numeric_column("x")], group), [{"x": [1.0] * 9}]).decode())
    (groups,) = [one for one in page.all("table") if one.rows()[0][:2] == ["group", "T"]]
    assert groups.rows()[1][:2] == ["sequence", "2, 4, 8"]
    assert "longer than T = 8" in page.text


def test_unknown_words_have_their_share():
    columns = [
        categorical_column_with_vocabulary_list("buckets", ["a", "b"], num_oov_buckets=3),
        categorical_column_with_vocabulary_list("none", ["a", "b"]),
        categorical_column_with_vocabulary_list("word", ["a", "b"], default_value=1),
        passthrough_column("key"),
    ]
    rows = [{"buckets": [w], "none": [w], "word": [w], "key": w} for w in ["a", "b", "x", "y"]]
    page = parsed(made_of(make_spec(columns), rows).decode())
    (index,) = [one for one in page.all("table") if one.rows()[0][-1] == "nulls"]
    assert {cells[0]: cells[4] for cells in index.rows()[1:]} == {
        "buckets": "50.0 %",
        "none": "50.0 %",
        "word": "not known",
        "key": "–",
    }
