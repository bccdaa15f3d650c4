"""Cutting and padding against a plain Python model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms.groups import SequenceGroup
from transforms.window import Window


@given(
    lengths=st.lists(st.integers(0, 6), max_size=7),
    size=st.integers(1, 5),
    longest=st.booleans(),
    truncate=st.sampled_from(["head", "tail"]),
    padding=st.sampled_from(["post", "pre"]),
)
def test_window(lengths, size, longest, truncate, padding):
    if longest:
        size = max([*lengths, 0])
    group = SequenceGroup(max_length="longest" if longest else size, truncate=truncate, padding=padding)
    steps = np.arange(sum(lengths)) + 10
    window = Window.of(tf.constant(lengths, tf.int64), group, size if longest else None)
    placed = window.place(window.select(tf.constant(steps)), tf.constant([-1], tf.int64)).numpy()

    expected, ends = [], np.cumsum([0, *lengths])
    for start, end in pairwise(ends):
        row = steps[start:end].tolist()
        row = row[:size] if truncate == "head" else row[max(len(row) - size, 0) :]
        rest = [-1] * (size - len(row))
        expected.append(row + rest if padding == "post" else rest + row)
    assert placed.tolist() == expected
    assert placed.shape == (len(lengths), size)
    assert window.length.numpy().tolist() == [min(n, size) for n in lengths]
    assert window.mask.numpy().tolist() == [[v != -1 for v in row] for row in expected]
    assert window.static_length == (None if longest else size)
