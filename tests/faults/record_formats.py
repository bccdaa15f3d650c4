"""A row (a dict) as the record or the row of a table that it is in each format.

TFRecord, JSON Lines and CSV have records (`RECORD_OF`), Parquet and Avro rows of types (`typed`); in memory it stays what it is.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import fastavro
import pyarrow as pa

from pipeline.command.tf_examples import encode

Row = dict[str, Any]

ALL: Final = ("example", "sequence", "parquet", "jsonl", "csv", "avro", "memory")
FRAMED: Final = ("example", "sequence")
RECORDS: Final = (*FRAMED, "jsonl", "csv")

SUFFIXES: Final = {"example": ".tfrecord", "sequence": ".tfrecord"}


def file_name(format: str, name: str = "part") -> str:
    """Returns the name of a file of a format."""
    return name + SUFFIXES.get(format, f".{format}")


def good_row(rng: random.Random, number: int) -> Row:
    """Returns a row that no column refuses."""
    steps = rng.randrange(7)
    return {
        "id": number,
        "name": f"nobody-{number}",
        "ids": [rng.randrange(10) for _ in range(steps)] or None,
        "x": [rng.random() for _ in range(2 * steps)],
        "n": [rng.randrange(100) for _ in range(rng.randrange(2, 4))],
        "steps": [[rng.random(), rng.random()] for _ in range(rng.randrange(4))],
        "csv": ",".join(str(rng.randrange(100)) for _ in range(rng.randrange(3))) or None,
        "w": [rng.random(), rng.random()],
        "label": rng.randrange(3),
    }


def feature_list(name: str, *steps: Any) -> bytes:
    """Returns a feature list as bytes that can stand behind a tf.SequenceExample: protobuf takes both for one message.

    A step without values is of no kind.
    """
    from tensorflow.core.example import example_pb2

    made = example_pb2.SequenceExample()
    for step in steps:
        feature = example_pb2.Example.FromString(encode({name: step})).features.feature[name]
        added = made.feature_lists.feature_list[name].feature.add()
        if step != []:
            added.CopyFrom(feature)
    return bytes(made.SerializeToString())


def example(row: Row) -> bytes:
    """Returns a row as a tf.Example, which has no nested lists: steps lie flat."""
    return encode({**row, "steps": [value for step in row["steps"] for value in step]})


def sequence(row: Row) -> bytes:
    """Returns a row as a tf.SequenceExample: `steps` and `n` are feature lists, the rest is context."""
    from tensorflow.core.example import example_pb2

    lists = {"steps": row["steps"], "n": None if row["n"] is None else [[value] for value in row["n"]]}
    made = example_pb2.SequenceExample()
    context = encode({name: value for name, value in row.items() if name not in lists})
    made.context.CopyFrom(example_pb2.Example.FromString(context).features)
    return bytes(made.SerializeToString()) + b"".join(
        feature_list(name, *steps) for name, steps in lists.items() if steps
    )


def line(row: Row) -> bytes:
    """Returns a row as a line of JSON, without its end."""
    return json.dumps(row, ensure_ascii=False).encode()


def cells(row: Row) -> bytes:
    """Returns a row as it stands in a CSV file, its end included."""
    held = io.StringIO(newline="")
    csv.writer(held, lineterminator="\n").writerow([_cell(row[name]) for name in NAMES])
    return held.getvalue().encode("utf-8", "surrogateescape")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(map(_cell, value))
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else "" if value is None else str(value)


RECORD_OF: Final[Mapping[str, Callable[[Row], bytes]]] = {
    "example": example,
    "sequence": sequence,
    "jsonl": line,
    "csv": cells,
}
NAMES: Final = list(good_row(random.Random(0), 0))

PARQUET: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.binary()),
        ("ids", pa.list_(pa.int64())),
        ("x", pa.list_(pa.float32())),
        ("n", pa.large_list(pa.int64())),
        ("steps", pa.list_(pa.list_(pa.float32()))),
        ("csv", pa.string()),
        ("w", pa.list_(pa.float64())),
        ("label", pa.float64()),
        ("not_a_column", pa.string()),
    ]
)

_ITEMS: Final = {"type": "array", "items": ["null", "boolean", "long", "double", "string"]}
AVRO: Final = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Row",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "name", "type": ["bytes", "long"]},
            {"name": "ids", "type": ["null", "long", _ITEMS]},
            {"name": "x", "type": _ITEMS},
            {"name": "n", "type": ["null", {"type": "array", "items": ["null", "long"]}]},
            {"name": "steps", "type": {"type": "array", "items": {"type": "array", "items": "double"}}},
            {"name": "csv", "type": ["null", "string"]},
            {"name": "w", "type": ["null", {"type": "array", "items": "double"}]},
            {"name": "label", "type": ["long", "double", {"type": "array", "items": "long"}]},
            {"name": "not_a_column", "type": ["null", "string"]},
        ],
    }
)


def typed(row: Row) -> Row:
    """Returns a row as it goes into a table: names as bytes, so that they need be no text, and a column that nobody reads."""
    name = row["name"].encode() if isinstance(row["name"], str) else row["name"]
    return {**row, "name": name, "not_a_column": f"é{row['id']}"}
