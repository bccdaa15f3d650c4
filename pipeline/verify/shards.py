"""What stands in a shard: as many rows, and the features, that the manifest says. No TensorFlow; no shard is held whole."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
import pyarrow as pa
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

from pipeline.sinks.parquet import arrow_schema
from pipeline.sources import compression
from pipeline.sources.base import open_input
from pipeline.sources.batches import batches, halved
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import WIDEST
from pipeline.sources.tfrecord import framing
from pipeline.sources.tfrecord.examples import TYPES
from transforms.columns import Output
from transforms.errors import JobError
from transforms.rows.ragged import Ragged
from transforms.spec.parse_specs import known_shape, parse_spec

Tell = Callable[[int], None]
"""Is told how many bytes were read."""


@dataclass
class Contents:
    """What was found in a file, whatever is wrong with it.

    Attributes:
      bytes: how many it has.
      sha256: of them, hexadecimal.
      rows: whole rows, up to the damage if there is any.
      faults: what is wrong inside, a line each: damage, and for every feature the first row in which it is not as said.
    """

    bytes: int = 0
    sha256: str = ""
    rows: int = 0
    faults: list[str] = field(default_factory=list)


def examine(path: str, format: str, outputs: Sequence[Output], tell: Tell) -> Contents:
    """Reads a shard to its end, every checksum in it included.

    Args:
      path: the file.
      format: name of the sink that wrote it.
      outputs: the features that it should have.
      tell: is told how far it is; a Parquet file is read twice.

    Raises:
      JobError: the file cannot be opened.
    """
    found = Contents()
    hashed = _hashed(compression.Blocks(open_input(path), path), found, tell)
    features: dict[str, str] = {}
    try:
        if format == "parquet":
            for _ in hashed:
                pass
            _read_parquet(path, outputs, found, features, tell)
        else:
            kind = _SequenceExamples if format.startswith("sequence_example") else _Examples
            _read_records(path, hashed, kind(outputs), found, features)
    except JobError as error:
        found.faults.append(str(error).removeprefix(f"{path}: "))
    for _ in hashed:  # what comes after damage counts for the SHA-256
        pass
    found.faults += features.values()
    return found


def _hashed(blocks: Iterable[bytes], found: Contents, tell: Tell) -> Iterator[bytes]:
    made = hashlib.sha256()
    for block in blocks:
        made.update(block)
        found.bytes += len(block)
        tell(len(block))
        yield block
    found.sha256 = made.hexdigest()


def _read_records(
    path: str, blocks: Iterator[bytes], kind: _Records, found: Contents, features: dict[str, str]
) -> None:
    codec = compression.codec_of(path, b"")
    data = compression.unpacked(blocks, codec, path, WIDEST.max_unpack_ratio) if codec else blocks
    unit = "uncompressed byte" if codec else "byte"
    for records in batches(framing.records(data, path, WIDEST.max_record_bytes, unit), WIDEST):
        for name, what in kind.faults(records, found.rows):
            features.setdefault(name, what)
        found.rows += len(records)


def _read_parquet(path: str, outputs: Sequence[Output], found: Contents, features: dict[str, str], tell: Tell) -> None:
    source = SOURCES["parquet"]
    wanted = {field.name: field.type for field in arrow_schema(outputs)}
    held = source.features(path, WIDEST)
    for name in (*wanted, *(name for name in held if name not in wanted)):
        if held.get(name) != wanted.get(name):
            features[name] = _other(name, wanted.get(name, _ABSENT), held.get(name, _ABSENT))
    for split in source.splits(path):
        for read in source.read(split, dict.fromkeys(held, ""), WIDEST):
            assert read.batch is not None
            for name in wanted.keys() & held.keys():
                nulls = read.batch.column(name).is_null().to_numpy(zero_copy_only=False)
                if nulls.any():
                    row = found.rows + int(np.argmax(nulls))
                    features.setdefault(name, f"row {row}: feature {name!r} is null")
            found.rows += read.batch.num_rows
            tell(read.size)


_ABSENT: Final = "no such feature"


def _other(name: str, wanted: Any, held: Any) -> str:
    kinds = (_shown(kind) if isinstance(kind, pa.DataType) else kind for kind in (held, wanted))
    return "feature {!r}: the file has {}, the manifest {}".format(name, *kinds)


def _shown(kind: pa.DataType) -> str:
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{kind.value_type} {kind.shape}"
    return str(kind)


class _Records(ABC):
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


class _Examples(_Records):
    def _widths(self, output: Output) -> tuple[int, ...]:
        return (prod(known_shape(output)),)

    def _decoded(self, records: Sequence[bytes]) -> dict[str, pa.Array]:
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        return dict(zip(batch.schema.names, batch.columns, strict=True))


class _SequenceExamples(_Records):
    def _widths(self, output: Output) -> tuple[int, ...]:
        shape = known_shape(output)
        return (shape[0], prod(shape[1:])) if output.sequence else (prod(shape),)

    def _decoded(self, records: Sequence[bytes]) -> dict[str, pa.Array]:
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
