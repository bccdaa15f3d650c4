"""The features of a spec out of serialized records, inside a graph: what a job's source makes of them.

Values of all features stand in one tensor, column after column and row after row, and are taken apart at the end: how many
operations that takes hardly depends on the number of columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import tensorflow as tf

from transforms import dtypes
from transforms.parse.form import Form
from transforms.serve import fields, parsing, records
from transforms.serve.records import BYTES, FLOATS, INTEGERS, NO_KIND

_KIND: Final = {"int64": INTEGERS, "string": BYTES, dtypes.DIGITS: BYTES}
"""The dtype that a column asks for (`_asked`) to the kind of value that holds it; for every other dtype, floats."""


class RequestFeatures(NamedTuple):
    """Features of records.

    Attributes:
      features: by name, ragged (see `parsing.request_specs`). Where a step has no id the marker of none stands already.
      good: bool `[batch]`, which records can be read. What the others have may be anything.
      present: by name, bool `[batch]`, which records have the feature at all.
    """

    features: dict[str, tf.RaggedTensor]
    good: tf.Tensor
    present: dict[str, tf.Tensor]


class _Values(NamedTuple):
    """Values by column, then by row, then as they stand in the text: int64 `[values]` all.

    Attributes:
      slot: the number of the column times the size of the batch, plus the row.
      step: the step of a feature list; -1 for none.
      kind: `NO_KIND` is the place of a step without any value.
      at: where each begins.
      end: where it ends; of a byte string.
    """

    slot: tf.Tensor
    step: tf.Tensor
    kind: tf.Tensor
    at: tf.Tensor
    end: tf.Tensor

    def take(self, places: tf.Tensor) -> _Values:
        """Returns those at some places."""
        return _Values(*fields.gathered(self, places))


def read(serialized: tf.Tensor, forms: Mapping[str, Form]) -> RequestFeatures:
    """Reads features of serialized tf.Examples and tf.SequenceExamples.

    As in a job, a feature may stand in the context or in the feature lists, integers count as floats, and the last one of a name
    counts. Values of another kind are none.

    Args:
      serialized: string `[batch]`.
      forms: name to how it is parsed.
    """
    return _RecordReader(serialized, forms).request()


class _RecordReader:
    """Reads one batch."""

    def __init__(self, serialized: tf.Tensor, forms: Mapping[str, Form]):
        self._forms = dict(sorted(forms.items(), key=lambda item: _asked(item[1])))
        self._found = records.parse(serialized)
        self._batch = tf.size(serialized, tf.int64)
        self._bad = [fields.where(~self._found.good)]

    def request(self) -> RequestFeatures:
        """Returns the features of the records."""
        slot, held = self._slots()
        step_slot = tf.gather(slot, self._found.steps.entry)
        values = self._values(slot, step_slot)
        sizes = tf.size(self._found.steps.at, tf.int64)
        filled = tf.cast(tf.not_equal(values.kind, NO_KIND), tf.int64)
        sizes = tf.math.unsorted_segment_sum(filled, values.step, sizes)
        self._check_steps(step_slot, sizes)
        made = self._apart(values, step_slot, sizes)
        bad = tf.concat(self._bad, axis=0)
        good = tf.equal(tf.math.unsorted_segment_sum(tf.ones_like(bad), bad, self._batch), 0)
        return RequestFeatures(
            made, good, dict(zip(self._forms, tf.unstack(held > 0, num=len(self._forms)), strict=True))
        )

    def _column(self, slot: tf.Tensor) -> tf.Tensor:
        """Returns the number of the column of every slot; of -1 it is any."""
        return tf.maximum(slot, 0) // tf.maximum(self._batch, 1)

    def _of(self, what: Callable[[Form], int], column: tf.Tensor) -> tf.Tensor:
        """Returns what holds for some columns, by their numbers."""
        return tf.gather(np.array([what(form) for form in self._forms.values()]), column)

    def _refuse(self, slot: tf.Tensor, wrong: tf.Tensor) -> None:
        self._bad.append(tf.gather(slot, fields.where(wrong)) % tf.maximum(self._batch, 1))

    def _sum(self, slot: tf.Tensor, what: tf.Tensor) -> tf.Tensor:
        """Adds up by slot, int64 `[features * batch]`; -1 is none."""
        return tf.math.unsorted_segment_sum(tf.cast(what, tf.int64), slot, len(self._forms) * self._batch)

    def _slots(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the slot of every entry, -1 of one that does not count, and how often records hold each feature."""
        entries, count = self._found.entries, len(self._forms)
        names = tf.concat([list(self._forms), entries.name], axis=0)
        column = tf.unique(names, tf.int64).idx[count:]  # names that are asked for come first, all different
        place = (column * self._batch + entries.row) * 2 + tf.cast(entries.listed, tf.int64)
        place = tf.where((column < count) & tf.gather(self._found.good, entries.row), place, -1)
        last = tf.math.unsorted_segment_max(entries.at, place, 2 * count * self._batch)
        kept = (place >= 0) & tf.equal(tf.gather(last, tf.maximum(place, 0)), entries.at)
        slot = tf.where(kept, place // 2, -1)
        held = self._sum(slot, entries.listed | (entries.kind > 0))
        self._refuse(tf.range(tf.size(held, tf.int64)), held > 1)  # in the context and in the feature lists
        return slot, tf.reshape(held, [count, -1])

    def _values(self, slot: tf.Tensor, step_slot: tf.Tensor) -> _Values:
        """Returns the values; those of other kinds than the columns' make their record bad."""
        chunks, steps = self._found.chunks, self._found.steps
        own = tf.gather(slot, chunks.entry)
        asked = self._of(lambda form: _KIND.get(_asked(form), FLOATS), self._column(own))
        both = self._of(lambda form: _asked(form) not in ("int64", "string"), self._column(own))  # integers, too
        same = tf.equal(chunks.kind, asked) | (both & tf.equal(chunks.kind, INTEGERS))
        filled = tf.equal(chunks.kind, BYTES) | (chunks.start < chunks.end)
        self._refuse(own, (own >= 0) & filled & ~same)
        given = _Values(own, chunks.step, chunks.kind, chunks.start, chunks.end)
        given = given.take(fields.where((own >= 0) & filled & same))
        numbers = tf.range(tf.size(steps.at, tf.int64))
        held = tf.math.unsorted_segment_sum(tf.cast(filled, tf.int64), chunks.step, tf.size(numbers))
        bare = tf.equal(held, 0) & (step_slot >= 0) & self._of(_marks_steps, self._column(step_slot))
        marks = _Values(
            step_slot, numbers, tf.fill(tf.shape(numbers), tf.constant(NO_KIND, tf.int64)), steps.at, steps.at
        )
        marks = marks.take(fields.where(bare))
        return self._one_by_one(_Values(*(tf.concat(pair, axis=0) for pair in zip(given, marks, strict=True))))

    def _one_by_one(self, chunks: _Values) -> _Values:
        """Returns the values that lie in pieces of the text, in order."""
        text = self._found.text
        chunks = chunks.take(tf.argsort(chunks.slot * tf.size(text.data, tf.int64) + chunks.at))
        whole = tf.equal(chunks.kind, BYTES) | tf.equal(chunks.kind, NO_KIND)
        width = tf.where(tf.equal(chunks.kind, FLOATS), tf.constant(4, tf.int64), 1)
        at, own = fields.pieces(chunks.at, tf.where(whole, chunks.at + 1, chunks.end), width)
        goes_on = tf.equal(tf.gather(chunks.kind, own), INTEGERS) & tf.not_equal(at, tf.gather(chunks.at, own))
        begins = fields.where(~(goes_on & (tf.gather(text.data, at - 1) >= 0x80)))
        return chunks.take(tf.gather(own, begins))._replace(at=tf.gather(at, begins))

    def _check_steps(self, slot: tf.Tensor, sizes: tf.Tensor) -> None:
        """Refuses feature lists whose steps differ in kind, or have another number of values than the column's."""
        kind, column = self._found.steps.kind, self._column(slot)
        slots = len(self._forms) * self._batch
        high = tf.math.unsorted_segment_max(kind, slot, slots)
        low = tf.math.unsorted_segment_min(tf.where(kind > 0, kind, INTEGERS + 1), slot, slots)
        width = self._of(lambda form: form.step_width, column)
        ids = self._of(lambda form: form.ids, column)
        text = self._of(lambda form: form.delimiter is not None, column)
        wrong = tf.where(text, kind > 0, tf.where(ids, sizes > width, tf.not_equal(sizes, width)))
        self._refuse(slot, (slot >= 0) & wrong)
        several = self._sum(slot, text) > 1  # delimited text is one string, and no list of any
        self._refuse(tf.range(slots), (low < high) | several)

    def _apart(self, values: _Values, step_slot: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.RaggedTensor]:
        """Returns the features by name."""
        lengths = tf.reshape(self._sum(values.slot, tf.ones_like(values.slot)), [len(self._forms), -1])
        splits = tf.unstack(tf.pad(tf.cumsum(lengths, axis=1), [[0, 0], [1, 0]]), num=len(self._forms))
        totals, made, first, start = tf.reduce_sum(lengths, axis=1), {}, 0, tf.constant(0, tf.int64)
        for kind, group in itertools.groupby(self._forms, lambda key: _asked(self._forms[key])):
            keys = list(group)
            own = totals[first : first + len(keys)]
            part = _Values(*(column[start : start + tf.reduce_sum(own)] for column in values))
            found = tf.split(self._decoded(part, kind, [self._forms[key].ids for key in keys]), own, num=len(keys))
            for k, (key, flat) in enumerate(zip(keys, found, strict=True)):
                made[key] = tf.RaggedTensor.from_row_splits(flat, splits[first + k], validate=False)
                if parsing.is_nested(self._forms[key]):
                    made[key] = self._nested(first + k, made[key], values, step_slot, sizes)
            first, start = first + len(keys), start + tf.reduce_sum(own)
        return made

    def _decoded(self, values: _Values, requested: str, ids: list[bool]) -> tf.Tensor:
        """Returns the values of columns that ask for the same (`_asked`). In columns of ids the marker of none is no value."""
        text, none = self._found.text, tf.equal(values.kind, NO_KIND)
        integer = tf.equal(values.kind, INTEGERS)
        flat = None
        if requested != "string":  # where no integer is, a zero behind the text is read
            flat = fields.integers(text, tf.where(integer, values.at, text.past))
        if requested == dtypes.DIGITS:
            words = fields.strings(text, values.at, tf.where(integer, values.at, values.end))
            flat = tf.where(integer, tf.strings.as_string(flat), words)
        elif flat is None:
            flat = fields.strings(text, values.at, values.end)
        if requested not in _KIND:  # float64, too: a record has no doubles, but integers beyond float32
            kind = tf.as_dtype(requested)
            flat = tf.where(
                integer, tf.cast(tf.cast(flat, tf.float64), kind), tf.cast(fields.floats(text, values.at), kind)
            )
        if not any(ids):
            return flat
        column = self._column(values.slot)
        ours = self._of(lambda form: form.ids and form.delimiter is None, column) & ~none
        every = self._of(lambda form: form.any_integer, column)
        unmarked, wrong = parsing.without_markers(flat, every)
        self._refuse(values.slot, wrong & ours)
        flat = tf.where(ours, unmarked, flat)
        return tf.where(none, parsing.marker(flat.dtype), flat)

    def _nested(
        self, column: int, flat: tf.RaggedTensor, values: _Values, step_slot: tf.Tensor, sizes: tf.Tensor
    ) -> tf.RaggedTensor:
        """Returns a feature of several ids a step by step, `[batch, (steps), (ids)]`: in a flat list each is its own."""
        alone = values.take(fields.where(tf.equal(self._column(values.slot), column) & (values.step < 0)))
        own = fields.where((step_slot >= 0) & tf.equal(self._column(step_slot), column))
        slot = tf.concat([tf.gather(step_slot, own), alone.slot], axis=0)
        at = tf.concat([tf.gather(self._found.steps.at, own), alone.at], axis=0)
        held = tf.concat([tf.gather(sizes, own), tf.ones_like(alone.at)], axis=0)
        order = tf.argsort(slot * tf.size(self._found.text.data, tf.int64) + at)
        steps = tf.RaggedTensor.from_row_lengths(flat.values, tf.gather(held, order), validate=False)
        rows = tf.math.unsorted_segment_sum(tf.ones_like(slot), slot - column * self._batch, self._batch)
        return tf.RaggedTensor.from_row_lengths(steps, rows, validate=False)


def _asked(form: Form) -> str:
    """Returns the dtype that a column takes its values in (`Form.requested`); words of dtype uint64 may be text or integers."""
    return form.dtype if form.dtype == dtypes.DIGITS and form.delimiter is None else form.requested


def _marks_steps(form: Form) -> bool:
    """Returns whether a step without a value has a place in the flat list: one id a step, and here there is none."""
    return form.ids and form.step_width == 1 and form.delimiter is None
