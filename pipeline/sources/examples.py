"""tf.Example records to Arrow, whatever kinds their features have, with each row's result its own.

Records in their usual form, with the kinds expected, are decoded column by column (`example_columns`), in about half the time
of tfx_bsl. All others are for tfx_bsl, which parses whatever protocol buffers allow, but fails a batch whole for one row of
another kind or one record that is garbage. So that batch is halved until what is left can be decoded: with the kinds expected,
else with the kinds that stand in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from pipeline.sources.example_columns import ColumnDecoder
from pipeline.sources.parts import Part, halved, joined, merged, of_rows

KINDS: Final = {"int64": schema_pb2.INT, "float32": schema_pb2.FLOAT, "string": schema_pb2.BYTES}
TYPES: Final = {
    "int64": pa.large_list(pa.int64()),
    "float32": pa.large_list(pa.float32()),
    "string": pa.large_list(pa.large_binary()),
}
CARRIERS: Final = {kind: carrier for carrier, kind in TYPES.items()}

LEAST_ROWS: Final = 512
"""In fewer records than so many, what every pass over columns costs is not made up for: they are for tfx_bsl."""


class ExampleDecoder:
    """Decodes batches of serialized tf.Examples.

    Attributes of a row that decide what becomes of it are its own: the kinds that it holds. The kinds
    expected are tried first because that is fastest, and the kinds found last become the ones expected next.

    Args:
      features: wanted names, each with the carrier expected.
      least_rows: how many records there must be to decode them column by column. What becomes of them is the same.
    """

    def __init__(self, features: Mapping[str, str], least_rows: int = LEAST_ROWS):
        self._least_rows = least_rows
        self._expected = dict(features)
        self._decoder: ExamplesToRecordBatchDecoder | None = None
        self._columns = ColumnDecoder(features)
        self._columns_of = dict(features)

    def decode(self, records: pa.Array) -> tuple[list[Part], dict[int, str]]:
        """Decodes one batch.

        Args:
          records: large_binary `[records]`, without nulls.

        Returns:
          The rows, in order, in as few parts as their types allow: each column is a large list of int64,
          float32 or large_binary, null where the row lacks the feature. And the positions of the records that are
          no tf.Example, with an empty text.
        """
        own, rest = self._usual(records) if len(records) >= self._least_rows else ([], np.arange(len(records)))
        if own and not len(rest):
            return own, {}
        found = list(halved(self._attempt, records.take(pa.array(rest)).to_pylist()))
        bad = {int(rest[start]): "" for start, _, batch in found if batch is None}
        others = [Part(batch, rest[start : start + len(part)]) for start, part, batch in found if batch is not None]
        return merged([*own, *joined(others)]) if own else joined(others), bad

    def _usual(self, records: pa.Array) -> tuple[list[Part], np.ndarray]:
        """Returns the rows of records in their usual form, a part or none, and the positions of all other records."""
        if self._columns_of != self._expected:
            self._columns, self._columns_of = ColumnDecoder(self._expected), dict(self._expected)
        columns, taken = self._columns.decode(records)
        positions, rest = np.flatnonzero(taken), np.flatnonzero(~taken)
        batch = pa.RecordBatch.from_arrays(columns, list(self._columns_of))
        return [Part(of_rows(batch, len(positions)), positions)] if len(positions) else [], rest

    def _attempt(self, records: Sequence[bytes]) -> pa.RecordBatch | None:
        """Decodes rows of the same kinds; None where they differ, or where one is no tf.Example."""
        try:
            self._decoder = self._decoder or ExamplesToRecordBatchDecoder(_schema(self._expected))
            return of_rows(self._decoder.DecodeBatch(records), len(records))
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
        self._expected.update({name: CARRIERS[found.column(name).type] for name in names})
        columns = [
            found.column(name) if name in names else pa.nulls(len(records), TYPES[carrier])
            for name, carrier in self._expected.items()
        ]
        return of_rows(pa.RecordBatch.from_arrays(columns, list(self._expected)), len(records))


def _schema(features: Mapping[str, str]) -> bytes:
    schema = schema_pb2.Schema()
    for name, carrier in features.items():
        schema.feature.add(name=name, type=KINDS[carrier])
    return schema.SerializeToString()


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
