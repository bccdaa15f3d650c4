"""Parse: a source's Arrow column to the canonical list column, with what could not be parsed as faults.

Canonical is a large list of int64, float32, float64 or strings, one list per row, null where the column is absent. Accepted:
list values (also nested, one list per step), numbers as text, one delimited string for a whole sequence, and for
context columns plain scalars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import dtypes
from transforms.parse import array_text, carriers, typed
from transforms.parse.form import JSON, NO_ID, NO_WEIGHT, NO_WORD, Form
from transforms.parse.rounding import Rounded
from transforms.parse.step_limit import MAX_STEPS, too_long
from transforms.parse.text import ARRAY_TEXT
from transforms.parse.typed import LeafFault, is_text
from transforms.rows.marks import NO_TEXT
from transforms.rows.ragged import Ragged, bare_type, is_list, splits_of, unwrapped
from transforms.rows.rejection import Fault


@dataclass(frozen=True)
class Parsed:
    """A parsed column.

    Attributes:
      array: canonical list array.
      faults: the values that could not be parsed.
      values_in: int64 `[rows]`, the values that stood in each row.
      nulls: how many of them were null.
      rounded: the effect of rounding.
      view: of the array, where parsing had one.
    """

    array: pa.Array
    faults: list[Fault]
    values_in: np.ndarray
    nulls: int
    rounded: Rounded | None = None
    view: Ragged | None = None


def parse(array: pa.Array, form: Form, max_steps: int = MAX_STEPS) -> Parsed:
    """Parses one column of a batch.

    >>> form = Form("x", "int64", delimiter=",")
    >>> parse(pa.array(["1,2", "", None]), form).array.to_pylist()
    [[1, 2], [], None]

    Args:
      array: the column as the source has it.
      form: the form to convert it to.
      max_steps: most steps of a row. One with more is a fault, and empty from then on.
    """
    array = array if typed.is_uuid(array.type) else unwrapped(array)
    view = _canonical_already(array, form, max_steps)
    if view is not None:
        same = array.type == canonical_type(form)
        return Parsed(array if same else view.to_list_array(), [], view.lengths, 0, view=view)
    if form.delimiter == JSON:
        return _parse_delimited(array, form, [], max_steps)
    long = too_long(array, max_steps, form.values_a_step, form.delimiter)
    parsed = _parse_delimited if form.delimiter is not None else _parse_lists
    if long is None:
        return parsed(array, form, [])
    shown, message = [f"{n} steps" for n in long.steps.tolist()], f"expected at most {max_steps} steps (--max-steps)"
    made = parsed(long.rest, form, [Fault("over_limit", form.name, long.rows, shown, message)])
    values_in = made.values_in.copy()
    values_in[long.rows] = long.values
    return replace(made, values_in=values_in)


def _canonical_already(array: pa.Array, form: Form, max_steps: int) -> Ragged | None:
    """Returns the view of lists of numbers that parsing leaves as they are; None where they have to be gone through."""
    if form.delimiter is not None or form.dtype not in ("int64", "float32", "float64"):
        return None
    if not (pa.types.is_large_list(array.type) or pa.types.is_list(array.type)):
        return None
    if array.type.value_type != _canonical(form.dtype) or (form.ids and form.step_width > 1):
        return None
    view = Ragged.of(array)
    if view.values.null_count:
        return None
    seen = view.seen(form.step_width)
    marked = seen.least == NO_ID or (form.ids and seen.non_finite)
    denormal = seen.subnormal and form.dtype == "float32"
    return None if marked or denormal or seen.longest > max_steps * form.step_width else view


def column_type_error(kind: pa.DataType, form: Form) -> str:
    """Returns why no value of an Arrow type can be parsed, or an empty string where some can."""
    one, depth = _bare(kind), 0
    while is_list(one):
        one, depth = _bare(one.value_type), depth + 1
    if form.delimiter is not None:
        return "" if depth < 2 and _is_text_or_null(one) else f"expected delimited text, got {kind}"
    if depth <= 2 and not typed.takes(one, form.dtype):
        return f"expected values that fit {form.declared}, got {kind}{typed.remedy(one, form.dtype)}"
    if depth > 2 or (depth == 0 and not form.scalars and not pa.types.is_null(one)):
        return f"expected a list of {form.declared} values, got {kind}"
    return ""


def _bare(kind: pa.DataType) -> pa.DataType:
    """Returns a type without what only decorates it."""
    return kind if typed.is_uuid(kind) else bare_type(kind)


def _is_text_or_null(kind: pa.DataType) -> bool:
    return is_text(kind) or pa.types.is_null(kind)


def _row_faults(form: Form, outer: Ragged, values: pa.Array, found: LeafFault) -> Fault:
    """Turns faults of values into one fault a row: its first bad value."""
    rows, first = np.unique(outer.rows_of(found.positions), return_index=True)
    shown = carriers.texts(values, found.positions[first])
    return Fault(found.reason, form.name, rows, shown, found.message)


def _whole_rows(reason: str, form: Form, array: pa.Array, rows: np.ndarray, message: str) -> Fault:
    return Fault(reason, form.name, rows, carriers.texts(array, rows), message)


def _parse_lists(array: pa.Array, form: Form, faults: list[Fault]) -> Parsed:
    if not is_list(array.type):
        array = _lists_of_one(array, form, faults)
    outer = Ragged.of(array)
    if not is_list(outer.values.type):
        return _finish(outer, outer.values, form, faults)
    inner = Ragged.of(outer.values)
    if is_list(inner.values.type):
        # Only the rows that do hold lists within steps: another row gave the array its type.
        deep = LeafFault("wrong_type", np.flatnonzero(inner.lengths), "expected values in every step, got lists")
        if len(deep.positions):
            faults = [*faults, _row_faults(form, outer, outer.values, deep)]
        inner = Ragged(pa.nulls(0, _canonical(form.dtype)), np.zeros_like(inner.splits), inner.present)
    wrong = inner.lengths > form.step_width if form.ids else inner.lengths != form.step_width
    if wrong.any():
        allowed = ("at most " if form.ids else "") + _counted(form)
        found = LeafFault("wrong_step_width", np.flatnonzero(wrong), f"expected {allowed} in every step")
        faults = [*faults, _row_faults(form, outer, outer.values, found)]
    # A step is what counts: rows split the flat values where they split the steps.
    flat = Ragged(inner.values, inner.splits[outer.splits], outer.present)
    parsed = _finish(flat, inner.values, form, faults, nested=True)
    if form.ids and (inner.lengths != form.step_width).any():
        return _padded_steps(parsed, outer, inner, form)
    return parsed


def _counted(form: Form) -> str:
    if not form.ids:
        return f"{form.step_width} values"
    return "one id" if form.step_width == 1 else f"{form.step_width} ids"


def _padded_steps(parsed: Parsed, outer: Ragged, inner: Ragged, form: Form) -> Parsed:
    """Gives every step of ids `step_width` places, with `NO_ID` or `NO_WORD` where it has no id."""
    values = parsed.array.flatten()
    place = inner.splits[:-1, np.newaxis] + np.arange(form.step_width)
    held = place < inner.splits[1:, np.newaxis]
    taken = values.take(pa.array(np.where(held, place, 0).reshape(-1), pa.int64(), mask=~held.reshape(-1)))
    steps = taken.fill_null(_nothing_there(taken.type))
    lists = Ragged(steps, outer.splits * form.step_width, outer.present).to_list_array()
    return Parsed(lists, parsed.faults, parsed.values_in, parsed.nulls)


def _nothing_there(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_integer(kind):
        return pa.scalar(NO_ID, kind)
    if pa.types.is_floating(kind):
        return pa.scalar(NO_WEIGHT, kind)
    return pa.scalar(NO_WORD.encode() if pa.types.is_large_binary(kind) else NO_WORD, kind)


def _finish(outer: Ragged, values: pa.Array, form: Form, faults: list[Fault], nested: bool = False) -> Parsed:
    converted = carriers.convert(values, form.dtype, form.reject_overflow, form.time_unit)
    faults = faults + [_row_faults(form, outer, values, found) for found in converted.faults]
    made = converted.values if isinstance(converted.values, pa.Array) else pa.array(converted.values)
    if form.ids:
        made, faults = _without_markers(made, values, outer, form, faults)
    lists = Ragged(made, outer.splits, outer.present).to_list_array()
    if form.ids and not form.scalars and form.step_width > 1 and not nested:
        steps = Ragged(made, np.arange(len(made) + 1), np.ones(len(made), bool))
        return _padded_steps(Parsed(lists, faults, outer.lengths, converted.nulls), outer, steps, form)
    return Parsed(lists, faults, outer.lengths, converted.nulls, converted.rounded)


def _without_markers(
    made: pa.Array, given: pa.Array, outer: Ragged, form: Form, faults: list[Fault]
) -> tuple[pa.Array, list[Fault]]:
    """Makes sure that no value of the data is taken for a step without an id."""
    from transforms.kernels.values import look

    if pa.types.is_integer(made.type) and look(made.to_numpy()).least > NO_ID:
        return made, faults
    marker = _nothing_there(made.type)
    taken = pc.is_nan(made) if pa.types.is_floating(made.type) else pc.equal(made, marker)
    if not pc.any(taken).as_py():
        return made, faults
    if pa.types.is_integer(made.type) and not form.any_integer:
        return pc.replace_with_mask(made, taken, pa.scalar(NO_ID + 1)), faults
    if pa.types.is_floating(made.type):  # text that is no number, too: what comes first is the fault of a row
        reason, message = "non_finite", f"expected finite numbers ({form.dtype})"
    elif pa.types.is_integer(made.type):
        reason, message = "integer_overflow", f"expected more than {NO_ID}, which marks a step without an id"
    else:
        reason, message = "wrong_type", "expected a word other than this reserved one"
    found = LeafFault(reason, np.flatnonzero(taken), message)
    return made, [*faults, _row_faults(form, outer, given, found)]


def canonical_type(form: Form) -> pa.DataType:
    """Returns the Arrow type of a parsed column."""
    return pa.large_list(_canonical(form.dtype))


@cache
def _canonical(dtype: str) -> pa.DataType:
    if dtype == "bytes":
        return pa.large_binary()
    return {"string": pa.large_string()}.get(dtypes.parsed(dtype)) or pa.type_for_alias(dtypes.parsed(dtype))


def _nothing(outer: Ragged, form: Form, faults: list[Fault]) -> Parsed:
    empty = Ragged(pa.array(np.zeros(0, np.int64)), splits_of(np.zeros(len(outer.present))), outer.present)
    lists = Ragged(empty.values.cast(_canonical(form.dtype)), empty.splits, outer.present).to_list_array()
    return Parsed(lists, faults, outer.lengths, 0)


def _lists_of_one(array: pa.Array, form: Form, faults: list[Fault]) -> pa.Array:
    """Wraps scalars as lists of one. Where a sequence was expected, each is a fault (appended) and an empty list."""
    present = pc.is_valid(array).to_numpy(zero_copy_only=False)
    if form.scalars or not present.any():
        return Ragged(array.drop_null(), splits_of(present), present).to_list_array()
    message = f"expected a list of {form.declared} values, got {typed.name_of(array.type)}"
    faults.append(_whole_rows("wrong_type", form, array, np.flatnonzero(present), message))
    return Ragged(pa.nulls(0, _canonical(form.dtype)), np.zeros(len(array) + 1, np.int64), present).to_list_array()


def _parse_delimited(array: pa.Array, form: Form, faults: list[Fault], max_steps: int = MAX_STEPS) -> Parsed:
    """Splits one string a row. A list of one string, as a tf.Example holds it, counts as that string."""
    assert form.delimiter is not None
    if is_list(array.type):
        outer = Ragged.of(array)
        several = np.flatnonzero(outer.lengths > 1)
        if len(several):
            faults.append(_whole_rows("wrong_value_count", form, array, several, "expected one delimited string"))
        filled = outer.lengths > 0
        first = np.where(filled, outer.splits[:-1], 0)
        text = outer.values.take(pa.array(np.where(filled, first, -1), pa.int64(), mask=~filled))
        present = outer.present
    else:
        text, present = array, pc.is_valid(array).to_numpy(zero_copy_only=False)
    if text.type == NO_TEXT:
        text = text.flatten()[0]
    if not _is_text_or_null(text.type):
        rows = np.flatnonzero(pc.is_valid(text).to_numpy(zero_copy_only=False))  # an empty list has no type of its own
        faults.append(_whole_rows("wrong_type", form, array, rows, "expected delimited text"))
        return _nothing(Ragged(text, splits_of(np.zeros(len(present))), present), form, faults)
    converted = carriers.convert(text.cast(pa.large_binary()) if pa.types.is_null(text.type) else text, "string")
    one = Ragged(text, np.arange(len(text) + 1), present)
    faults += [_row_faults(form, one, text, found) for found in converted.faults if found.reason == "invalid_utf8"]
    clean = pc.utf8_trim_whitespace(converted.values)
    if form.delimiter == JSON:
        return _parse_arrays(array_text.arrays_of(clean, present, form), form.served, faults, max_steps)
    arrays = pc.match_substring_regex(clean, ARRAY_TEXT)
    found = LeafFault("wrong_type", np.flatnonzero(pc.fill_null(arrays, False)), array_text.no_delimited_text(form))
    faults += [_row_faults(form, one, text, found)] if len(found.positions) else []
    parts = carriers.pieces(pc.if_else(arrays, pa.scalar(None, clean.type), clean), form.delimiter)
    return _finish(Ragged(parts.values, parts.splits, present), parts.values, form, faults)


def _parse_arrays(found: array_text.Arrays, form: Form, faults: list[Fault], max_steps: int) -> Parsed:
    """Parses what stood in texts as the lists that it is."""
    made = parse(found.lists, form, max_steps)
    faults = [*faults, *found.faults, *made.faults]
    if found.lists_of_lists is None:
        return replace(made, faults=faults)
    deep = parse(found.lists_of_lists, form, max_steps)
    return Parsed(
        pc.if_else(pa.array(found.nested), deep.array, made.array),
        [*faults, *deep.faults],
        np.where(found.nested, deep.values_in, made.values_in),
        made.nulls + deep.nulls,
        (made.rounded or Rounded()) + (deep.rounded or Rounded()),
    )
