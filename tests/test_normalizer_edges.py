"""Every normalizer, by dimension, column, row and key, on columns that have little or much: against NumPy in float64.

Empty, constant, a single value, nothing but NaN, rows without any, huge and infinite values; gaps filled, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.marks import slow_but
from transforms import SequenceGroup, apply, passthrough_column, sequence_numeric_column
from transforms.normalizers import TYPES

Array = np.ndarray
Oracle = Callable[[Array, Array], Array]
"""Values `[n]`, and the observed ones of their statistics `[m]`, at least one."""

NAN, INF = float("nan"), float("inf")
KEYS = ["a", "b", "a"]
DEFAULT = -9

COLUMNS: dict[str, list[list[float]]] = {
    "empty": [[], [], []],
    "constant": [[7, 7, 7, 7], [7, 7], []],
    "constant that is not exact": [[0.1, 0.1, 0.1, 0.1], [0.1, 0.1], [0.1, 0.1]],
    "zeros": [[0, 0], [0, 0, -0.0, 0], [0, 0]],
    "one value": [[], [5, 6], []],
    "one value a row": [[5, 6], [1, 2], [9, -9]],
    "nothing but NaN": [[NAN, NAN], [NAN] * 4, []],
    "a row of NaN": [[NAN, NAN], [1, 2, 3, 4], [5, NAN, NAN, 7]],
    "huge": [[1e30, -1e30, 1, 2], [3e38, -3e38, 3, 4], [1e38, 2]],
    "huge and constant": [[3e38, 3e38], [3e38] * 4, []],
    "infinite": [[INF, 1], [2, -INF, 3, 4], [NAN, 5]],
    "ordinary": [[1, -2, 3, 8], [-5, 100, 7, 0.5], [2.5, 3]],
}


def scaled(x: Array, low: float, high: float, to: Array) -> Array:
    return np.full(len(x), to[0]) if low == high else to[0] + (x - low) / (high - low) * (to[1] - to[0])


def min_max(to: tuple[float, float], clip: bool = False) -> Oracle:
    def made(x: Array, of: Array) -> Array:
        within = np.clip(x, of.min(), of.max()) if clip else x
        return scaled(within, of.min(), of.max(), np.array(to))

    return made


def robust(*quantiles: float) -> Oracle:
    def made(x: Array, of: Array) -> Array:
        low, middle, high = np.quantile(of, [quantiles[0], 0.5, quantiles[1]])
        return np.zeros(len(x)) if low == high else (x - middle) / (high - low)

    return made


def z_score(x: Array, of: Array) -> Array:
    return np.zeros(len(x)) if of.min() == of.max() else (x - of.mean()) / of.std()


def buckets(x: Array, of: Array) -> Array:
    return np.digitize(x, np.quantile(of, [0.25, 0.5, 0.75]).astype(np.float32)).astype(np.float64)


NORMALIZERS: dict[str, tuple[dict[str, Any], Oracle, float | None]] = {  # options, oracle, what becomes of no values
    "z_score": ({}, z_score, 0),
    "min_max": ({}, min_max((0, 1)), 0),
    "min_max of a range": ({"feature_range": [-2, 3]}, min_max((-2, 3)), -2),
    "min_max clipped": ({"clip": True}, min_max((0, 1), clip=True), 0),
    "max_abs": ({}, lambda x, of: x / (np.abs(of).max() or 1.0), 0),
    "robust": ({}, robust(0.25, 0.75), 0),
    "robust of a range": ({"quantiles": [0.1, 0.9]}, robust(0.1, 0.9), 0),
    "clip at quantiles": ({"quantiles": [0.1, 0.8]}, lambda x, of: np.clip(x, *np.quantile(of, [0.1, 0.8])), None),
    "bucketize": ({"num_buckets": 4}, buckets, 0),
}
GIVEN: dict[str, tuple[dict[str, Any], Oracle]] = {
    "log1p of both signs": ({"signed": True}, lambda x, _: np.sign(x) * np.log1p(np.abs(x))),
    "clip": ({"min": -2, "max": 1e20}, lambda x, _: np.clip(x, -2, 1e20)),
    "bucketize at": ({"boundaries": [0, 3]}, lambda x, _: np.digitize(x, [0.0, 3.0]).astype(np.float64)),
}


def of_steps(steps: list[Array], row: int, dimension: int, per: str) -> Array:
    """The finite values that a value shares its statistics with."""
    parts = {"row": [steps[row]], "key": [s for s, key in zip(steps, KEYS, strict=True) if key == KEYS[row]]}
    chosen = np.concatenate(parts.get(per, steps))
    found = chosen.reshape(-1) if per == "column" else chosen[:, dimension]
    found = found[np.isfinite(found)]
    return found if len(found) or per != "key" else of_steps(steps, row, dimension, "dimension")


def applied(options: dict[str, Any], non_finite: str) -> Any:
    """Every column by one normalizer, each in a group of its own."""
    more: dict[str, Any] = {"non_finite": non_finite, "default_value": DEFAULT, "normalizer_fn": options}
    columns = [sequence_numeric_column(name, 2, group=name, **more) for name in COLUMNS]
    rows = [{"k": key, **{name: COLUMNS[name][k] for name in COLUMNS}} for k, key in enumerate(KEYS)]
    done = apply(rows, [*columns, passthrough_column("k")], {name: SequenceGroup() for name in COLUMNS})
    assert done.rejected.num_rows == 0, done.rejected.to_pylist()
    return done


def check(done: Any, oracle: Oracle, per: str, nothing: float | None, keeps: bool) -> None:
    for name, rows in COLUMNS.items():
        steps = [np.array(np.float32(row), np.float64).reshape(-1, 2) for row in rows]
        for row, dimension in np.ndindex(len(rows), 2):
            x = steps[row][:, dimension]
            of = of_steps(steps, row, dimension, per)
            expected = oracle(x, of) if len(of) else x if nothing is None else np.full(len(x), nothing)
            missing = ~np.isfinite(x)
            made = done[name][row, : len(x), dimension].astype(np.float64)
            if not keeps:
                assert (made[missing] == DEFAULT).all()
            place = f"{name} row {row} dimension {dimension}"
            np.testing.assert_allclose(made[~missing], expected[~missing], rtol=2e-6, atol=2e-6, err_msg=place)
            assert (done[name][row, len(x) :] == DEFAULT).all()


def test_every_normalizer_is_here():
    assert {name.partition(" ")[0] for name in [*NORMALIZERS, *GIVEN]} == set(TYPES)


@pytest.mark.parametrize("per", slow_but(["dimension", "column", "row", "key"], "column", "key"))
@pytest.mark.parametrize("name", NORMALIZERS)
def test_every_normalizer_on_little_and_on_much(name: str, per: str):
    options, oracle, nothing = NORMALIZERS[name]
    whole = {"type": name.partition(" ")[0], "per": per, **options, **({"key": "k"} if per == "key" else {})}
    non_finite = "keep" if per in ("column", "row") else "fill"
    check(applied(whole, non_finite), oracle, per, nothing, non_finite == "keep")


@pytest.mark.parametrize("name", GIVEN)
def test_every_normalizer_without_statistics(name: str):
    options, oracle = GIVEN[name]
    check(applied({"type": name.partition(" ")[0], **options}, "fill"), oracle, "dimension", None, False)
