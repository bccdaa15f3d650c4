"""What is counted of an ordinary batch, by the short way, against the way for every batch; lengths against NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.marks import tried
from transforms import SequenceGroup, sequence_categorical_column_with_identity, sequence_numeric_column
from transforms.counting import count_values
from transforms.rows.ragged import Ragged
from transforms.rows.tally import count_lengths, length_bucket
from transforms.spec.make_spec import make_spec

LENGTHS = st.lists(st.integers(0, 5), max_size=6)
POLICIES = st.builds(
    SequenceGroup,
    max_length=st.integers(1, 6) | st.just("longest"),
    truncate=st.sampled_from(["head", "tail"]),
)


@given(LENGTHS, POLICIES, st.integers(1, 3))
@settings(max_examples=tried(300))
def test_ordinary_rows_are_counted_as_others_are(lengths, policy, width):
    numbers = sequence_numeric_column("x", shape=(width,))
    spec = make_spec([numbers, sequence_categorical_column_with_identity("ids", 10)], policy)
    for column, each in zip(spec.columns, (width, 1), strict=True):
        values = [[1] * n * each for n in lengths]
        view = Ragged.of(pa.array(values, pa.large_list(pa.float32() if column is numbers else pa.int64())))
        checked = column.check({column.key: view})
        assert not checked.faults and checked.completed is None and not checked.flags
        good = np.ones(len(lengths), bool)
        other = replace(checked, completed=np.zeros(len(lengths), np.int64))
        made = count_values(column, spec, view, checked, good, {})
        assert made == count_values(column, spec, view, other, good)
        size = policy.fixed_length or 5
        assert made == {"rejected": 0, "truncated": sum(max(n - size, 0) for n in lengths) * each, "completed": 0}


@given(st.lists(st.integers(0, 70) | st.integers(0, 10**6)))
@settings(max_examples=tried(300))
def test_lengths_are_counted_by_their_buckets(lengths):
    array = np.array(lengths, np.int64)
    tally = count_lengths("g", array)
    buckets, counts = np.unique(length_bucket(array), return_counts=True)
    found = {key[3]: n for key, n in tally.items() if key[1] == "length"}
    assert found == dict(zip(buckets.tolist(), counts.tolist(), strict=True))
    assert tally["", "length_sum", "g"] == sum(lengths) and tally["", "length_max", "g"] == max(lengths, default=0)
