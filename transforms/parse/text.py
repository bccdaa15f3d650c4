"""Text as numbers: the ways in which they may be written."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.parse import typed
from transforms.parse.typed import LeafFault, where

INTEGER_TEXT: Final = r"^[+-]?[0-9]+$"
FLOAT_TEXT: Final = r"(?i)^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|nan|inf|infinity)$"
_VALUE: Final = r"""(b?['"]|[0-9+.-]|(nan|NaN|inf|Infinity|null|None|[Tt]rue|[Ff]alse)\b)"""
ARRAY_TEXT: Final = rf"(?s)^\[([\s\[]*{_VALUE}.*|\s*\[[\s\[]*\].*|\s*)\]$"
"""Trimmed text that is an array as JSON, Python or NumPy write one: brackets with nothing, a value or an array at their start."""


def numbers_from_text(values: pa.Array, whole: bool, unit: str | None) -> tuple[pa.Array, list[LeafFault]]:
    """Parses text to float64, or to `whole` numbers: int64, or decimals; what is no number becomes null and a fault.

    With a unit, times in ISO 8601 are numbers, too.
    """
    given, faults = utf8(values)
    given = pc.utf8_trim_whitespace(given)
    number = pc.match_substring_regex(given, INTEGER_TEXT if whole else FLOAT_TEXT)
    made, more = _parsed_text(pc.if_else(number, given, pa.scalar(None, given.type)), whole)
    faults += more
    bad = where(pc.invert(number))
    if len(bad) and unit is not None:
        made, bad, more = _with_times(given, made, bad, whole, unit)
        faults += more
    if len(bad):
        what = "an integer" if whole else "a number"
        what += "" if unit is None else " or a time in ISO 8601"
        faults.append(LeafFault("not_a_number", bad, f"expected {what}"))
    return made, faults


def _parsed_text(text: pa.Array, whole: bool) -> tuple[pa.Array, list[LeafFault]]:
    if not whole:
        return text.cast(pa.float64()), []
    text = pc.utf8_ltrim(text, "+")
    # 18 digits always fit; the rare longer ones go through exact decimals, and past 76 digits they are lost anyway.
    if not pc.any(pc.greater(pc.utf8_length(text), 18)).as_py():
        return text.cast(pa.int64()), []
    text = pc.replace_substring_regex(text, "^(-?)0+([0-9])", r"\1\2")  # zeros in front are no digits
    absurd = pc.fill_null(pc.greater(pc.utf8_length(text), 76), False)
    lost = where(absurd)
    faults = [LeafFault("integer_overflow", lost, "expected an integer of at most 76 digits")] if len(lost) else []
    return pc.if_else(absurd, pa.scalar(None, text.type), text).cast(pa.decimal256(76, 0)), faults


def _with_times(
    text: pa.Array, made: pa.Array, bad: np.ndarray, whole: bool, unit: str
) -> tuple[pa.Array, np.ndarray, list[LeafFault]]:
    """Returns numbers with those of the texts that are times in their places; what is still bad; and faults of times."""
    from transforms.parse.times import times_of

    chosen = pc.replace_substring_regex(text.take(pa.array(bad)), " ?UTC$", "Z").cast(pa.large_string())  # BigQuery's
    number = pc.match_substring_regex(chosen, FLOAT_TEXT).to_numpy(zero_copy_only=False)
    faults: list[LeafFault] = []
    # What is too far for nanoseconds is read in microseconds, what is too fine for microseconds in nanoseconds.
    for tick in ("ns", "us") if unit == "ns" else ("us", "ns"):
        found = times_of(chosen, tick)
        good = found.good & ~number
        times, more = typed.of_ticks(found.values[good], found.tick, np.ones(int(good.sum()), bool), whole, unit)
        at, rest = bad[good], pa.array(~good)
        mask = np.zeros(len(made), bool)
        mask[at] = True
        made = pc.replace_with_mask(made, pa.array(mask), times.cast(made.type, safe=whole))
        faults += [replace(fault, positions=at[fault.positions]) for fault in more]
        bad, chosen, number = bad[~good], chosen.filter(rest), number[~good]
    return made, bad, faults


def utf8(values: pa.Array) -> tuple[pa.Array, list[LeafFault]]:
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
