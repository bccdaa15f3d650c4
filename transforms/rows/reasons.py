"""The reasons to reject a row: the one list of codes, as they stand in `rejected/`, in ledgers and in metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Explanation:
    """The explanation of a code.

    Attributes:
      meaning: what is wrong with the row.
      example: rows that are rejected with this code, with code in backquotes.
      remedy: what to do about it.
    """

    meaning: str
    example: str
    remedy: str


NEVER_PARSED: Final = ("bad_record", "no_split")
"""The codes of rows that are rejected before their features are parsed: nothing of them is counted by column."""

DROPPED: Final = ("dropped_short",)
"""The codes of rows that are left out because the columns say so: kept and counted as rejected rows are, but no faults."""

EXPLANATIONS: Final[dict[str, Explanation]] = {
    "bad_record": Explanation(
        "the record cannot be decoded at all",
        "a TFRecord whose bytes are no tf.Example",
        "look at the record; find what wrote it",
    ),
    "no_split": Explanation(
        "no split can be told for the row by the rule of the columns file",
        "no feature `user` with `by: key, key: user`; a time that is none; a value of `by: feature` that is no split's",
        "give the row a key, a time or a split at the source; declare the value under `values:`",
    ),
    "over_limit": Explanation(
        "the sequence has more steps than a run takes (--max-steps)",
        "10 million values in one row",
        "look at the record; a larger `--max-steps` (in Python `max_steps`)",
    ),
    "wrong_type": Explanation(
        "the value has a type that the column does not accept",
        '`[true, 2]`; text where numbers are expected in nested input; a scalar for a sequence; `"[1, 2]"` with `delimiter: ","`',
        "convert at the source. A string that holds a sequence needs `delimiter`: `json` where it is an array",
    ),
    "not_a_number": Explanation(
        "the text is not a number",
        '`["21.5", "n/a"]`; `["3.0"]` in a column of ids; `"1,,2"`',
        "clean the text at the source; write gaps as `nan` and use `non_finite: fill`; for words, a vocabulary or hash buckets",
    ),
    "not_an_integer": Explanation(
        "the number has a fraction (or is not finite) and the column holds integers",
        "`[1.5]` in a column of ids; a time with a fraction of its unit",
        "use a numeric column or a finer `time_unit`, or round on purpose at the source",
    ),
    "integer_overflow": Explanation(
        "the integer is outside the column's dtype",
        "`[300]` with `dtype: int8`; a float above 2^53 as an id",
        "a wider dtype; ids as integers or text, not floats",
    ),
    "null_value": Explanation(
        "a null stands inside a sequence of integers or strings",
        "`[1, null, 3]` in a column of ids",
        "drop it, or write nested steps: `[[1], [], [3]]`",
    ),
    "invalid_utf8": Explanation(
        "the bytes are not UTF-8 text",
        '`b"\\xff"` in a `passthrough_column`',
        "`dtype: bytes`, or convert at the source",
    ),
    "missing": Explanation(
        "the row has no value for a column that must have one",
        "no feature `x` with `required: true`; a `numeric_column` without `default_value`; an event without its key or time",
        "a `default_value`, or `required: false`",
    ),
    "not_a_time": Explanation(
        "the event's time cannot be read as one",
        '`"yesterday"`; `"2024-02-30"`; an infinity; a second of the year 3000 as a float, which nanoseconds cannot count',
        "write ISO 8601 (`2024-02-29T12:30:00Z`), timestamps, or numbers and their `time: {unit}`",
    ),
    "non_finite": Explanation(
        "a NaN or an infinity (also: a number too large for the dtype) where the column rejects them",
        "`[1.0, nan]`; `1e300` as float32; a null among floats",
        "`non_finite: fill` with `observed_mask: true`, or `keep`",
    ),
    "incomplete_step": Explanation(
        "the number of values is not a multiple of the values that a step holds",
        "3 values with `shape: [2]`",
        "check the shape; `incomplete_step: pad` completes the last step",
    ),
    "wrong_step_width": Explanation(
        "a step of a nested list does not hold as many values as the column's shape asks for",
        "`[[1, 2, 3]]` with `shape: [2]`; `[[1, 2]]` as ids",
        "check the shape; a larger `max_ids`",
    ),
    "wrong_value_count": Explanation(
        "a context column has not exactly the values that its shape asks for",
        "two values for a scalar; several strings where one delimited string is expected",
        "check the shape; make it a sequence column",
    ),
    "out_of_range": Explanation(
        "an id is outside [0, num_buckets) and the column has no default",
        "`[12]` with `num_buckets: 10`",
        "a larger `num_buckets`, or a `default_value`",
    ),
    "length_mismatch": Explanation(
        "columns of one sequence group have different lengths in this row",
        "`videos` with 77 steps, `watched` with 78",
        "fix the row at the source, or put the columns into separate groups",
    ),
    "too_long": Explanation(
        "the sequence is longer than max_length and the group rejects such rows",
        "5 steps with `max_length: 3, truncate: reject`",
        "`truncate: head` or `tail`, or a larger `max_length`",
    ),
    "too_short": Explanation(
        "the sequence is shorter than min_length",
        "1 step with `min_length: 2`",
        "a smaller `min_length`; `shorter: drop` if such rows are meant to be left out",
    ),
    "dropped_short": Explanation(
        "the sequence is shorter than min_length, and the group drops such rows: no fault, and --max-rejected does not count it",
        "1 step with `min_length: 2, shorter: drop`",
        "nothing; to have the rows after all, a smaller `min_length`, also in a repair",
    ),
}
"""Reason code to what it says. Codes are stable: files and dashboards hold them."""

REASONS: Final[dict[str, str]] = {code: explanation.meaning for code, explanation in EXPLANATIONS.items()}
"""Reason code to its meaning."""
