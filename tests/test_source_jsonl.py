"""The JSON Lines source against Python's json module: what a line becomes is what it is alone."""

from __future__ import annotations

import gzip
import json
import math
import pickle
import random
import tracemalloc
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.jsonl.source import lines_of
from pipeline.sources.limits import Limits
from pipeline.sources.tfrecord.framing import framed
from tests.jobs import assert_balanced, done, read_arrays, read_rejected
from tests.marks import slow_but, tried
from transforms import (
    SequenceGroup,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.parse.form import Form
from transforms.parse.parse import parse
from transforms.rows import origin, rejection
from transforms.rows.from_python import from_dicts

SOURCE = SOURCES["jsonl"]
WANTED = {"a": "int64", "b": "float32", "c": "string"}


def write(path: Path, lines: Sequence[bytes], end: bytes = b"\n") -> str:
    path.write_bytes(b"".join(line + end for line in lines))
    return str(path)


def read(path: Any, features: Mapping[str, str] = WANTED, **limits: int) -> list[Any]:
    [split] = SOURCE.parts(str(path))
    return list(SOURCE.read(split, features, Limits(**limits)))


def records_of(reads: Sequence[Any]) -> list[bytes]:
    """The original records in the order of their row numbers, which must be 0, 1, 2 and so on."""
    made: dict[int, bytes] = {}
    for step in reads:
        for batch in (step.batch, step.rejected):
            if batch is not None:
                names = (origin.ROW_COLUMN, origin.RECORD_COLUMN) if batch is step.batch else ("row", "record")
                found = dict(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
                assert not set(found) & set(made)
                made.update(found)
    assert sorted(made) == list(range(len(made)))
    return [made[k] for k in range(len(made))]


FORMS = [
    Form("f", "int64"),
    Form("f", "float32"),
    Form("f", "float64", step_width=2),
    Form("f", "string"),
    Form("f", "int8", scalars=True),
    Form("f", "float32", delimiter=","),
]


def parsed_by(form: Form, column: pa.Array) -> list[Any]:
    """What columns of a form make of each row: its values, or the faults in it."""
    made = parse(column, form)
    faults: dict[int, list[tuple[str, str]]] = {}
    for fault in made.faults:
        for row, value in zip(fault.rows.tolist(), fault.values, strict=True):
            # How a refused number is shown may depend on its neighbours: `dict_rows` makes 1 beside 0.5 a 1.0.
            faults.setdefault(row, []).append((fault.reason, value.replace(".0", "")))
    values = made.array.to_pylist()
    return [sorted(faults[k]) if k in faults else bits(values[k]) for k in range(len(values))]


def bits(values: list[Any] | None) -> Any:
    """Values that compare equal exactly when every bit is the same."""
    return values and [value.hex() if isinstance(value, float) else value for value in values]


def outcomes(reads: Sequence[Any]) -> list[Any]:
    """What becomes of each row: what every form makes of every feature, or how it is rejected."""
    made: dict[int, Any] = {}
    for step in reads:
        if step.batch is not None:
            columns = [parsed_by(form, step.batch.column(name)) for name in WANTED for form in FORMS]
            for k, row in enumerate(origin.row_numbers(step.batch).tolist()):
                made[row] = [column[k] for column in columns]
        if step.rejected is not None:
            assert step.rejected.schema == rejection.SCHEMA
            for entry in step.rejected.to_pylist():
                made[entry["row"]] = (entry["reason"], entry["column"], entry["record_format"])
    return [made[k] for k in sorted(made)]


REJECTED = ("bad_record", "", "json")


@lru_cache
def alone(text: str) -> list[Any]:
    """What becomes of a row, by the types that a dict has alone."""
    found = json.loads(text)
    [batch] = from_dicts([{name: found.get(name) for name in WANTED}])
    return [parsed_by(form, batch.column(name))[0] for name in WANTED for form in FORMS]


def expected(line: bytes) -> Any:
    """What must become of a line, by Python's json module."""
    try:
        found = json.loads(line.decode())
    except ValueError:
        return REJECTED
    if not isinstance(found, dict):
        return REJECTED
    return alone(line.decode())


def lines(count: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    made = []
    for k in range(count):
        steps = rng.randrange(5)
        row = {
            "a": [k] * steps,
            "b": [[rng.random(), 1] for _ in range(steps)],
            "c": f"2020-01-{k % 30 + 1:02}",
            "d": {"x": k},
        }
        made.append(json.dumps(row).encode())
    return made


@pytest.mark.parametrize("packed", [False, True])
def test_values_rows_and_records_are_those_of_the_file(tmp_path, packed):
    data = lines(2500)
    path = write(tmp_path / "data", data)
    if packed:
        Path(path).write_bytes(gzip.compress(Path(path).read_bytes()))
    reads = read(path, max_batch_rows=1024)
    assert records_of(reads) == data
    assert [step.batch.num_rows for step in reads] == [1024, 1024, 452]
    for name in WANTED:
        assert [v for step in reads for v in step.batch.column(name).to_pylist()] == [json.loads(d)[name] for d in data]
    assert [str(step.batch.column("c").type) for step in reads] == ["string"] * 3
    assert all(origin.file_of(step.batch) == path for step in reads)
    assert origin.encode_records(reads[0].batch, np.array([3])) == ("json", pa.array([data[3]]))
    assert sum(step.size for step in reads) == SOURCE.parts(path)[0].size


def test_batches_keep_both_limits(tmp_path):
    data = [*lines(300), b'{"c": "' + b"x" * 5000 + b'"}', *lines(20)]
    reads = read(write(tmp_path / "a", data), max_batch_rows=100, max_batch_bytes=1000)
    sizes = [sum(map(len, step.batch.column(origin.RECORD_COLUMN).to_pylist())) for step in reads]
    assert records_of(reads) == data
    assert [step.batch.num_rows for step, size in zip(reads, sizes, strict=True) if size > 1000] == [1]
    assert max(len(step.batch) for step in read(write(tmp_path / "b", data), max_batch_rows=7)) == 7


GOOD = [b'{"a": [1, 2], "b": [0.5], "c": "x"}', b'{"a": [3]}', b'{"b": [2, 2.5]}', b"{}"]

ODD = [
    b'{"a": [3.0]}',
    b'{"a": [3.5]}',
    b'{"a": 3}',
    b'{"a": "3"}',
    b'{"a": ["3", "4"]}',
    b'{"a": ["3", 4]}',
    b'{"a": [[1], [2]]}',
    b'{"a": [[1], null]}',
    b'{"a": [null, null]}',
    b'{"a": [null]}',
    b'{"a": [[null]]}',
    b'{"a": []}',
    b'{"a": [[]]}',
    b'{"a": [[[1]]]}',
    b'{"a": null}',
    b'{"a": [true]}',
    b'{"a": true}',
    b'{"a": [1, true]}',
    b'{"a": {"x": 1}}',
    b'{"a": [9223372036854775807, -9223372036854775808]}',
    b'{"a": [9223372036854775808]}',
    b'{"a": [-9223372036854775809]}',
    b'{"a": [' + b"9" * 30 + b"]}",
    b'{"a": ' + b"9" * 30 + b"}",
    b'{"a": [9007199254740993]}',
    b'{"a": [9007199254740993, 0.5]}',
    b'{"b": [9007199254740993]}',
    b'{"b": [1e300, 9007199254740992.0, 9007199254740993.0]}',
    b'{"b": [1e39, -1e39]}',
    b'{"b": [1e400, -1e400, 1e-400]}',
    b'{"b": [-0]}',
    b'{"b": [-0, 0.5]}',
    b'{"b": [-0.0, -0e0]}',
    b'{"b": [NaN, Infinity, -Infinity]}',
    b'{"a": [NaN]}',
    b'{"a": [1E2, 1e-2, 12e0]}',
    b'{"b": [0.1, 1.7976931348623157e308, 5e-324, 2.2250738585072011e-308]}',
    b'{"c": "2020-01-01"}',
    b'{"c": ["2020-01-01T00:00:00Z"]}',
    b'{"c": 7}',
    b'{"c": "\\u00e9\\ud83d\\ude00\\u0000\\n"}',
    '{"c": "é\u2028\x85\x7f"}'.encode(),
    b'{"c": "\\ud800"}',
    b'{"c": ["\\udc00x"]}',
    b'{"\\u0061": [4]}',
    b'{"a": [1], "a": [2]}',
    b'{"a": [1], "a": null}',
    b'{"a": "x", "a": [2]}',
    b'{"d": {"a": 5}, "e": [{"a": "x"}], "": 1}',
    b'{"d": 1, "d": 2}',
    b'{"d": ' + b"[" * 50 + b"]" * 50 + b"}",
    b' \t{"a" :\r[ 5 ] } \t',
]

BAD = [
    b"x",
    b"[1]",
    b"1",
    b'"{}"',
    b"null",
    b"NaN",
    b"{",
    b"}",
    b'{"a": [1}',
    b'{"a": [1]',
    b'{"a": [1]}}',
    b'{"a": [1]},',
    b'{"a": [1],}',
    b'{"a": [1,]}',
    b'{"a": [1]}{"a": [2]}',
    b'{"a": [1]} {"a": [2]}',
    b'{"a": {"b": 1}',
    b'{"a": [01]}',
    b'{"a": [+1]}',
    b'{"a": [.5]}',
    b'{"a": [1.]}',
    b'{"a": [0x1]}',
    b'{"a": [nan]}',
    b'{"a": [-NaN]}',
    b'{"b": [Inf]}',
    b'{"b": [-Inf ]}',
    b'{"d": Inf}',
    b'{"d": -NaN}',
    b'{"d": [Inf\t, 1]}',
    b'{"d": tru}',
    b"{'a': 1}",
    b"{a: 1}",
    b'{"a": [1]} // no',
    b'/**/{"a": [1]}',
    b'{"c": "\t"}',
    b'{"c": "\x00"}',
    b'{"c": "\\x"}',
    b'{"c": "\\u12"}',
    b'{"c": "\xff"}',
    b'{"d": "\xff"}',
    b'{"\xff": 1}',
    b'{"c": "\xed\xa0\x80"}',
    b'{"c": "\xc0\x80"}',
    b'\xef\xbb\xbf{"a": [1]}',
    b'\x00{"a": [1]}',
    b'{"a": [1]}\x00',
    b'{"a": [1]}\x0b',
    '{"a": [1]}'.encode("utf-16"),
    bytes(10),
]


@pytest.mark.parametrize("seed", slow_but(range(4), 0))
def test_a_line_is_what_it_is_alone_whatever_stands_beside_it(tmp_path, seed):
    rng = random.Random(seed)
    for line in [*ODD, *BAD]:
        assert (expected(line) == REJECTED) == (line in BAD)
        others = rng.choice([[], GOOD, GOOD * 8, rng.sample(ODD, 3), [rng.choice(ODD)] * 20])
        data = [b"{}", *others, line, *others]
        reads = read(write(tmp_path / "data", data))
        assert records_of(reads) == data
        assert outcomes(reads) == [expected(entry) for entry in data], others


NUMBER = st.sampled_from([0, -1, 7, 2**53 + 1, 2**63, 0.5, -0.0, 3.0, 1e300, math.nan, math.inf])
LEAF = NUMBER | st.integers(-(2**65), 2**65) | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
SEQUENCE = (
    st.lists(NUMBER, max_size=3) | st.lists(LEAF, max_size=3) | st.lists(st.lists(NUMBER, max_size=3), max_size=3)
)
VALUE = LEAF | SEQUENCE | st.sampled_from(["12", "x,y", "2020-01-01", [[None]], [None, None], {"a": 1}])
ROW = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), VALUE, max_size=4)
ASCII = st.booleans()


@st.composite
def line(draw: Any) -> bytes:
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.sampled_from(BAD))
    if kind == 1:
        return draw(st.sampled_from(ODD))
    text = json.dumps(draw(ROW), ensure_ascii=draw(ASCII), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])))
    data = text.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"")
    return data[: draw(st.integers(1, len(data)))] if kind == 2 else data


