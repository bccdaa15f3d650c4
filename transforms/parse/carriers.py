"""Single values to a carrier: integers to int64, floats to float32 or float64, text to either; never a silent rounding.

Each converter takes a flat Arrow array and returns NumPy values of the same length with the positions that it could not
convert. What is accepted:

- int64 columns: integer types of any width; floats without a fraction up to 2^53; decimal integers as text (`"-12"`,
  `"+7"`, `"007"`, spaces around trimmed). Fractions and numbers outside the dtype are faults.
- float32 and float64 columns: integer and float types of any width; decimal text, with exponent, `nan` and `inf`. A null becomes
  NaN. A finite number too large for the dtype is a fault where non-finite values are rejected, else an infinity. A
  float32 that is subnormal is 0.
- string columns: text (checked to be UTF-8 where the dtype is `string`) and bytes. Where the words are integers up to 2^64 - 1
  (`dtypes.DIGITS`), what columns of integers take, as its decimal text.
- other types: see `transforms.parse.typed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import dtypes
from transforms.parse import typed
from transforms.parse.rounding import LOOKED_AT, Rounded, rounded
from transforms.parse.text import numbers_from_text, utf8
from transforms.parse.typed import LeafFault, is_text, where
from transforms.rows.marks import MIXED, NO_TEXT, NUMBERS, is_mark
from transforms.rows.ragged import Ragged, simple

LARGEST_EXACT_FLOAT: Final = 2.0**53


@dataclass(frozen=True)
class Leaves:
    """Converted values: NumPy int64, float32 or float64, or an Arrow string or binary array; what was refused; and roundings."""

    values: np.ndarray | pa.Array
    faults: list[LeafFault]
    nulls: int = 0
    rounded: Rounded | None = None


def convert(values: pa.Array, dtype: str, reject_overflow: bool = True, unit: str | None = None) -> Leaves:
    """Converts a flat Arrow array to the carrier of `dtype`.

    Args:
      values: any Arrow array that is no list.
      dtype: name of the declared dtype, or `dtypes.DIGITS`.
      reject_overflow: whether a finite number beyond a float dtype's range is a fault. It becomes an infinity
        otherwise.
      unit: the unit of times; None for seconds.

    Returns:
      Values as long as the input; where a fault stands the value is arbitrary.
    """
    given = values.type
    if dtype in dtypes.STRINGS:
        return _strings(values, dtype)
    faults: list[LeafFault] = []
    values, carrier = _plain(values), dtypes.carrier(dtype)
    if not typed.takes(values.type, dtype) or given == MIXED:
        faults = [_wrong_type(values, dtype, given)]
        values = pa.nulls(len(values), pa.float32() if carrier == "float32" else pa.int64())
    elif pa.types.is_null(values.type):
        values = values.cast(pa.float32() if carrier == "float32" else pa.int64())
    elif is_text(values.type):
        values, faults = numbers_from_text(values, carrier != "float32", unit)
    else:
        values, faults = typed.as_numbers(values, carrier != "float32", unit or typed.SECONDS)
    if carrier == "float32":
        return _floats(values, dtype, faults, reject_overflow)
    return _integers(values, dtype, faults)


def texts(values: pa.Array, positions: np.ndarray) -> list[str]:
    """Returns the values at some positions as text, for people."""
    chosen = _plain(values.take(pa.array(positions, pa.int64())))
    if is_mark(chosen.type):  # the value as Python writes it; the name of the mark says nothing to people
        chosen = chosen.flatten()[0]
    if typed.is_uuid(chosen.type):
        chosen = typed.text_of_uuids(chosen.storage)
    if pa.types.is_timestamp(chosen.type):  # whose zone in a row of Python's may be that of another one
        chosen = chosen.cast(pa.timestamp(chosen.type.unit, "UTC"))
    if pa.types.is_decimal(chosen.type):  # how many zeros its type has may hang on other rows
        return ["null" if v is None else f"{v.normalize():f}" for v in chosen.to_pylist()]
    if pa.types.is_binary(chosen.type) or pa.types.is_large_binary(chosen.type):
        return [v.decode("utf-8", "surrogateescape") if v is not None else "null" for v in chosen.to_pylist()]
    if pa.types.is_string(chosen.type) or pa.types.is_large_string(chosen.type):  # a file may hold any bytes as text
        return texts(chosen.cast(pa.large_binary()), np.arange(len(chosen)))
    if pa.types.is_nested(chosen.type) or pa.types.is_interval(chosen.type):
        return [_shown(value) for value in chosen]
    return ["null" if v is None else v for v in pc.cast(chosen, pa.string()).to_pylist()]


def pieces(text: pa.Array, delimiter: str) -> Ragged:
    """Splits trimmed text into its values, spaces around them dropped; a list for each text, empty for an empty one and for null.

    >>> pieces(pa.array(["a, b", ""]), ",").values.to_pylist()
    ['a', 'b']
    """
    lists = Ragged.of(pc.split_pattern(pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text), delimiter))
    return replace(lists, values=pc.utf8_trim_whitespace(lists.values))


def _shown(value: pa.Scalar) -> str:
    try:
        return str(value.as_py())
    except UnicodeDecodeError:
        return f"{value.type} with text that is not UTF-8"


def _wrong_type(values: pa.Array, dtype: str, given: pa.DataType) -> LeafFault:
    """Refuses every value. A null among them is a null of any type: another row gave the array its type."""
    got = {MIXED: "booleans among numbers", NUMBERS: "numbers"}.get(given) or typed.name_of(given)
    message = f"expected {expected(dtype)}, got {got}{typed.remedy(given, dtype)}"
    return LeafFault("wrong_type", where(pc.is_valid(values)), message)


def expected(dtype: str) -> str:
    """Returns what a column of a dtype takes, for messages."""
    if dtype in dtypes.STRINGS:
        return f"text ({dtype})"
    if dtypes.carrier(dtype) == "float32":
        return f"numbers ({dtype})"
    return f"integers ({'uint64' if dtype == dtypes.DIGITS else dtype})"


def _plain(values: pa.Array) -> pa.Array:
    """Returns `simple` values, without marks of rows of Python's; UUIDs as they are."""
    if typed.is_uuid(values.type):
        return values
    values = simple(values)
    return values.flatten()[0] if values.type in (NO_TEXT, NUMBERS, MIXED) else values


