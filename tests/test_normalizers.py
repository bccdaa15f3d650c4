"""Normalizers against NumPy in float64: by themselves, and through columns with every way to share statistics."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.jobs import done as job_done
from tests.jobs import read_arrays
from tests.marks import tried
from transforms.columns import numeric_column, passthrough_column, sequence_numeric_column
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.normalizers import (
    TYPES,
    Bucketize,
    Chain,
    Clip,
    Function,
    Log1p,
    MaxAbs,
    MinMax,
    Normalizer,
    Robust,
    Statistics,
    ZScore,
)
from transforms.spec.make_spec import make_spec

Array = np.ndarray
Oracle = Callable[[Array, Array], Array]
"""A function of values `[n, d]` and the observed ones of their statistics `[m, d]`."""


def log1p(x: Array, _: Array) -> Array:
    return np.log1p(x)


def clipped(x: Array, of: Array) -> Array:
    return np.clip(x, np.quantile(of, 0.1, axis=0), np.quantile(of, 0.8, axis=0))


def robust(x: Array, of: Array) -> Array:
    low, middle, high = np.quantile(of, [0.25, 0.5, 0.75], axis=0)
    return (x - middle) / (high - low)


def min_max(x: Array, of: Array) -> Array:
    return (x - of.min(axis=0)) / (of.max(axis=0) - of.min(axis=0))


def buckets(x: Array, of: Array, kind: type = np.float32) -> Array:
    boundaries = np.quantile(of, [0.25, 0.5, 0.75], axis=0).astype(kind)
    return np.stack([np.digitize(x[:, k], boundaries[:, k]) for k in range(x.shape[1])], axis=1)


# With statistics: what `per` can be asked of.
LEARNED: dict[str, tuple[Normalizer, Oracle]] = {
    "z_score": (ZScore(), lambda x, of: (x - of.mean(axis=0)) / of.std(axis=0)),
    "min_max": (MinMax(), min_max),
    "min_max of a range": (MinMax(feature_range=(-2, 3)), lambda x, of: min_max(x, of) * 5 - 2),
    "min_max clipped": (MinMax(clip=True), lambda x, of: np.clip(min_max(x, of), 0, 1)),
    "max_abs": (MaxAbs(), lambda x, of: x / np.abs(of).max(axis=0)),
    "robust": (Robust(), robust),
    "robust of a range": (
        Robust(quantiles=(0.1, 0.5)),
        lambda x, of: (x - np.median(of, axis=0)) / np.diff(np.quantile(of, [0.1, 0.5], axis=0), axis=0)[0],
    ),
    "clip at quantiles": (Clip(quantiles=(0.1, 0.8)), clipped),
    "buckets by quantiles": (Bucketize(num_buckets=4), buckets),
}
GIVEN: dict[str, tuple[Normalizer, Oracle]] = {
    "log1p": (Log1p(), log1p),
    "log1p with a sign": (Log1p(signed=True), lambda x, _: np.sign(x) * np.log1p(np.abs(x))),
    "clip": (Clip(min=-0.5, max=2), lambda x, _: np.clip(x, -0.5, 2)),
    "clip below": (Clip(min=0), lambda x, _: np.maximum(x, 0)),
    "clip above": (Clip(max=0), lambda x, _: np.minimum(x, 0)),
    "buckets": (Bucketize(boundaries=(-0.5, 0, 0.7)), lambda x, _: np.digitize(x, np.float32([-0.5, 0, 0.7]))),
}
ALL = {**LEARNED, **GIVEN}

learned = pytest.mark.parametrize("name", LEARNED)
each = pytest.mark.parametrize("name", ALL)


def statistics_of(values: Any, normalizer: Normalizer) -> Statistics:
    """Statistics of the finite values `[n, d]`, by dimension, from NumPy."""
    wide = np.asarray(values, np.float64)
    figures = []
    for k in range(wide.shape[1]):
        one = wide[:, k][np.isfinite(wide[:, k])]
        some = one if len(one) else np.full(1, np.nan)
        moments = [one.mean(), one.var(), one.min(), one.max()] if len(one) else [0, 0, np.inf, -np.inf]
        figures.append([len(one), *moments, *np.quantile(some, normalizer.probabilities)])
    count, mean, variance, low, high, *quantiles = tf.constant(np.array(figures).T.tolist(), tf.float64)
    return Statistics(count, mean, variance, low, high, dict(zip(normalizer.probabilities, quantiles, strict=True)))


def applied(normalizer: Normalizer, values: Any, of: Any = None) -> Array:
    """Applies a normalizer to `[n, d]` with the statistics of these values, or of others; rounded as by a float32 column."""
    values = np.asarray(values)
    assert values.ndim == 2
    made = normalizer.apply(tf.constant(values), statistics_of(values if of is None else of, normalizer))
    assert made.shape == values.shape and made.dtype in (tf.float64, tf.int64)
    return made.numpy().astype(np.float32 if made.dtype.is_floating else np.int64)


def test_every_normalizer_is_here():
    assert {type(normalizer) for normalizer, _ in ALL.values()} == set(TYPES.values())
    assert {type(normalizer) for normalizer, _ in LEARNED.values()} == {
        kind for kind in TYPES.values() if any(n.needs_statistics for n, _ in ALL.values() if type(n) is kind)
    }


# By themselves


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_against_numpy(name: str, dtype: type):
    normalizer, oracle = ALL[name]
    scale = 1000 if dtype is np.int64 else 1
    values = (np.random.default_rng(0).lognormal(0, 2, (997, 2)) * scale - (name != "log1p")).astype(dtype)
    made, expected = applied(normalizer, values), oracle(values.astype(np.float64), values.astype(np.float64))
    if isinstance(normalizer, Bucketize):
        assert made.dtype == np.int64
        if dtype is np.float64 and name == "buckets by quantiles":
            expected = buckets(values, values, np.float64)
        np.testing.assert_array_equal(made, expected)
    else:
        np.testing.assert_allclose(made, expected, rtol=2e-7, atol=1e-12)


SMALL = [[1.0], [-4.0], [2.0], [3.0], [1000.0]]
RECORDED = {
    # scikit-learn 1.9.1: MinMaxScaler, MaxAbsScaler, RobustScaler of SMALL
    "min_max": [0.0049800797, 0.0, 0.0059760956, 0.0069721116, 1.0],
    "min_max of a range": [-1.9750996016, -2.0, -1.9701195219, -1.9651394422, 3.0],
    "max_abs": [0.001, -0.004, 0.002, 0.003, 1.0],
    "robust": [-0.5, -3.0, 0.0, 0.5, 499.0],
    "robust of a range": [-0.25, -1.5, 0.0, 0.25, 249.5],
}


@pytest.mark.parametrize("name", RECORDED)
def test_against_scikit_learn(name: str):
    np.testing.assert_allclose(applied(LEARNED[name][0], SMALL)[:, 0], RECORDED[name], rtol=1e-6)


@each
def test_nothing_to_normalise(name: str):
    made = applied(ALL[name][0], np.zeros((0, 3), np.float32))
    assert made.shape == (0, 3)
    assert made.dtype == (np.int64 if "buckets" in name else np.float32)


CONSTANT: dict[str, tuple[float, float]] = {  # what 7 and 9 become in a column of sevens
    "z_score": (0, 0),
    "min_max": (0, 0),
    "min_max of a range": (-2, -2),
    "min_max clipped": (0, 0),
    "max_abs": (1, 9 / 7),
    "robust": (0, 0),
    "robust of a range": (0, 0),
    "clip at quantiles": (7, 7),
    "buckets by quantiles": (3, 3),
}
WITHOUT_VALUES = {**dict.fromkeys(CONSTANT, 0.0), "min_max of a range": -2.0, "clip at quantiles": 7.0}


@learned
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_constant_columns(name: str, count: int):
    sevens = np.full((count, 1), 7, np.float32)
    made = applied(LEARNED[name][0], [[7.0], [9.0]], of=sevens)
    np.testing.assert_allclose(made[:, 0], CONSTANT[name], rtol=1e-6)


@learned
def test_columns_without_any_finite_value(name: str):
    nothing = np.full((3, 1), np.nan, np.float32)
    assert applied(LEARNED[name][0], [[7.0]], of=nothing).tolist() == [[WITHOUT_VALUES[name]]]
    missing = applied(LEARNED[name][0], nothing)
    assert (missing == -1 if "buckets" in name else np.isnan(missing)).all()


def test_a_column_of_zeros_by_max_abs():
    assert applied(MaxAbs(), [[0.0], [3.0]], of=np.zeros((4, 1))).tolist() == [[0], [0]]


NON_FINITE: dict[str, list[float]] = {  # what inf and -inf become; NaN stays NaN
    "min_max clipped": [1, 0],
    "clip at quantiles": [2.6, 1.2],
    "clip": [2, -0.5],
    "clip below": [np.inf, 0],
    "clip above": [0, -np.inf],
    "buckets": [3, 0],
    "buckets by quantiles": [3, 0],
    "log1p": [np.inf, np.nan],
}


@each
def test_non_finite_values_stay_and_move_no_others(name: str):
    finite = np.float32([[1], [2], [3]])
    values = np.concatenate([finite, np.float32([[np.nan], [np.inf], [-np.inf]])])
    made = applied(ALL[name][0], values, of=finite)
    np.testing.assert_array_equal(made[:3], applied(ALL[name][0], finite))
    assert made[3, 0] == -1 if "buckets" in name else np.isnan(made[3, 0])
    np.testing.assert_allclose(made[4:, 0], NON_FINITE.get(name, [np.inf, -np.inf]), rtol=1e-6)


@learned
def test_huge_values_beside_small_ones(name: str):
    values = np.float32([[1], [2], [3], [1e30], [-3e38], [3e38]])
    normalizer, oracle = LEARNED[name]
    made, expected = applied(normalizer, values), oracle(values.astype(np.float64), values.astype(np.float64))
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-20)
    assert np.isfinite(made).all()


def test_both_ends_of_a_range_are_exact():
    values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    for low, high in [(-0.1, 0.3), (0.1, 0.7), (-1e30, 1.0), (1e-30, 2e-30)]:
        made = applied(MinMax(feature_range=(low, high)), values)
        np.testing.assert_array_equal(made.min(axis=0), np.float32([low] * 3))
        np.testing.assert_array_equal(made.max(axis=0), np.float32([high] * 3))


def test_outside_the_fitted_range():
    later, seen = [[-1.0], [11.0]], [[0.0], [10.0]]
    np.testing.assert_allclose(applied(MinMax(), later, of=seen), [[-0.1], [1.1]], rtol=1e-6)
    assert applied(MinMax(clip=True, feature_range=(2, 4)), later, of=seen).tolist() == [[2], [4]]
    np.testing.assert_allclose(applied(MaxAbs(), later, of=seen), [[-0.1], [1.1]], rtol=1e-6)


EDGES = (-1.5, 0.1, 0.7, 16777217.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_on_boundaries_are_where_tensorflow_puts_them(dtype: type):
    on = np.float32(EDGES)
    near = np.concatenate([on, np.nextafter(on, np.float32(-9e9)), np.nextafter(on, np.float32(9e9)), [-9e9, 9e9]])
    expected = tf.raw_ops.Bucketize(input=near.astype(dtype), boundaries=EDGES)
    if dtype is np.float64:  # whose boundaries are float32
        expected = np.digitize(near, EDGES)
    made = applied(Bucketize(boundaries=EDGES), near.astype(dtype)[:, np.newaxis])
    np.testing.assert_array_equal(made[:, 0], expected)


def test_integers_are_compared_as_they_are():
    """TensorFlow's op compares as float32: for it 16777216 is on the boundary 16777217."""
    made = applied(Bucketize(boundaries=(16777217,)), np.array([[16777216], [16777217]]))
    assert made.tolist() == [[0], [1]]


