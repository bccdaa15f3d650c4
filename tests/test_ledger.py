"""The ledger: what it says for figures counted by hand, and that it notices when anything is missing."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest

from pipeline.dataset import ledger
from pipeline.repair import ledger as repair_ledger
from transforms import SequenceGroup, make_spec, numeric_column, sequence_numeric_column
from transforms.rows.tally import Tally, add

SPEC = make_spec(
    [
        sequence_numeric_column("x", (2,), incomplete_step="pad", non_finite="fill"),
        numeric_column("w", default_value=1.0),
    ],
    SequenceGroup(max_length=3, truncate="tail"),
)


def balanced() -> Tally:
    """File a: 5 rows, one with 2 values rejected; 19 values, 6 cut off, 11 kept and one made up: 6 steps. File b: one row."""
    counts: Tally = Counter()
    counts["a", "rows", "read"], counts["a", "rows", "written"] = 5, 4
    counts["a", "rows", "rejected"] = counts["a", "rows", "rejected:non_finite"] = 1
    for what, count in {
        "values": 19,
        "truncated": 6,
        "rejected": 2,
        "completed": 1,
        "filled": 3,
        "non_finite": 4,
    }.items():
        counts["a", "column", "x", what] = count
    counts["a", "group", "sequence", "steps"] = 6
    counts["a", "column", "w", "values"], counts["a", "column", "w", "rejected"] = 4, 1
    counts["a", "column", "w", "completed"] = 1
    counts["b", "rows", "read"] = counts["b", "rows", "written"] = 1
    counts["b", "column", "w", "values"] = 1
    return counts


def book(counts: Tally) -> dict[str, Any]:
    return ledger.build(counts, SPEC, {"sequence": 3})


def test_figures_by_hand():
    made = book(balanced())
    assert made["rows"] == {"read": 6, "written": 5, "rejected": 1, "rejected_by_reason": {"non_finite": 1}}
    x = made["columns"]["x"]
    assert (x["values"], x["kept"], x["truncated"], x["rejected"]) == (19, 11, 6, 2)
    assert (x["padded"], x["completed"], x["filled"], x["non_finite"]) == ((5 * 3 - 6) * 2, 1, 3, 4)
    w = made["columns"]["w"]
    assert (w["values"], w["kept"], w["rejected"], w["completed"], w["padded"]) == (5, 4, 1, 1, 0)
    assert list(made["files"]) == ["a", "b"]
    assert made["files"]["b"]["columns"]["x"]["padded"] == 6 and made["files"]["a"]["columns"]["x"]["padded"] == 12
    assert ledger.imbalances(made) == []


def test_t_that_nobody_knows_pads_nothing():
    counts: Tally = Counter({("a", "rows", "read"): 1, ("a", "rows", "rejected"): 1})
    made = ledger.build(counts, SPEC, {"sequence": None})
    assert made["columns"]["x"]["padded"] == 0 and ledger.imbalances(made) == []


def test_an_empty_run_balances():
    made = book(Counter())
    assert made["files"] == {} and ledger.imbalances(made) == []


BALANCED_KEYS = [
    ("a", "rows", "read"),
    ("a", "rows", "written"),
    ("a", "rows", "rejected"),
    ("a", "column", "x", "values"),
    ("a", "column", "x", "truncated"),
    ("a", "column", "x", "rejected"),
    ("a", "column", "x", "completed"),
    ("a", "group", "sequence", "steps"),
    ("b", "column", "w", "values"),
    ("b", "rows", "written"),
]


@pytest.mark.parametrize("key", BALANCED_KEYS, ids="-".join)
@pytest.mark.parametrize("off", [-1, 1])
def test_one_more_or_less_of_anything_is_noticed(key, off):
    counts = balanced()
    counts[key] += off
    faults = ledger.imbalances(book(counts))
    assert faults and any(fault.startswith(f"{key[0]}: ") for fault in faults) and any("all files" in f for f in faults)


def test_a_row_lost_in_one_file_and_doubled_in_another_is_noticed():
    """The sums agree; the files do not."""
    counts = balanced()
    counts["a", "rows", "written"] -= 1
    counts["b", "rows", "written"] += 1
    faults = ledger.imbalances(book(counts))
    assert "a: rows do not balance: 5 read, 3 written, 1 rejected" in faults
    assert "b: rows do not balance: 1 read, 2 written, 0 rejected" in faults
    assert not any(fault.startswith("all files: rows") for fault in faults)


def test_rows_that_are_not_those_that_were_read_are_noticed():
    """As many rows as there should be, but one of them twice and another one not at all."""
    counts = balanced()
    counts["a", "digest", "read"] = 2**64 - 1 + 7
    counts["a", "digest", "written"], counts["a", "digest", "rejected"] = 2**64 - 3, 2 + 7
    counts["b", "digest", "read"] = counts["b", "digest", "written"] = 2**70 + 5  # sums are modulo 2^64
    made = book(counts)
    assert made["files"]["b"]["row_digests"] == {"read": "5".zfill(16), "written": "5".zfill(16), "rejected": "0" * 16}
    assert ledger.imbalances(made) == []
    counts["a", "digest", "written"] += 1
    what = "the rows written and rejected are not those that were read (their digests differ)"
    assert ledger.imbalances(book(counts)) == [f"a: {what}", f"all files: {what}"]


def test_the_message_names_file_column_and_figures():
    counts = balanced()
    counts["a", "column", "x", "values"] += 1
    [first, *_] = ledger.imbalances(book(counts))
    assert first == "a: values of column 'x' do not balance: 20 in, 11 kept, 6 truncated, 2 rejected"


@pytest.mark.parametrize(
    "key",
    [("a", "rows", "read"), ("a", "digest", "read"), ("a", "column", "x", "values"), ("a", "column", "w", "present")],
)
def test_passes_that_read_differently_are_noticed(key):
    first, second = balanced(), balanced()
    assert ledger.changed(first, second) == []
    second[key] += 1
    assert ledger.changed(first, second) == ledger.changed(second, first) == ["a"]
    assert ledger.changed(first, second, among={"b"}) == []


def test_what_only_the_second_pass_counts_is_no_difference():
    first, second = balanced(), balanced()
    del first["a", "rows", "written"]
    del first["a", "group", "sequence", "steps"]
    second["", "length_sum", "values"] = 3  # of a group with such a name
    assert ledger.changed(first, second) == []


def test_a_file_that_only_one_pass_saw_is_a_difference():
    second = balanced()
    second["c", "rows", "read"] = 1
    assert ledger.changed(balanced(), second) == ["c"]


def test_parts_add_up_to_the_whole():
    """Tallies of bundles, added in any order; the longest is a maximum, not a sum."""
    parts: list[Tally] = [Counter({("", "length_max", "g"): n, ("a", "rows", "read"): 1}) for n in (3, 9, 4)]
    for order in (parts, parts[::-1]):
        total: Tally = Counter()
        for part in copy.deepcopy(order):
            add(total, part)
        assert total == {("", "length_max", "g"): 9, ("a", "rows", "read"): 3}


def test_what_a_repair_counts_again_counts_once():
    """One of two rows was rejected for its null and its NaN, and is written by the second run."""
    first: Tally = Counter({("a", "rows", "read"): 2, ("a", "rows", "written"): 1, ("a", "rows", "rejected"): 1})
    first.update({("a", "column", "x", what): n for what, n in (("values", 6), ("rejected", 4), ("nulls", 1))})
    first.update({("a", "column", "x", "present"): 2, ("a", "group", "sequence", "steps"): 1})
    first.update({("a", "column", "w", "values"): 2, ("a", "column", "w", "rejected"): 1})
    further: Tally = Counter({("a", "rows", "read"): 1, ("a", "rows", "written"): 1})
    further.update(
        {("a", "column", "x", what): n for what, n in (("values", 4), ("nulls", 1), ("present", 1), ("filled", 2))}
    )
    further.update({("a", "group", "sequence", "steps"): 2, ("a", "column", "w", "values"): 1})
    again: Tally = Counter({("a", repair_ledger.AGAIN, "x", "nulls"): 1, ("a", repair_ledger.AGAIN, "x", "present"): 1})
    made = repair_ledger.merged(book(first), book(further), further + again)
    for entry in (made, made["files"]["a"]):
        assert (entry["rows"]["read"], entry["rows"]["written"], entry["rows"]["rejected"]) == (2, 2, 0)
        x = {what: n for what, n in entry["columns"]["x"].items() if n}
        assert x == {"values": 6, "kept": 6, "padded": 6, "nulls": 1, "present": 2, "filled": 2}
    assert ledger.imbalances(made) == []
