"""What takes the place of gaps: the mean, and the last value before, against pure NumPy, row by row and value by value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs import assert_balanced, done, read_arrays
from tests.marks import tried
from transforms import SequenceGroup, apply, make_spec, numeric_column, passthrough_column, sequence_numeric_column
from transforms.normalizers import ZScore

NAN = float("nan")
DEFAULT = -7.0


def forward_filled(steps: np.ndarray) -> np.ndarray:
    """The last finite value before, in a plain loop; NaN where there is none."""
    made = steps.copy()
    for k in range(1, len(made)):
        gap = ~np.isfinite(made[k])
        made[k][gap] = made[k - 1][gap]
    made[~np.isfinite(made)] = np.nan
    return made


def window(steps: np.ndarray, group: SequenceGroup | None) -> np.ndarray:
    if group is None or group.fixed_length is None:
        return steps
    return steps[: group.fixed_length] if group.truncate == "head" else steps[-group.fixed_length :]


def expected(
    rows: list[np.ndarray], width: int, how: str, per: str | None, group: SequenceGroup | None = None, keys: Any = None
) -> list[np.ndarray]:
    """The oracle: kept steps of every row, z-scored (or not), gaps imputed before, what then is a gap DEFAULT."""
    steps = [np.asarray(row, np.float64).reshape(-1, width) for row in rows]
    kept = [window(row, group) for row in steps]
    seen = np.concatenate([np.where(np.isfinite(row), row, np.nan) for row in kept])
    axis = None if per == "column" else 0
    made = []
    for k, row in enumerate(steps):
        own = kept[k]
        if how == "forward_fill":
            values = window(forward_filled(row), group)
        else:
            count = np.isfinite(seen).sum(axis=axis)
            total = np.nansum(seen, axis=axis)
            mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
            values = np.where(np.isfinite(own), own, mean)
        counted = seen
        if per == "row":
            counted = np.where(np.isfinite(own), own, np.nan)
        if per == "key" and keys[k] is not None:
            counted = np.concatenate([kept[j] for j in range(len(rows)) if keys[j] == keys[k]])
            counted = np.where(np.isfinite(counted), counted, np.nan)
        if per is not None and len(own):
            mean, deviation = (
                np.array([f(c[np.isfinite(c)]) if np.isfinite(c).any() else 0 for c in _columns(counted, axis)])
                for f in (np.mean, np.std)
            )
            constant = np.where(np.isfinite(values), 0.0, np.nan)
            safe = np.where(deviation > 0, deviation, 1)
            values = np.where(deviation > 0, (values - mean) / safe, constant)
        made.append(np.where(np.isfinite(values), values, DEFAULT))
    return made


def _columns(values: np.ndarray, axis: int | None) -> list[np.ndarray]:
    return [values.ravel()] if axis is None else list(values.T)


def check(made: Any, rows: list[np.ndarray], width: int, values: list[np.ndarray], group: SequenceGroup | None) -> None:
    for k, of_row in enumerate(values):
        own = window(np.asarray(rows[k], np.float64).reshape(-1, width), group)
        np.testing.assert_allclose(made["x"][k][made.mask()[k]], of_row, rtol=1e-5, atol=1e-5)
        assert (made["x"][k][~made.mask()[k]] == DEFAULT).all()
        np.testing.assert_array_equal(made["x_observed"][k][made.mask()[k]], np.isfinite(own))
        assert not made["x_observed"][k][~made.mask()[k]].any()


def column(how: str, per: str | None = None, width: int = 2, **more: Any) -> Any:
    normalizer = ZScore(per=per, **({"key": "k"} if per == "key" else {})) if per else None
    return sequence_numeric_column(
        "x", width, DEFAULT, normalizer_fn=normalizer, non_finite=how, observed_mask=True, **more
    )


def gappy(rng: np.random.Generator, count: int, width: int) -> list[np.ndarray]:
    rows = []
    for _ in range(count):
        row = rng.normal([5, -300][:width], [0.5, 40][:width], (rng.integers(0, 7), width)).astype(np.float32)
        row[rng.random(row.shape) < rng.choice([0, 0.3, 1])] = rng.choice([np.nan, np.inf, -np.inf])
        rows.append(row.ravel())
    return rows


@pytest.mark.parametrize("how", ["mean", "forward_fill"])
@pytest.mark.parametrize("per", [None, "dimension", "column", "row", "key"])
@pytest.mark.parametrize(("truncate", "size"), [("head", 3), ("tail", 3), ("tail", "longest")])
def test_against_numpy(how, per, truncate, size):
    rng = np.random.default_rng([1, len(str(per)), len(how)])
    rows = gappy(rng, 40, 2)
    keys = [["a", "b", None][k] for k in rng.integers(0, 3, len(rows))]
    group = SequenceGroup(max_length=size, truncate=truncate, padding="pre")
    data = [{"x": row, "k": key} for row, key in zip(rows, keys, strict=True)]
    made = apply(data, [column(how, per), passthrough_column("k", default_value="")], group)
    check(made, rows, 2, expected(rows, 2, how, per, group, keys), group)
    gaps = sum(int((~np.isfinite(window(row.reshape(-1, 2), group))).sum()) for row in rows)
    assert made.tally["", "column", "x", "filled"] == gaps > 30


@settings(max_examples=tried(25), deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([NAN, float("inf"), 0.0, -0.0, 1.5, 1e30, -2.0]), max_size=9).map(
            lambda row: row[: len(row) // 3 * 3]
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([1, 2, "longest"]),
    st.sampled_from(["head", "tail"]),
)
def test_forward_fill_of_anything(rows, size, truncate):
    group = SequenceGroup(max_length=size, truncate=truncate)
    rows = [np.array(row) for row in rows]
    made = apply([{"x": row} for row in rows], [column("forward_fill", width=3)], group)
    for k, values in enumerate(expected(rows, 3, "forward_fill", None, group)):
        np.testing.assert_array_equal(made["x"][k][made.mask()[k]], values.astype(np.float32))
    for k, row in enumerate(rows):  # a row is the same alone
        alone = apply([{"x": row}], [column("forward_fill", width=3)], group, fitted=made.fitted)
        assert alone["x"][0].tobytes() == made["x"][k].tobytes()


def test_the_last_value_before_may_lie_in_a_step_that_is_cut_off_but_not_in_another_row_or_dimension():
    rows = [[1.0, 2.0, NAN, NAN, NAN, 5.0], [NAN, NAN, 4.0, NAN], [NAN] * 4]
    tail = SequenceGroup(max_length=2, truncate="tail")
    made = apply([{"x": row} for row in rows], [column("forward_fill")], tail)
    assert made["x"].tolist() == [[[1, 2], [1, 5]], [[-7, -7], [4, -7]], [[-7, -7], [-7, -7]]]
    assert made["x_observed"].tolist()[0] == [[False, False], [False, True]]


def test_statistics_count_nothing_that_was_imputed():
    rows = [[1.0, NAN, NAN, NAN, 4.0, NAN]]
    for how in ("mean", "forward_fill", "fill"):
        made = apply([{"x": row} for row in rows], [column(how, "dimension", 1)])
        assert made.fitted is not None
        statistics = made.fitted.packed(make_spec([column(how, "dimension", 1)]).asks[0])
        assert float(statistics.count[0]) == 2 and float(statistics.mean[0]) == 2.5
        assert float(statistics.variance[0]) == 2.25
    shown = {how: apply([{"x": rows[0]}], [column(how, "row", 1)])["x"].ravel().tolist() for how in ("mean", "fill")}
    assert shown == {"mean": [-1, 0, 0, 0, 1, 0], "fill": [-1, -7, -7, -7, 1, -7]}


@pytest.mark.parametrize("how", ["mean", "forward_fill"])
def test_completed_values_and_padding_are_no_gaps(how):
    rows = [[1.0, NAN, 3.0], [NAN], []]
    plain = apply([{"x": row} for row in rows], [column(how, incomplete_step="pad")])
    filled = {"mean": [2, DEFAULT], "forward_fill": [DEFAULT] * 2}[how]  # 2 is the mean of 1 and 3
    assert plain["x"].tolist() == [[[1, DEFAULT], [3, DEFAULT]], [filled, [DEFAULT] * 2], [[DEFAULT] * 2] * 2]
    assert plain["x_observed"].tolist()[0] == [[True, False], [True, False]]
    assert plain.tally["", "column", "x", "completed"] == 2 and plain.tally["", "column", "x", "filled"] == 2


@pytest.mark.parametrize("how", ["mean", "forward_fill"])
def test_normalised_padding(how):
    rows = [[1.0, NAN, 3.0, 8.0], [NAN, 6.0, 5.0]]
    made = apply([{"x": r} for r in rows], [column(how, "dimension", incomplete_step="pad", normalize_padding=True)])
    (first, second), (one, two) = [np.array([1.0, 3.0, 5.0]), np.array([8.0, 6.0])], (3.0, 7.0)
    pad = [(DEFAULT - one) / first.std(), (DEFAULT - two) / second.std()]
    z = {v: (v - one) / first.std() for v in first}
    gap = {"mean": [0.0, 0.0], "forward_fill": [DEFAULT, DEFAULT]}[how]  # both gaps are the first of their row
    wanted = [[[z[1.0], gap[1]], [z[3.0], 1.0]], [[gap[0], -1.0], [z[5.0], pad[1]]]]
    np.testing.assert_allclose(made["x"], wanted, rtol=1e-6)
    longer = apply(
        [{"x": []}, *[{"x": r} for r in rows]],
        [column(how, "dimension", incomplete_step="pad", normalize_padding=True)],
    )
    np.testing.assert_allclose(longer["x"][0], [pad, pad], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("how", ["mean", "forward_fill"])
def test_every_float(dtype, how):
    rows = [[0.5, NAN, 1.5], [float("inf") if dtype == "float64" else 1e300, 4.0]]  # 1e300 is a gap in all others
    made = apply([{"x": row} for row in rows], [column(how, None, 1, dtype=dtype)])
    first = {"mean": 2.0, "forward_fill": 0.5}[how]
    last = {"mean": 2.0, "forward_fill": DEFAULT}[how]
    assert made["x"].reshape(2, -1).tolist() == [[0.5, first, 1.5], [last, 4.0, DEFAULT]]
    assert made["x_observed"].reshape(2, -1).tolist() == [[True, False, True], [False, True, False]]


def test_the_imputed_mean_is_not_rounded_before_it_is_normalised():
    """In float32 this mean is 0.5 off, 14 deviations away from itself."""
    rows = [[16777216.0, 16777216.0, 16777218.0, NAN], [16777220.0] * 20]
    made = apply([{"x": row} for row in rows], [column("mean", "dimension", 1)])
    assert made["x"][0, 3, 0] == 0.0
    huge = apply([{"x": [1e30, 1.0, 2.0, NAN]}], [column("mean", "dimension", 1)])
    wide = np.array([np.float32(1e30), 1, 2], np.float64)
    np.testing.assert_allclose(huge["x"][0, :, 0], [*((wide - wide.mean()) / wide.std()), 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[5.0, NAN, 5.0]], [[0, 0, 0]]),  # a constant column
        ([[NAN, NAN], [NAN]], [[DEFAULT] * 2] * 2),  # no value, no mean
        ([[NAN, NAN], [3.0]], [[0, 0], [0, DEFAULT]]),  # a row of gaps; a single value
        ([[], []], [[], []]),
        ([None, [NAN]], [[DEFAULT], [DEFAULT]]),
    ],
)
def test_mean_of_little(rows, wanted):
    made = apply([{"x": row} for row in rows], [column("mean", "dimension", 1)])
    np.testing.assert_array_equal(made["x"].reshape(len(rows), -1), wanted)


def test_context_columns_take_the_mean():
    data = [{"x": [1.0, NAN]}, {"x": [3.0, 10.0]}, {}, {"x": [NAN, 30.0]}]
    made = apply(data, [numeric_column("x", 2, 5.0, normalizer_fn="z_score", non_finite="mean", observed_mask=True)])
    np.testing.assert_allclose(made["x"], [[-1, 0], [1, -1], [3, -1.5], [0, 1]], rtol=1e-6)
    assert made["x_observed"].tolist() == [[True, False], [True, True], [False, False], [False, True]]
    plain = apply(data[:2] + data[3:], [numeric_column("x", 2, non_finite="mean")])  # needs no default_value
    assert plain["x"].tolist() == [[1, 20], [3, 10], [2, 30]]
    nothing = apply([{"x": NAN}], [numeric_column("x", non_finite="mean")])
    assert nothing["x"].tolist() == [[0]]


def test_a_mean_asks_for_a_pass_over_the_data_and_forward_fill_does_not():
    group = SequenceGroup(max_length=3)
    needs = {how: make_spec([column(how)], group).needs_analysis for how in ("fill", "mean", "forward_fill", "keep")}
    assert needs == {"fill": False, "mean": True, "forward_fill": False, "keep": False}


def test_wrong_arguments_fail_at_construction():
    with pytest.raises(ValueError, match="expected 'reject', 'fill', 'keep' or 'mean', got 'forward_fill'"):
        numeric_column("x", non_finite="forward_fill")
    with pytest.raises(ValueError, match=r"non_finite.*'mean' does not apply to int64"):
        sequence_numeric_column("x", dtype="int64", non_finite="mean")
    with pytest.raises(ValueError, match="forward_fill"):
        sequence_numeric_column("x", non_finite="forwardfill")
    with pytest.raises(ValueError, match="default_value"):
        sequence_numeric_column("x", default_value=NAN, non_finite="mean")


@pytest.mark.slow
def test_a_job_over_several_files_gives_what_memory_gives(tmp_path: Path):
    rng = np.random.default_rng(9)
    rows = gappy(rng, 60, 2)
    schema = pa.schema(
        [("row", pa.int64()), ("k", pa.string()), *((name, pa.list_(pa.float32())) for name in ("x", "y", "z"))]
    )
    keys = [["a", "b", None][k] for k in rng.integers(0, 3, len(rows))]
    data = [
        {"row": number, "k": key, "x": row, "y": row, "z": [NAN if number % 3 == 0 else float(number)]}
        for number, (row, key) in enumerate(zip(rows, keys, strict=True))
    ]
    for part in range(3):
        pq.write_table(pa.Table.from_pylist(data[part::3], schema), tmp_path / f"{part}.parquet", row_group_size=7)
    spec = make_spec(
        [
            passthrough_column("row", "int64"),
            passthrough_column("k", default_value=""),
            column("mean", "key"),
            sequence_numeric_column("y", 2, DEFAULT, normalizer_fn="z_score", non_finite="forward_fill"),
            numeric_column("z", non_finite="mean"),
        ],
        SequenceGroup(max_length=3, truncate="tail"),
    )
    outcome = done(spec, str(tmp_path / "*.parquet"), tmp_path / "out", format="parquet")
    assert_balanced(outcome.ledger)
    arrays, here = read_arrays(tmp_path / "out", sort_by="row"), apply(data, spec)
    for name in ("x", "x_observed", "y", "z"):
        np.testing.assert_allclose(arrays[name], here[name], rtol=1e-6, atol=1e-6, err_msg=name)
    check(
        here,
        rows,
        2,
        expected(rows, 2, "mean", "key", SequenceGroup(max_length=3, truncate="tail"), keys),
        SequenceGroup(max_length=3, truncate="tail"),
    )
    z = np.array([row["z"][0] for row in data])
    np.testing.assert_allclose(arrays["z"][:, 0], np.where(np.isfinite(z), z, np.nanmean(z)), rtol=1e-6)
    assert outcome.ledger["columns"]["z"]["filled"] == 20
