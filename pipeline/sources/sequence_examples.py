"""tf.SequenceExample records to Arrow: a context feature is a list a row, a feature list one list a step.

As in `examples`, a batch is halved until what is left can be decoded, so that each row's result is its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

from pipeline.sources.examples import CARRIERS, KINDS, TYPES
from pipeline.sources.parts import Part, halved, joined, of_rows
from transforms.ragged import Ragged

_STEPS: Final = {carrier: pa.large_list(kind) for carrier, kind in TYPES.items()}


class SequenceExampleDecoder:
    """Decodes batches of serialized tf.SequenceExamples.

    As `ExampleDecoder` does, it tries the kinds expected first, and expects the kinds found last from then on. The
    context and the feature lists have each their own: a feature may stand in the one or in the other.
    """

    def __init__(self, features: Mapping[str, str]):
        self._context, self._lists = dict(features), dict(features)
        self._name = "feature lists"
        while self._name in features:
            self._name += "_"
        self._decoder: SequenceExamplesToRecordBatchDecoder | None = None

    def decode(self, records: pa.Array) -> tuple[list[Part], dict[int, str]]:
        """Decodes one batch.

        Args:
          records: large_binary `[records]`, without nulls.

        Returns:
          The rows, in as few parts as their types allow: a column is a large list of int64, float32 or large_binary where
          the feature stands in the context, and a large list of such lists, one a step, where it is a feature list. A
          step is null where it has no kind. And the positions of the records that cannot be decoded, with what was
          expected; with an empty text where that is a tf.SequenceExample.
        """
        parts: list[Part] = []
        bad: dict[int, str] = {}
        texts = records.to_pylist()
        for start, own, batch in halved(self._attempt, texts):
            made = self._alone(own[0]) if batch is None else batch
            if isinstance(made, str):
                bad[start] = made
            else:
                parts.append(Part.at(start, made))
        exact = [_with_exact_integers(part, texts, list(self._context)) for part in joined(parts)]
        united = [_united(part, list(self._context)) for part in exact]
        for _, both in united:
            bad |= both
        return [part for found, _ in united for part in found], dict(sorted(bad.items()))

    def _attempt(self, records: Sequence[bytes]) -> pa.RecordBatch | None:
        """Decodes rows of the same kinds; None where they differ, or where one is no tf.SequenceExample.

        Returns:
          A batch of the features in the context, then of those in the feature lists.
        """
        try:
            if self._decoder is None:
                schema = _schema(self._context, self._lists, self._name)
                self._decoder = SequenceExamplesToRecordBatchDecoder(self._name, schema)
            return self._batch(self._decoder.DecodeBatch(records), len(records))
        except RuntimeError as error:
            # tfx_bsl 1.21 keeps the rows before an error and puts them into the next batch: drop the decoder.
            self._decoder = None
            if "wrong type" not in str(error):
                return None
        try:
            return self._batch(SequenceExamplesToRecordBatchDecoder(self._name).DecodeBatch(records), len(records))
        except RuntimeError:
            return None

    def _batch(self, found: pa.RecordBatch, count: int) -> pa.RecordBatch:
        """Takes the features asked for, with the kinds expected where nothing has one; expects the kinds found."""
        context, lists = features_of(found)
        for name, column in context.items():
            if name in self._context and not pa.types.is_null(column.type):
                self._context[name] = CARRIERS[column.type]
        for name, column in lists.items():
            if name in self._lists and not pa.types.is_null(column.type.value_type):
                self._lists[name] = CARRIERS[column.type.value_type]
        names = [f"context {name}" for name in self._context] + [f"lists {name}" for name in self._lists]
        arrays = [_of_kind(context.get(name), count, TYPES[carrier]) for name, carrier in self._context.items()]
        arrays += [_of_kind(lists.get(name), count, _STEPS[carrier]) for name, carrier in self._lists.items()]
        return of_rows(pa.RecordBatch.from_arrays(arrays, names), count)

    def _alone(self, record: bytes) -> pa.RecordBatch | str:
        """Decodes a record that cannot be decoded whole; returns what was expected of it where it cannot be at all.

        tfx_bsl refuses a feature list whose steps are of several kinds even where nobody asks for it.
        """
        try:
            context = {name: _kind_in(record, name, kind, False) for name, kind in self._context.items()}
            lists = {name: _kind_in(record, name, kind, True) for name, kind in self._lists.items()}
        except RuntimeError:
            return ""
        for name, kind in lists.items():
            if not kind:
                return f"expected steps of one kind in the feature list {name!r}"
        decoder = SequenceExamplesToRecordBatchDecoder(self._name, _schema(context, lists, self._name))
        return self._batch(decoder.DecodeBatch([record]), 1)


def _kind_in(record: bytes, name: str, expected: str, in_lists: bool) -> str:
    """Returns the carrier of one feature of a record: the one expected where it is absent, "" where no single one fits.

    Raises:
      RuntimeError: the record is no tf.SequenceExample.
    """
    for kind in (expected, *KINDS):
        schema = _schema({}, {name: kind}, "_") if in_lists else _schema({name: kind}, {}, "_")
        try:
            SequenceExamplesToRecordBatchDecoder("_", schema).DecodeBatch([record])
            return kind
        except RuntimeError as error:
            if "wrong type" not in str(error):
                raise
    return ""


def _schema(context: Mapping[str, str], lists: Mapping[str, str], lists_name: str) -> bytes:
    schema = schema_pb2.Schema()
    for name, carrier in context.items():
        schema.feature.add(name=name, type=KINDS[carrier])
    steps = schema.feature.add(name=lists_name, type=schema_pb2.STRUCT).struct_domain
    steps.SetInParent()  # also without a feature: where the schema has no lists, all that there are get decoded
    for name, carrier in lists.items():
        steps.feature.add(name=name, type=KINDS[carrier])
    return schema.SerializeToString()


def features_of(batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
    """Returns what a decoder found in the context, and in the feature lists: they are one struct."""
    # Not by its name: without a schema, a context feature may have the same.
    structs = [column for column in batch.columns if pa.types.is_struct(column.type)]
    lists = {field.name: struct.field(field.name) for struct in structs for field in struct.type}
    columns = zip(batch.schema.names, batch.columns, strict=True)
    return {name: column for name, column in columns if not pa.types.is_struct(column.type)}, lists


def _of_kind(column: pa.Array | None, count: int, kind: pa.DataType) -> pa.Array:
    """Returns a column of the kind where it has none of its own: nothing in it says which, so any will do."""
    if column is None or pa.types.is_null(column.type):
        return pa.nulls(count, kind)
    if not pa.types.is_null(column.type.value_type):
        return column
    steps = Ragged.of(column)
    return Ragged(pa.nulls(len(steps.values), kind.value_type), steps.splits, steps.present).to_list_array()


def _with_exact_integers(part: Part, records: Sequence[bytes], names: list[str]) -> Part:
    """Reads the integers of feature lists again: tfx_bsl 1.21 cuts them to 32 bits, without a word.

    `for (int value : feature.int64_list().value())` in its example_decoder.cc. The context is right, and so is the number
    of values in every step.
    """
    steps = {k: Ragged.of(part.batch.column(k)) for k in range(len(names), 2 * len(names))}
    inner = {k: Ragged.of(ragged.values) for k, ragged in steps.items()}
    whole = [k for k, ragged in inner.items() if pa.types.is_int64(ragged.values.type) and len(ragged.values)]
    if not whole:
        return part
    own = [records[k] for k in part.positions]
    cut = [inner[k].values.to_numpy().astype(np.int32) for k in whole]
    values = _integers(own, [names[k - len(names)] for k in whole], cut)
    columns = list(part.batch.columns)
    for k, exact in zip(whole, values, strict=True):
        lists = Ragged(pa.array(exact), inner[k].splits, inner[k].present).to_list_array()
        columns[k] = Ragged(lists, steps[k].splits, steps[k].present).to_list_array()
    return Part(pa.RecordBatch.from_arrays(columns, part.batch.schema.names), part.positions)


def _integers(records: list[bytes], names: list[str], cut: list[np.ndarray]) -> list[np.ndarray]:
    """Returns all values of feature lists of integers, int64 `[values]` each; `cut` are their lowest 32 bits."""
    import tensorflow as tf

    wanted = {name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in names}
    try:
        found = tf.io.parse_sequence_example(records, sequence_features=wanted)[1]
    except tf.errors.InvalidArgumentError:  # it knows less of protobuf's wire format: no groups
        found = None
    if found is not None:
        values = [found[name].flat_values.numpy() for name in names]
        if all(map(np.array_equal, (exact.astype(np.int32) for exact in values), cut)):
            return values
    lists = [tf.train.SequenceExample.FromString(record).feature_lists.feature_list for record in records]
    return [np.array([v for own in lists for v in _flat(own, name)], np.int64) for name in names]


def _flat(lists: Any, name: str) -> Iterator[int]:
    for step in lists[name].feature if name in lists else ():
        yield from step.int64_list.value


def _united(part: Part, names: list[str]) -> tuple[list[Part], dict[int, str]]:
    """Makes one column of a feature that stands in the context of some rows and in the feature lists of others.

    Returns:
      Parts whose rows have each feature in the same place, and the positions of rows that have one in both.
    """
    context, lists = part.batch.columns[: len(names)], part.batch.columns[len(names) :]
    flat, nested = [_present(column) for column in context], [_present(column) for column in lists]
    clear = np.ones(len(part.positions), bool)
    bad: dict[int, str] = {}
    for k, name in enumerate(names):
        for row in np.flatnonzero(flat[k] & nested[k] & clear):
            bad[int(part.positions[row])] = f"expected {name!r} in the context or in the feature lists, got both"
            clear[row] = False
    rows = np.flatnonzero(clear)
    mixed = [k for k in range(len(names)) if flat[k][rows].any() and nested[k][rows].any()]
    groups = [rows]
    if mixed:
        places, group = np.unique(np.stack([nested[k][rows] for k in mixed]), axis=1, return_inverse=True)
        groups = [rows[group.reshape(-1) == k] for k in range(places.shape[1])]
    made = []
    for own in sorted(filter(len, groups), key=lambda own: int(own[0])):
        chosen = [lists[k] if nested[k][own].any() else context[k] for k in range(len(names))]
        if len(own) < len(clear):
            chosen = [column.take(pa.array(own)) for column in chosen]
        made.append(Part(of_rows(pa.RecordBatch.from_arrays(chosen, names), len(own)), part.positions[own]))
    return made, bad


def _present(column: pa.Array) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)


def kinds(records: Sequence[bytes]) -> dict[str, pa.DataType]:
    """Returns every feature in the records with its type; where rows differ, the type that comes first.

    A feature list is a list of lists. The type of what holds nothing is null; a record that is no tf.SequenceExample
    has no features.
    """
    try:
        batch = SequenceExamplesToRecordBatchDecoder("_").DecodeBatch(list(records))
    except RuntimeError:
        if len(records) == 1:
            return {}
        first, second = kinds(records[: len(records) // 2]), kinds(records[len(records) // 2 :])
        return {**second, **{n: t for n, t in first.items() if _says(t) or not _says(second.get(n, pa.null()))}}
    found: dict[str, tuple[int, pa.DataType]] = {}
    for name, array in itertools.chain.from_iterable(features.items() for features in features_of(batch)):
        first_row = int(np.argmax(_present(array))) if _says(array.type) else len(records)
        if name not in found or first_row < found[name][0]:
            found[name] = first_row, array.type
    return {name: kind for name, (_, kind) in found.items()}


def _says(kind: pa.DataType) -> bool:
    """Tells whether a type says what stands in a feature."""
    return not pa.types.is_null(kind) and not pa.types.is_null(kind.value_type)