@settings(max_examples=tried(100))
@given(data=st.lists(line() | st.sampled_from(GOOD), max_size=40), most=st.integers(1, 41), seed=st.integers(0, 99))
def test_every_row_is_what_it_is_alone(tmp_path, data, most, seed):
    for shuffle in (random.Random(seed), random.Random(seed + 1)):
        shuffle.shuffle(data)
        reads = read(write(tmp_path / "data", [GOOD[0], *data]), max_batch_rows=most)
        assert records_of(reads) == [GOOD[0], *data]
        assert outcomes(reads) == [expected(entry) for entry in [GOOD[0], *data]]


def test_what_goes_to_the_json_module(tmp_path, monkeypatch):
    """What orjson refuses, and integers that it could take for floats: nothing else."""
    seen: list[str] = []

    def noted(text: str, **more: Any) -> Any:
        seen.append(text)
        return loads(text, **more)

    loads = json.loads
    plain = [b'{"a": 0.00123456789012345678901, "b": 123456789012345678}', b'{"a": "1e400 NaN"}', b' {"a": -0}\r']
    odd = [b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"a": "\\ud800"}', b'{"a": %d}' % 2**64, b'{"a": 1']
    monkeypatch.setattr(json, "loads", noted)
    read(write(tmp_path / "data", [*plain, *odd]))
    assert seen == [line.decode() for line in odd]


@pytest.mark.parametrize("most", [1024, 1])
def test_rows_alike_are_few_batches(tmp_path, most):
    data = [json.dumps({"a": [k, 0.5], "b": [[k]], "c": "x"}).encode() for k in range(3000)]
    assert [step.batch.num_rows for step in read(write(tmp_path / "data", data), max_batch_rows=1024)] == [
        1024,
        1024,
        952,
    ]
    assert read(tmp_path / "data", {"nope": "string"}, max_batch_rows=most)[0].batch.column("nope").null_count == most
    assert sum(step.batch.num_rows for step in read(tmp_path / "data", {}, max_batch_rows=1024)) == 3000


def test_ids_longer_than_floats_hold_after_a_stray_float(tmp_path):
    data = [b'{"a": [%d]}' % (2**60 + k) for k in range(3000)]
    data[1500] = b'{"a": [0.5]}'
    reads = read(write(tmp_path / "data", data), {"a": "int64"})
    assert records_of(reads) == data
    values = [v for step in reads for v in step.batch.column("a").to_pylist()]
    assert values == [json.loads(entry)["a"] for entry in data]
    assert len(reads) < 8


def test_bad_rows_leave_their_neighbours_alone(tmp_path):
    data = lines(5000)
    rng = random.Random(4)
    bad = sorted(rng.sample(range(5000), 50))
    for k in bad:
        data[k] = rng.choice([*BAD[1:], data[k][: rng.randrange(1, len(data[k]))]])
    path = write(tmp_path / "data", data)
    reads = read(path)
    assert records_of(reads) == data
    made = {
        n: v
        for step in reads
        if step.batch
        for n, v in zip(origin.row_numbers(step.batch), step.batch.to_pylist(), strict=True)
    }
    for k in sorted(set(range(5000)) - set(bad)):
        assert {name: made[k][name] for name in WANTED} == {name: json.loads(data[k])[name] for name in WANTED}
    rejected = pa.Table.from_batches([step.rejected for step in reads if step.rejected])
    assert rejected.column("row").to_pylist() == bad and set(rejected.column("file").to_pylist()) == {path}
    assert set(rejected.column("record_format").to_pylist()) == {"json"}
    assert all(message.startswith("expected ") for message in rejected.column("message").to_pylist())
    assert len(reads) < 25


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1]", "expected one JSON object, got an array"),
        (b"true", "expected one JSON object, got a boolean"),
        (b"1.5", "expected one JSON object, got a number"),
        (b'{"a": 1', "expected one JSON object: expecting ',' delimiter at character 8"),
        (b'{"a": "\xff"}', "expected UTF-8 text, got byte 0xff at byte 7"),
        (b'{"a": ' + b"[" * 10**5, "expected one JSON object, not nested too deep"),
    ],
)
def test_messages_say_what_is_wrong(tmp_path, line, message):
    [step] = read(write(tmp_path / "data", [line]))
    assert step.rejected.column("message").to_pylist() == [message]