def _integers(values: pa.Array, dtype: str, faults: list[LeafFault]) -> Leaves:
    low, high = (0, 2**64 - 1) if dtype == dtypes.DIGITS else dtypes.integer_range(dtype)
    nulls = where(pc.is_null(values)) if values.null_count else np.zeros(0, np.int64)
    for fault in faults:  # what is no number is null by now, and has its fault already
        nulls = np.setdiff1d(nulls, fault.positions)
    if len(nulls):
        faults = [*faults, LeafFault("null_value", nulls, f"expected {expected(dtype)}, got null")]
    overflow = f"expected {low} to {high} ({'uint64' if dtype == dtypes.DIGITS else dtype})"
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.float64)
        whole = np.isfinite(numbers) & (np.floor(numbers) == numbers)
        exact = whole & (np.abs(numbers) <= LARGEST_EXACT_FLOAT)
        values = pa.array(np.where(exact, numbers, 0).astype(np.int64))
        faults = [*faults, LeafFault("not_an_integer", np.flatnonzero(~whole), f"expected {expected(dtype)}")]
        faults.append(LeafFault("integer_overflow", np.flatnonzero(whole & ~exact), "expected at most 2^53 as a float"))
    made, beyond = _in_range(values, low, high)
    faults = [f for f in (*faults, LeafFault("integer_overflow", beyond, overflow)) if len(f.positions)]
    if dtype == dtypes.DIGITS:
        return Leaves(made.cast(pa.large_string()), faults, len(nulls))
    return Leaves(made.to_numpy(zero_copy_only=False), faults, len(nulls))


