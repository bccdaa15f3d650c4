"""tf.Example records to Arrow, whatever kinds their features have, with each row's result its own.

tfx_bsl decodes a batch in C++, but fails it whole for one row of another kind or one record that is garbage.
Here the batch is halved until what is left can be decoded: with the kinds expected, else with the kinds that
stand in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

from transforms.ragged import Ragged, splits_of

_KINDS: Final = {"int64": schema_pb2.INT, "float32": schema_pb2.FLOAT, "string": schema_pb2.BYTES}
_TYPES: Final = {
    "int64": pa.large_list(pa.int64()),
    "float32": pa.large_list(pa.float32()),
    "string": pa.large_list(pa.large_binary()),
}
_CARRIERS: Final = {kind: carrier for carrier, kind in _TYPES.items()}


@dataclass(frozen=True)
class Part:
    """Rows of one batch that have the same types: the columns asked for, and int64 positions in the batch."""

    batch: pa.RecordBatch
    positions: np.ndarray


class ExampleDecoder:
    """Decodes batches of serialized tf.Examples.

    Attributes of a row that decide what becomes of it are its own: the kinds that it holds. The kinds
    expected are tried first because that is fastest, and the kinds found last become the ones expected next.
    """

    def __init__(self, features: Mapping[str, str]):
        self._expected = dict(features)
        self._decoder: ExamplesToRecordBatchDecoder | None = None

    def decode(self, records: Sequence[bytes]) -> tuple[list[Part], np.ndarray]:
        """Decodes one batch.

        Returns:
          The rows, in order, in as few parts as their types allow: each column is a large list of int64,
          float32 or large_binary, null where the row lacks the feature. And the int64 positions of the
          records that are no tf.Example.
        """
        pieces = list(self._pieces(records, 0))
        bad = np.array([start for start, batch in pieces if batch is None], np.int64)
        good = [Part(b, np.arange(start, start + b.num_rows)) for start, b in pieces if b is not None]
        return _joined(good), bad

    def _pieces(self, records: Sequence[bytes], start: int) -> Iterator[tuple[int, pa.RecordBatch | None]]:
        batch = self._attempt(records)
        if batch is not None or len(records) == 1:
            yield start, batch
            return
        half = len(records) // 2
        yield from self._pieces(records[:half], start)
        yield from self._pieces(records[half:], start + half)

    def _attempt(self, records: Sequence[bytes]) -> pa.RecordBatch | None:
        """Decodes rows of the same kinds; None where they differ, or where one is no tf.Example."""
        try:
            self._decoder = self._decoder or ExamplesToRecordBatchDecoder(_schema(self._expected))
            return _of_rows(self._decoder.DecodeBatch(records), len(records))
        except RuntimeError as error:
            # tfx_bsl 1.21 keeps the rows before an error and puts them into the next batch: drop the decoder.
            self._decoder = None
            if "wrong type" not in str(error) and len(records) > 1:
                return None  # a record that cannot be parsed fails without a schema just as well
        try:
            found = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        except RuntimeError:
            return None
        names = [n for n in self._expected if n in found.schema.names and not pa.types.is_null(found.column(n).type)]
        self._expected.update({name: _CARRIERS[found.column(name).type] for name in names})
        columns = [
            found.column(name) if name in names else pa.nulls(len(records), _TYPES[carrier])
            for name, carrier in self._expected.items()
        ]
        return _of_rows(pa.RecordBatch.from_arrays(columns, list(self._expected)), len(records))


def _schema(features: Mapping[str, str]) -> bytes:
    schema = schema_pb2.Schema()
    for name, carrier in features.items():
        schema.feature.add(name=name, type=_KINDS[carrier])
    return schema.SerializeToString()


def _of_rows(batch: pa.RecordBatch, rows: int) -> pa.RecordBatch:
    """A batch without columns has forgotten how many rows it has."""
    if batch.num_columns:
        return batch
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _joined(parts: list[Part]) -> list[Part]:
    """Joins neighbours of the same types. A column without any value, if only of empty lists, fits every type."""
    groups: list[list[Part]] = []
    types: dict[str, pa.DataType] = {}
    for part in parts:
        columns = zip(part.batch.schema.names, part.batch.columns, strict=True)
        held = {name: column.type for name, column in columns if _holds_values(column)}
        if groups and all(types.get(name, kind) == kind for name, kind in held.items()):
            groups[-1].append(part)
            types.update(held)
        else:
            groups.append([part])
            types = held
    return [_concatenated(group) for group in groups]


def _concatenated(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    positions = np.concatenate([part.positions for part in parts])
    batches = [part.batch for part in parts]
    if not batches[0].num_columns:
        return Part(_of_rows(batches[0], len(positions)), positions)
    arrays = [_chunks([batch.column(k) for batch in batches]) for k in range(batches[0].num_columns)]
    return Part(pa.RecordBatch.from_arrays(arrays, batches[0].schema.names), positions)


def _chunks(columns: list[pa.Array]) -> pa.Array:
    kind = next((c.type for c in columns if _holds_values(c)), columns[0].type)
    return pa.concat_arrays([c if c.type == kind else _without_values(c, kind) for c in columns])


def _holds_values(column: pa.Array) -> bool:
    return len(column.flatten()) > 0


def _without_values(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns empty lists and nulls as those of another type: an empty list is empty whatever it is a list of."""
    empty = Ragged(pa.nulls(0, kind.value_type), splits_of(np.zeros(len(column))), Ragged.of(column).present)
    return empty.to_list_array()


def kinds(records: Sequence[bytes]) -> dict[str, pa.DataType]:
    """Returns every feature in the records with its type; where rows differ, the type that comes first.

    A feature that never holds anything has the null type; a record that is no tf.Example has no features.
    """
    try:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
        return {field.name: field.type for field in batch.schema}
    except RuntimeError:
        if len(records) == 1:
            return {}
    first, second = kinds(records[: len(records) // 2]), kinds(records[len(records) // 2 :])
    return {**second, **{n: t for n, t in first.items() if not pa.types.is_null(t) or n not in second}}


def are_sequence_examples(records: Sequence[bytes]) -> bool:
    """Tells whether records are tf.SequenceExamples that hold feature lists.

    Read as a tf.Example, such a record parses and seems to have only its context.
    """
    try:
        batch = SequenceExamplesToRecordBatchDecoder("lists").DecodeBatch(list(records))
    except RuntimeError:
        return False
    return "lists" in batch.schema.names and batch.schema.field("lists").type.num_fields > 0