def test_values_nested_deeper_than_python_goes(tmp_path):
    """Such a row is rejected, whatever is asked of it; one that is merely deep is of a wrong type where somebody asks for it."""
    depth = 10**5
    deep = b"[" * depth + b"]" * depth
    asked = [b"[1, 2]", b'"x"', b"[[1], [2]]", b"null", b"7", b"true", b"[0.5, 1]", b"[true]", b'["x"]', b"[null]"]
    data = [b'{"d": %s, "a": %s}' % (deep, value) for value in asked] + [b'{"a": %s}' % deep, b'{"a": %s}' % deep[-30:]]
    for neighbours in ([], [GOOD[0]] * 40, [b"x"]):
        reads = read(write(tmp_path / "data", [*neighbours, *data]))
        assert outcomes(reads)[: len(neighbours)] == [expected(entry) for entry in neighbours]
        made = outcomes(reads)[len(neighbours) :]
        assert made[: len(asked) + 1] == [REJECTED] * (len(asked) + 1)
        assert made[-1] == REJECTED
    assert SOURCE.features(str(tmp_path / "data")) == {}
    for depth in (9, 40, 900):
        deep = b"[" * depth + b"]" * depth
        [first, second] = outcomes(
            read(write(tmp_path / "data", [b'{"d": %s, "a": [1, 2]}' % deep, b'{"a": %s}' % deep]))
        )
        assert first == expected(b'{"a": [1, 2]}') and {reason for reason, _ in second[0]} == {"wrong_type"}


