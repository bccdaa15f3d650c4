"""Why a row can be rejected: the one list of codes, as they stand in `rejected/`, in ledgers and in metrics."""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, str]] = {
    "bad_record": "the record cannot be decoded at all",
    "over_limit": "the sequence has more steps than a run takes (--max-steps)",
    "wrong_type": "the value has a type that the column does not accept",
    "not_a_number": "the text is not a number",
    "not_an_integer": "the number has a fraction (or is not finite) and the column holds integers",
    "integer_overflow": "the integer is outside the column's dtype",
    "null_value": "a null stands inside a sequence of integers or strings",
    "invalid_utf8": "the bytes are not UTF-8 text",
    "missing": "the row lacks a column that must be there",
    "non_finite": "a NaN or an infinity (also: a number too large for the dtype) where the column rejects them",
    "incomplete_step": "the number of values is not a multiple of the values that a step holds",
    "wrong_step_width": "a step of a nested list does not hold as many values as the column's shape asks for",
    "wrong_value_count": "a context column has not exactly the values that its shape asks for",
    "out_of_range": "an id is outside [0, num_buckets) and the column has no default",
    "length_mismatch": "columns of one sequence group have different lengths in this row",
    "too_long": "the sequence is longer than max_length and the group rejects such rows",
}
"""Reason code to its meaning. Codes are stable: files and dashboards hold them."""
