"""Random data sets: random columns, random rows of which some are bad in random ways, in a random format and number of files.

Nothing says here what becomes of a row. That is what the row gives by itself, in memory; `tests/test_random_sets.py` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.job.request import FORMATS as SINKS
from tests.faults.random_columns import WORDS, Feature, Rng, random_columns
from tests.faults.random_files import WRITERS
from tests.faults.record_formats import FRAMED, Row, file_name
from transforms.spec.spec import Spec

FORMATS: Final = ("example", "sequence", "parquet", "jsonl", "csv", "avro")
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class DataSet:
    """Files of rows, what reads them, and how they are written.

    Attributes:
      format: what the files are.
      sink: what is to be written.
      spec: the columns.
      features: what rows hold.
      files: rows by file; bytes are a record that is none.
    """

    format: str
    sink: str
    spec: Spec
    features: tuple[Feature, ...]
    files: tuple[tuple[Row | bytes, ...], ...]


def data_set(seed: int, fits: bool) -> DataSet:
    """Returns the data set of a number; `fits`: with columns that may need statistics of all rows."""
    rng = Rng(f"data set {seed}")
    format = rng.choice(FORMATS)
    spec, features = random_columns(rng, format, fits)
    count = rng.choice([1, 2, 5, 12, 30])
    rows: list[Row | bytes] = [random_row(rng, features, format, number, number == 0) for number in range(count)]
    for number in range(1, count):
        chance = rng.random()
        if chance < 0.05 and format in GARBAGE:
            rows[number] = rng.choice(GARBAGE[format])
        elif chance < 0.35:
            spoil(rng, rows[number], features[1:], format)
    ends = sorted(rng.randint(0, count) for _ in range(rng.randint(0, 2)))
    files = tuple(tuple(rows[a:b]) for a, b in zip([0, *ends], [*ends, count], strict=True))
    return DataSet(format, rng.choice(SINKS), spec, features, files)


_NO_EXAMPLES: Final = [b"\xffgarbage", b"\x0a\x02\xff\xff", b"\x0a\x00\x12\x02\xff\xff"]
GARBAGE: Final = {
    "example": _NO_EXAMPLES,
    "sequence": _NO_EXAMPLES,
    "jsonl": [b'{"id": 3', b"[]", b'{"id": "\xff"}'],
    "csv": [b'"1"x,\n', b"1\n", b"1" + b"," * 40 + b"\n"],
}
"""Records that are none, of the formats that have records."""


def random_row(rng: Rng, features: Sequence[Feature], format: str, number: int, full: bool) -> Row:
    """Returns a row without a fault; `full`: with something in every feature, so that none is thought misspelt."""
    least = 1 if full else 0
    steps = {feature.group: rng.choice([least, 1, 2, 3, 7]) for feature in features}
    row: Row = {}
    for feature in features:
        if feature.key == "id":
            row["id"] = number
        elif feature.group is None:
            row[feature.key] = _step(rng, feature, format)
        else:
            row[feature.key] = [_step(rng, feature, format) for _ in range(steps[feature.group])]
            if not feature.nested:
                row[feature.key] = [value for step in row[feature.key] for value in step]
    return row


def _step(rng: Rng, feature: Feature, format: str) -> list[Any]:
    count = feature.width
    if feature.most and (feature.nested or feature.group is None):
        count = rng.randint(0 if feature.nested else 1, feature.most)
    return [_value(rng, feature, format) for _ in range(count)]


def _value(rng: Rng, feature: Feature, format: str) -> Any:
    if feature.carrier == "int":
        return rng.randrange(feature.size)
    if feature.carrier == "float":
        return float(np.float32(rng.choice([0.0, -0.25, rng.random() * feature.size, rng.random()])))
    word = rng.choice(WORDS)
    return word.encode() if format in FRAMED else word


_ODD: Final[dict[str, list[Any]]] = {
    "jsonl": [
        None,
        True,
        "x",
        "7",
        2.5,
        -1,
        10**6,
        2**31,
        2**63,
        2**64,
        1e300,
        NAN,
        INF,
        [1],
        [[]],
        {"a": 1},
        "",
        "\ud7ff",
    ],
    "csv": [
        "x",
        "7",
        "2.5",
        "-1",
        "1000000",
        "9223372036854775808",
        "1e300",
        "nan",
        "inf",
        " 3 ",
        "+4",
        "0x1",
        "a,b",
        '"',
    ],
    "int": [-1, 10, 10**6, 2**31, 2**62],
    "float": [NAN, INF, -INF, 1e30, -3.0, -0.0],
    "word": ["", "x", "7", "no word"],
}


def _odd(rng: Rng, feature: Feature, format: str) -> Any:
    """Returns a value that may be none for the column, of a type that the format has there."""
    if format in ("jsonl", "csv"):
        return rng.choice(_ODD[format])
    if format in FRAMED:
        value = rng.choice([*_ODD[feature.carrier], *([b"\xff"] if feature.carrier == "word" else [])])
        return value.encode() if isinstance(value, str) else value
    return rng.choice([*_ODD[feature.carrier], None, *([1e300] if feature.carrier == "float" else [])])


def spoil(rng: Rng, row: Any, features: Sequence[Feature], format: str) -> None:
    """Changes one feature of a row, so that it may be bad."""
    feature = rng.choice(features)
    values = row[feature.key]
    kind = rng.randrange(6)
    if kind == 0:
        row[feature.key] = None
    elif kind == 1 and values:
        values.pop()
    elif kind == 2:
        values.append([_value(rng, feature, format)] if feature.nested else _value(rng, feature, format))
    elif kind == 3 and format == "jsonl":
        row[feature.key] = rng.choice([_odd(rng, feature, format), [values], {"a": values}])
    elif kind == 4 and format in FRAMED:
        row[feature.key] = _of_another_kind(values, feature)
    elif values:
        at = rng.randrange(len(values))
        inner = values[at] if feature.nested and isinstance(values[at], list) else values
        if inner:
            inner[rng.randrange(len(inner))] = _odd(rng, feature, format)


def _of_another_kind(values: Any, feature: Feature) -> Any:
    """Returns integers as floats, other values as text: a feature of a tf.Example has one kind."""
    if isinstance(values, list):
        return [_of_another_kind(value, feature) for value in values]
    return float(values) if feature.carrier == "int" else values if isinstance(values, bytes) else str(values).encode()


def write(data: DataSet, folder: Path) -> list[Path]:
    """Writes the files; returns their paths."""
    paths = []
    for number, rows in enumerate(data.files):
        paths.append(folder / file_name(data.format, f"in-{number}"))
        WRITERS[data.format](paths[-1], rows, data.features)
    return paths
