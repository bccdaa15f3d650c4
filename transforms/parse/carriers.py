"""Single values to a carrier: integers to int64, floats to float32 or float64, text to either; never a silent rounding.

Each converter takes a flat Arrow array and returns NumPy values of the same length with the positions that it could not
convert. What is accepted:

- int64 columns: integer types of any width; floats without a fraction up to 2^53; decimal integers as text (`"-12"`,
  `"+7"`, `"007"`, spaces around trimmed). Booleans, fractions and numbers outside the dtype are faults.
- float32 and float64 columns: integer and float types of any width; decimal text, with exponent, `nan` and `inf`. A null becomes
  NaN. A finite number too large for the dtype is a fault where non-finite values are rejected, else an infinity. A
  float32 that is subnormal is 0.
- string columns: text (checked to be UTF-8 where the dtype is `string`) and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import dtypes
from transforms.parse.rounding import LOOKED_AT, Rounded, rounded
from transforms.rows.from_python import NO_TEXT
from transforms.rows.ragged import Ragged, unwrapped

INTEGER_TEXT: Final = r"^[+-]?[0-9]+$"
FLOAT_TEXT: Final = r"(?i)^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|nan|inf|infinity)$"
_VALUE: Final = r"""(b?['"]|[0-9+.-]|(nan|NaN|inf|Infinity|null|None|[Tt]rue|[Ff]alse)\b)"""
ARRAY_TEXT: Final = rf"(?s)^\[([\s\[]*{_VALUE}.*|\s*\[[\s\[]*\].*|\s*)\]$"
"""Trimmed text that is an array as JSON, Python or NumPy write one: brackets with nothing, a value or an array at their start."""

LARGEST_EXACT_FLOAT: Final = 2.0**53


@dataclass(frozen=True)
class LeafFault:
    """Positions of values that one rule refuses, with the rule's reason code and what it allows."""

    reason: str
    positions: np.ndarray
    message: str


@dataclass(frozen=True)
class Leaves:
    """Converted values: NumPy int64, float32 or float64, or an Arrow string or binary array; what was refused; and roundings."""

    values: np.ndarray | pa.Array
    faults: list[LeafFault]
    nulls: int = 0
    rounded: Rounded | None = None


def convert(values: pa.Array, dtype: str, reject_overflow: bool = True) -> Leaves:
    """Converts a flat Arrow array to the carrier of `dtype`.

    Args:
      values: any Arrow array that is no list.
      dtype: name of the declared dtype.
      reject_overflow: whether a finite number beyond a float dtype's range is a fault. It becomes an infinity
        otherwise.

    Returns:
      Values as long as the input; where a fault stands the value is arbitrary.
    """
    checked = (
        dtype == "string" or values.type == NO_TEXT
    )  # what are bytes in a file need not be text for a column of bytes
    values = _plain(values)
    if dtypes.carrier(dtype) == "string":
        return _strings(values, dtype, checked)
    if pa.types.is_null(values.type):
        values = values.cast(pa.int64() if dtypes.carrier(dtype) == "int64" else pa.float32())
    faults: list[LeafFault] = []
    if is_text(values.type):
        values, faults = _numbers_from_text(values, dtypes.carrier(dtype))
    elif not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        faults = [_wrong_type(values, dtype)]
        values = pa.nulls(len(values), pa.int64() if dtypes.carrier(dtype) == "int64" else pa.float32())
    if dtypes.carrier(dtype) == "int64":
        return _integers(values, dtype, faults)
    return _floats(values, dtype, faults, reject_overflow)


def texts(values: pa.Array, positions: np.ndarray) -> list[str]:
    """Returns the values at some positions as text, for people."""
    chosen = _plain(values.take(pa.array(positions, pa.int64())))
    if pa.types.is_fixed_size_binary(chosen.type):
        chosen = chosen.cast(pa.binary())
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


def _wrong_type(values: pa.Array, dtype: str) -> LeafFault:
    """Refuses every value. A null among them is a null of any type: another row gave the array its type."""
    return LeafFault("wrong_type", _where(pc.is_valid(values)), f"expected {_expected(dtype)}, got {values.type}")


def _expected(dtype: str) -> str:
    return {"int64": "integers", "float32": "numbers", "string": "text"}[dtypes.carrier(dtype)] + f" ({dtype})"


def _plain(values: pa.Array) -> pa.Array:
    """Unwraps what only decorates values: extension types, dictionaries, `NO_TEXT`; float16, which Arrow cannot compute with."""
    values = unwrapped(values)
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    return values.flatten()[0] if values.type == NO_TEXT else values


def is_text(kind: pa.DataType) -> bool:
    """Tells whether a type is text or bytes."""
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


def _where(mask: pa.Array) -> np.ndarray:
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))


