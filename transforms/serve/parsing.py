"""Requests to raw tensors: what `transforms.parse.parse` does to Arrow columns, for tensors inside a serving graph.

A request is what somebody's server holds: for every feature a ragged tensor of integers, floats or text. What comes out is what
`densify` takes, and for each row whether `parse` would have let it through: a graph cannot reject a row, it can only say so.
`tests/test_requests.py` holds the two against each other.
"""

from __future__ import annotations

from typing import Final

import tensorflow as tf

from transforms import dtypes
from transforms.columns.steps import rows_without
from transforms.parse.carriers import LARGEST_EXACT_FLOAT
from transforms.parse.form import NO_ID, NO_WEIGHT, NO_WORD, Form
from transforms.parse.text import ARRAY_TEXT, FLOAT_TEXT, INTEGER_TEXT
from transforms.spec.spec import Spec

SPACES: Final = r"[\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
"""The characters that Arrow 25 trims off text, in RE2 syntax; `tf.strings.strip` knows ASCII only."""

Raw = dict[str, tf.RaggedTensor]


def request_specs(spec: Spec) -> dict[str, tf.RaggedTensorSpec]:
    """Returns the type of every feature of a request: ragged, int64 row splits.

    Returns:
      `[batch, (values)]`, text where a delimiter separates values; `[batch, (steps), (ids)]` for a sequence of several ids a
      step.
    """
    made = {}
    for key, form in forms(spec).items():
        rank = 2 if is_nested(form) else 1
        kind = tf.as_dtype(form.requested)
        made[key] = tf.RaggedTensorSpec([None] * (rank + 1), kind, ragged_rank=rank, row_splits_dtype=tf.int64)
    return made


def forms(spec: Spec) -> dict[str, Form]:
    """Returns how the features that the graph takes are parsed in a request."""
    features = spec.features
    return {key: features[key].served for key in spec.graph_inputs}


def is_nested(form: Form) -> bool:
    """Returns whether a request gives one list a step: a step holds several ids, and how many only the list tells."""
    return form.ids and form.step_width > 1 and not form.scalars and form.delimiter is None


def canonical_feature(
    given: tf.RaggedTensor, form: Form, marked: tf.Tensor | bool = False
) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Parses one feature, `[batch, (values)]` or `[batch, (steps), (values)]`.

    Args:
      given: the feature.
      form: how it is parsed.
      marked: bool, whether the marker of none stands where a step of ids has none (`record_features`); it is no value then.

    Returns:
      The feature as `densify` takes it, and bool `[batch]`: which rows can be parsed. Where a row cannot be, its values are
      arbitrary; no other row's are touched.
    """
    good = tf.ones([given.nrows()], tf.bool)
    if form.delimiter is not None:
        given, good = _split_text(given, form.delimiter)
    rows, steps = given.row_splits, None
    if given.ragged_rank > 1:
        steps = given.values.row_splits
        held = given.values.row_lengths()
        wrong = held > form.step_width if form.ids else tf.not_equal(held, form.step_width)
        good = tf.logical_and(good, rows_without(wrong, given.with_values(held)))
        given = tf.RaggedTensor.from_row_splits(given.values.values, tf.gather(steps, rows), validate=False)
    values, bad = _leaves(given.values, form)
    if form.ids:
        values, bad = _checked_markers(values, bad, form, tf.logical_and(marked, form.delimiter is None))
    good = tf.logical_and(good, rows_without(bad, given))
    if form.ids and form.step_width > 1 and not form.scalars:
        return _padded_steps(values, rows, steps, form.step_width), good
    return given.with_values(values), good


def _checked_markers(values: tf.Tensor, bad: tf.Tensor, form: Form, marked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    there = tf.math.is_nan(values) if values.dtype.is_floating else tf.equal(values, marker(values.dtype))
    unmarked, wrong = without_markers(values, form.any_integer)
    return tf.where(marked, values, unmarked), tf.logical_and(tf.logical_or(bad, wrong), ~tf.logical_and(marked, there))


def one_value_a_step(values: tf.RaggedTensor) -> tf.RaggedTensor:
    """Returns a flat list as a nested one, every value a step of its own, as `parse` takes it."""
    steps = tf.RaggedTensor.from_row_splits(values.values, tf.range(tf.size(values.values, tf.int64) + 1))
    return values.with_values(steps)


def without_padding(raw: tf.RaggedTensor, form: Form) -> tf.RaggedTensor:
    """Returns canonical steps of ids as the nested lists that they were, `[batch, (steps), (ids)]`."""
    steps = tf.reshape(raw.values, [-1, form.step_width])
    there = ~tf.math.is_nan(steps) if raw.dtype.is_floating else tf.not_equal(steps, marker(raw.dtype))
    held = tf.reduce_sum(tf.cast(there, tf.int64), axis=1)
    inner = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(steps, there), held)
    return tf.RaggedTensor.from_row_splits(inner, raw.row_splits // form.step_width)


def without_markers(values: tf.Tensor, any_integer: bool | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns ids, words or weights without the marker of none, which is none of them, and which are bad for it.

    Args:
      values: the values of a request.
      any_integer: see `Form`; else an integer that is the marker becomes one outside every range like itself.
    """
    if values.dtype.is_floating:
        return values, tf.math.is_nan(values)
    same = tf.equal(values, marker(values.dtype))
    if not values.dtype.is_integer:
        return values, same
    return tf.where(same, tf.constant(NO_ID + 1, values.dtype), values), tf.logical_and(same, any_integer)


