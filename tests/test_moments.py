"""Statistics against exact fractions and NumPy in float64, over accepted, kept, finite steps."""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.marks import slow_but, tried
from transforms.columns import numeric_column, sequence_numeric_column
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply
from transforms.normalizers import ZScore
from transforms.statistics import moments
from transforms.statistics.contributed import Contribution, Given, Packed, taken, tensors
from transforms.statistics.moments import Moments


def exact(values: np.ndarray) -> list[float]:
    """The five figures of `[n]`, by fractions of integers."""
    if not len(values):
        return [0.0, 0.0, 0.0, np.inf, -np.inf]
    wide = [Fraction(value) for value in values.tolist()]
    mean = sum(wide) / len(wide)
    variance = sum((value - mean) ** 2 for value in wide) / len(wide)
    try:
        rounded = float(variance)
    except OverflowError:
        rounded = math.inf
    return [len(wide), float(mean), rounded, float(min(values)), float(max(values))]


VALUES = {
    "float32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "int64": st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5),
}


@pytest.mark.parametrize("dtype", list(VALUES))
@settings(max_examples=tried(200), deadline=None, derandomize=True)
@given(data=st.data())
def test_any_arrangement_gives_the_fractions(dtype, data):
    """In any order, in any batches, merged in any way: the same bytes, and figures that are correctly rounded."""
    rows = data.draw(st.lists(st.tuples(VALUES[dtype], VALUES[dtype], st.booleans()), max_size=30))
    values = np.array([row[:2] for row in rows], dtype).reshape(-1, 2)
    observed = np.array([[row[2], True] for row in rows], bool).reshape(-1, 2)
    whole = Moments.of(values, observed, np.array([0, len(values)]))
    for place in range(2):
        assert whole.figures()[0, :, place].tolist() == exact(values[observed[:, place], place])

    order = data.draw(st.permutations(range(len(values))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    splits = np.array([0, *cuts, len(values)])
    parts = Moments.of(values[order], observed[order], splits)
    merged = Moments.empty(dtype, 1, 2).add(parts, np.zeros(len(parts.counts), np.int64))
    some = data.draw(st.integers(0, len(values)))
    halves = [Moments.of(values[at], observed[at], np.array([0, len(at)])) for at in (order[some:], order[:some])]
    for other in (merged, halves[0].add(halves[1])):
        assert (other.limbs == whole.limbs).all() and (other.counts == whole.counts).all()
        assert other.figures().tobytes() == whole.figures().tobytes()


@pytest.mark.parametrize("dtype", list(VALUES))
def test_the_largest_and_smallest_numbers_fill_no_limb(dtype):
    """Millions of the largest squares, of both signs, and the smallest."""
    if dtype == "int64":
        ends = [-(2**63), 2**63 - 1, 1, 0]
    else:
        info = np.finfo(dtype)
        ends = [info.max, -info.max, info.smallest_subnormal, -info.tiny]
    values = np.array(ends, dtype)[:, None]
    once = Moments.of(values, np.ones_like(values, bool), np.array([0, 4]))
    many = once
    for _ in range(40):  # each time twice as many
        many = Moments.empty(dtype, 1, 1).add(many).add(many)
    figures, wide = many.figures()[0, :, 0], [Fraction(v) for v in values[:, 0].tolist()]
    mean = sum(wide) / 4
    assert figures[0] == 4 * 2**40 and figures[1] == float(mean)
    assert figures.tolist()[1:] == once.figures()[0, 1:, 0].tolist()


def test_more_values_than_are_added_at_once():
    """Several blocks of one part, each carried on: 1e9 + {0, 1, 2}, where sums of squares in float64 lose every digit."""
    values = (1e9 + np.arange(3000) % 3)[:, None]
    for dtype in ("float64", "int64"):
        own = values.astype(dtype)
        found = Moments.of(own, np.ones_like(own, bool), np.array([0, 1500, 1500, 3000]))
        assert found.figures()[1].tolist() == [[0], [0], [0], [np.inf], [-np.inf]]
        assert found.figures()[0, :, 0].tolist() == exact(own[:1500, 0])


@pytest.mark.parametrize("dtype", slow_but(VALUES, "float32"))
def test_kernels_run_uncompiled(dtype):
    """As the Python that they are, with bounds checked."""
    code = f"""
import numpy as np
from transforms.statistics.moments import Moments
values = np.array({[[-3, 5], [2**62, 0], [7, -(2**62)]]}, "{dtype}")
found = Moments.of(values, np.ones((3, 2), bool), np.array([0, 1, 3]))
print(Moments.empty("{dtype}", 1, 2).add(found, np.array([0, 0])).figures().tolist())
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", code]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    values = np.array([[-3, 5], [2**62, 0], [7, -(2**62)]], dtype)
    assert json.loads(made.stdout) == [np.transpose([exact(values[:, k]) for k in range(2)]).tolist()], made.stderr


def test_zeros_have_no_sign():
    values = np.array([[-0.0], [0.0]])
    for order in (values, values[::-1]):
        figures = Moments.of(order, np.ones_like(order, bool), np.array([0, 2])).figures()
        assert not np.signbit(figures[0, 1:]).any()


def test_unobserved_values_do_not_count():
    values = np.array([[1.0, np.nan], [np.inf, 5.0], [3.0, 7.0]])
    figures = Moments.of(values, np.isfinite(values), np.array([0, 3])).figures()[0]
    assert figures.T.tolist() == [exact(values[[0, 2], 0]), exact(values[1:, 1])]


@pytest.mark.parametrize("splits", [[0, 4], [-1, 3], [2, 1, 3]])
def test_splits_out_of_bounds_are_refused(splits):
    with pytest.raises(ValueError, match="ascending splits"):
        Moments.of(np.zeros((3, 1)), np.ones((3, 1), bool), np.array(splits))
    with pytest.raises(ValueError, match="expected parts of 1"):
        Moments.empty("float64", 1, 1).add(Moments.empty("float64", 2, 1))


def test_what_columns_contribute_goes_side_by_side():
    """Values of several dtypes, of one part and of two, in few tensors; the accumulator as bytes and as a pickle."""
    single = np.array([[1.5, 2.0], [2.5, 4.0]], np.float32)
    whole, double = np.array([[2**60], [2**60 + 1], [7]]), np.array([[0.1], [0.2]])
    given = [
        Given(tf.constant(single), tf.ones([2, 2], tf.bool)),
        Given(tf.constant(whole), tf.ones([3, 1], tf.bool), tf.constant([0, 2, 3], tf.int64)),
        Given(tf.constant(double), tf.constant([[True], [False]])),
        Given(tf.constant([[3], [4]], tf.int32), tf.ones([2, 1], tf.bool)),
    ]
    parts = [one.part(places) for one, places in zip(given, [(4, 0), (1, 3), (2,), (5,)], strict=True)]
    assert parts[1] == Contribution("int64", 1, 2, (1, 3)) and [part.dtype for part in parts] == [
        "float32",
        "int64",
        "float64",
        "int64",
    ]
    arrays = [tensor.numpy() for tensor in tensors(given)]
    assert len(arrays) == 5 and [values.tolist() for values, _, _ in taken(parts, arrays)][2] == double.tolist()
    found = Packed(tuple(parts)).add(*arrays)
    expected = [single[:, 1], whole[:2, 0], double[:1, 0], whole[2:, 0], single[:, 0], np.array([3, 4])]
    assert found.table().T.tolist() == [exact(values) for values in expected]
    data = found.to_bytes()
    assert Packed.from_bytes(parts, data).table().tobytes() == found.table().tobytes()
    assert pickle.loads(pickle.dumps(found)).merge([Packed(tuple(parts))]).table().tobytes() == found.table().tobytes()
    for wrong in (data[:-1], data + b"x"):
        with pytest.raises(ValueError):
            Packed.from_bytes(parts, wrong)


def test_tables_are_read_back_also_those_of_an_earlier_version():
    table = Moments.of(np.array([[1.0], [4.0]]), np.ones((2, 1), bool), np.array([0, 2])).figures()[0]
    table = np.concatenate([table, moments.empty(1)], axis=1)
    np.testing.assert_array_equal(moments.loads(moments.dumps(table)), table)
    before = table.copy()
    before[2] *= before[0]
    np.testing.assert_array_equal(moments.loads(json.dumps({"table": before.tolist()})), table)
    both = moments.pooled(
        Moments.of(np.array([[1.0, 2.0], [4.0, 9.0]]), np.ones((2, 2), bool), np.array([0, 2])).figures()[0]
    )
    np.testing.assert_allclose(both[:, 0], exact(np.array([1.0, 4.0, 2.0, 9.0])), rtol=1e-15)


COLUMNS = [
    sequence_numeric_column("x", 2, normalizer_fn=["z_score", {"type": "clip", "quantiles": [0.1, 0.9]}, "z_score"]),
    sequence_numeric_column("d", dtype="float64", normalizer_fn={"type": "z_score", "per": "key", "key": "k"}),
    sequence_numeric_column("i", dtype="int64", default_value=0, normalizer_fn={"type": "z_score", "per": "column"}),
    numeric_column("k", dtype="int64"),
]


def test_the_order_of_rows_does_not_show():
    """Every figure that a spec asks for, chains, keys and quantiles among them: the same bytes."""
    rng = np.random.default_rng(8)
    rows = [
        {
            "x": rng.normal(3, [1, 1e6], (n, 2)).ravel().tolist(),
            "d": rng.normal(1e9, 1, n).tolist(),
            "i": rng.integers(-(2**62), 2**62, n).tolist(),
            "k": int(rng.integers(3)),
        }
        for n in rng.integers(0, 5, 60)
    ]
    found, fitted = [], None
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        fitted = apply(rows, COLUMNS, SequenceGroup(max_length=3)).fitted
        assert fitted is not None
        found.append(
            (
                *(table.tobytes() for table in fitted.tables if table is not None),
                *(d.tolist() for d in fitted.details.values()),
            )
        )
    assert found[0] == found[1] == found[2]
    assert fitted is not None
    kept = [value for row in rows for value in row["i"][:3]]
    asks = [ask for ask in fitted.spec.asks if ask.level == 0 and ask.packed]
    place = moments.slices([ask.width for ask in asks])[[ask.owner for ask in asks].index("i")]
    assert fitted.tables[0][:, place][:, 0].tolist() == exact(np.array(kept))


def kept_steps(rows: list[list[float]], made: Applied, width: int, group: SequenceGroup, over: str) -> np.ndarray:
    """The steps `[n, width]` of accepted rows that count, cut by hand."""
    size = group.fixed_length if over == "kept" else None
    steps = []
    for k in made.rows:
        row = np.array(rows[k], np.float32).reshape(-1, width)
        steps.append(row if size is None else row[:size] if group.truncate == "head" else row[-size:])
    return np.concatenate([np.zeros((0, width), np.float32), *steps]).astype(np.float64)


@pytest.mark.parametrize("per", ["dimension", "column"])
@pytest.mark.parametrize("over", ["kept", "all"])
@pytest.mark.parametrize(("truncate", "size"), [("head", 2), ("tail", 2), ("reject", 4), ("head", "longest")])
@pytest.mark.parametrize("non_finite", ["reject", "fill", "keep"])
def test_z_score(per, over, truncate, size, non_finite):
    rng = np.random.default_rng([5, size if isinstance(size, int) else 0])
    rows = [rng.normal([5, -300], [0.1, 40], (n, 2)).ravel().tolist() for n in rng.integers(0, 7, 40)]
    rows[3][:1] = [float("nan")]
    rows[4][-1:] = [float("inf")]
    group = SequenceGroup(max_length=size, truncate=truncate, padding="pre")
    column = sequence_numeric_column(
        "x", 2, -9.0, normalizer_fn=ZScore(per=per), statistics_over=over, non_finite=non_finite
    )
    made = apply([{"x": row} for row in rows], [column], group)
    steps = kept_steps(rows, made, 2, group, over)
    steps[~np.isfinite(steps)] = np.nan
    axis = 0 if per == "dimension" else None
    mean, deviation = np.nanmean(steps, axis=axis), np.nanstd(steps, axis=axis)
    shown = kept_steps(rows, made, 2, group, "kept")
    expected = (shown - mean) / deviation
    if non_finite == "fill":
        expected[~np.isfinite(shown)] = -9.0
    ours = made["x"][made.mask()]
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6 * np.abs(mean / deviation).max())
    assert (made["x"][~made.mask()] == -9.0).all()
    assert (2 in made.rows) == (truncate != "reject" or len(rows[2]) <= 8)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[5.0, 5.0], [5.0]], [[0, 0], [0, -1]]),
        ([[0.1] * 3], [[0, 0, 0]]),
        ([[7.0]], [[0]]),
        ([[], None], [[], []]),
        ([[1.0, 2.0, 3.0]], [[-(1.5**0.5), 0, 1.5**0.5]]),
    ],
)
def test_constant_single_and_no_values(rows, expected):
    made = apply([{"x": row} for row in rows], [sequence_numeric_column("x", (), -1.0, normalizer_fn="z_score")])
    np.testing.assert_allclose(made["x"], expected, rtol=1e-6, atol=1e-7)


def test_one_huge_value_does_not_swallow_the_others():
    values = np.array([1e30, 1.0, 2.0, 3.0], np.float32)
    made = apply([{"x": values}], [sequence_numeric_column("x", (), normalizer_fn="z_score")])
    wide = values.astype(np.float64)
    np.testing.assert_allclose(made["x"][0], (wide - wide.mean()) / wide.std(), rtol=1e-6)


@pytest.mark.parametrize("per", ["dimension", "column"])
def test_context_numeric_counts_present_values_only(per):
    rows: list[dict[str, Any]] = [{"x": [1.0, 10.0]}, {}, {"x": [2.0, 30.0]}, {"x": [3.0]}, {"x": [6.0, float("nan")]}]
    made = apply(rows, [numeric_column("x", 2, 4.0, normalizer_fn=ZScore(per=per))])
    present = np.array([[1.0, 10.0], [2.0, 30.0]])
    axis = 0 if per == "dimension" else None
    expected = (np.array([[1.0, 10.0], [4.0, 4.0], [2.0, 30.0]]) - present.mean(axis=axis)) / present.std(axis=axis)
    np.testing.assert_allclose(made["x"], expected, rtol=1e-6)


def test_statistics_are_taken_along_to_other_rows():
    columns = [sequence_numeric_column("x", (), normalizer_fn="z_score")]
    first = apply([{"x": [1.0, 2.0, 3.0]}], columns)
    second = apply([{"x": [4.0]}, {"x": [2.0] * 5}], columns, fitted=first.fitted)
    np.testing.assert_allclose(second["x"], [[2 * 1.5**0.5, 0, 0], [0, 0, 0]], rtol=1e-6)
    assert second.lengths().tolist() == [1, 3]  # T is a statistic too