def _integers(values: pa.Array, dtype: str, faults: list[LeafFault]) -> Leaves:
    low, high = dtypes.integer_range(dtype)
    nulls = _where(pc.is_null(values)) if values.null_count else np.zeros(0, np.int64)
    for fault in faults:  # text that is no number is null by now, and has its fault already
        nulls = np.setdiff1d(nulls, fault.positions)
    if len(nulls):
        faults = [*faults, LeafFault("null_value", nulls, f"expected integers ({dtype}), got null")]
    overflow = f"expected {low} to {high} ({dtype})"
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.float64)
        whole = np.isfinite(numbers) & (np.floor(numbers) == numbers)
        exact = whole & (np.abs(numbers) <= LARGEST_EXACT_FLOAT)
        out = np.where(exact, numbers, 0).astype(np.int64)
        faults = [*faults, LeafFault("not_an_integer", np.flatnonzero(~whole), f"expected integers ({dtype})")]
        faults.append(LeafFault("integer_overflow", np.flatnonzero(whole & ~exact), "expected at most 2^53 as a float"))
    else:
        if pa.types.is_uint64(values.type):
            beyond = pc.greater(values, pa.scalar(np.iinfo(np.int64).max, pa.uint64()))
            faults = [*faults, LeafFault("integer_overflow", _where(beyond), overflow)]
        given = pc.fill_null(values, 0) if values.null_count else values
        out = given.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    if dtype != "int64":
        faults = [*faults, LeafFault("integer_overflow", np.flatnonzero((out < low) | (out > high)), overflow)]
    return Leaves(out, [f for f in faults if len(f.positions)], len(nulls))


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


def _numbers_from_text(values: pa.Array, kind: str) -> tuple[pa.Array, list[LeafFault]]:
    """Parses text to int64 or float64; what is no number becomes null and a fault."""
    text, faults = _utf8(values)
    text = pc.utf8_trim_whitespace(text)
    number = pc.match_substring_regex(text, INTEGER_TEXT if kind == "int64" else FLOAT_TEXT)
    bad = _where(pc.invert(number))
    if len(bad):
        faults = [
            *faults,
            LeafFault("not_a_number", bad, f"expected {'an integer' if kind == 'int64' else 'a number'}"),
        ]
    text = pc.if_else(number, text, pa.scalar(None, text.type))
    if kind != "int64":
        return text.cast(pa.float64()), faults
    text = pc.utf8_ltrim(text, "+")
    # 18 digits always fit; the rare longer ones go through exact decimals, and past 76 digits they are lost anyway.
    long = pc.fill_null(pc.greater(pc.utf8_length(text), 18), False)
    if not pc.any(long).as_py():
        return text.cast(pa.int64()), faults
    absurd = pc.fill_null(pc.greater(pc.utf8_length(text), 76), False)
    exact = pc.if_else(absurd, pa.scalar(None, text.type), text).cast(pa.decimal256(76, 0))
    limits = [pa.scalar(int(limit), pa.decimal256(76, 0)) for limit in (-(2**63), 2**63 - 1)]
    fits = pc.and_(pc.greater_equal(exact, limits[0]), pc.less_equal(exact, limits[1]))
    over = pc.or_(absurd, pc.fill_null(pc.invert(fits), False))
    faults = [*faults, LeafFault("integer_overflow", _where(over), "expected a 64-bit integer")]
    return pc.if_else(over, pa.scalar(None, exact.type), exact).cast(pa.int64()), faults


def _utf8(values: pa.Array) -> tuple[pa.Array, list[LeafFault]]:
    """Returns text as Arrow strings; bytes that are not UTF-8 become null and a fault."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        try:
            values.validate(full=True)  # Arrow does not check text that a file claims to be UTF-8
            return values, []
        except pa.ArrowInvalid:
            values = values.cast(pa.large_binary())
    try:
        return values.cast(pa.large_string()), []
    except pa.ArrowInvalid:
        decoded = [None if v is None else v.decode("utf-8", "replace") for v in values.to_pylist()]
        valid = [v is None or v.encode() == raw for v, raw in zip(decoded, values.to_pylist(), strict=True)]
        text = pa.array([v if ok else None for v, ok in zip(decoded, valid, strict=True)], pa.large_string())
        return text, [LeafFault("invalid_utf8", np.flatnonzero(~np.array(valid)), "expected UTF-8 text")]


def _strings(values: pa.Array, dtype: str, checked: bool) -> Leaves:
    nulls = _where(pc.is_null(values))
    faults = [LeafFault("null_value", nulls, f"expected text ({dtype}), got null")] if len(nulls) else []
    if not is_text(values.type):
        if len(nulls) < len(values):
            faults.append(_wrong_type(values, dtype))
        values = pa.nulls(len(values), pa.large_binary())
    text, bad = _utf8(values) if checked else (values, [])
    if dtype == "bytes":
        return Leaves(values.cast(pa.large_binary()), [*faults, *bad], len(nulls))
    return Leaves(text.cast(pa.large_string()), [*faults, *bad], len(nulls))