def marker(kind: tf.DType) -> tf.Tensor:
    """Returns what stands where a step has no id, word or weight."""
    return tf.constant(NO_ID if kind.is_integer else NO_WEIGHT if kind.is_floating else NO_WORD, kind)


def blanked(raw: Raw, good: tf.Tensor) -> Raw:
    """Returns the features with all rows empty that are not `good`: what they hold can do no harm to others then."""
    made = {}
    for key, values in raw.items():
        # As `value_rowids`, which takes 20 operations: they are what tracing and saving a wide graph costs.
        ends = values.row_splits[1:]
        row = tf.searchsorted(ends, tf.range(tf.size(values.values, tf.int64)), side="right", out_type=tf.int64)
        kept = tf.boolean_mask(values.values, tf.gather(good, row))
        lengths = tf.where(good, ends - values.row_splits[:-1], 0)
        splits = tf.concat([[0], tf.cumsum(lengths)], axis=0)
        made[key] = tf.RaggedTensor.from_row_splits(kept, splits, validate=False)
    return made


def _padded_steps(values: tf.Tensor, rows: tf.Tensor, steps: tf.Tensor | None, width: int) -> tf.RaggedTensor:
    """Gives every step `width` places, the marker of none where it has no id.

    Args:
      values: the ids or words, flat.
      rows: splits of the rows in steps.
      steps: splits of the steps in values; None where every value is a step of its own.
      width: places in a step.
    """
    splits = tf.range(tf.size(values, tf.int64) + 1) if steps is None else steps
    dense = tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(
        marker(values.dtype), shape=[None, width]
    )
    return tf.RaggedTensor.from_row_splits(tf.reshape(dense, [-1]), rows * width, validate=False)


def _split_text(given: tf.RaggedTensor, delimiter: str) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Splits one string a row; several, text that is not UTF-8 and text that is an array are no row."""
    count = given.row_lengths()
    one = tf.concat([given.values, [""]], axis=0)
    text = tf.gather(one, tf.where(count > 0, given.row_splits[:-1], tf.size(given.values, tf.int64)))
    good = tf.logical_and(count <= 1, _is_utf8(text))
    text = _trimmed(text)
    good = tf.logical_and(good, ~tf.strings.regex_full_match(text, ARRAY_TEXT))
    parts = tf.strings.split(text, delimiter).with_row_splits_dtype(tf.int64)
    parts = parts.with_values(_trimmed(parts.values))
    # One empty text stands for no value at all.
    return blanked({"": parts}, tf.logical_and(good, tf.not_equal(text, "")))[""], good


def _trimmed(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(text, f"^{SPACES}+|{SPACES}+$", "")


def _is_utf8(text: tf.Tensor) -> tf.Tensor:
    return tf.equal(text, tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace"))


def _leaves(values: tf.Tensor, form: Form) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts flat values to the carrier: `transforms.parse.carriers.convert`. Returns them, and which are no such value."""
    carrier = dtypes.carrier(form.dtype)
    if carrier == "string":
        return _words(values, form)
    bad = tf.zeros_like(values, tf.bool)
    if values.dtype == tf.string:
        values, bad = (_integers_from_text if carrier == "int64" else _floats_from_text)(values)
    values, beyond = (_integers if carrier == "int64" else _floats)(values, form)
    return values, tf.logical_or(bad, beyond)


def _words(values: tf.Tensor, form: Form) -> tuple[tf.Tensor, tf.Tensor]:
    if form.dtype == dtypes.DIGITS:
        return _digits(values)
    return values, tf.zeros_like(values, tf.bool) if form.dtype == "bytes" else ~_is_utf8(values)