def test_integers_of_more_digits_than_python_reads(tmp_path):
    digits = b"7" * 5000
    data = [b'{"a": [-%s], "b": [%s], "d": %s}' % (digits, digits, digits), b'{"a": [1], "d": %s}' % digits]
    for neighbours in ([], GOOD, [b"x"]):
        reads = read(write(tmp_path / "data", [*data, *neighbours]))
        made = outcomes(reads)
        assert made[0][0] == [("not_an_integer", "-inf")] and made[1] == expected(b'{"a": [1]}')


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\r\n \t\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_blank_lines_and_a_byte_order_mark(tmp_path, end, mark):
    data = lines(30)
    path = tmp_path / "data"
    for text in (mark + end.join(data), mark + end.join(data) + end, mark + end + end.join(data)):
        path.write_bytes(text)
        assert records_of(read(path)) == data
        assert source_for(str(path)) is SOURCE
        path.write_bytes(gzip.compress(text))
        assert records_of(read(path)) == data
        assert source_for(str(path)) is SOURCE


def test_lines_are_cut_alike_whatever_the_blocks():
    text = b"\xef\xbb\xbf" + b"\r\n".join([*lines(20), b"", b"  ", b"x" * 300, b"\r"])
    want = [*lines(20), b"x" * 300]
    for size in (1, 2, 3, 7, 50, 299, 1000, 10**6):
        blocks = [text[k : k + size] for k in range(0, len(text), size)]
        assert list(lines_of(blocks, "f", 1000)) == want
    assert list(lines_of([], "f", 1)) == list(lines_of([b"\n"], "f", 1)) == []