def _in_range(values: pa.Array, low: int, high: int) -> tuple[pa.Array, np.ndarray]:
    """Returns integers (or decimals without a fraction) as int64, as uint64 if the range goes beyond, and which are not in it.

    Null and what is out of range becomes 0.
    """
    target = pa.int64() if high < 2**63 else pa.uint64()
    given = pc.fill_null(values, pa.scalar(0, values.type)) if values.null_count else values
    least, most = (-(2**76), 2**76) if pa.types.is_decimal(given.type) else _limits(given.type)
    beyond = [pc.less(given, _scalar(low, given.type))] if low > least else []
    beyond += [pc.greater(given, _scalar(high, given.type))] if high < most else []
    outside = beyond[0] if len(beyond) == 1 else pc.or_(*beyond) if beyond else None
    if outside is None or not pc.any(outside).as_py():
        return given.cast(target, safe=False), np.zeros(0, np.int64)
    given = pc.if_else(outside, _scalar(0, given.type), given)
    return given.cast(target, safe=False), where(outside)


def _limits(kind: pa.DataType) -> tuple[int, int]:
    info = np.iinfo(kind.to_pandas_dtype())
    return int(info.min), int(info.max)


def _scalar(number: int, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(Decimal(number) if pa.types.is_decimal(kind) else number, kind)


def _floats(values: pa.Array, dtype: str, faults: list[LeafFault], reject_overflow: bool) -> Leaves:
    nulls = values.null_count - sum(len(fault.positions) for fault in faults)
    if pa.types.is_integer(values.type):
        wide = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    else:
        wide = (pc.fill_null(values, np.nan) if values.null_count else values).to_numpy(zero_copy_only=False)
    limit, carrier = dtypes.largest_float(dtype), np.dtype(dtypes.parsed(dtype))
    integers = pa.types.is_integer(values.type)
    if wide.dtype == carrier and limit == dtypes.largest_float(carrier.name) and not integers:
        made = without_subnormals(wide) if carrier == np.float32 else wide
        return Leaves(made, [f for f in faults if len(f.positions)], nulls)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = wide.astype(carrier)
        over = np.isfinite(wide) & ((np.abs(narrow) > limit) | np.isinf(narrow))
    if np.float32 in (wide.dtype, carrier):
        narrow = without_subnormals(narrow)
    narrow[over] = np.copysign(carrier.type(np.inf), narrow[over])
    given = pc.fill_null(values.slice(0, LOOKED_AT), 0).to_numpy(zero_copy_only=False) if integers else wide
    lost = rounded(given, narrow)
    if reject_overflow:
        message = f"expected finite numbers, at most {limit:.7g} ({dtype})"
        faults = [*faults, LeafFault("non_finite", np.flatnonzero(over), message)]
    return Leaves(narrow, [f for f in faults if len(f.positions)], nulls, lost)


def without_subnormals(values: np.ndarray) -> np.ndarray:
    """Returns numbers with a zero of the same sign for those below the smallest normal float32, 2^-126.

    TensorFlow's casts take a float32 that is subnormal for 0: statistics, values and what a served model makes agree like this.
    """
    from transforms.kernels.values import look

    if values.dtype == np.float32 and not look(values).subnormal:
        return values
    small = np.abs(values) < dtypes.SMALLEST_FLOAT32
    return np.where(small, np.copysign(values.dtype.type(0), values), values)


def _strings(values: pa.Array, dtype: str) -> Leaves:
    given = values.type
    values = _plain(values)
    if typed.is_uuid(given):
        values = typed.text_of_uuids(values.storage) if dtype == "string" else values.storage.cast(pa.large_binary())
    nulls = where(pc.is_null(values))
    faults = [LeafFault("null_value", nulls, f"expected text ({dtype}), got null")] if len(nulls) else []
    if not is_text(values.type) or given in (NUMBERS, MIXED):
        if len(nulls) < len(values):
            faults.append(_wrong_type(values, dtype, given))
        values = pa.nulls(len(values), pa.large_binary())
    # What are bytes in a file need not be text for a column of bytes.
    text, bad = utf8(values) if dtype == "string" or given == NO_TEXT else (values, [])
    made = values.cast(pa.large_binary()) if dtype == "bytes" else text.cast(pa.large_string())
    return Leaves(made, [*faults, *bad], len(nulls))
