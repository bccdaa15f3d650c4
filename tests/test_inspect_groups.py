"""Sequences that `inspect` puts into one group: those whose lengths are equal in every row that counts, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.grouping import groups, hints
from pipeline.inspect.trial import Tried
from tests.inspecting import drafted, parquet
from transforms.columns import numeric_column, sequence_numeric_column

LENGTHS = st.lists(st.integers(0, 2), min_size=3, max_size=3)


@given(lengths=st.lists(LENGTHS, min_size=1, max_size=5), bad=st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_group_of_its_own_only_where_lengths_differ_in_the_sample(lengths, bad):
    none = np.zeros(3, bool)
    columns = [
        Tried(sequence_numeric_column(f"x{k}"), (), none, np.array(steps, np.int64)) for k, steps in enumerate(lengths)
    ]
    made = groups([*columns, Tried(numeric_column("y"), (), none, None)], np.array(bad), frozenset())
    counted = [tuple(n for n, skipped in zip(steps, bad, strict=True) if not skipped) for steps in lengths]
    together = {tried.column.key: group.name for group in made for tried in group.members}
    assert sorted(together) == sorted(column.column.key for column in columns)
    for k, own in enumerate(counted):
        for j, other in enumerate(counted):
            assert (together[f"x{k}"] == together[f"x{j}"]) == (own == other)


def test_hints():
    """Lengths that are multiples of another group's in nearly all rows, or equal to them; none where that never varies."""
    one = np.array([1, 2, 3] * 40)
    nearly = np.where(np.arange(120) == 7, 9, one)
    lengths = {"a": one, "b": nearly, "c": 2 * one, "d": np.full(120, 5)}
    columns = [Tried(sequence_numeric_column(key), (), np.zeros(120, bool), steps) for key, steps in lengths.items()]
    found = hints(groups(columns, np.zeros(120, bool), frozenset()))
    assert found == {
        "a": "as many steps as 'b' in 99.17% of the rows: group: b, if other rows may be rejected",
        "b": "as many steps as 'a' in 99.17% of the rows: group: a, if other rows may be rejected",
        "c": "2 values for each of 'a' in 100.00% of the rows: perhaps shape: [2], group: a",
        "d": "5 values in every row: if these are no steps, perhaps a numeric_column with shape: [5]",
    }


TIMES = [[1000 * k + 7 * n for n in range(1 + k % 9)] for k in range(120)]
TIMES[50] = list(range(300))


@pytest.mark.parametrize(
    ("name", "times", "truncate"),
    [
        ("ts", TIMES, "tail"),
        ("ts", [[n // 2 for n in own] for own in TIMES], "tail"),  # ties
        ("ts", [[f"2024-03-01T00:{n % 60:02}" for n, _ in enumerate(own[:50])] for own in TIMES[:50]] * 3, "tail"),
        ("ts", [*TIMES[:-1], [3, 2, 1]], "head"),
        ("ts", [own[::-1] for own in TIMES], "head"),
        ("ts", [[own[0]] * len(own) for own in TIMES], "head"),  # nothing rises
        ("rank", TIMES, "head"),
    ],
)
def test_the_latest_steps_stay_where_rows_are_in_the_order_of_time(tmp_path, name, times, truncate):
    rows: list[dict[str, Any]] = [{name: own, "item": [f"{n % 7}a" for n, _ in enumerate(own)]} for own in times]
    parquet(tmp_path / "in.parquet", rows)
    spec, outcome = drafted(tmp_path, tmp_path / "in.parquet", events=False)
    (group,) = spec.sequence_groups.values()
    assert group.truncate == truncate
    text = " ".join((tmp_path / "drafted.yaml").read_text().replace("#", "").split())
    said = f"'{name}' never falls: the last steps are the latest" in text
    assert said == (truncate == "tail")
    assert outcome.ledger["rows"]["rejected"] == 0
