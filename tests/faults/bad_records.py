"""Kinds of bad rows: how each looks in every format, and what `rejected/` must say of it.

A row is a dict. In a format it becomes a record (`RECORDS`: TFRecord, JSON Lines, CSV) or a row of a table (Parquet, Avro), or it
stays what it is (`memory`). What is bad is put into a good row, or done to the bytes of its record.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.tfrecord.framing import framed
from tests.faults.record_formats import (
    ALL,
    AVRO,
    FRAMED,
    NAMES,
    PARQUET,
    RECORD_OF,
    RECORDS,
    Row,
    feature_list,
    good_row,
    typed,
)
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.spec.spec import Spec

GROUPS: Final = {
    "watch": SequenceGroup(max_length=4, truncate="tail"),
    "short": SequenceGroup(max_length=3, truncate="reject", min_length=2),
    "text": SequenceGroup(max_length=2),
    "csv": SequenceGroup(max_length=2),
}


def _spec(between: str | None = None) -> Spec:
    more: dict[str, Any] = {} if between is None else {"delimiter": between}
    return make_spec(
        [
            passthrough_column("id", "int64"),
            passthrough_column("name", default_value="nobody"),
            sequence_categorical_column_with_identity("ids", 10, group="watch", **more),
            sequence_numeric_column("x", (2,), group="watch", **more),
            sequence_numeric_column("n", dtype="int32", required=True, group="short", **more),
            sequence_numeric_column("steps", (2,), group="text", **more),
            sequence_numeric_column("csv", delimiter=",", group="csv"),
            numeric_column("w", (2,), **more),
            categorical_column_with_identity("label", 3, 0, **more),
        ],
        GROUPS,
    )


SPEC: Final = _spec()
TEXTS: Final = _spec(";")
"""The same columns where every value is text, as in CSV."""

TYPED: Final = ("parquet", "avro", "memory")
NESTED: Final = ("sequence", "parquet", "jsonl", "avro", "memory")
NAN, INF = float("nan"), float("inf")

Change = Mapping[str, Any] | Callable[[bytes], bytes]


@dataclass(frozen=True)
class Bad:
    """A kind of bad row in some formats.

    Attributes:
      kind: what is wrong, for people.
      reason: the code that it is rejected with.
      column: the column that is named.
      value: the value that is named; None where that is the record.
      change: what is put into a good row, or what makes the bad record of the good one.
      formats: where it can be, and looks so.
    """

    kind: str
    reason: str
    column: str
    value: str | None
    change: Change
    formats: tuple[str, ...] = ALL

    def row(self, good: Row) -> Row:
        """Returns the bad row, as far as it is one."""
        return good if callable(self.change) else {**good, **self.change}

    def record(self, format: str, good: Row) -> bytes:
        """Returns the bad record."""
        made = RECORD_OF[format](self.row(good))
        return self.change(made) if callable(self.change) else made


def bad_record(kind: str, change: Callable[[bytes], bytes], *formats: str) -> Bad:
    """A record that cannot be decoded at all."""
    return Bad(kind, "bad_record", "", None, change, formats)


def _two(ids: Any, **more: Any) -> Row:
    """Changes of ids and of the numbers beside them, so that both have two steps."""
    return {"ids": ids, "x": [0.5] * 4, **more}


BAD: Final[Sequence[Bad]] = [
    bad_record("garbage", lambda record: b"no tf.Example\x1b[31m", *FRAMED),
    bad_record("garbage inside", lambda record: b"\x0a\x05\xff\xff\xff\xff\xff", *FRAMED),
    bad_record("garbage in a feature list", lambda record: b"\x0a\x00\x12\x05\xff\xff\xff\xff\xff", "sequence"),
    bad_record("garbage", lambda record: b"no JSON \x1b[31m", "jsonl"),
    bad_record("garbage", lambda record: b"no row\x1b[31m\n", "csv"),
    bad_record("cut short", lambda record: record[:-7], *FRAMED, "jsonl"),
    bad_record("too few cells", lambda record: record.rsplit(b",", 1)[0] + b"\n", "csv"),
    bad_record("too many cells", lambda record: b"1," + record, "csv"),
    bad_record("after a closing quote", lambda record: b'"1"' + record, "csv"),
    bad_record("an array", lambda record: b"[1, 2]", "jsonl"),
    bad_record("two in a line", lambda record: record + b" " + record, "jsonl"),
    bad_record("not UTF-8", lambda record: record.replace(b'"nobody', b'"\xff'), "jsonl"),
    bad_record("an unfinished text", lambda record: record[: record.index(b"nobody")] + b"}", "jsonl"),
    bad_record("a feature in both places", lambda record: record + feature_list("w", 0.5), "sequence"),
    bad_record("steps of several kinds", lambda record: record + feature_list("steps", 0.5, 1), "sequence"),
    Bad("invalid UTF-8", "invalid_utf8", "name", "\\xff\\xfe", {"name": b"\xff\xfe"}, (*FRAMED, "csv", *TYPED)),
    Bad("a number where text is", "wrong_type", "name", "7", {"name": 7}, (*FRAMED, "jsonl", "avro", "memory")),
    Bad("numbers where a text of them is", "wrong_type", "csv", "[1.5]", {"csv": [1.5]}, (*FRAMED, "jsonl", "memory")),
    Bad("a boolean", "wrong_type", "ids", "true", _two([True, False]), ("jsonl", "avro", "memory")),
    Bad("a boolean", "not_a_number", "ids", "true", _two(["true", "1"]), ("csv",)),
    Bad("a scalar for a sequence", "wrong_type", "ids", "3", _two(3), ("jsonl", "avro", "memory")),
    Bad("nested too deep", "wrong_type", "n", "[[1]]", {"n": [[[1]]]}, ("jsonl", "memory")),
    Bad("an object", "wrong_type", "n", "{'a': 1}", {"n": [{"a": 1}]}, ("jsonl", "memory")),
    Bad("text where numbers are", "not_a_number", "x", "n/a", {"x": ["1", "n/a", "2", "3"], "ids": [1, 2]},
        (*RECORDS, "avro", "memory")),
    Bad("text where numbers are", "not_a_number", "csv", "one", {"csv": "1,one"}),
    Bad("a fraction", "not_an_integer", "ids", "2.5", _two([2.5, 1.0]), (*FRAMED, "jsonl", "avro", "memory")),
    Bad("a fraction", "not_a_number", "ids", "2.5", _two([2.5, 1.0]), ("csv",)),
    Bad("a fraction", "not_an_integer", "label", "0.5", {"label": 0.5}, (*FRAMED, "parquet", "jsonl", "avro", "memory")),
    Bad("too large for its dtype", "integer_overflow", "n", "2147483648", {"n": [1, 2**31]}),
    Bad("more than 64 bits", "integer_overflow", "ids", "9223372036854775808", _two([1, 2**63]), ("jsonl", "csv", "memory")),
    Bad("infinity", "non_finite", "w", "inf", {"w": [1.0, INF]}),
    Bad("1e300", "non_finite", "w", "1e+300", {"w": [1.0, 1e300]}, ("parquet", "jsonl", "csv", "avro", "memory")),
    Bad("1e39", "non_finite", "csv", "1e39", {"csv": "1e39"}),
    Bad("not a number", "non_finite", "x", "nan at step 1", {"x": [0.0, 1.0, 2.0, NAN], "ids": [1, 2]}),
    Bad("a null among ids", "null_value", "ids", "null", _two([1, None]), ("jsonl", *TYPED)),
    Bad("a null among integers", "null_value", "n", "null", {"n": [None]}, ("jsonl", *TYPED)),
    Bad("nothing between delimiters", "not_a_number", "n", "", {"n": [1, None, 2]}, ("csv",)),
    Bad("a required feature is missing", "missing", "n", "absent", {"n": None}),
    Bad("a context feature is missing", "missing", "w", "absent", {"w": None}),
    Bad("nothing at all", "missing", "id", "absent", lambda record: b"", FRAMED),
    Bad("nothing at all", "missing", "id", "absent", lambda record: b"{}", ("jsonl",)),
    Bad("an incomplete step", "incomplete_step", "x", "3 values", {"x": [1.0, 2.0, 3.0], "ids": [1, 2]}),
    Bad("a step of another width", "wrong_step_width", "steps", "[3.0]", {"steps": [[1.0, 2.0], [3.0]]}, NESTED),
    Bad("a step of another width", "incomplete_step", "steps", "3 values", {"steps": [[1.0, 2.0], [3.0]]},
        ("example", "csv")),
    Bad("too many values", "wrong_value_count", "w", "3 values", {"w": [1.0, 2.0, 3.0]}),
    Bad("several ids for one", "wrong_value_count", "label", "2 ids", {"label": [1, 2]},
        (*RECORDS, "avro", "memory")),
    Bad("several texts for one", "wrong_value_count", "csv", "[b'1', b'2']", {"csv": ["1", "2"]}, FRAMED),
    Bad("an id out of range", "out_of_range", "ids", "10 at step 1", {"ids": [3, 10, -1], "x": [0.0] * 6}),
    Bad("a negative id", "out_of_range", "ids", "-1 at step 0", _two([-1, 1])),
    Bad("columns of other lengths", "length_mismatch", "x", "ids: 3, x: 2", {"ids": [1, 2, 3], "x": [0.0] * 4}),
    Bad("too long", "too_long", "n", "4 steps", {"n": [1, 2, 3, 4]}),
    Bad("too short", "too_short", "n", "1 steps", {"n": [7]}),
    Bad("more steps than anybody has", "over_limit", "csv", "51 steps", {"csv": ",".join("1" * 51)}),
]  # fmt: skip


def in_format(format: str) -> list[Bad]:
    """Returns the kinds that a format can have."""
    return [bad for bad in BAD if format in bad.formats]


@dataclass(frozen=True)
class Item:
    """A row of a data set, and what is bad in it, None for nothing."""

    row: Row
    bad: Bad | None = None

    def record(self, format: str) -> bytes:
        """Returns the record that it is."""
        return self.bad.record(format, self.row) if self.bad else RECORD_OF[format](self.row)

    def values(self) -> Row:
        """Returns the row that it is."""
        return self.bad.row(self.row) if self.bad else self.row


def spec_of(format: str) -> Spec:
    """Returns the columns that read a format."""
    return TEXTS if format == "csv" else SPEC


def write(path: Path, format: str, items: Sequence[Item]) -> None:
    """Writes rows to a file."""
    if format in FRAMED:
        path.write_bytes(framed([item.record(format) for item in items]))
    elif format == "jsonl":
        path.write_bytes(b"".join(item.record(format) + b"\n" for item in items))
    elif format == "csv":
        path.write_bytes(",".join(NAMES).encode() + b"\n" + b"".join(item.record(format) for item in items))
    elif format == "parquet":
        table = pa.Table.from_pylist([typed(item.values()) for item in items], PARQUET)
        pq.write_table(table, path, row_group_size=max(17, len(items) // 3))
    else:
        with path.open("wb") as file:
            fastavro.writer(file, AVRO, [typed(item.values()) for item in items], "deflate", sync_interval=2000)


def mixed(rng: random.Random, format: str, count: int, share: float, first: int = 0) -> list[Item]:
    """Returns rows whose ids begin with `first`: good ones, and among them, anywhere, a share of bad ones of every kind."""
    kinds = in_format(format)
    bad = rng.sample(range(count), round(count * share))
    chosen = {at: kinds[k % len(kinds)] for k, at in enumerate(bad)}
    return [Item(good_row(rng, first + number), chosen.get(number)) for number in range(count)]
