"""Whole arrays in one string (`delimiter: json`), as JSON, Python or NumPy write them, to lists."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import dtypes
from transforms.parse import carriers
from transforms.parse.form import JSON, Form
from transforms.parse.text import FLOAT_TEXT, INTEGER_TEXT
from transforms.rows.fields import text_buffers
from transforms.rows.ragged import Ragged, splits_of
from transforms.rows.rejection import Fault


def no_delimited_text(form: Form) -> str:
    """Returns the message for text that is an array, where it should have a delimiter between its values."""
    return (
        f"expected values with {form.delimiter!r} between them, got text that is an array: 'delimiter: {JSON}' reads it"
    )


@dataclass(frozen=True)
class Arrays:
    """A column of arrays that were text.

    Attributes:
      lists: the rows as large lists of text, each value as it stands; null where the row has no list.
      nested: bool `[rows]`: which rows are lists of lists instead, and empty in `lists`.
      lists_of_lists: these rows, large lists of large lists; all others are null. None where there are none.
      faults: the rows that are no array, which are empty lists.
    """

    lists: pa.Array
    nested: np.ndarray
    lists_of_lists: pa.Array | None
    faults: list[Fault]


def arrays_of(text: pa.Array, present: np.ndarray, form: Form) -> Arrays:
    """Takes arrays apart.

    >>> made = arrays_of(pa.array(["[1, 2]", "[1. nan]", "", "null"]), np.ones(4, bool), Form("x", "float32"))
    >>> made.lists.to_pylist()
    [['1', '2'], ['1.', 'nan'], [], None]

    Args:
      text: trimmed text, one array a row; an empty text is an empty list, `null` and `None` are no list at all.
      present: bool `[rows]`: which rows have a text.
      form: of the column, for its name and its dtype.
    """
    absent = pc.fill_null(pc.is_in(text, pa.array(["null", "None"], text.type)), False)
    cleared = pc.fill_null(pc.if_else(absent, pa.scalar("", text.type), text), "").cast(pa.large_string())
    found, present = _scanned(cleared), present & ~absent.to_numpy(zero_copy_only=False)
    faults = _faults(cleared, found, form)
    values = found.values
    if form.dtype not in dtypes.STRINGS:
        values = _booleans_as_numbers(values, found)
    if form.dtype in dtypes.INTEGERS or form.dtype == dtypes.DIGITS:
        values = _whole_numbers(values)
    nested = found.nested
    if not nested.any():
        return Arrays(Ragged(values, splits_of(found.counts), present).to_list_array(), nested, None, faults)
    own = np.repeat(nested, found.counts)
    flat = Ragged(values.filter(pa.array(~own)), splits_of(np.where(nested, 0, found.counts)), present)
    sizes = found.sizes
    inner = Ragged(values.filter(pa.array(own)), splits_of(sizes), np.ones(len(sizes), bool)).to_list_array()
    return Arrays(flat.to_list_array(), nested, Ragged(inner, splits_of(found.steps), nested).to_list_array(), faults)


@dataclass(frozen=True)
class _Scanned:
    """The arrays that texts hold; see `transforms.kernels.array_text`.

    Attributes:
      forms: int64 `[rows]`.
      counts: int64 `[rows]`, the values of each.
      steps: int64 `[rows]`, the lists in a list of lists.
      sizes: int64 `[all lists in lists]`, the values of each.
      kinds: uint8 `[all values]`.
      values: text, or bytes where some is not UTF-8, `[all values]`; null for a null.
    """

    forms: np.ndarray
    counts: np.ndarray
    steps: np.ndarray
    sizes: np.ndarray
    kinds: np.ndarray
    values: pa.Array

    @property
    def nested(self) -> np.ndarray:
        """Which rows are lists of lists, bool `[rows]`."""
        from transforms.kernels.array_text import NESTED

        return np.asarray(self.forms == NESTED)

    @property
    def booleans(self) -> np.ndarray:
        """Which values are booleans, bool `[all values]`."""
        from transforms.kernels.array_text import BOOLEAN

        return np.asarray(self.kinds == BOOLEAN)

    def rows_with(self, which: np.ndarray) -> np.ndarray:
        """Returns which rows have some of the values, bool `[rows]`."""
        rows = np.zeros(len(self.counts), bool)
        rows[np.repeat(np.arange(len(rows)), self.counts)[which]] = True
        return rows


def _scanned(text: pa.Array) -> _Scanned:
    from transforms.kernels.array_text import NOTHING, arrays_of_text

    offsets, data = text_buffers(text)
    forms, counts, steps = (np.zeros(len(text), np.int64) for _ in range(3))
    whole, small = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    arrays_of_text(offsets, data, False, forms, counts, steps, whole, small, whole, small)
    ends, kinds = np.zeros(int(counts.sum()) + 1, np.int64), np.zeros(int(counts.sum()), np.uint8)
    sizes, held = np.zeros(int(steps.sum()), np.int64), np.zeros(len(data), np.uint8)
    arrays_of_text(offsets, data, True, forms, counts, steps, ends[1:], kinds, sizes, held)
    buffers = [pa.py_buffer(ends), pa.py_buffer(held)]
    values = pa.Array.from_buffers(pa.large_binary(), len(kinds), [None, *buffers])
    with contextlib.suppress(pa.ArrowInvalid):  # else those who read the values say which are not UTF-8
        values = values.cast(pa.large_string())
    none = pa.array(kinds == NOTHING)
    return _Scanned(forms, counts, steps, sizes, kinds, pc.if_else(none, pa.scalar(None, values.type), values))


def _faults(text: pa.Array, found: _Scanned, form: Form) -> list[Fault]:
    """Returns the faults: rows that are no array, words without quotes (no number is a word), booleans among numbers."""
    from transforms.kernels.array_text import MIXED, NO_ARRAY, NOTHING, QUOTED

    wrong = [
        (found.forms == NO_ARRAY, "expected an array as JSON, Python or NumPy writes one, such as [1, 2]"),
        (found.forms == MIXED, "expected a list of values or a list of such lists, got both, or lists within these"),
    ]
    if form.dtype in dtypes.STRINGS:
        bare = found.rows_with((found.kinds != QUOTED) & (found.kinds != NOTHING))
        wrong.append((bare, f"expected text in quotes ({form.dtype})"))
    elif found.booleans.any():
        among = found.rows_with(found.booleans) & found.rows_with(~found.booleans & (found.kinds != NOTHING))
        wrong.append((among, f"expected {carriers.expected(form.dtype)}, got booleans among numbers"))
    rows = ((np.flatnonzero(bad), message) for bad, message in wrong)
    return [Fault("wrong_type", form.name, at, carriers.texts(text, at), message) for at, message in rows if len(at)]


def _booleans_as_numbers(values: pa.Array, found: _Scanned) -> pa.Array:
    booleans = found.booleans
    if not booleans.any():
        return values
    numbers = pc.if_else(pc.match_substring(values, "rue"), "1", "0").cast(values.type)
    return pc.if_else(pa.array(booleans), numbers, values)


def _whole_numbers(values: pa.Array) -> pa.Array:
    """Returns text with numbers such as `2.0`, which NumPy writes `2.`, as whole ones: as floats are taken for integers."""
    is_float = pc.match_substring_regex(values, FLOAT_TEXT)
    wanted = pc.fill_null(pc.and_not(is_float, pc.match_substring_regex(values, INTEGER_TEXT)), False)
    if not pc.any(wanted).as_py():
        return values
    numbers = pc.if_else(wanted, values, pa.scalar("0", values.type)).cast(pa.large_string()).cast(pa.float64())
    exact = pc.less_equal(pc.abs(numbers), carriers.LARGEST_EXACT_FLOAT)
    whole = pc.and_(wanted, pc.and_(exact, pc.equal(pc.floor(numbers), numbers)))
    written = pc.if_else(whole, numbers, 0.0).cast(pa.int64()).cast(pa.large_string()).cast(values.type)
    return pc.if_else(whole, written, values)
