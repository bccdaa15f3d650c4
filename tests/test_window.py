"""Cutting and padding against a plain Python model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms.columns.window import Window
from transforms.groups import SequenceGroup


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
    window = Window.of(tf.constant([lengths], tf.int64), [group], [size])
    placed = window.place(window.select(tf.constant(steps)), tf.constant([-1], tf.int64)).numpy()

    expected = model(steps, lengths, size, truncate, padding)
    assert placed.tolist() == expected
    assert placed.shape == (len(lengths), size)
    assert window.length.numpy().tolist() == [min(n, size) for n in lengths]
    assert window.mask.numpy().tolist() == [[v != -1 for v in row] for row in expected]
    assert window.static_lengths == (None if longest else size,)


def model(steps: np.ndarray, lengths: list[int], size: int, truncate: str, padding: str) -> list[list[int]]:
    """Rows cut and padded, one by one."""
    made, ends = [], np.cumsum([0, *lengths])
    for start, end in pairwise(ends):
        row = steps[start:end].tolist()
        row = row[:size] if truncate == "head" else row[max(len(row) - size, 0) :]
        rest = [-1] * (size - len(row))
        made.append(row + rest if padding == "post" else rest + row)
    return made


@given(
    batch=st.integers(0, 3),
    data=st.data(),
    groups=st.integers(2, 4),
    kind=st.sampled_from(["one T", "several T", "longest"]),
    truncate=st.sampled_from(["head", "tail"]),
    padding=st.sampled_from(["post", "pre"]),
)
def test_windows_of_several_groups(batch, data, groups, kind, truncate, padding):
    """One below the other, and each by itself, they are what the model makes of each group."""
    lengths = [data.draw(st.lists(st.integers(0, 5), min_size=batch, max_size=batch)) for _ in range(groups)]
    sizes = [data.draw(st.integers(kind != "longest", 4)) for _ in lengths]
    sizes = sizes[:1] * groups if kind == "one T" else sizes
    policies = [
        SequenceGroup(max_length="longest" if kind == "longest" else size, truncate=truncate, padding=padding)
        for size in sizes
    ]
    steps = [np.arange(sum(own)) + 10 * k for k, own in enumerate(lengths)]
    expected = [
        model(own, length, size, truncate, padding) for own, length, size in zip(steps, lengths, sizes, strict=True)
    ]
    given_steps = tf.constant(lengths, tf.int64, shape=[groups, batch])
    window = Window.of(given_steps, policies, sizes)
    placed = window.place(window.select(tf.constant(np.concatenate(steps))), tf.constant([-1], tf.int64))
    parts, masks = window.apart(placed), window.apart(window.mask)
    singles = Window.each(given_steps, policies, sizes)
    for k, single in enumerate(singles):
        assert parts[k].numpy().tolist() == expected[k]
        assert parts[k].shape == (batch, sizes[k])
        assert masks[k].numpy().tolist() == [[v != -1 for v in row] for row in expected[k]]
        alone = single.place(single.select(tf.constant(steps[k])), tf.constant([-1], tf.int64))
        assert alone.numpy().tolist() == expected[k]
        assert single.length.numpy().tolist() == [min(n, sizes[k]) for n in lengths[k]]
