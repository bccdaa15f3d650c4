"""`seqcols compare`: figures are those of the rows, what cannot be compared is named, and no row is read."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.compare import categories, limits, text, view
from pipeline.compare.comparison import Comparison, compare
from pipeline.compare.described import Described, described, read
from pipeline.compare.limits import DriftLimits
from pipeline.compare.measures import Compared
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.report.page import page
from pipeline.report.view import view as report_view
from pipeline.verify.verify import verify
from tests import two_days
from tests.bins import bins_of
from tests.jobs import call, read_json
from tests.prepared import put_manifest
from tests.reports import parsed
from tests.test_drift import written_out
from tests.test_report import HOSTILE
from transforms import (
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
)
from transforms.distributions import facts
from transforms.distributions.histograms import AFTER, BEFORE, IDS, UNKNOWN
from transforms.errors import JobError


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("days")
    return two_days.make(folder, False), two_days.make(folder, True)


@pytest.fixture(scope="module")
def compared(days) -> Comparison:
    return compare(*map(read, days))


def part(compared: Comparison, name: str) -> Compared:
    (found,) = [one for one in compared.parts if one.name == name]
    return found


def figures(one: Compared) -> dict[str, tuple[Any, Any]]:
    return {figure.label: figure.sides for figure in one.figures}


def good(second: bool) -> list[dict[str, Any]]:
    return [row for k, row in enumerate(two_days.rows_of(second)) if k % 50 != 1 + second]


def test_a_data_set_does_not_differ_from_itself(days):
    for day in days:
        same = compare(read(day), read(day))
        assert {one.name: one.drift for one in same.parts if one.drift} == {}
        assert sum(one.drift is not None for one in same.parts) == 9  # all but the pass-through column
        assert not any(one.fault for one in same.parts)
        for one in same.parts:
            assert all(first == second for first, second in figures(one).values())
        assert call("compare", day, day, "--max-drift", 0).exit_code == 0


def test_rows_are_the_ledgers(days, compared):
    books = [read_json(day, "ledger.json")["rows"] for day in days]
    sides = {figure.label: figure.sides for figure in compared.rows}
    assert sides["written"] == tuple(book["written"] for book in books) == (392, 392)
    assert sides["share rejected"] == (8 / 400, 8 / 400)
    assert {figure.label: figure.sides for figure in compared.reasons} == {"out_of_range": (8, 8)}


def test_lengths_are_those_of_accepted_rows(compared):
    lengths = [Counter(len(row["pressure"]) for row in good(second)) for second in (False, True)]
    each = sorted({*lengths[0], *lengths[1]})
    expected = written_out(*([own[length] for length in each] for own in lengths))
    found = part(compared, "sequence")
    assert found.drift == pytest.approx(expected, rel=1e-9) and found.measures[0].numbers == (392, 392)
    assert found.notes == ["another T: 10, 12"]
    assert figures(found)["longest"] == (8, 13)


def test_ids_differ_by_the_largest_difference_of_shares(compared):
    counts = [
        Counter(itertools.chain.from_iterable(row["item"][: 12 if second else 10] for row in good(second)))
        for second in (False, True)
    ]
    shares = [{item: n / sum(own.values()) for item, n in own.items()} for own in counts]
    expected = max(abs(shares[0].get(item, 0) - shares[1].get(item, 0)) for item in {**shares[0], **shares[1]})
    (measure,) = part(compared, "item").measures
    assert measure.drift == pytest.approx(expected, rel=1e-12)
    label, *sides = measure.categories[0]
    assert label == "7" and sides == pytest.approx([own[7] for own in shares])


def test_words_are_compared_by_word_and_those_of_one_side_are_not_lost(compared):
    """An id means another word on the other day; of a word that the other does not know it holds at most what was unknown."""
    shares = [Counter(row["colour"] for row in good(second)) for second in (False, True)]
    found = part(compared, "colour")
    assert found.drift == pytest.approx(shares[0]["red"] / 392)
    assert figures(found)["out of vocabulary or range"] == pytest.approx((shares[0]["mauve"] / 392, 0.0))
    assert shares[0]["mauve"] == 20
    labels = {label: sides for label, *sides in found.measures[0].categories}
    assert labels["word 'green'"] == pytest.approx([own["green"] / 392 for own in shares])
    assert labels[next(label for label in labels if label.startswith("word 'red', of "))] == [
        shares[0]["red"] / 392,
        0.0,
    ]
    assert "another vocabulary_list: ('red', 'green', 'blue'), ('green', 'blue', 'cyan')" in found.notes
    assert "words that are known on one side only: 1 and 1" in found.notes


def test_learned_words_are_compared_by_word(compared):
    shares = [Counter(row["shop"] for row in good(second)) for second in (False, True)]
    expected = max(abs(shares[0][word] - shares[1][word]) / 392 for word in {**shares[0], **shares[1]})
    assert part(compared, "shop").drift == pytest.approx(expected)


def test_numbers_are_those_that_were_read_not_the_normalised_ones(compared, days):
    """Either day has a mean of 0 and a deviation of 1 after its own z_score."""
    found = part(compared, "pressure")
    # Five millibars apart with a deviation of four: the integral by many points.
    x = np.linspace(980, 1050, 20_000)
    p, q = (np.exp(-(((x - mean) / 4) ** 2) / 2) for mean in (1013, 1018))
    exact = written_out_of(p, q)
    (measure,) = found.measures
    assert measure.drift == pytest.approx(exact, rel=0.1) and measure.drift > 10 * (measure.by_chance or 1)
    known = read(days[0]).facts
    assert known is not None and any(known.centres["pressure"])  # which differs from day to day
    assert figures(found)["mean"] == pytest.approx((1013, 1018), abs=0.4)
    assert [measure.of for measure in part(compared, "pair").measures] == ["dimension 0", "dimension 1"]
    assert all(measure.drift < 0.02 for measure in part(compared, "pair").measures)


def written_out_of(p: np.ndarray, q: np.ndarray) -> float:
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    return float((p * np.log2(p / m) + q * np.log2(q / m)).sum() / 2)


def test_presence_is_set_side_by_side(compared):
    held = [np.mean(["age" in row for row in two_days.rows_of(second)]) for second in (False, True)]
    assert figures(part(compared, "age"))["rows that hold it"] == pytest.approx(held)


def test_what_cannot_be_compared_is_named_and_comes_first(compared):
    faults = {one.name: one.fault for one in compared.parts if one.fault}
    assert set(faults) == {"old", "new", "hashed"} == {one.name for one in compared.parts[:3]}
    assert faults["old"].endswith("monday only") and faults["new"].endswith("tuesday only")
    assert faults["hashed"] == "its ids need not mean the same on both sides: there are 10 and 20"
    assert "another hash_bucket_size: 10, 20" in part(compared, "hashed").notes


def test_the_order_of_the_sides_changes_no_drift(days, compared):
    turned = compare(*map(read, reversed(days)))
    assert {one.name: one.drift for one in turned.parts} == pytest.approx(
        {one.name: one.drift for one in compared.parts}
    )


def test_beyond_the_limit_the_exit_code_is_4_and_columns_are_named(days):
    done = call("compare", *days, "--max-drift", 0.3, "--max-drift", "pressure=0.1", "--max-drift", "old=1")
    assert done.exit_code == 4
    lines = done.stderr.splitlines()
    assert lines[0] == "seqcols: error: 6 beyond --max-drift"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "column 'hashed'", "column 'old'", "column 'new'", "column 'colour'", "column 'item'", "column 'pressure'"
    ]  # fmt: skip
    assert lines[-1].startswith("  column 'pressure': Jensen-Shannon 0.2") and lines[-1].endswith(" of values > 0.1")
    assert "pressure" in done.stdout and "0.2" in done.stdout


def test_without_a_limit_nothing_is_too_much(days):
    done = call("compare", *days)
    assert done.exit_code == 0 and not done.stderr
    assert "share rejected" in done.stdout and "not comparable" in done.stdout


def test_json_holds_all_figures(days, compared):
    found = json.loads(call("compare", *days, "--json").stdout)
    assert found["columns"]["item"]["drift"] == part(compared, "item").drift
    assert found["columns"]["new"]["fault"].endswith("only") and found["beyond"] == []
    assert found["groups"]["sequence"]["figures"]["longest"] == [8, 13]
    assert found["rows"]["written"] == [392, 392]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["2"], "--max-drift: expected a number from 0 to 1, or COLUMN=NUMBER, got '2'"),
        (["x=nan"], "--max-drift: expected a number from 0 to 1, or COLUMN=NUMBER, got 'x=nan'"),
        (["much"], "--max-drift: expected a number from 0 to 1, or COLUMN=NUMBER, got 'much'"),
        (["0.1", "0.2"], "--max-drift: '0.2': expected one limit for 'all', got another one before"),
        (["a=0.1", "a=0.2"], "--max-drift: 'a=0.2': expected one limit for 'a', got another one before"),
    ],
)
def test_limits_that_are_none(given, message):
    with pytest.raises(UsageError) as error:
        limits.parsed(given)
    assert str(error.value) == message


def test_limits_of_a_name_with_an_equals_sign():
    assert limits.parsed(["a=b=0.5", "0"]) == DriftLimits(0.0, {"a=b": 0.5})


def test_a_limit_of_a_misspelt_column_is_refused(days):
    done = call("compare", *days, "--max-drift", "presure=0.1")
    assert done.exit_code == 2
    assert "neither side has a column or sequence group 'presure'; did you mean 'pressure'?" in done.stderr


def test_no_row_is_read(days, tmp_path):
    copies = [shutil.copytree(day, tmp_path / Path(day).name) for day in days]
    for copy in copies:
        for folder in ("examples", "rejected", "serving"):
            shutil.rmtree(copy / folder)
    found = compare(*(read(str(copy)) for copy in copies))
    assert {one.name: one.drift for one in found.parts} == {
        one.name: one.drift for one in compare(*map(read, days)).parts
    }


def test_a_data_set_of_before_is_compared_by_what_it_holds(days, tmp_path):
    old = shutil.copytree(days[0], tmp_path / "old")
    content = read_json(old, "manifest.json")
    del content["distributions"], content["json_sha256"]["distributions"]
    (old / "distributions.json").unlink()
    put_manifest(old, content)
    assert not verify(str(old), most=0).faults
    done = call("compare", old, days[1], "--max-drift", "pressure=0.9")
    assert done.exit_code == 4 and "how its values are distributed is not known of " in done.stderr
    assert "has no distributions.json, which older versions did not write" in done.stdout
    found = compare(read(str(old)), read(days[1]))
    assert part(found, "sequence").drift == part(compare(*map(read, days)), "sequence").drift
    assert figures(part(found, "pressure"))["mean"][0] == pytest.approx(1013, abs=0.4)


def test_damaged_distributions_are_missing_ones_and_verify_finds_them(days, tmp_path):
    out = shutil.copytree(days[0], tmp_path / "out")
    (out / "distributions.json").write_text("{")
    assert read(str(out)).facts is None
    assert any("distributions.json: its SHA-256" in fault for fault in verify(str(out), most=0).faults)
    (out / "ledger.json").write_text("[]")
    with pytest.raises(JobError, match=r"ledger\.json: cannot be read"):
        read(str(out))


def side(spec: Any, name: str, counts: Any, words: Any = None, most: int = 256, rows: int = 10) -> Described:
    """A data set of one column whose values were counted so."""
    packed = {key: (np.array(list(own)), np.array(list(own.values()))) for key, own in counts.items()}
    column = dict.fromkeys(
        ("values", "kept", "truncated", "completed", "padded", "present", "absent", "empty", "nulls", "non_finite", "replaced"), 0
    )  # fmt: skip
    ledger = {
        "rows": {"read": rows, "written": rows, "rejected": 0, "rejected_by_reason": {}},
        "columns": {spec.columns[0].name: column},
    }
    statistics = {"columns": {spec.columns[0].name: {"type": spec.columns[0].type_name}}, "groups": {}}
    known = facts.Facts({}, {}, packed, {}, most_ids=most)
    return Described(name, "run", "", ledger, statistics, known, spec, {spec.columns[0].name: words} if words else {})


WORDS = make_spec([categorical_column_with_vocabulary_list("w", ["a", "b"], num_oov_buckets=1)])
IDS_ONLY = make_spec([categorical_column_with_identity("i", 9999)])


def ids(**counts: int) -> dict[int, int]:
    """Counts by id, as bins: an id and one."""
    return {int(name[1:]) + 1 if name != "none" else 0: n for name, n in counts.items()}


def test_rare_ids_that_were_not_told_apart_count_as_one():
    key = ("i", IDS, -1)
    one = side(IDS_ONLY, "one", {key: ids(_1=6, _3=2, _4=2)}, most=4)
    other = side(IDS_ONLY, "other", {key: ids(_1=5, _3=1, _300=4)}, most=256)
    (found,) = compare(one, other).columns
    assert found.drift == pytest.approx(0.2)  # of the others: 2 of 10, 4 of 10
    assert found.measures[0].categories[0] == (categories.OTHERS, 0.2, 0.4)
    assert "ids of 4 and more were not told apart: 'all others'" in found.notes


def test_a_word_that_only_one_side_knows_may_be_among_the_unknown_ones_of_the_other():
    key, unknown = ("w", IDS, -1), ("w", UNKNOWN, -1)
    one = side(WORDS, "one", {key: ids(_0=5, _1=5), unknown: {0: 0}}, (b"a", b"new"))
    known = {key: ids(_0=5, _1=3, _2=2), unknown: {0: 2}}
    (found,) = compare(one, side(WORDS, "other", known, (b"a", b"b"))).columns
    assert found.drift == pytest.approx(0.3)  # half of the one, at most a fifth of the other
    every = {key: ids(_0=5, _2=5), unknown: {0: 5}}
    (found,) = compare(one, side(WORDS, "other", every, (b"a", b"b"))).columns
    assert found.drift == 0


def test_the_same_words_in_another_order_are_the_same():
    key = ("w", IDS, -1)
    one = side(WORDS, "one", {key: ids(_0=3, _1=7)}, (b"a", b"b"))
    (found,) = compare(one, side(WORDS, "other", {key: ids(_0=7, _1=3)}, (b"b", b"a"))).columns
    assert found.drift == 0 and found.measures[0].of == "words"


def test_words_that_are_not_known_are_not_compared_by_id():
    key = ("w", IDS, -1)
    (found,) = compare(*(side(WORDS, name, {key: ids(_0=3)}) for name in ("one", "other"))).columns
    assert found.fault.endswith("the words of one are not known")


def test_a_side_without_values_has_drifted_as_far_as_can_be():
    numbers = make_spec([numeric_column("x", default_value=0.0)])
    full = {("x", BEFORE, 0): {2032: 5}, ("x", AFTER, 0): {7: 5}}
    (found,) = compare(side(numbers, "one", full), side(numbers, "other", {}, rows=0)).columns
    assert found.drift == 1
    (found,) = compare(side(numbers, "one", {}), side(numbers, "other", {})).columns
    assert found.drift is None and not found.fault


def test_another_type_is_not_compared():
    key = ("x", BEFORE, 0)
    number = make_spec([numeric_column("x", default_value=0.0)])
    whole = make_spec([categorical_column_with_identity("x", 5)])
    (found,) = compare(side(number, "one", {key: {1: 1}}), side(whole, "other", {("x", IDS, -1): {1: 1}})).columns
    assert found.fault == "another type: numeric_column, categorical_column_with_identity"


def test_columns_that_cannot_be_read_back_leave_the_rest(days):
    manifest = read_manifest(days[0])
    lost = type(manifest)(manifest.root, {**manifest.content, "columns": "a description"})
    found = compare(described(lost, "lost"), read(days[1]))
    assert any("cannot be read back from the manifest" in note for note in found.sides[0].notes)
    assert part(found, "pressure").drift == part(compare(*map(read, days)), "pressure").drift
    assert part(found, "item").fault.endswith("the columns of lost cannot be read back")


def test_a_vocabulary_file_that_has_changed_is_not_taken_for_what_it_was(days, tmp_path):
    one = read(days[0])
    assert one.facts is not None and set(one.facts.vocabularies) == {"colour"} and set(one.words) == {"colour", "shop"}
    known = facts.from_json((Path(days[0]) / "distributions.json").read_bytes())[facts.FITTED]
    other = facts.Facts(**{**vars(known), "vocabularies": {"colour": "another"}})
    out = shutil.copytree(days[0], tmp_path / "out")
    (out / "distributions.json").write_bytes(facts.as_json({facts.FITTED: other}))
    changed = read(str(out))
    assert "colour" not in changed.words and any("has changed since" in note for note in changed.notes)


def test_a_part_of_the_rows_is_said(days, tmp_path):
    known = facts.from_json((Path(days[0]) / "distributions.json").read_bytes())[facts.FITTED]
    out = shutil.copytree(days[0], tmp_path / "out")
    (out / "distributions.json").write_bytes(facts.as_json({facts.FITTED: facts.Facts(**{**vars(known), "one_in": 4})}))
    assert any("one in 4, chosen by their digests" in note for note in read(str(out)).notes)


def test_the_page_says_what_was_found_and_is_not_replaced_unasked(days, compared, tmp_path):
    path = tmp_path / "page.html"
    assert call("compare", *days, "-o", path).exit_code == 0
    again = call("compare", *days, "-o", path)
    assert again.exit_code == 2 and "is there already; --overwrite replaces it" in again.stderr
    assert call("compare", *days, "-o", path, "--overwrite").exit_code == 0
    shown = parsed(path.read_text("utf-8"))
    cells = {cells[0]: cells[1:] for table in shown.all("table") for cells in table.rows()}
    assert cells["item"][0] == f"{part(compared, 'item').drift:.4f}" and cells["old"][0] == "not comparable"
    assert cells["7"][:2] == [f"{share:.2%}" for share in part(compared, "item").measures[0].categories[0][1:]]
    names = [one.attributes["id"] for one in shown.all() if "id" in one.attributes]
    assert len(names) == len(set(names))
    assert all((one.attributes["href"] or "")[1:] in names for one in shown.all("a"))
    assert not shown.all("script") and all(one.attributes.get("aria-label") for one in shown.all("svg"))


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_column_or_a_directory_is_called_it_stays_text(name):
    spec = make_spec([categorical_column_with_vocabulary_list(name, ["a", "b"], num_oov_buckets=1)])
    both = [
        side(spec, f"{name}{k}", {(name, IDS, -1): ids(_0=3 + k, _1=2)}, (name.encode("utf-8", "replace"), b"b"))
        for k in range(2)
    ]
    shown = parsed(view.html(compare(*both)).decode())
    assert not shown.all("script") and not shown.all("img") and name[:20].replace("\x00", "\\x00")[:4] in shown.text
    assert all(line.isprintable() for line in text.lines(compare(*both)))


def test_numbers_far_apart_have_a_picture():
    numbers = make_spec([numeric_column("x", default_value=0.0)])
    bins = [bins_of(np.array([value], np.float32))[0] for value in (1e-3, 1e20)]
    one, other = (side(numbers, str(at), {("x", BEFORE, 0): {int(at): 5}}) for at in bins)
    found = compare(one, other)
    assert found.columns[0].drift == 1 and "<svg" in view.html(found).decode()


def test_a_report_can_hold_a_comparison(compared):
    """What runs that take over the statistics of a data set will show: a section of `report.html`, with ids of its own."""
    day = compared.sides[0]
    assert day.spec is not None and day.facts is not None
    content = {"run": "r", "created": "", "seqcols": "0", "format": "parquet", "runs": [], "examples": {"files": []}}
    content["columns"] = ""
    said = report_view(day.spec, content, day.ledger, day.statistics, day.facts, {})
    without, whole = (parsed(page({**said, **more}).decode()) for more in ({}, {"comparison": view.section(compared)}))
    assert "Drift" not in without.text
    assert [one.text for one in whole.all("h2")][-4:-1] == ["Compared", "Drift", "Columns and sequence groups"]
    names = [one.attributes["id"] for one in whole.all() if "id" in one.attributes]
    assert len(names) == len(set(names))