def test_a_line_that_is_too_long_is_an_error(tmp_path):
    data = [b'{"c": "%s"}' % (b"x" * 50), b'{"c": "%s"}' % (b"x" * 51)]
    path = write(tmp_path / "data", data)
    assert records_of(read(path, max_record_bytes=60)) == data
    with pytest.raises(
        JobError, match=r"^\S+data: a line at byte 0 or after: longer than 59 bytes \(--max-record-bytes\)$"
    ):
        read(path, max_record_bytes=59)
    with pytest.raises(
        JobError, match=r"^f: the line at uncompressed byte 6: longer than 10 bytes \(--max-record-bytes\)$"
    ):
        list(lines_of([b"12345\n", b"1234567", b"1234567", b"\n"], "f", 10, "uncompressed byte"))


def test_a_file_without_line_ends_is_refused_before_it_is_held():
    def endless() -> Any:
        while True:
            yield bytes(1 << 20)

    tracemalloc.start()
    with pytest.raises(JobError, match="longer than 4194304 bytes"):
        list(lines_of(endless(), "f", 4 << 20))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_memory_is_that_of_a_few_blocks(tmp_path):
    data = b"".join(line[:-1] + b', "more": "' + b"x" * 2000 + b'"}\n' for line in lines(1000))
    path = tmp_path / "data"
    path.write_bytes(data * 30)
    tracemalloc.start()
    [split] = SOURCE.parts(str(path))
    rows_read = sum(len(step.batch or ()) for step in SOURCE.read(split, WANTED, Limits()))
    assert rows_read == 30_000 and split.size > 60 << 20
    assert tracemalloc.get_traced_memory()[1] < 48 << 20  # batches of 8 MiB, as records and as columns
    tracemalloc.stop()