def test_learned_boundaries_are_values_of_the_column():
    values = (np.arange(10) / 10).astype(np.float32)[:, np.newaxis]
    made = applied(Bucketize(num_buckets=3), values)
    assert made[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_shapes_and_one_figure_for_the_column():
    values = tf.constant(np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32))
    for shape in [(6, 2, 3), (36, 1), (36,)]:
        for name, (normalizer, _) in LEARNED.items():
            one = normalizer.model_copy(update={"per": "column"})
            statistics = statistics_of(values.numpy().reshape(-1, 1), one)
            made = one.apply(tf.reshape(values, shape), statistics)
            expected = applied(normalizer, values.numpy().reshape(-1, 1)).reshape(shape)
            np.testing.assert_array_equal(made.numpy().astype(expected.dtype), expected, err_msg=f"{name} {shape}")


@pytest.mark.parametrize("signed", [False, True])
def test_logarithms_do_not_depend_on_their_place(signed: bool):
    """TensorFlow's own do: in float64 a fourth of them, between the middle and the end of a tensor."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 3, 4099)
    whole = values if signed else np.where(rng.random(4099) < 0.3, -rng.random(4099), values)
    log = Log1p(signed=signed)
    graph = tf.function(lambda x: log.apply(x, NO_STATISTICS), input_signature=[tf.TensorSpec([None, 1], tf.float64)])
    expected = log.apply(tf.constant(whole[:, np.newaxis]), NO_STATISTICS).numpy()
    many = np.tile(whole, 64)[:, np.newaxis]  # enough for several threads
    for first in (0, 1, 5, 63):
        np.testing.assert_array_equal(graph(many[first:]), np.tile(expected, (64, 1))[first:])
    for size in (1, 2, 3, 7, 17, 63, 64, 65):
        for first in range(0, 4099 - size, 501):
            part = slice(first, first + size)
            np.testing.assert_array_equal(graph(whole[part, np.newaxis]), expected[part])


NO_STATISTICS = Statistics(None, None, None, None, None)


def test_an_order_of_boundaries_is_asked_for():
    for wrong in ({"boundaries": (1.0, 1.0)}, {"boundaries": ()}, {"num_buckets": 1}, {}):
        with pytest.raises(ValueError, match=r"ascending|an int >= 2, got 1|neither"):
            Bucketize(**wrong)


# Chains


def test_a_chain_applies_its_links():
    chain = Chain(members=(Clip(min=0), Chain(members=(Log1p(), Function(function=lambda x: x * 2)))))
    assert [type(link) for link in chain.links] == [Clip, Log1p, Function]
    made = chain.apply(tf.constant([[-1.0], [1.0]]), NO_STATISTICS)
    np.testing.assert_allclose(made, [[0], [2 * np.log(2)]], rtol=1e-6)


def test_a_chain_has_the_needs_of_its_links():
    assert not Chain(members=(Log1p(signed=True), Clip(min=0))).needs_statistics
    assert Chain(members=(Log1p(), ZScore(per="row"))).needs_statistics
    assert not Chain(members=(Log1p(), ZScore(per="row"))).uses_data
    assert Chain(members=(Log1p(), Clip(quantiles=(0, 1)))).uses_data
    assert Chain(members=(ZScore(), Log1p())).can_spoil
    assert not Chain(members=(Log1p(signed=True), Bucketize(num_buckets=2))).can_spoil


def test_a_chain_has_statistics_of_the_first_link_only():
    chain = Chain(members=(Log1p(), ZScore()))
    with pytest.raises(
        ValueError, match="expected statistics for 'z_score' after 1 other normalizers, got the column's"
    ):
        chain.apply(tf.constant([[1.0]]), NO_STATISTICS)


def test_nothing_comes_after_buckets():
    inner = Chain(members=(Log1p(), Bucketize(num_buckets=2)))
    for members in [(Bucketize(num_buckets=2), ZScore()), (inner, ZScore())]:
        with pytest.raises(ValueError, match="nothing after 'bucketize'"):
            Chain(members=members)
    assert Chain(members=(ZScore(), inner)).only_last


@each
def test_pickling(name: str):
    normalizer = ALL[name][0]
    assert pickle.loads(pickle.dumps(normalizer)) == normalizer
    chain = Chain(members=(Log1p(), normalizer))
    assert pickle.loads(pickle.dumps(chain)) == chain


# Through columns


def rows_of(sequences: Sequence[Array], **more: Sequence[Any]) -> list[dict[str, Any]]:
    rest = [dict(zip(more, values, strict=True)) for values in zip(*more.values(), strict=True)]
    rest = rest or [{}] * len(sequences)
    return [{"x": one.reshape(-1), **other} for one, other in zip(sequences, rest, strict=True)]


def sequences(lengths: Sequence[int], width: int = 2) -> list[Array]:
    rng = np.random.default_rng(3)
    return [rng.lognormal(0, 1.5, (n, width)).astype(np.float32) for n in lengths]


LENGTHS = [4, 9, 0, 6, 12, 5]
KEYS = ["a", "b", "a", "b", "b", "a"]


def shares(per: str, data: list[Array]) -> list[Array]:
    """Returns for each sequence the values that it shares statistics with, `[m, 2]` or one figure for both columns."""
    everything = np.concatenate(data).astype(np.float64)
    if per == "dimension":
        return [everything] * len(data)
    if per == "column":
        return [np.repeat(everything.reshape(-1, 1), 2, axis=1)] * len(data)
    if per == "row":
        return [one.astype(np.float64) for one in data]
    of_key = {key: np.concatenate([d for d, k in zip(data, KEYS, strict=True) if k == key]) for key in KEYS}
    return [of_key[key].astype(np.float64) for key in KEYS]


@learned
@pytest.mark.parametrize("per", ["dimension", "column", "row", "key"])
def test_statistics_are_shared_as_asked(name: str, per: str):
    normalizer, oracle = LEARNED[name]
    one = normalizer.model_copy(update={"per": per, "key": "k" if per == "key" else None})
    data = sequences(LENGTHS)
    column = sequence_numeric_column("x", shape=2, normalizer_fn=one, default_value=-9)
    key = numeric_column("k", dtype="int64") if per == "key" else None
    keys = [ord(k) for k in KEYS]
    done = apply(rows_of(data, k=keys), [column, *([key] if key else [])], SequenceGroup(max_length=12))
    assert done.rejected.num_rows == 0
    assert done["x"].dtype == (np.int64 if isinstance(one, Bucketize) else np.float32)
    for row, (values, of) in enumerate(zip(data, shares(per, data), strict=True)):
        assert (done["x"][row, len(values) :] == -9).all()
        if len(values):
            expected = oracle(values.astype(np.float64), of)
            np.testing.assert_allclose(done["x"][row, : len(values)], expected, rtol=1e-5, atol=1e-6)


def test_a_chain_learns_from_what_the_links_before_it_made():
    chain = ["log1p", {"type": "clip", "quantiles": [0.1, 0.8]}, "z_score", {"type": "bucketize", "num_buckets": 4}]
    data = sequences(LENGTHS)
    values = np.concatenate(data).astype(np.float64)
    for links in range(1, 5):
        column = sequence_numeric_column("x", shape=2, normalizer_fn=chain[:links])
        done = apply(rows_of(data), [column], SequenceGroup(max_length=12))
        made = done["x"][done.mask()]
        oracle: Oracle = [log1p, clipped, LEARNED["z_score"][1], buckets][links - 1]
        values = oracle(values, values)
        np.testing.assert_allclose(made, values, rtol=1e-5, atol=1e-6)


def test_a_function_in_a_chain():
    column = sequence_numeric_column(
        "x", normalizer_fn=[lambda x: x * 3 + 1, "max_abs"], dtype="int64", default_value=0
    )
    assert apply([{"x": [1, 2, 3]}], [column])["x"].reshape(-1).tolist() == np.float32([0.4, 0.7, 1.0]).tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16"])
def test_buckets_are_int64_whatever_fits_the_column(dtype: str):
    """200 of them do not fit an int8, and -1, which pads them, no uint8."""
    values = np.arange(100 if dtype == "int8" else 200)
    column = sequence_numeric_column(
        "x",
        dtype=dtype,
        default_value=-1,
        normalizer_fn={"type": "bucketize", "boundaries": [k / 2 for k in range(200)]},
    )
    done = apply([{"x": values.tolist()}, {"x": [99]}], [column])
    assert done["x"].dtype == np.int64
    np.testing.assert_array_equal(done["x"][0, :, 0], np.minimum(2 * values + 1, 200))
    assert done["x"][1, :2, 0].tolist() == [199, -1]


def test_the_default_of_buckets_is_one_that_an_int64_holds():
    buckets = {"type": "bucketize", "num_buckets": 2}
    for dtype, default in [("float32", 0.5), ("float32", 2.0**63), ("uint8", 2**63)]:
        with pytest.raises(ValueError, match="expected a number that fits int64, in which buckets are"):
            sequence_numeric_column("x", dtype=dtype, default_value=default, normalizer_fn=buckets)
    for build, more in [
        (sequence_numeric_column, {"normalize_padding": True}),
        (numeric_column, {}),
    ]:  # it is normalised
        with pytest.raises(ValueError, match="expected a number that fits uint8, got -1"):
            build("x", dtype="uint8", default_value=-1, normalizer_fn=buckets, **more)


def fails(x: Any) -> Any:
    raise KeyError("no\nsuch thing")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fails, r"failed: KeyError: 'no\\nsuch thing'"),
        ("os:getcwd", r"'os:getcwd' failed: TypeError: .* takes no arguments \(1 given\)"),
        ("tensorflow.strings:as_string", r"must return numbers; it returned string"),
        ("tensorflow:reduce_sum", r"must return the shape that it was given, .*; it returned \(\)"),
        ("math:no", "cannot import normalizer_fn 'math:no'"),
    ],
)
def test_a_function_that_fails_is_named_with_its_column(function: Any, message: str):
    with pytest.raises(ValueError, match=f"^column 'x': .*{message}") as caught:
        apply([{"x": [1.0]}], [sequence_numeric_column("x", normalizer_fn=["log1p", function])])
    assert "\n" not in str(caught.value)


def test_a_logarithm_that_is_none_rejects_the_row():
    rows = [{"x": [0.0, 1.0]}, {"x": [-1.0]}, {"x": [-2.0]}]
    done = apply(rows, [sequence_numeric_column("x", normalizer_fn="log1p")])
    assert done.rows.tolist() == [0]
    assert done.rejected["reason"].to_pylist() == ["non_finite"] * 2
    assert done.rejected["value"].to_pylist() == ["-inf", "nan"]
    done = apply(rows, [sequence_numeric_column("x", normalizer_fn=["log1p", {"type": "clip", "min": -5}])])
    assert (done.rows.tolist(), done["x"][1, 0].tolist()) == ([0, 1], [-5])


def test_a_later_value_too_large_for_the_scale_rejects_the_row():
    seen, later = [{"x": [0.0, 1e-30, 2e-30]}], [{"x": [1.0]}, {"x": [3e38]}]
    for normalizer in ("z_score", "min_max", "max_abs", "robust"):
        fitted = apply(seen, [sequence_numeric_column("x", normalizer_fn=normalizer)])
        done = apply(later, fitted.spec, fitted=fitted.fitted)
        assert done.rows.tolist() == [0], normalizer
        assert done.rejected["reason"].to_pylist() == ["non_finite"]


def test_a_bound_beyond_the_dtype_rejects_the_row():
    column = sequence_numeric_column("x", dtype="float16", normalizer_fn={"type": "clip", "min": 1e5})
    assert apply([{"x": [1.0]}], [column]).rejected["reason"].to_pylist() == ["non_finite"]


def test_overflow_is_rejected_before_it_is_normalised():
    done = apply([{"x": [1.0, 2.0]}, {"x": [1e308]}], [sequence_numeric_column("x", normalizer_fn="min_max")])
    assert done["x"].tolist() == [[[0.0], [1.0]]]
    assert done.rejected["reason"].to_pylist() == ["non_finite"]


@each
def test_values_that_are_kept_though_not_finite(name: str):
    rows = [{"x": [float("nan"), 1.0]}, {"x": [float("nan")]}, {"x": [2.0, 3.0, float("inf")]}, {"x": []}]
    column = sequence_numeric_column("x", normalizer_fn=ALL[name][0], non_finite="keep")
    done = apply(rows, [column], SequenceGroup(max_length=3))
    assert done.rejected.num_rows == 0
    finite = np.float32([[1], [2], [3]])
    np.testing.assert_array_equal(done["x"][[0, 2, 2], [1, 0, 1]], applied(ALL[name][0], finite))
    missing = done["x"][[0, 1], [0, 0]]
    assert (missing == -1 if "buckets" in name else np.isnan(missing)).all()


@each
def test_filled_values_are_not_normalised(name: str):
    rows = [{"x": [1.0, float("nan"), 3.0]}]
    column = sequence_numeric_column("x", normalizer_fn=ALL[name][0], non_finite="fill", default_value=5)
    made = apply(rows, [column])["x"]
    assert made[0, 1] == 5
    np.testing.assert_array_equal(made[0, [0, 2]], applied(ALL[name][0], np.float32([[1], [3]])))


# Through a job


JOB: dict[str, Any] = {
    "z_score_by_key": ZScore(per="key", key="shop"),
    "min_max": MinMax(),
    "max_abs_of_all": MaxAbs(per="column"),
    "robust_by_row": Robust(per="row"),
    "robust_by_key": Robust(per="key", key="shop"),
    "log1p": Log1p(),
    "clipped": Clip(quantiles=(0.1, 0.8)),
    "buckets_by_key": Bucketize(num_buckets=4, per="key", key="shop"),
    "chain": [Log1p(), Clip(quantiles=(0.1, 0.8)), ZScore(), Bucketize(num_buckets=4)],
}


@pytest.mark.slow
def test_a_job_and_its_graph_make_what_memory_makes(tmp_path: Path):
    """Over several files; to the last bits of moments, which are merged in another order."""
    columns = [sequence_numeric_column(name, shape=2, normalizer_fn=given) for name, given in JOB.items()]
    spec = make_spec([*columns, passthrough_column("shop"), passthrough_column("row", "int64")])
    data = sequences([3, 0, 7, 1, 12, 5, 9, 2, 2, 6, 4, 8])
    rows = [
        {"row": k, "shop": KEYS[k % 6], **{name: values.reshape(-1).tolist() for name in JOB}}
        for k, values in enumerate(data)
    ]
    for part in range(3):
        pq.write_table(pa.Table.from_pylist(rows[part::3]), tmp_path / f"rows-{part}.parquet")
    job_done(spec, tmp_path / "rows-*.parquet", tmp_path / "out", format="parquet")
    arrays = read_arrays(tmp_path / "out", sort_by="row")
    whole = apply(rows, spec)
    graph = apply(rows, spec, transform=str(tmp_path / "out" / "transform"))
    for name in JOB:
        assert arrays[name].dtype == whole[name].dtype, name
        np.testing.assert_allclose(arrays[name], whole[name], rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(arrays[name], graph[name], err_msg=name)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1.0, 1e30, -3e38, 1e-40]
)
NORMALIZERS = [
    *(normalizer.model_copy(update={"per": per}) for normalizer, _ in LEARNED.values() for per in ("dimension", "row")),
    *(normalizer for normalizer, _ in GIVEN.values()),
    Chain(members=(Clip(quantiles=(0.1, 0.9)), Log1p(signed=True), MinMax(per="row"), Bucketize(num_buckets=3))),
]


@settings(max_examples=tried(60), deadline=None)
@given(st.lists(st.lists(floats, max_size=9), min_size=1, max_size=6), st.sampled_from(NORMALIZERS))
@example([[1e-40, 2e-40], [1e-40] * 9], Log1p(signed=True))
def test_a_row_is_what_it_is_without_the_others(rows: list[list[float]], normalizer: Normalizer):
    column = sequence_numeric_column("x", normalizer_fn=normalizer)
    data = [{"x": row} for row in rows]
    whole = apply(data, [column], SequenceGroup(max_length=9))
    again = apply(data[::-1] * 3, whole.spec, fitted=whole.fitted)
    alone = [apply([row], whole.spec, fitted=whole.fitted) for row in data]
    assert whole.rows.tolist() == [k for k, one in enumerate(alone) if len(one.rows)]
    together = np.concatenate([one["x"] for one in alone])
    np.testing.assert_array_equal(whole["x"], together)
    np.testing.assert_array_equal(again["x"], np.concatenate([together[::-1]] * 3))
