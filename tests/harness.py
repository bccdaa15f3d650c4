"""Every column type through the same rows: expected, missing, out of bounds, rejected, empty, single, pickled.

A new column type is one more file in `tests/cases`; `test_columns.py` runs them all.
"""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.internal import cloudpickle  # what Beam pickles with

from tests import cases
from transforms.columns import Column
from transforms.columns.wrapper import Wrapper
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply

T = 3


@dataclass(frozen=True)
class Case:
    """One column and what it makes of single values of its feature `x`.

    Attributes:
      expected: value, and the dense output of T = 3 as nested lists.
      missing: what stands where a row lacks the feature, or None where such a row is rejected.
      out_of_bounds: value, and either a list (the output) or a reason code.
      rejected: value to reason code.
      empty: as `missing`, for an empty list.
    """

    name: str
    column: Column
    expected: list[tuple[Any, Any]]
    missing: Any
    out_of_bounds: tuple[Any, Any]
    rejected: list[tuple[Any, str]]
    empty: Any
    dtype: str = field(default="float32")
    more: Callable[[Any], dict[str, Any]] = field(default=lambda value: {})
    """Other features of a row that holds the value."""

    @property
    def output(self) -> str:
        """The output that is looked at."""
        return self.column.outputs(T)[0].name

    def required(self) -> Column:
        """The same column, refusing rows without the feature."""
        return required(self.column)

    def rows(self, values: list[Any]) -> list[dict[str, Any]]:
        """Rows that hold these values; the string "absent" leaves the feature out."""
        absent = [isinstance(value, str) and value == "absent" for value in values]
        return [
            {"other": k} if gone else {"x": v, **self.more(v)}
            for k, (v, gone) in enumerate(zip(values, absent, strict=True))
        ]


def required(column: Column) -> Column:
    """The column, or the one inside that reads the feature, with `required`."""
    if not isinstance(column, Wrapper):
        return column.model_copy(update={"required": True})
    return column.model_copy(update={column.inner_field: required(column.inner)})


def all_cases() -> list[Case]:
    """Returns the cases of every file in `tests/cases`."""
    files = [importlib.import_module(f"tests.cases.{found.name}") for found in pkgutil.iter_modules(cases.__path__)]
    return [case for file in files for case in file.CASES]


def run(case: Case, values: list[Any]) -> Applied:
    """Applies a case's column to rows that hold these values; the string "absent" leaves the feature out."""
    group = SequenceGroup(max_length=T) if case.column.is_sequence else None
    return apply(case.rows(values), [case.column], group)


def check_outcome(case: Case, value: Any, outcome: Any, made: Applied, row: int = 0) -> None:
    """Asserts that a row became an output, or a rejection with this reason that names row, column and record."""
    reasons = dict(zip(made.rejected["row"].to_pylist(), made.rejected["reason"].to_pylist(), strict=True))
    is_reason = outcome is None or (isinstance(outcome, str) and case.dtype != "object")
    if is_reason or row in reasons:
        expected = "missing" if outcome is None else outcome
        assert reasons.get(row) == expected, (value, reasons.get(row), expected)
        at = made.rejected["row"].to_pylist().index(row)
        assert made.rejected["column"][at].as_py() in ("x", case.column.name)
        assert row not in made.rows.tolist()
        return
    output = made[case.output][made.rows.tolist().index(row)]
    assert made[case.output].dtype == case.dtype
    assert np.asarray(output).tolist() == outcome, value


def recovered(made: Applied, at: int) -> dict[str, Any]:
    """Returns the original row that a line of the rejected table holds."""
    record = made.rejected["record"][at].as_py()
    (row,) = pa.ipc.open_stream(record).read_all().to_pylist()
    return row


def pickled(column: Column) -> list[Column]:
    """The column after every pickler that workers use."""
    return [pickle.loads(pickle.dumps(column)), cloudpickle.loads(cloudpickle.dumps(column))]