def test_nulls_alone_are_values_also_where_steps_are_expected(tmp_path):
    nested, alone = b'{"a": [[1], null, [2, 3]]}', b'{"a": [null, null]}'
    data = [nested] * 100 + [alone] + [nested] * 30 + [b'{"a": null}', b'{"a": []}', b'{"a": [[null]]}', b'{"a": [[]]}']
    reads = read(write(tmp_path / "data", data), max_batch_rows=50)
    assert outcomes(reads) == [expected(entry) for entry in data]
    assert expected(alone)[0] == [("null_value", "null")]


def test_every_cut_is_noticed_except_at_the_end_of_a_line(tmp_path):
    data = lines(40)
    whole, path = b"\n".join(data), tmp_path / "cut"
    ends = np.cumsum([len(line) + 1 for line in data])
    for size in [*random.Random(1).sample(range(1, len(whole)), 100), *ends[:5], *(ends[:5] - 1), *(ends[:5] - 2)]:
        path.write_bytes(whole[:size])
        count = np.searchsorted(ends, size, side="right")
        if size in ends or size + 1 in ends:
            assert records_of(read(path)) == data[: count + (size + 1 in ends)]
            continue
        where = 0 if count == 0 else ends[count - 1]
        with pytest.raises(
            JobError, match=rf"^\S+/cut: cut short: the last line, at byte {where}, has no line end and"
        ):
            read(path)


def test_a_last_line_without_an_end_is_whole_where_it_is_json(tmp_path):
    deep = b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    for last in [b'{"a": 1}', b'{"a": 1} \r', b"12", b"[1]", b"NaN", b'"x"', b'\xef\xbb\xbf{"a": [2]}', deep, b" "]:
        (tmp_path / "data").write_bytes(b'{"a": [1]}\n' * (not last.startswith(b"\xef")) + last)
        read(tmp_path / "data")
    cut = [b'{"a": 1', b'{"a": {}', b"tru", b'"\xc3"', b'{"a": "\xc3"}', b"x", b"{}}", b"[1", b'{"a": [{}']
    for last in cut:
        (tmp_path / "data").write_bytes(b'{"a": [1]}\n' + last)
        with pytest.raises(
            JobError, match=r"^\S+/data: cut short: the last line, at byte 11, has no line end and is no"
        ):
            read(tmp_path / "data")


def test_every_cut_of_a_gzip_file_is_noticed(tmp_path):
    whole = gzip.compress(b"\n".join(lines(300)))
    path = tmp_path / "cut.jsonl.gz"
    for size in [0, *random.Random(2).sample(range(1, len(whole)), 90), *range(len(whole) - 9, len(whole))]:
        path.write_bytes(whole[:size])
        with pytest.raises(JobError, match=r"^\S+/cut.jsonl.gz: cut short: the gzip stream ended early"):
            read(path)


def test_files_without_rows(tmp_path):
    for text in (b"", b"\n\n", b"\xef\xbb\xbf", b" "):
        (tmp_path / "empty").write_bytes(text)
        assert read(tmp_path / "empty") == []
        assert SOURCE.features(str(tmp_path / "empty")) == {}
    with pytest.raises(JobError, match="missing: cannot be read"):
        read(tmp_path / "missing")


def test_features_of_the_first_rows(tmp_path):
    data = [
        b"garbage",
        b'{"a": null, "b": [1], "c": [], "__row__": 1, "\\ud800": 1}',
        b'{"a": [0.5], "b": ["x"], "c": [[2]], "d": {"x": 1}, "e": "2020-01-01", "f": true}',
    ]
    path = write(tmp_path / "data", data)
    kinds = {"a": pa.list_(pa.float64()), "b": pa.list_(pa.int64()), "c": pa.list_(pa.list_(pa.int64()))}
    more = {"d": pa.struct({"x": pa.int64()}), "e": pa.string(), "f": pa.bool_()}
    assert SOURCE.features(path) == kinds | more
    assert SOURCE.features(path, sample=1) == {}
    assert set(SOURCE.features(path, sample=2)) == {"a", "b", "c"}


