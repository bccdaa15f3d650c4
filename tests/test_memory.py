"""The in-memory call: a row's result is its own, and nothing that a row can hold breaks it."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.marks import slow_but, tried
from transforms.columns import (
    Column,
    categorical_column_with_identity,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.rows.from_python import batches_of
from transforms.rows.origin import row_numbers
from transforms.spec.make_spec import make_spec
from transforms.stages import parse_batch, validate_batch
from transforms.statistics.fitted import Fitted

COLUMNS: list[Column] = [
    sequence_numeric_column("x", normalizer_fn="z_score"),
    sequence_numeric_column("x", shape=(2,), incomplete_step="pad", non_finite="fill"),
    sequence_numeric_column("x", dtype="int64"),
    sequence_numeric_column("x", delimiter=","),
    sequence_categorical_column_with_identity("x", 10),
    sequence_categorical_column_with_identity("x", 2**62, default_value=3),
    numeric_column("x", default_value=1.0),
    categorical_column_with_identity("x", 10),
    passthrough_column("x"),
    passthrough_column("x", dtype="bytes"),
    passthrough_column("x", dtype="int64", default_value=3),
]
PAIRS_TRIED = 60
POLICY = SequenceGroup(max_length=4, truncate="tail", padding="pre")


class Odd:
    """Something that no column takes."""

    def __repr__(self) -> str:
        return "odd"


ODD: list[Any] = [
    *[
        None,
        [],
        [1],
        [1, 2],
        [1.5, 2.0],
        [3.0],
        (1, 2),
        1,
        2.0,
        True,
        "1,2",
        "x",
        "",
        "  ",
        b"1",
        b"\xff",
        [""],
        ["1", "2"],
    ],
    *[
        [b"\xff"],
        [None],
        [1, None],
        [None, None],
        [True],
        [True, 1],
        [1.0, True],
        [[1], [2]],
        [[]],
        [[1, 2]],
        [[], [1]],
    ],
    *[
        [None, [1]],
        [[None]],
        [[[1]]],
        [[[]]],
        [1, "2"],
        [1, [2]],
        [[True], [1]],
        {1, 2},
        {True},
        frozenset([1]),
        {}.keys(),
    ],
    *[{"a": 1}, [{"a": 1}], {}, 2**63, [2**63], [2**64], -(2**63), [-(2**63)], [2**53 + 1], [2**60], [10**400]],
    *[
        [float("nan")],
        float("nan"),
        [float("inf")],
        [1e300],
        1 + 2j,
        bytearray(b"1"),
        memoryview(b"1"),
        range(3),
        Odd(),
        [Odd()],
    ],
    *[
        np.array([1, 2]),
        np.array([1.5, 2]),
        np.array([1, 2], np.float32),
        np.array([[1, 2], [3, 4]]),
        np.array(3),
        np.int64(1),
    ],
    *[
        np.array([True]),
        np.array([True, 1], object),
        np.bool_(True),
        np.float32(2),
        np.array([2**60]),
        np.zeros((1, 1, 1)),
    ],
    *[
        np.array([2**63], np.uint64),
        [np.uint64(2**63)],
        [np.int64(2**60)],
        np.array(["1", "2"]),
        np.array([None, 1], object),
    ],
    *[
        pd.Series([1, 2]),
        pd.Series([True]),
        pd.NA,
        [pd.NA],
        pd.NaT,
        pd.Timestamp("2020"),
        pd.array([1, None]),
        pd.Index([1]),
    ],
    *[
        datetime.datetime(2020, 1, 1),
        [datetime.date(2020, 1, 1)],
        [decimal.Decimal("1.5")],
        pa.scalar(1),
        [pa.scalar(1)],
    ],
    *[
        pa.array([1, 2]),
        "\ud800",
        ["\ud800"],
        [np.array([1, 2])],
        np.array([], np.float64),
        [np.float16(1)],
        (k for k in [1]),
    ],
]


def outcomes(rows: Sequence[Any], column: Column, fitted: Fitted | None = None) -> list[Any]:
    """What became of each row: the bytes of every output, or the reason of the rejection."""
    made = apply(
        [{"x": value} for value in rows],
        [column],
        POLICY if column.is_sequence else None,
        fitted=fitted,
    )
    out: list[Any] = [None] * len(rows)
    for at, row in enumerate(made.rows):
        values = [array[at] for array in made.arrays.values()]
        out[row] = [v.tobytes() if isinstance(v, np.ndarray | np.generic) else v for v in values]
    for row, reason in zip(made.rejected["row"].to_pylist(), made.rejected["reason"].to_pylist(), strict=True):
        assert out[row] is None, "a row is accepted or rejected, not both"
        out[row] = reason
    assert None not in out
    return out


def canonical(rows: Sequence[Any], column: Column) -> list[Any]:
    """As `outcomes`, before the graph (which the next test runs): the validated values, or the reason."""
    out: list[Any] = [None] * len(rows)
    spec = make_spec([column])
    for batch in batches_of([{"x": value} for value in rows]):
        parsed = parse_batch(batch, spec.columns)
        valid = validate_batch(parsed.batch, spec)
        for values, row in zip(valid.batch["x"].to_pylist(), row_numbers(valid.batch), strict=True):
            out[row] = repr(values)  # so that NaN equals NaN
        for part in (parsed.rejected, valid.rejected):
            for bad in part.to_pylist() if part is not None else []:
                out[bad["row"]] = f"rejected: {bad['reason']}"
    assert None not in out
    return out


@pytest.mark.parametrize(
    "column", slow_but(COLUMNS, COLUMNS[1], COLUMNS[9]), ids=lambda c: f"{c.type_name}-{c.form().dtype}"
)
def test_odd_values_are_data_and_neighbours_do_not_matter(column):
    alone = [canonical([value], column)[0] for value in ODD]
    assert 2 <= sum(outcome.startswith("rejected") for outcome in alone) < len(ODD) - 2
    rng = np.random.default_rng(6)
    for _ in range(4):
        order = rng.permutation(len(ODD))
        mixed = canonical([ODD[k] for k in order], column)
        assert mixed == [alone[k] for k in order]
    pairs = rng.permutation(len(ODD) ** 2)[:PAIRS_TRIED]
    for left, right in zip(*np.divmod(pairs, len(ODD)), strict=True):
        assert canonical([ODD[left], ODD[right]], column) == [alone[left], alone[right]], (ODD[left], ODD[right])


VALUES = st.one_of(
    st.none(),
    st.lists(st.floats(width=32), max_size=6),
    st.lists(st.integers(-3, 12), max_size=6),
    st.lists(st.lists(st.integers(-3, 12), max_size=3), max_size=3),
    st.lists(st.none() | st.booleans() | st.text(max_size=2) | st.integers(), max_size=3),
)


@settings(max_examples=tried(12))
@given(rows=st.lists(VALUES, min_size=2, max_size=8), data=st.data())
def test_a_row_depends_on_that_row_alone(rows, data):
    fitted = apply([{"x": [1.0, 2.0, 4.0]}], [COLUMNS[0]], POLICY).fitted
    order = data.draw(st.permutations(range(len(rows))))
    for column in (COLUMNS[0], COLUMNS[1], COLUMNS[4]):
        statistics = fitted if column is COLUMNS[0] else None
        whole = outcomes(rows, column, statistics)
        assert [outcomes([row], column, statistics)[0] for row in rows] == whole
        shuffled = outcomes([rows[k] for k in order], column, statistics)
        assert shuffled == [whole[k] for k in order]


def test_rows_must_be_mappings():
    column = sequence_numeric_column("x")
    for data in ({"x": [1.0]}, [[1.0]], pd.Series([[1.0]], name="x"), ["x"]):
        with pytest.raises(TypeError, match="expected"):
            apply(data, [column])  # type: ignore[arg-type]


def test_keys_missing_extra_and_no_rows_at_all():
    made = apply([{}, {"y": object()}, {"x": [1.0], "z": {1: 2}}], [sequence_numeric_column("x")])
    assert made.lengths().tolist() == [0, 0, 1]
    for nothing in (
        [],
        pa.table({"x": pa.array([], pa.list_(pa.float32()))}),
        pa.record_batch({"x": pa.nulls(0)}),
        iter(()),
    ):
        made = apply(nothing, [sequence_numeric_column("x", shape=2)])
        assert made["x"].shape == (0, 0, 2)
        assert made.rejected.num_rows == 0
        assert made.sequence_input()[0].shape == (0, 0, 2)


def test_all_rejected_in_many_batches():
    made = apply([{"x": value} for value in ("a", 1, [True, 1], [{}])], [sequence_numeric_column("x")])
    assert made.rejected["row"].to_pylist() == [0, 1, 2, 3]
    assert made["x"].shape == (0, 0, 1)


def test_more_rows_than_a_batch():
    made = apply(({"x": [float(k)] * (k % 3)} for k in range(2500)), [sequence_numeric_column("x", ())])
    assert made.rows.tolist() == list(range(2500))
    assert made["x"].tolist() == [[float(k)] * (k % 3) + [0.0] * (2 - k % 3) for k in range(2500)]


def test_outputs_by_name():
    done = apply([{"x": [1.0]}], [sequence_numeric_column("x")])
    assert list(done) == list(done.keys()) == ["x", "sequence_length", "sequence_mask"]
    assert dict(done)["x"].tolist() == [[[1.0]]] and "x" in done and "y" not in done
    with pytest.raises(
        KeyError, match=r"no output 'sequence_lenght'; did you mean 'sequence_length'[?]; known: x, sequence_length"
    ):
        done["sequence_lenght"]
