"""Files of records, read back: rows as columns, and whether every record has the features that the manifest says.

Verifying decodes with tfx_bsl, which jobs do not use: a fault that our own encoder and decoder share shows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from math import prod

import numpy as np
import pyarrow as pa

from pipeline.sinks.contents import Contents
from pipeline.sources.base import broken
from pipeline.sources.batches import batches, halved
from pipeline.sources.compression import Content, filled_from, unpacked
from pipeline.sources.limits import WIDEST
from pipeline.sources.packings import codec_of
from pipeline.sources.tfrecord import framing
from pipeline.sources.tfrecord.examples import TYPES, RecordDecoder
from transforms.columns import Output
from transforms.rows.ragged import Ragged
from transforms.spec.parse_specs import known_shape, parse_spec


def columns(
    path: str, outputs: Sequence[Output], start: int, stop: int | None, has_lists: bool
) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
    """Yields columns of the rows wanted, and how many. Records before them are read, and not decoded."""
    decoder = RecordDecoder({name: field["dtype"] for name, field in parse_spec(outputs).items()})
    content = Content(path, WIDEST, framing.is_header)
    found = framing.cuts(content.fill, path, WIDEST, content.unit)
    at = start
    for records in framing.between(found, start, stop):
        parts, bad = decoder.decode(records.array(), has_lists)
        if bad or len(parts) != 1:
            row = min(bad) if bad else len(parts[0].positions)
            raise broken(path, f"row {at + row} is not of the kinds that the manifest says")
        at += len(records)
        yield dict(zip(parts[0].batch.schema.names, parts[0].batch.columns, strict=True)), len(records)


def look_through(path: str, blocks: Iterator[bytes], kind: RecordChecks, found: Contents) -> None:
    """Counts the records of a file, and holds their features to what is said of them: see `Sink.look_through`."""
    codec = codec_of(path, b"")
    data = unpacked(blocks, codec, path, WIDEST.max_unpack_ratio) if codec else blocks
    unit = "uncompressed byte" if codec else "byte"
    for records in batches(framing.records(filled_from(data), path, WIDEST, unit), WIDEST):
        for name, what in kind.faults(records, found.rows):
            found.features.setdefault(name, what)
        found.rows += len(records)


class RecordChecks(ABC):
    """Features of records, held to what the outputs say.

    Args:
      outputs: the features that every record should have.
    """

    def __init__(self, outputs: Sequence[Output]):
        carriers = {name: spec["dtype"] for name, spec in parse_spec(outputs).items()}
        self._wanted = {o.name: (TYPES[carriers[o.name]].value_type, self._widths(o)) for o in outputs}

    @abstractmethod
    def _widths(self, output: Output) -> tuple[int, ...]:
        """Returns how many values a row has; for a feature list, how many steps and how many values each of them."""

    @abstractmethod
    def _decoded(self, records: Sequence[bytes]) -> dict[str, pa.Array]:
        """Returns all features that stand in records of the same kinds.

        Raises:
          RuntimeError: one is none of these records, or their kinds differ.
        """

    def faults(self, records: Sequence[bytes], first: int) -> Iterator[tuple[str, str]]:
        """Yields features that are not as the manifest says, and how; one for each run of rows of the same kinds."""
        for start, _, columns in halved(self._attempt, records):
            row = first + start
            if columns is None:
                yield "", f"row {row}: the record cannot be decoded"
                continue
            for name in columns.keys() - self._wanted.keys():
                at = int(np.argmax(columns[name].is_valid().to_numpy(zero_copy_only=False)))
                yield name, f"row {row + at}: feature {name!r} is not in the manifest"
            for name, (kind, widths) in self._wanted.items():
                wrong = _wrong(columns.get(name), kind, widths)
                if wrong is not None:
                    yield name, f"row {row + wrong[0]}: feature {name!r} {wrong[1]}"

    def _attempt(self, records: Sequence[bytes]) -> dict[str, pa.Array] | None:
        try:
            return self._decoded(records)
        except RuntimeError:
            return None


class Examples(RecordChecks):
    """tf.Examples: a feature holds all values of a row."""

    def _widths(self, output: Output) -> tuple[int, ...]:
        return (prod(known_shape(output)),)

    def _decoded(self, records: Sequence[bytes]) -> dict[str, pa.Array]:
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        return dict(zip(batch.schema.names, batch.columns, strict=True))


class SequenceExamples(RecordChecks):
    """tf.SequenceExamples: a sequence is a feature list, a feature for each step."""

    def _widths(self, output: Output) -> tuple[int, ...]:
        shape = known_shape(output)
        return (shape[0], prod(shape[1:])) if output.sequence else (prod(shape),)

    def _decoded(self, records: Sequence[bytes]) -> dict[str, pa.Array]:
        from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

        batch = SequenceExamplesToRecordBatchDecoder("_").DecodeBatch(records)
        context = dict(zip(batch.schema.names, batch.columns, strict=True))
        # By its type, not by its name: without a schema, a context feature may have the same.
        structs = [column for column in batch.columns if pa.types.is_struct(column.type)]
        lists = {field.name: struct.field(field.name) for struct in structs for field in struct.type}
        return {name: column for name, column in context.items() if not pa.types.is_struct(column.type)} | lists


def _wrong(column: pa.Array | None, kind: pa.DataType, widths: tuple[int, ...]) -> tuple[int, str] | None:
    """Returns the first row whose feature is not as it should be, and how; None where every row's is."""
    if column is None:
        return 0, "is absent"
    rows, places = np.arange(len(column)), ("values", "steps")
    for depth, width in enumerate(widths):
        if pa.types.is_null(column.type):  # nothing in it, so that it has no kind
            return None if width == 0 else (int(rows[0]), "is absent") if len(rows) else None
        if not pa.types.is_large_list(column.type):
            return int(rows[0]), "is no feature list"
        lists = Ragged.of(column)
        if not lists.present.all():
            return int(rows[np.argmin(lists.present)]), "is absent"
        other = np.flatnonzero(lists.lengths != width)
        if len(other):
            what = places[len(widths) - 1 - depth]
            said = f"has {lists.lengths[other[0]]} {what}, the manifest says {width}"
            return int(rows[other[0]]), said
        rows, column = np.repeat(rows, width), lists.values
    if column.type != kind and len(column):
        return int(rows[0]), f"holds {column.type}, the manifest says {kind}"
    return None