def test_the_name_or_the_first_bytes_choose_the_source(tmp_path):
    for name in ["a.jsonl", "a.NDJSON", "run[1]/a.jsonl.gz", "a.tfrecord.ndjson.gz"]:
        assert source_for(name) is SOURCE
    assert source_for("a.jsonl.tfrecord.gz") is SOURCES["tfrecord"]
    for text in (b'{"a": 1}\n', b' \n\t{"', b"{" + b"x" * 200):
        (tmp_path / "part-0").write_bytes(text)
        assert source_for(str(tmp_path / "part-0")) is SOURCE
    # A TFRecord file whose first record is 123 bytes long begins with a brace.
    (tmp_path / "part-0").write_bytes(framed([b"x" * 123]))
    assert (tmp_path / "part-0").read_bytes().startswith(b"{")
    assert source_for(str(tmp_path / "part-0")) is SOURCES["tfrecord"]
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE


@pytest.mark.slow
def test_a_job_over_json_lines(tmp_path):
    columns = [
        passthrough_column("id", "int64"),
        passthrough_column("day"),
        numeric_column("w", (2,)),
        sequence_categorical_column_with_identity("ids", 10),
        sequence_numeric_column("x", (2,)),
        sequence_numeric_column("csv", delimiter=","),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=3))
    rng = random.Random(3)
    data, bad = [], {}
    for k in range(400):
        steps = rng.randrange(5)
        row: dict[str, Any] = {"id": 2**60 + k, "day": "2020-01-01", "w": [k, 0.5], "other": {"k": [k]}}
        row |= {"ids": [rng.randrange(10) for _ in range(steps)], "x": [[rng.random(), 1] for _ in range(steps)]}
        row["csv"] = ",".join(str(n) for n in range(steps))
        if k % 40 == 11:
            bad[k] = rng.choice(["wrong_type", "missing"])
            row |= {"ids": [True, 1], "x": [[1, 1]] * 2, "csv": "1,1"} if bad[k] == "wrong_type" else {"w": None}
        line = json.dumps(row).encode()
        if k % 40 == 12:
            bad[k], line = "bad_record", line[:-5]
        data.append(line)
    write(tmp_path / "a.jsonl", data[:200])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\r\n".join(data[200:])))
    outcome = done(spec, tmp_path / "*.jsonl*", tmp_path / "out", format="parquet", max_rejected=0.1)
    assert_balanced(outcome.ledger)
    made = read_arrays(tmp_path / "out", sort_by="id")
    good = [json.loads(entry) for k, entry in enumerate(data) if k not in bad]
    assert made["id"].tolist() == [row["id"] for row in good]
    assert set(made["day"].tolist()) <= {"2020-01-01", b"2020-01-01"}
    np.testing.assert_array_equal(made["w"], np.array([row["w"] for row in good], np.float32))
    for k, row in enumerate(good):
        count = min(len(row["ids"]), 3)
        np.testing.assert_array_equal(made["ids"][k][:count], row["ids"][:count])
        np.testing.assert_array_equal(made["x"][k][:count].reshape(-1), np.float32(row["x"][:count]).reshape(-1))
        np.testing.assert_array_equal(made["csv"][k].reshape(-1)[:count], np.arange(count))
    rejected = read_rejected(outcome.rejected_files).to_pylist()
    assert {(Path(r["file"]).name, r["row"]): r["reason"] for r in rejected} == {
        ("a.jsonl" if k < 200 else "b.jsonl.gz", k % 200): reason for k, reason in bad.items()
    }
    assert {r["record"] for r in rejected} == {data[k] for k in bad}
    assert {r["record_format"] for r in rejected} == {"json"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    """As Windows PowerShell writes it: not a line of it is JSON, and every row would be rejected."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xfe\xff" * (encoding != "utf-16") + '{"x": 1}\n'.encode(encoding))
    with pytest.raises(JobError, match=r"a\.jsonl: UTF-16 text, expected UTF-8$"):
        SOURCE.features(str(path))