def _digits(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns integers from 0 to 2^64 - 1, given as numbers or as text, as their decimal text."""
    if values.dtype != tf.string:
        values, bad = _integers(values, Form("", "int64"))
        return tf.strings.as_string(values), tf.logical_or(bad, values < 0)
    text = _trimmed(values)
    number = tf.strings.regex_full_match(text, INTEGER_TEXT)
    digits = tf.strings.regex_replace(tf.where(number, text, "0"), "^[+-]?0*", "")
    fits = tf.logical_or(tf.equal(digits, ""), ~tf.strings.regex_full_match(text, "-.*"))
    size = tf.strings.length(digits)
    # Ten digits and ten: of all numbers of twenty digits few are as large.
    whole = tf.strings.join(["0" * 20, tf.where(size <= 20, digits, "")])
    first = tf.where(size <= 20, size, 0)
    high, low = (
        tf.strings.to_number(tf.strings.substr(whole, first + at, tf.fill(tf.shape(first), 10)), tf.int64)
        for at in (0, 10)
    )
    top, rest = divmod(2**64 - 1, 10**10)
    fits &= (size <= 20) & ((high < top) | (tf.equal(high, top) & (low <= rest)))
    made = tf.where(tf.equal(digits, ""), "0", digits)
    return tf.where(tf.equal(values, NO_WORD), values, made), ~tf.logical_and(number, fits)


def _integers(values: tf.Tensor, form: Form) -> tuple[tf.Tensor, tf.Tensor]:
    low, high = dtypes.integer_range(form.dtype)
    bad = tf.zeros_like(values, tf.bool)
    if values.dtype.is_floating:
        wide = tf.cast(values, tf.float64)
        bad = ~tf.logical_and(tf.equal(tf.floor(wide), wide), tf.abs(wide) <= LARGEST_EXACT_FLOAT)
        values = tf.where(bad, tf.zeros_like(wide), wide)
    values = tf.cast(values, tf.int64)
    return values, tf.logical_or(bad, tf.logical_or(values < low, values > high))


def _floats(values: tf.Tensor, form: Form) -> tuple[tf.Tensor, tf.Tensor]:
    wide = values if values.dtype == tf.float32 else tf.cast(values, tf.float64)
    narrow = tf.cast(wide, dtypes.parsed(form.dtype))
    if narrow.dtype == tf.float32:  # a subnormal is 0: see `carriers.without_subnormals`
        narrow = tf.where(tf.abs(narrow) < dtypes.SMALLEST_FLOAT32, narrow * 0.0, narrow)
    limit = dtypes.largest_float(form.dtype)
    over = tf.logical_and(tf.math.is_finite(wide), ~(tf.abs(narrow) <= tf.constant(limit, narrow.dtype)))
    narrow = tf.where(over, tf.sign(narrow) * tf.constant(float("inf"), narrow.dtype), narrow)
    return narrow, over if form.reject_overflow else tf.zeros_like(over)


def _floats_from_text(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    text = _trimmed(text)
    number = tf.strings.regex_full_match(text, FLOAT_TEXT)
    return tf.strings.to_number(tf.where(number, text, "0"), tf.float64), ~number


def _integers_from_text(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Parses decimal integers; those beyond 64 bits are bad. TensorFlow's own op would fail the whole batch for one."""
    text = _trimmed(text)
    number = tf.strings.regex_full_match(text, INTEGER_TEXT)
    negative = tf.strings.regex_full_match(text, "-.*")
    digits = tf.strings.regex_replace(tf.where(number, text, "0"), "^[+-]?0*", "")
    size = tf.strings.length(digits)
    fits = size <= 19
    digits = tf.strings.join(["0" * 19, tf.where(fits, digits, "")])
    first = tf.where(fits, size, 0)  # so that exactly 19 are left, zeros in front
    high = tf.strings.to_number(tf.strings.substr(digits, first, tf.fill(tf.shape(first), 10)), tf.int64)
    low = tf.strings.to_number(tf.strings.substr(digits, first + 10, tf.fill(tf.shape(first), 9)), tf.int64)
    top, rest = divmod(2**63, 10**9)
    last = tf.where(negative, tf.constant(rest, tf.int64), tf.constant(rest - 1, tf.int64))
    fits = tf.logical_and(fits, tf.logical_or(high < top, tf.logical_and(tf.equal(high, top), low <= last)))
    size_of = high * 10**9 + low  # wraps to -2**63 where that is meant
    return tf.where(negative, -size_of, size_of), ~tf.logical_and(number, fits)
