"""Files that other tools wrote, and what is in them: as `write/` says it, not as our code reads it.

`python -m tests.foreign.cases` prints the table of `docs/sources.md`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transforms import (
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.columns import Column

ABSENT = -1
NOTHING = "-"

SPARK = "Spark 3.5.3"
HIVE = "Hive tables by Spark 3.5.3"
DUCKDB = "DuckDB 2.0.1"
POLARS = "Polars 2.1.0"
PANDAS = "pandas 3.1.1"
FASTPARQUET = "pandas, fastparquet 2026.9.0"
ARROW = "pyarrow 26.0.1"
FASTAVRO = "fastavro 1.13.1"
AVRO = "Apache Avro 1.12.2 for Python"
JAVA = "Apache Avro 1.12.0 for Java"
BIGQUERY = "BigQuery's exports, imitated"
POSTGRES = "PostgreSQL 15.18"
SQLITE = "SQLite 3.40.1"
TENSORFLOW = "TensorFlow 2.21"
TFX = "tfx-bsl 1.21"
EXAMPLE_GEN = "Beam 2.77, as TFX's ExampleGen"
DELTA = "Delta Lake (delta-rs 1.6.6)"
ICEBERG = "Apache Iceberg (pyiceberg 0.12.0)"

DAY, WHEN, NEVER = 1709164800, 1709209815.25, 253402214400
"""2024-02-29, 12:30:15.25 of that day, and 9999-12-31, in UTC."""


class Values(NamedTuple):
    """A column, and what it makes of the rows that are not rejected."""

    column: Column
    expected: list[Any]


def number(key: str, *expected: float, dtype: str = "float64", **more: Any) -> Values:
    """A number a row; `ABSENT` where there is none."""
    return Values(numeric_column(key, default_value=ABSENT, dtype=dtype, **more), list(expected))


def whole(key: str, *expected: int, **more: Any) -> Values:
    """An integer a row."""
    return number(key, *expected, dtype="int64", **more)


def word(key: str, *expected: str) -> Values:
    """A text a row; `NOTHING` where there is none."""
    return Values(passthrough_column(key, default_value=NOTHING), list(expected))


def raw(key: str, *expected: bytes) -> Values:
    """Bytes in a row; `NOTHING` where there are none."""
    return Values(passthrough_column(key, "bytes", NOTHING), list(expected))


def unsigned(key: str, *expected: int) -> Values:
    """An integer of 64 bits without a sign; 0 where there is none."""
    return Values(passthrough_column(key, "uint64", 0), list(expected))


def steps(key: str, *expected: list[float], dtype: str = "float64", **more: Any) -> Values:
    """Numbers in a row."""
    return Values(sequence_numeric_column(key, dtype=dtype, **more), list(expected))


def words(key: str, *expected: list[str], **more: Any) -> Values:
    """Words in a row, which are found in a vocabulary of them."""
    known = sorted({one for row in expected for one in row}) or ["a"]
    column = sequence_categorical_column_with_vocabulary_list(key, known, **more)
    return Values(column, [[known.index(one) for one in row] for row in expected])


def nested(key: str, *expected: list[list[int]]) -> Values:
    """Lists of at most two ids in a row."""
    padded = [[(step + [ABSENT] * 2)[:2] for step in row] for row in expected]
    return Values(sequence_categorical_column_with_identity(key, 100, max_ids=2), padded)


@dataclass(frozen=True)
class Case:
    """A file, or a folder of one table.

    Attributes:
      path: below `files/`; a folder stands for the files in it.
      by: the tool that wrote it.
      what: what is special about it.
      values: columns, and what they make of it; if it is refused, those that are asked for.
      rejected: the rejected rows, with their reasons.
      refused: what the error says after the file's name (`PATH` in the middle of it); "" if it is read.
    """

    path: str
    by: str
    what: str
    values: Sequence[Values] = ()
    rejected: dict[int, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def named(self) -> str:
        """What the table calls it."""
        form = next(
            (form for form in ("Parquet", "Avro") if self.path.endswith((f".{form.lower()}", f"/{form.lower()}"))), ""
        )
        return self.what if not form or self.what.startswith(form) else f"{form}, {self.what}"

    @property
    def refusal(self) -> str:
        """What the table says of a file that is not read, or not all of it."""
        return self.named if self.named == self.outcome else f"{self.named} ({self.outcome})"

    @property
    def outcome(self) -> str:
        """What the table says came of it."""
        if self.refused:
            return re.split(", expected|, in whose|; it has|; the first file|, cut short", self.refused)[0]
        return ", ".join(f"`{reason}`" for reason in sorted(set(self.rejected.values()))) or "read"


def _spark() -> list[Values]:
    return [
        whole("id", 1, 2**63 - 1, 3),
        whole("flag", 1, 0, ABSENT),
        whole("i8", -8, 127, ABSENT),
        whole("i16", 16, -(2**15), ABSENT),
        whole("i32", 32, 2**31 - 1, ABSENT),
        number("f32", 1.5, -0.5, ABSENT),
        number("f64", 2.25, 1e300, ABSENT),
        number("price", 12.34, -99999999.99, ABSENT),
        whole("day", DAY, NEVER, ABSENT, time_unit="s"),
        number("at", WHEN, NEVER, ABSENT, time_unit="s"),
        whole("local", 1709209815, -11676096000, ABSENT, time_unit="s"),
        word("name", "ann", 'say "hi", ü\nthere', NOTHING),
        steps("items", [12, 7], [], [], dtype="int64"),
        nested("nested", [[1, 2], [], [3]], [], []),
        words("events.item", ["a", "b"], [], []),
        steps("events.ms", [20, 30], [], []),
        word("home.city", "Oslo", NOTHING, NOTHING),
    ]


def _spark_binary() -> list[Values]:
    return [*_spark(), number("wide", 5.0001, 1e33, ABSENT), raw("raw", b"\x00\xff", b"", b"-")]


_SPARK_FLAT = [
    whole("id", 1, 2**63 - 1, 3),
    number("price", 12.34, -99999999.99, ABSENT),
    whole("day", DAY, NEVER, ABSENT, time_unit="s"),
    number("at", WHEN, NEVER, ABSENT, time_unit="s"),
    word("name", "ann", 'say "hi", ü\nthere', NOTHING),
    steps("items", [12, 7], [], [], delimiter=";"),
]
_HIVE = [
    whole("id", 1, 2),
    word("name", "ann", NOTHING),
    steps("items", [12, 7], []),
    number("price", 12.34, ABSENT),
    number("at", WHEN, ABSENT, time_unit="s"),
    word("day", "2024-01-31", NOTHING),
]
_DUCKDB = [
    whole("id", 1, 2),
    whole("flag", 1, 0),
    whole("i8", -8, ABSENT),
    whole("i16", 16, ABSENT),
    whole("u8", 200, ABSENT),
    whole("u16", 60000, ABSENT),
    unsigned("u64", 2**64 - 1, 0),
    number("huge", 2.0**127, ABSENT),
    number("f32", 1.5, float("nan"), non_finite="keep"),
    number("f64", 2.25, ABSENT),
    number("price", 12.34, ABSENT),
    number("wide", 5.0001, ABSENT),
    whole("day", DAY, ABSENT, time_unit="s"),
    number("at", WHEN, ABSENT, time_unit="s"),
    number("zoned", WHEN - 7200, ABSENT, time_unit="s"),
    number("at_s", 1709209815, ABSENT, time_unit="s"),
    whole("at_ms", 1709209815250, ABSENT, time_unit="ms"),
    whole("at_ns", 1709209815250000001, ABSENT, time_unit="ns"),
    number("clock", 45015.25, ABSENT, time_unit="s"),
    word("uuid", "00112233-4455-6677-8899-aabbccddeeff", NOTHING),
    word("name", "ann", 'say "hi", ü'),
    word("level", "low", NOTHING),
    raw("raw", b"\x00\xff", b"-"),
    steps("items", [12, 7], []),
    steps("pair", [1.5, 2.5], [0.0, 1.0]),
    nested("nested", [[1, 2], [], [3]], []),
    words("events.item", ["a", "b"], []),
    steps("events.ms", [20, 30], []),
    word("home.city", "Oslo", NOTHING),
]
_FEW = [
    whole("id", 1, 2),
    whole("day", DAY, ABSENT, time_unit="s"),
    number("at", WHEN, ABSENT, time_unit="s"),
    word("name", "ann", 'say "hi", ü'),
    number("price", 12.34, ABSENT),
]
_DUCKDB_JSON = [
    *_FEW,
    whole("flag", 1, 0),
    steps("items", [12, 7], []),
    words("words", ["a", "b c"], ["a", "b c"]),
    words("events.item", ["a", "b"], []),
    word("home.city", "Oslo", NOTHING),
]
_DUCKDB_CSV = [*_FEW, steps("items", [12, 7], [], delimiter="json")]
_POLARS = [
    whole("id", 1, 2),
    whole("flag", 1, ABSENT),
    whole("i8", -8, ABSENT),
    whole("u8", 200, ABSENT),
    whole("u16", 60000, ABSENT),
    whole("u32", 4_000_000_000, ABSENT),
    unsigned("u64", 2**64 - 1, 0),
    number("f32", 1.5, ABSENT),
    number("f64", 2.25, ABSENT),
    number("price", 12.34, ABSENT),
    whole("day", DAY, ABSENT, time_unit="s"),
    number("at_ms", WHEN, ABSENT, time_unit="s"),
    number("at_us", WHEN, ABSENT, time_unit="s"),
    whole("at_ns", 1709209815250000000, ABSENT, time_unit="ns"),
    whole("span", 90, ABSENT, time_unit="s"),
    number("clock", 45015.25, ABSENT, time_unit="s"),
    word("name", "ann, ü", NOTHING),
    raw("raw", b"\x00\xff", b"-"),
    word("kind", "red", NOTHING),
    word("level", "low", NOTHING),
    number("nothing", ABSENT, ABSENT),
    steps("items", [12, 7], []),
    words("words", ["a", "b c"], []),
    steps("pair", [1.5, 2.5], [0.0, 1.0]),
    nested("nested", [[1, 2], [], [3]], []),
    words("events.item", ["a", "b"], []),
    steps("events.ms", [20, 30], []),
    word("home.city", "Oslo", NOTHING),
    steps("steps.ms", [20, 30], []),
]
_PANDAS = [
    whole("id", 1, 2),
    whole("flag", 1, ABSENT),
    whole("u8", 200, ABSENT),
    number("f64", 2.25, ABSENT),
    word("name", 'say "hi"; ü', NOTHING),
    word("kind", "red", NOTHING),
    whole("number", 7, 5),
]
_NANOSECOND = 1709209815250000001
_ENCODED = [
    whole("id", *range(60)),
    whole("small", *(k % 7 for k in range(60))),
    number("f32", *(k / 4 for k in range(60))),
    number("f64", *(k / 8 for k in range(60))),
    word("name", *(f"item-{k // 3:04}" for k in range(60))),
    steps("items", *(list(range(k % 4)) for k in range(60))),
    whole("flag", *(int(k % 3 == 0) for k in range(60))),
]
_ENCODED_20 = [Values(values.column, values.expected[:20]) for values in _ENCODED]
_ARROW = [
    whole("id", 1, 2),
    number("f32", 1.5, ABSENT),
    number("d32", 1.25, ABSENT),
    number("d256", 12345678901234567890.5, ABSENT),
    whole("date64", DAY, ABSENT, time_unit="s"),
    whole("time32", 45015, ABSENT, time_unit="s"),
    whole("time64", 45015250000001, ABSENT, time_unit="ns"),
    whole("at", 1709209815, ABSENT, time_unit="s"),
    word("large", "ann", NOTHING),
    word("view", "ann", NOTHING),
    raw("bytes_view", b"\x00\xff", b"-"),
    raw("fixed", b"abc", b"-"),
    word("dictionary", "ann", NOTHING),
    whole("numbers", 70, ABSENT),
    steps("items", [12, 7], []),
    words("words", ["a", "b c"], []),
    steps("pair", [1.5, 2.5], [0.0, 1.0]),
    number("nothing", ABSENT, ABSENT),
    whole("user.id", 9, 8),
]
_FASTAVRO = [
    whole("id", 1, 2),
    whole("flag", 1, ABSENT),
    number("price", 12.34, ABSENT),
    whole("day", DAY, ABSENT, time_unit="s"),
    number("at", WHEN, ABSENT, time_unit="s"),
    number("at_us", WHEN, ABSENT, time_unit="s"),
    word("uuid", "00112233-4455-6677-8899-aabbccddeeff", NOTHING),
    word("kind", "red", "blue"),
    word("name", "ann, ü", NOTHING),
    steps("items", [12, 7], []),
    steps("gaps", [1.5, 0.0], [], non_finite="fill"),
]
_FASTAVRO_MORE = [
    *_FASTAVRO,
    number("local", WHEN, ABSENT, time_unit="s"),
    number("clock", 45015.25, ABSENT, time_unit="s"),
]
_JAVA = [
    whole("id", 1, 2),
    number("score", 1.5, ABSENT),
    word("name", "ann, ü", NOTHING),
    number("price", 12.34, ABSENT),
    number("exact", -5.0001, ABSENT),
    whole("day", DAY, ABSENT, time_unit="s"),
    number("clock", 45015.25, ABSENT, time_unit="s"),
    number("at_ms", WHEN, ABSENT, time_unit="s"),
    number("at_us", WHEN, ABSENT, time_unit="s"),
    whole("at_ns", _NANOSECOND, ABSENT, time_unit="ns"),
    word("uuid", "00112233-4455-6677-8899-aabbccddeeff", NOTHING),
    word("kind", "BLUE", "RED"),
    raw("hash", b"\x00\x01\xfe\xff", b"\x00\x01\xfe\xff"),
    words("events.item", ["a", "b"], []),
    steps("events.ms", [20, 0], [], non_finite="fill"),
    nested("nested", [[1, 2], [], [3]], []),
]
_BIGQUERY = [
    whole("id", 2**53 + 1, ABSENT),
    number("score", 1.5, ABSENT),
    word("name", "ann, ü", NOTHING),
    number("price", 12.34, ABSENT),
    whole("day", DAY, ABSENT, time_unit="s"),
]
_BIGQUERY_NESTED = [
    *_BIGQUERY,
    whole("flag", 1, ABSENT),
    number("local", WHEN, ABSENT, time_unit="s"),
    steps("items", [12, 7], [], dtype="int64"),
    steps("events.ms", [20, 30], []),
]
_BIGQUERY_FILE = [
    *_BIGQUERY_NESTED,
    raw("raw", b"\x00\xff", b"-"),
    number("big", 0.125, ABSENT),
    word("place", "POINT(1 2)", NOTHING),
    word("doc", '{"a":1}', NOTHING),
]
_CLOCK = number("clock", 45015.25, ABSENT, time_unit="s")
_AT = number("at", WHEN, ABSENT, time_unit="s")
_RECORDS = [
    whole("id", 1, 2),
    steps("items", [12, 7], []),
    steps("scores", [1.5, 2.5], []),
    word("name", "ann, ü", NOTHING),
]
_IDS = [whole("id", 1, 2), steps("items", [12, 7], [])]
_IDS_3 = [whole("id", 1, 2**63 - 1, 3), steps("items", [12, 7], [], [])]

_READ = ", expected TFRecord, Parquet, Avro, CSV, or JSON Lines (one object a line)"
_TEXT = "text, whose name does not say that it is CSV (.csv, .tsv) with a header" + _READ
_PACKED = ", expected one of gzip, bz2, xz, zstd, zlib"
_DELETED = (
    ", in whose folder are rows that were deleted or replaced, too; give the files of one version by their own paths"
)
_DAMAGED = "row group 0: damaged, cut short, or not a Parquet file that can be read "

CASES = [
    Case("spark/types.parquet", SPARK, "all types, times as INT96 until the year 9999, Snappy", _spark_binary()),
    Case("spark/legacy.parquet", SPARK, "lists of `writeLegacyFormat`, gzip", _spark_binary()),
    Case("spark/v2.parquet", SPARK, "pages of version 2 (delta encodings), zstd", _spark_binary()),
    Case("spark/lz4.parquet", SPARK, "Hadoop's own LZ4", _spark_binary()),
    Case(
        "spark/partitioned",
        SPARK,
        "folders `day=.../shop=...`, odd characters, a null, `_SUCCESS`, `.crc`",
        [
            whole("id", 1, 2, 3),
            steps("items", [12, 7], [31], []),
            word("day", "2024-01-31", "2024-02-01", "2024-02-01"),
            word("shop", "a b/ü", NOTHING, "x=y%"),
        ],
    ),
    Case("spark/types.avro", SPARK, "all types, Snappy", _spark_binary()),
    Case("spark/deflate.avro", SPARK, "deflate", _spark_binary()),
    Case("spark/json", SPARK, "JSON Lines, nulls left out", _spark()),
    Case("spark/json.gzip", SPARK, "JSON Lines, nulls written, gzip", _spark()),
    Case("spark/json.bzip2", SPARK, "JSON Lines, bzip2", _IDS_3),
    Case("spark/json.deflate", SPARK, "JSON Lines, Hadoop's deflate", _IDS_3),
    Case("spark/json.lz4", SPARK, "JSON Lines, Hadoop's LZ4", _IDS_3, refused="packed with lz4" + _PACKED),
    Case("spark/json.snappy", SPARK, "JSON Lines, Hadoop's Snappy", _IDS_3, refused="packed with Snappy" + _PACKED),
    Case("spark/csv.escape", SPARK, r"CSV, `;`, quotes doubled, nulls as `\N`", _SPARK_FLAT),
    Case(
        "spark/csv",
        SPARK,
        "CSV, quotes after a backslash (its default)",
        [Values(one.column, [one.expected[0], one.expected[2]]) for one in _SPARK_FLAT],
        {1: "bad_record", 2: "bad_record"},  # its second row has a line end in a cell
    ),
    Case(
        "spark/csv.headless",
        SPARK,
        "CSV without a header (its default)",
        _SPARK_FLAT,
        refused="column 'id': the file has no feature 'id'; it has 1, true, 12.34, 2024-02-29, 2024-02-29T12:30:15.250Z, "
        "ann, 12;7",
    ),
    Case("spark/orc", SPARK, "ORC", _IDS_3, refused="an ORC file" + _READ),
    Case("hive/parquet", HIVE, "Parquet, a null partition", _HIVE),
    Case("hive/avro", HIVE, "Avro, a null partition", _HIVE),
    Case("hive/textfile", HIVE, "text", _HIVE, refused=_TEXT),
    Case("hive/sequencefile", HIVE, "SequenceFile", _HIVE, refused="a Hadoop SequenceFile" + _READ),
    Case("hive/rcfile", HIVE, "RCFile", _HIVE, refused="a Hive RCFile" + _READ),
    Case("hive/orc", HIVE, "ORC", _HIVE, refused="an ORC file" + _READ),
    Case(
        "bigquery/logical-000000000000.avro", BIGQUERY, "Avro with logical types, Snappy", [*_BIGQUERY_FILE, _CLOCK, _AT]
    ),
    Case(
        "bigquery/plain-000000000000.avro",
        BIGQUERY,
        "Avro without logical types, deflate: times as text and microseconds",
        [*_BIGQUERY_FILE, whole("at", 1709209815250000, ABSENT)],
    ),
    Case("bigquery/rows-000000000000.parquet", BIGQUERY, "Parquet, Snappy", [*_BIGQUERY_FILE, _CLOCK, _AT]),
    Case("bigquery/rows-000000000000.json", BIGQUERY, "JSON Lines, integers as text", [*_BIGQUERY_NESTED, _AT]),
    Case("bigquery/rows-000000000001.json.gz", BIGQUERY, "the same, gzip", [*_BIGQUERY_NESTED, _AT]),
    Case("bigquery/rows-000000000000.csv", BIGQUERY, "CSV", [*_BIGQUERY, _AT]),
    Case("duckdb/types.parquet", DUCKDB, "all types, Snappy", [*_DUCKDB, whole("u32", 4_000_000_000, ABSENT)]),
    Case("duckdb/v2.parquet", DUCKDB, "`parquet_version v2` (delta encodings), zstd", _DUCKDB),
    Case("duckdb/lz4.parquet", DUCKDB, "LZ4", _DUCKDB),
    Case("duckdb/brotli.parquet", DUCKDB, "Brotli", _DUCKDB),
    Case(
        "duckdb/null_array.parquet",
        DUCKDB,
        "a null in a column of arrays (`double[2]`), as pyarrow cannot read it",
        [whole("id", 1, 2), steps("ok", [1.5, 2.5], [1.5, 2.5]), steps("pair", [1.5, 2.5], [])],
        refused=_DAMAGED + "(the feature 'pair': Length spanned by list offsets (3) larger than values array (length 2))",
    ),
    Case(
        "duckdb/partitioned",
        DUCKDB,
        "folders `shop=...`, odd characters, a null",
        [whole("id", 2, 1), steps("items", [], [12, 7]), word("shop", NOTHING, "a b/ü")],
    ),
    Case("duckdb/plain.csv", DUCKDB, "CSV, lists as text", _DUCKDB_CSV),
    Case(
        "duckdb/plain.csv",
        DUCKDB,
        "CSV, lists of text without quotes, `[a, b c]`",
        [whole("id"), words("words", delimiter="json")],
        {0: "wrong_type", 1: "wrong_type"},
    ),
    Case("duckdb/odd.csv", DUCKDB, r"CSV, `\|`, nulls as `\N`", _DUCKDB_CSV),
    Case("duckdb/zstd.csv.zst", DUCKDB, "CSV, zstd", _DUCKDB_CSV),
    Case("duckdb/lines.json", DUCKDB, "JSON Lines", _DUCKDB_JSON),
    Case("duckdb/lines.json.gz", DUCKDB, "JSON Lines, gzip", _DUCKDB_JSON),
    Case("duckdb/array.json", DUCKDB, "a JSON array", _FEW, refused="a JSON array" + _READ),
    Case("duckdb/data.duckdb", DUCKDB, "its own data base", _FEW, refused="a DuckDB data base" + _READ),
    Case("polars/types.parquet", POLARS, "all types, zstd", _POLARS),
    Case("polars/sunk.parquet", POLARS, "`sink_parquet`, LZ4", _POLARS),
    Case(
        "polars/lines.ndjson",
        POLARS,
        "JSON Lines",
        [
            whole("id", 1, 2),
            whole("flag", 1, ABSENT),
            number("price", 12.34, ABSENT),
            whole("day", DAY, ABSENT, time_unit="s"),
            number("at_us", WHEN, ABSENT, time_unit="s"),
            steps("items", [12, 7], []),
            words("words", ["a", "b c"], []),
            words("events.item", ["a", "b"], []),
            word("home.city", "Oslo", NOTHING),
        ],
    ),
    Case("polars/array.json", POLARS, "a JSON array", _IDS, refused="a JSON array" + _READ),
    Case(
        "polars/plain.csv",
        POLARS,
        "CSV",
        [
            whole("id", 1, 2),
            number("f64", 2.25, ABSENT),
            number("price", 12.34, ABSENT),
            whole("day", DAY, ABSENT, time_unit="s"),
            number("at_us", WHEN, ABSENT, time_unit="s"),
            word("name", "ann, ü", NOTHING),
        ],
    ),
    Case(
        "polars/odd.csv",
        POLARS,
        "CSV, `;`, byte order mark, CRLF, quotes around everything: no cell is null",
        [whole("id", 1), number("f64", 2.25), word("name", "ann, ü")],
        {1: "not_a_number"},
    ),
    Case(
        "polars/types.avro",
        POLARS,
        "Avro",
        [
            whole("id", 1, 2),
            whole("flag", 1, ABSENT),
            number("f32", 1.5, ABSENT),
            whole("day", DAY, ABSENT, time_unit="s"),
            number("at_ms", WHEN, ABSENT, time_unit="s"),
            word("name", "ann, ü", NOTHING),
            raw("raw", b"\x00\xff", b"-"),
            steps("items", [12, 7], []),
            word("home.city", "Oslo", NOTHING),
        ],
    ),
    Case("polars/snappy.avro", POLARS, "Avro, Snappy", _IDS),
    Case("polars/few.arrow", POLARS, "Arrow IPC", _IDS, refused="an Arrow IPC (Feather) file" + _READ),
    Case("polars/few.arrows", POLARS, "Arrow IPC stream", _IDS, refused="an Arrow IPC stream" + _READ),
    Case("polars/book.xlsx", POLARS, "Excel", _IDS, refused="a ZIP archive, or a spreadsheet" + _READ),
    Case(
        "pandas/arrow.parquet",
        PANDAS,
        "by pyarrow: index, nullable types, categories, nanoseconds",
        [
            *_PANDAS,
            word("key", "x", "y"),
            number("f16", 1.5, ABSENT),
            number("price", 12.34, ABSENT),
            whole("day", DAY, ABSENT, time_unit="s"),
            whole("at", _NANOSECOND, ABSENT, time_unit="ns"),
            whole("zoned", _NANOSECOND - 3600 * 10**9, ABSENT, time_unit="ns"),
            whole("span", 90, ABSENT, time_unit="s"),
            steps("items", [12, 7], []),
            steps("array", [1.5, 2.5], []),
            steps("events.ms", [20], []),
        ],
    ),
    Case("pandas/fast.parquet", FASTPARQUET, "by fastparquet", [*_PANDAS, whole("at", _NANOSECOND, ABSENT, time_unit="ns")]),
    Case(
        "pandas/fast96.parquet",
        FASTPARQUET,
        "times as INT96 to the nanosecond, gzip",
        [*_PANDAS, whole("at", _NANOSECOND, ABSENT, time_unit="ns")],
    ),
    Case(
        "pandas/fastjson.parquet",
        FASTPARQUET,
        "lists as JSON text",
        [whole("id", 1, 2), steps("items", [12, 7], [], delimiter="json")],
    ),
    Case(
        "pandas/partitioned",
        PANDAS,
        "folders `kind=...`, odd characters",
        [whole("id", 1, 2), whole("number", 7, 5), word("kind", "a b/ü", "x=y%")],
    ),
    Case(
        "pandas/plain.csv",
        PANDAS,
        "CSV, an index, lists and arrays as text",
        [
            whole("id", 1, 2),
            word("key", "x", "y"),
            number("f64", 2.25, ABSENT),
            number("price", 12.34, ABSENT),
            whole("at", _NANOSECOND, ABSENT, time_unit="ns"),
            whole("zoned", _NANOSECOND - 3600 * 10**9, ABSENT, time_unit="ns"),
            word("name", 'say "hi"; ü', NOTHING),
            steps("items", [12, 7], [], delimiter="json"),
            steps("array", [1.5, 2.5], [], delimiter="json"),
        ],
    ),
    Case(
        "pandas/excel.csv",
        PANDAS,
        "CSV, `;`, byte order mark, CRLF",
        [
            whole("id", 1, 2),
            number("f64", 2.25, ABSENT),
            word("name", 'say "hi"; ü', NOTHING),
            steps("items", [12, 7], [], delimiter="json"),
        ],
    ),
    Case(
        "pandas/comma.csv",
        PANDAS,
        "CSV, decimal commas",
        [whole("id", 2), number("f64", ABSENT)],
        {0: "not_a_number"},
    ),
    Case(
        "pandas/marked.csv",
        PANDAS,
        r'CSV, nulls as `"\N"` in quotes, which are text',
        [whole("id", 1), word("name", 'say "hi"; ü'), number("f64", 2.25)],
        {1: "not_a_number"},
    ),
    Case("pandas/latin.csv", PANDAS, "CSV in Latin-1", [whole("id", 2), word("name", NOTHING)], {0: "invalid_utf8"}),
    Case("pandas/unicode.csv", PANDAS, "CSV in UTF-16", _IDS, refused="UTF-16 text, expected UTF-8"),
    Case(
        "pandas/table.tsv.xz",
        PANDAS,
        "TSV, xz",
        [whole("id", 1, 2), steps("items", [12, 7], [], delimiter="json")],
    ),
    Case("pandas/table.csv.zip", PANDAS, "CSV in a ZIP archive", _IDS, refused="a ZIP archive, or a spreadsheet" + _READ),
    Case(
        "pandas/lines.jsonl",
        PANDAS,
        "`to_json(orient='records', lines=True)`, times as text",
        [
            whole("id", 1, 2),
            whole("flag", 1, ABSENT),
            number("at", WHEN, ABSENT, time_unit="s"),
            number("zoned", WHEN - 3600, ABSENT, time_unit="s"),
            word("name", 'say "hi"; ü', NOTHING),
            steps("array", [1.5, 2.5], []),
            steps("events.ms", [20], []),
        ],
    ),
    Case(
        "pandas/epoch.json.gz",
        PANDAS,
        "the same, times as milliseconds, gzip",
        [whole("id", 1, 2), whole("at", 1709209815250, ABSENT), steps("items", [12, 7], [])],
    ),
    Case("pandas/records.json", PANDAS, "`orient='records'`", _IDS, refused="a JSON array" + _READ),
    Case("pandas/indented.json", PANDAS, "the same, `indent=2`", _IDS, refused="a JSON array" + _READ),
    Case(
        "pandas/split.json",
        PANDAS,
        "`orient='split'`: one object",
        _IDS,
        refused="column 'id': the feature 'id' is absent in all 1 rows; the first file, PATH, has columns, index, data",
    ),
    Case("pandas/columns.json", PANDAS, "`orient='columns'`: one object", [whole("id")], {0: "wrong_type"}),
    Case("pandas/frame.feather", PANDAS, "Feather", _IDS, refused="an Arrow IPC (Feather) file" + _READ),
    Case("pandas/frame.orc", PANDAS, "ORC", _IDS, refused="an ORC file" + _READ),
    Case("pandas/frame.pkl", PANDAS, "pickle", _IDS, refused="a pickle of Python" + _READ),
    Case("pandas/book.xlsx", PANDAS, "Excel", _IDS, refused="a ZIP archive, or a spreadsheet" + _READ),
    Case("pandas/frame.html", PANDAS, "HTML", _IDS, refused="HTML or XML" + _READ),
    Case(
        "arrow/types.parquet",
        ARROW,
        "float16, views, large and fixed types, dictionaries, decimal256, a name with a dot",
        [*_ARROW, number("f16", 1.5, ABSENT), steps("halves", [1.5, 2.5], [])],
    ),
    Case("arrow/flavor.parquet", ARROW, "`flavor='spark'`, version 1.0, times as INT96", _ARROW),
    Case("arrow/delta.parquet", ARROW, "DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, pages of version 2", _ENCODED),
    Case("arrow/delta_length.parquet", ARROW, "DELTA_LENGTH_BYTE_ARRAY", _ENCODED),
    Case("arrow/split.parquet", ARROW, "BYTE_STREAM_SPLIT", _ENCODED),
    Case("arrow/rle.parquet", ARROW, "RLE of booleans, page checksums", _ENCODED),
    *(Case(f"arrow/{codec}.parquet", ARROW, codec, _ENCODED_20) for codec in ("brotli", "gzip", "lz4", "snappy", "zstd")),
    Case("arrow/empty.parquet", ARROW, "no rows", [whole("id"), number("f16")]),
    Case("arrow/plain.csv", ARROW, "CSV", [whole("id", 0, 1, 2), number("f64", 0, 0.125, 0.25)]),
    Case("arrow/stream", ARROW, "Arrow IPC stream, no ending", _IDS, refused="an Arrow IPC stream" + _READ),
    *(
        Case(f"avro/fast.{codec}.avro", FASTAVRO, f"codec {codec}", _FASTAVRO_MORE)
        for codec in ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")
    ),
    Case(
        "avro/fast.lz4.avro",
        FASTAVRO,
        "codec lz4, which the specification has not",
        _IDS,
        refused="codec 'lz4' cannot be read, expected one of null, deflate, bzip2, xz, zstandard, snappy",
    ),
    Case("avro/apache.avro", AVRO, "deflate", _FASTAVRO),
    Case(
        "avro/bare.bin",
        FASTAVRO,
        "a record without a file around it",
        _IDS,
        refused="not a TFRecord file, or the header of its first record is damaged",
    ),
    *(
        Case(f"java/{codec}.avro", JAVA, f"codec {codec}", _JAVA)
        for codec in ("null", "deflate", "snappy", "bzip2", "xz", "zstandard")
    ),
    Case("java/recursive.avro", JAVA, "a record that holds itself", [Values(one.column, one.expected[:1]) for one in _JAVA]),
    Case("tensorflow/plain.tfrecord", TENSORFLOW, "TFRecord, features without a kind", _RECORDS),
    Case("tensorflow/packed.tfrecord", TENSORFLOW, "compression GZIP", _RECORDS),
    Case("tensorflow/zlib.tfrecord", TENSORFLOW, "compression ZLIB", _RECORDS),
    Case("tensorflow/sequences.tfrecord", TENSORFLOW, "tf.SequenceExamples", _RECORDS),
    Case("tensorflow/tfx_bsl.tfrecord", TFX, "TFRecord", _RECORDS),
    Case("tensorflow/Split-train", EXAMPLE_GEN, "`data_tfrecord-00000-of-00001.gz`", _RECORDS),
    Case("tensorflow/saved", TENSORFLOW, "`tf.data.Dataset.save`", _IDS, refused="tensors that tf.data has saved" + _READ),
    Case(
        "databases/copy.csv",
        POSTGRES,
        "`copy ... (format csv, header)`, a time with `+00`",
        [
            whole("id", 1, 2, 3),
            number("price", 12.34, ABSENT, ABSENT),
            number("at", WHEN, ABSENT, ABSENT, time_unit="s"),
            word("name", 'say "hi", ü', "", NOTHING),
        ],
    ),
    Case(
        "databases/copy.csv",
        POSTGRES,
        "arrays as text, `{1,2}`",
        [whole("id", 3), steps("items", [], delimiter="json")],
        {0: "wrong_type", 1: "wrong_type"},
    ),
    Case(
        "databases/marked.csv",
        POSTGRES,
        r"the same, `;`, nulls as `\N`",
        [
            whole("id", 1, 2, 3),
            number("price", 12.34, ABSENT, ABSENT),
            number("at", WHEN, ABSENT, ABSENT, time_unit="s"),
            word("name", 'say "hi", ü', NOTHING, NOTHING),
        ],
    ),
    Case(
        "databases/json.csv",
        POSTGRES,
        "arrays by `to_json`, a null in one",
        [
            whole("id", 2, 3),
            steps("items", [], [], delimiter="json"),
            words("words", [], [], delimiter="json"),
        ],
        {0: "null_value"},
    ),
    Case("databases/rows.json", POSTGRES, "`select row_to_json(...)`", [
        whole("id", 1, 2, 3),
        whole("flag", 1, 0, ABSENT),
        number("at", WHEN, ABSENT, ABSENT, time_unit="s"),
        word("name", 'say "hi", ü', "", NOTHING),
        steps("items", [12, 7], [], []),
        nested("nested", [[1, 2], [3, 4]], [], []),
        word("home.city", "Oslo", NOTHING, NOTHING),
    ]),
    Case("databases/agg.json", POSTGRES, "`select json_agg(...)`", _IDS, refused="a JSON array" + _READ),
    Case("databases/copy.txt", POSTGRES, "`copy`, text", _IDS, refused=_TEXT),
    Case("databases/copy.bin", POSTGRES, "`copy`, binary", _IDS, refused="a binary copy of PostgreSQL" + _READ),
    Case("databases/dump.sql", POSTGRES, "pg_dump", _IDS, refused=_TEXT),
    Case("databases/sqlite.csv", SQLITE, "CSV", [whole("id", 1, 2), word("name", 'say "hi", ü', NOTHING)]),
    Case("databases/sqlite.json", SQLITE, "a JSON array", _IDS, refused="a JSON array" + _READ),
    Case("databases/rows.sqlite", SQLITE, "its own data base", _IDS, refused="an SQLite data base" + _READ),
    Case("lakes/delta", DELTA, "a table with a deleted row", _IDS, refused="a Delta Lake table" + _DELETED),
    Case("lakes/iceberg/shop/rows", ICEBERG, "a table with a deleted row", _IDS, refused="an Apache Iceberg table" + _DELETED),
]  # fmt: skip
"""What is refused is asked for columns that it has, or would have."""


def table() -> list[str]:
    """Returns the lines of the table in the docs, one a tool."""
    lines = ["| written by | read | refused, or rows rejected |", "|---|---|---|"]
    for tool in dict.fromkeys(case.by for case in CASES):
        own = [case for case in CASES if case.by == tool]
        good = "; ".join(case.named for case in own if case.outcome == "read")
        bad = "; ".join(case.refusal for case in own if case.outcome != "read")
        lines.append(f"| {tool} | {good} | {bad} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
