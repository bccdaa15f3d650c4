"""Rows as files of every format, and as each format holds them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.command.tf_examples import encode
from pipeline.sources.tfrecord.framing import framed
from tests.faults.random_columns import BETWEEN, Feature
from tests.faults.record_formats import FRAMED, Row, feature_list


def alone(format: str, row: Row) -> Row:
    """Returns a row as its format holds it, as a dict."""
    if format == "csv":
        return {name: _cell(value) for name, value in row.items()}
    if format in FRAMED:
        return {name: None if format == "sequence" and value == [] else value for name, value in row.items()}
    return row


def _cell(value: Any) -> str | None:
    if isinstance(value, list):
        return BETWEEN.join(str(item) for item in value) or None
    return None if value is None else str(value) or None  # an empty cell holds no value


def _write_records(path: Path, rows: Sequence[Any], features: Sequence[Feature], record: Callable[..., bytes]) -> None:
    path.write_bytes(framed([row if isinstance(row, bytes) else record(row, features) for row in rows]))


def _sequence(row: Row, features: Sequence[Feature]) -> bytes:
    from tensorflow.core.example import example_pb2

    nested = {feature.key for feature in features if feature.nested and row[feature.key]}
    flat = encode({name: value for name, value in row.items() if name not in nested and value != []})
    made = example_pb2.SequenceExample(context=example_pb2.Example.FromString(flat).features)
    return bytes(made.SerializeToString()) + b"".join(feature_list(name, *row[name]) for name in nested)


def _write_lines(path: Path, rows: Sequence[Any], features: Sequence[Feature]) -> None:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def _write_csv(path: Path, rows: Sequence[Any], features: Sequence[Feature]) -> None:
    names = [feature.key for feature in features]
    with path.open("wb") as file:
        for row in [dict(zip(names, names, strict=True)), *rows]:
            held = io.StringIO(newline="")
            if not isinstance(row, bytes):
                csv.writer(held, lineterminator="\r\n").writerow([_cell(row[name]) for name in names])
            file.write(row if isinstance(row, bytes) else held.getvalue().encode())


_ARROW: Final = {"int": pa.int64(), "float": pa.float64(), "word": pa.string()}


def _write_parquet(path: Path, rows: Sequence[Any], features: Sequence[Feature]) -> None:
    kinds = [pa.list_(pa.list_(_ARROW[f.carrier])) if f.nested else pa.list_(_ARROW[f.carrier]) for f in features[1:]]
    schema = pa.schema([("id", pa.int64()), *((f.key, kind) for f, kind in zip(features[1:], kinds, strict=True))])
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path, row_group_size=7)


_AVRO: Final = {"int": "long", "float": "double", "word": "string"}


def _write_avro(path: Path, rows: Sequence[Any], features: Sequence[Feature]) -> None:
    fields: list[Any] = [{"name": "id", "type": "long"}]
    for feature in features[1:]:
        kind: Any = {"type": "array", "items": ["null", _AVRO[feature.carrier]]}
        kind = {"type": "array", "items": ["null", kind]} if feature.nested else kind
        fields.append({"name": feature.key, "type": ["null", kind]})
    schema = fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields})
    with path.open("wb") as file:
        fastavro.writer(file, schema, list(rows))


WRITERS: Final[dict[str, Callable[[Path, Sequence[Any], Sequence[Feature]], None]]] = {
    "example": partial(_write_records, record=lambda row, features: encode(row)),
    "sequence": partial(_write_records, record=_sequence),
    "jsonl": _write_lines,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "avro": _write_avro,
}
"""What writes rows to a file, by format."""
