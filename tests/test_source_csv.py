"""The CSV source against Python's csv module, which cuts and unquotes on its own, and against damage."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import random
import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import compression
from pipeline.sources.csv import records as csv_records
from pipeline.sources.csv.source import CSV
from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.limits import Limits
from tests.jobs import assert_balanced, done, read_arrays, read_rejected, run_job
from tests.marks import tried
from transforms import (
    SequenceGroup,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.rows import origin, rejection

SOURCE = SOURCES["csv"]
LIMITS: list[dict[str, int]] = [
    {},
    *({"max_batch_rows": n} for n in (1, 3)),
    *({"max_batch_bytes": n} for n in (1, 40)),
]
BLOCKS = [1, 2, 7, 64, 1 << 20]

Row = tuple[bytes, Any]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def reads(path: Path, features: Iterable[str], block: int = 1 << 20, **limits: int) -> list[Any]:
    [split] = SOURCE.parts(str(path))
    with mock.patch.object(compression, "BLOCK_BYTES", block):
        return list(SOURCE.read(split, dict.fromkeys(features, "string"), Limits(**limits)))


def results(steps: Sequence[Any]) -> list[Row]:
    """Each row's record and what became of it: its cells, or why it was rejected. Rows are numbered without a gap."""
    made: dict[int, Row] = {}
    for step in steps:
        if step.batch is not None:
            for row in step.batch.to_pylist():
                number, record = row.pop(origin.ROW_COLUMN), row.pop(origin.RECORD_COLUMN)
                assert number not in made
                made[number] = record, row
        if step.rejected is not None:
            assert step.rejected.schema == rejection.SCHEMA
            for row in step.rejected.to_pylist():
                assert row["row"] not in made and row["reason"] == "bad_record" and row["column"] == ""
                made[row["row"]] = row["record"], row["message"]
    assert sorted(made) == list(range(len(made)))
    return [made[number] for number in range(len(made))]


def read(path: Path, features: Iterable[str], **how: int) -> list[Row]:
    return results(reads(path, features, **how))


def cells(text: str, names: Sequence[str], tmp_path: Path, suffix: str = ".csv", **how: int) -> list[Any]:
    """What became of the rows of a file with such a header."""
    delimiter = "\t" if "tsv" in suffix else ","
    path = write(tmp_path / f"cells{suffix}", delimiter.join(names) + "\n" + text)
    return [made for _, made in read(path, names, **how)]


class Lines:
    """Lines of a text, and those that were taken since one last asked."""

    def __init__(self, text: str):
        self._lines, self.taken = io.StringIO(text, newline=""), ""

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += line
        return line


def expected(text: str, names: Sequence[str], delimiter: str = ",") -> list[Row]:
    """What Python's csv module makes of a text without a header."""
    lines, made = Lines(text), []
    for row in csv.reader(lines, delimiter=delimiter):
        record, lines.taken = lines.taken, ""
        if not row and len(names) > 1:
            continue
        made.append((record.encode(), verdict(record, row or [""], names, delimiter)))
    return made


def verdict(record: str, row: list[str], names: Sequence[str], delimiter: str) -> Any:
    try:
        list(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        assert "expected after" in str(error)
        return "expected nothing after a closing quote"
    if len(row) != len(names):
        return f"expected {len(names)} cells, got {len(row)}"
    return dict(zip(names, row, strict=True))


def open_at_end(text: str, delimiter: str) -> bool:
    """Whether one more line would still stand within quotes."""
    *_, last = csv.reader(io.StringIO(text + "\nmore", newline=""), delimiter=delimiter)
    return last != ["more"]


def cut_short(text: str, names: Sequence[str], delimiter: str) -> bool:
    """Whether the last row has too few cells and no line end."""
    *_, row = [None, *csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    return bool(row) and len(row) < len(names) and not text.endswith(("\n", "\r"))


def as_text(made: list[Row]) -> list[Row]:
    """Without the difference between nothing and an empty text, which Python's module does not make."""
    return [
        (record, {k: (v or b"").decode() for k, v in row.items()} if isinstance(row, dict) else row)
        for record, row in made
    ]


SOUPS = st.text(alphabet='a,,"""\n\n\r\t\ufeffé', max_size=80)


@settings(max_examples=tried(150))
@given(SOUPS, st.integers(1, 3), st.sampled_from([".csv", ".tsv"]), st.sampled_from(LIMITS), st.sampled_from(BLOCKS))
def test_any_text_is_read_as_python_reads_it(tmp_path, soup, width, suffix, limits, block):
    names, delimiter = ["x", "y", "z"][:width], "\t" if suffix == ".tsv" else ","
    path = write(tmp_path / f"soup{suffix}", delimiter.join(names) + "\n" + soup)
    problem = "a quote is open until the end of the file" if open_at_end(soup, delimiter) else ""
    if problem or cut_short(soup, names, delimiter):
        with pytest.raises(JobError, match=problem or "cut short: its last row, at byte"):
            read(path, names, block=block, **limits)
    else:
        assert as_text(read(path, names, block=block, **limits)) == expected(soup, names, delimiter)


CELLS = st.text(alphabet=st.one_of(st.sampled_from(',"\n\r\t ;\ufeff\x00'), st.characters(codec="utf-8")), max_size=12)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1))


@given(TABLES, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]), st.data())
def test_cells_of_any_text_come_back(tmp_path, table, quoting, end, data):
    names = [f"n{k}" for k in range(len(table[0]))]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([names, *table])
    limits, block = data.draw(st.sampled_from(LIMITS)), data.draw(st.sampled_from(BLOCKS))
    for suffix in [".csv", ".csv.gz"]:
        made = read(write(tmp_path / f"table{suffix}", text.getvalue()), names, block=block, **limits)
        # The writer quotes an empty cell only where it stands alone.
        empty = b"" if quoting == csv.QUOTE_ALL or len(names) == 1 else None
        assert [list(row.values()) for _, row in made] == [[c.encode() or empty for c in row] for row in table]


def test_values_rows_and_records_are_those_of_the_file(tmp_path):
    lines = [f'{k},"{",".join(map(str, range(k % 5)))}",é{k}\n' for k in range(2500)]
    for suffix in [".csv", ".csv.gz"]:
        path = write(tmp_path / f"a{suffix}", "id,seq,name\n" + "".join(lines))
        steps = reads(path, ["name", "seq", "other"], max_batch_rows=1024)
        for k, (record, row) in enumerate(results(steps)):
            assert record == lines[k].encode()
            assert row == {"seq": ",".join(map(str, range(k % 5))).encode(), "name": f"é{k}".encode()}
        assert [step.batch.num_rows for step in steps if step.batch is not None] == [0, 1024, 1024, 452]
        assert all(origin.file_of(step.batch) == str(path) for step in steps)
        assert origin.encode_records(steps[1].batch, np.array([3])) == ("csv", pa.array([lines[3].encode()]))
        assert sum(step.size for step in steps) == SOURCE.parts(str(path))[0].size
        assert SOURCE.features(str(path)) == dict.fromkeys(["id", "seq", "name"], pa.large_string())
        assert steps[0].batch.schema.names == ["id", "seq", "name", origin.ROW_COLUMN, origin.RECORD_COLUMN]


def test_batches_keep_both_limits(tmp_path):
    lines = [f"{k},{'x' * (5000 if k == 300 else k % 50)}\n" for k in range(700)]
    path = write(tmp_path / "a.csv", "id,x\n" + "".join(lines))
    for block in [64, 1000, 1 << 20]:
        batches = [step.batch for step in reads(path, ["id"], block=block, max_batch_rows=100, max_batch_bytes=1000)]
        sizes = [sum(map(len, batch.column(origin.RECORD_COLUMN).to_pylist())) for batch in batches]
        assert sum(batch.num_rows for batch in batches) == 700 and max(batch.num_rows for batch in batches) <= 100
        assert [batch.num_rows for batch, size in zip(batches, sizes, strict=True) if size > 1000] == [1]
    batches = [step.batch for step in reads(path, ["id"], max_batch_rows=7)]
    assert {batch.num_rows for batch in batches[1:]} == {7}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".TSV.GZ"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_dialects(tmp_path, suffix, end, last, mark):
    tab = "tsv" in suffix.lower()
    lines = ['"id",x y,z', '1,"a ""b"", c",', f'2,"d{end}",""']
    text = end.join(line.replace(",", "\t") if tab else line for line in lines) + (end if last else "")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(mark + text.encode()) if suffix.lower().endswith(".gz") else mark + text.encode())
    assert list(SOURCE.features(str(path))) == ["id", "x y", "z"]
    middle = b'a "b"\t c' if tab else b'a "b", c'
    want = [{"id": b"1", "x y": middle, "z": None}, {"id": b"2", "x y": b"d" + end.encode(), "z": b""}]
    for block in BLOCKS[1:] if suffix.endswith("GZ") else BLOCKS:
        assert [row for _, row in read(path, ["id", "x y", "z"], block=block)] == want


def test_nothing_is_absent_and_quoted_nothing_is_an_empty_text(tmp_path):
    made = cells(',""\n"",\n , \nnull,NA\n', ["x", "y"], tmp_path)
    texts = [(None, b""), (b"", None), (b" ", b" "), (b"null", b"NA")]
    assert made == [{"x": x, "y": y} for x, y in texts]


def test_nothing_is_inferred(tmp_path):
    text = '007,1e5\ntrue,2020-01-01\n"1",\n'
    made = cells(text, ["x", "y"], tmp_path)
    assert made == [{"x": b"007", "y": b"1e5"}, {"x": b"true", "y": b"2020-01-01"}, {"x": b"1", "y": None}]


def test_empty_lines_are_no_rows_except_in_a_file_of_one_column(tmp_path):
    assert cells("\n1,2\n\r\n\n3,4\n\n\n", ["x", "y"], tmp_path) == [{"x": b"1", "y": b"2"}, {"x": b"3", "y": b"4"}]
    assert cells('\n1\n""\n\r\n', ["x"], tmp_path) == [{"x": None}, {"x": b"1"}, {"x": b""}, {"x": None}]
    assert cells(" \n1,2\n", ["x", "y"], tmp_path)[0] == "expected 2 cells, got 1"


def test_quotes_within_an_unquoted_cell_are_text(tmp_path):
    assert cells('5" pipe,a"\nb"",c"d"e\n', ["x", "y"], tmp_path) == [
        {"x": b'5" pipe', "y": b'a"'},
        {"x": b'b""', "y": b'c"d"e'},
    ]


BAD = {
    "3\n": "expected 2 cells, got 1",
    "1,2,3\n": "expected 2 cells, got 3",
    ",,\n": "expected 2 cells, got 3",
    '"a\n\nb"\n': "expected 2 cells, got 1",
    '"a\nb",2,\n': "expected 2 cells, got 3",
    '"a"b,2\n': "expected nothing after a closing quote",
    '"a" ,2\n': "expected nothing after a closing quote",
    '"a\nb"c"d",2\n': "expected nothing after a closing quote",
    '1,"a"b,2\n': "expected nothing after a closing quote",
}


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_bad_rows_leave_their_neighbours_alone(tmp_path, end):
    rng = random.Random(4)
    good = ["1,2\n", ',"a\nb"\n', '"a,""b",c\n', "é,\ufeff\n", "\ufeff,x\n"]
    for count in [1, 2, 300]:
        lines = rng.choices([*BAD, *good], k=count)
        text = "".join(lines).replace("\n", end)
        path = write(tmp_path / "a.csv", "x,y\n" + text)
        want = expected(text, ["x", "y"])
        assert [made for _, made in want if isinstance(made, str)] == [BAD[line] for line in lines if line in BAD]
        for limits in LIMITS:
            made = read(path, ["x", "y"], block=100, **limits)
            assert as_text(made) == want
            assert b"".join(record for record, _ in made) == text.encode()


def test_rejected_rows_show_what_they_hold(tmp_path):
    path = write(tmp_path / "a.tsv", b"x\ty\n1\n" + b"\x1b\xff" * 200 + b"\n1\t2\n")
    [table] = [step.rejected for step in reads(path, ["x"]) if step.rejected is not None]
    first, second = table.to_pylist()
    assert (first["file"], first["row"], first["record"], first["record_format"]) == (str(path), 0, b"1\n", "tsv")
    assert second["value"].startswith("\\x1b") and second["value"].isascii() and len(second["value"]) <= 256
    assert second["record"] == b"\x1b\xff" * 200 + b"\n"


def test_bytes_that_are_no_text_are_the_columns_business(tmp_path):
    lines = [b'"\xff ""\xe9\n",1\n', "é,\n".encode(), b"\xef\xbb\xbf\xff,\n", b"\xff\n", b'"\xff"\xff,2\n', b"a,2\n"]
    wanted = [
        {"x": b'\xff "\xe9\n', "y": b"1"},
        {"x": "é".encode(), "y": None},
        {"x": b"\xef\xbb\xbf\xff", "y": None},
        "expected 2 cells, got 1",
        "expected nothing after a closing quote",
        {"x": b"a", "y": b"2"},
    ]
    rng = random.Random(3)
    for limits in LIMITS:
        order = [rng.randrange(len(lines)) for _ in range(200)]
        path = write(tmp_path / "a.csv", b"x,y\n" + b"".join(lines[k] for k in order))
        assert read(path, ["x", "y"], block=100, **limits) == [(lines[k], wanted[k]) for k in order]


@pytest.mark.parametrize("names", [[], ["nothing"]])
def test_rows_without_any_feature_asked_for(tmp_path, names):
    path = write(tmp_path / "a.csv", "x,y\n1,2\n3\n4,5\n")
    assert read(path, names) == [(b"1,2\n", {}), (b"3\n", "expected 2 cells, got 1"), (b"4,5\n", {})]


def test_a_file_of_a_header_alone_has_no_rows(tmp_path):
    for text in ["x,y", "x,y\n", "x,y\r\n\r\n"]:
        path = write(tmp_path / "a.csv", text)
        steps = reads(path, ["x"])
        assert results(steps) == [] and sum(step.size for step in steps) == len(text)
        assert list(SOURCE.features(str(path))) == ["x", "y"]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"", "empty, expected a header"),
        (b"\xef\xbb\xbf", "empty, expected a header"),
        (b"\n1,2\n", "the header is empty"),
        (b'""\n', "the header is empty"),
        (b",,\n", "the header is empty"),
        (b"x,y,x\n1,2,3\n", "has 2 columns named 'x'"),
        (b"a,,\n", "has 2 columns named ''"),
        (b"x,__row__\n", "the column name '__row__' is reserved"),
        (b"x,\xff\n", "the header is not UTF-8 text"),
        ("x,y\n".encode("utf-16"), "UTF-16 text, expected UTF-8"),
        (b'x,"y"z\n1,2\n', "the header has something after a closing quote"),
        (b'x,"y\n1,2\n', "the header cannot be read: a quote is open until the end of the file"),
    ],
)
def test_headers_that_name_no_features(tmp_path, header, what):
    path = write(tmp_path / "a.csv", header)
    for attempt in [lambda: SOURCE.features(str(path)), lambda: read(path, ["x"])]:
        with pytest.raises(JobError, match=r"^\S+/a\.csv: " + what) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_one_column_may_have_no_name(tmp_path):
    """As pandas writes its index."""
    assert cells("0,1\n", ["", "x"], tmp_path) == [{"": b"0", "x": b"1"}]


def test_a_quote_left_open_does_not_swallow_the_rest(tmp_path):
    good = "".join(f"{k},b\n" for k in range(50))
    path = write(tmp_path / "a.csv", f'x,y\n{good}\n1,"oops\n{good}')
    where = len(f"x,y\n{good}\n")
    with pytest.raises(JobError, match=rf"a\.csv: row 50: a quote is open .* starts at byte {where} of the text\)"):
        read(path, ["x"])
    made = read(write(tmp_path / "b.csv", f'x,y\n{good}\n1,"oops\n{good}1,"b"\n{good}'), ["x"])
    assert made[50] == (f'1,"oops\n{good}1,"b"\n'.encode(), "expected nothing after a closing quote")
    assert len(made) == 101 and made[51] == (b"0,b\n", {"x": b"0"})


def test_a_row_that_does_not_end_takes_bounded_memory(tmp_path):
    """Most of all a quote left open at the start of a large file."""
    path = write(tmp_path / "a.csv.gz", b'x,y\n1,2\n3,"' + b"a,b\n" * (16 << 20))
    limits = Limits(max_record_bytes=1 << 20)
    tracemalloc.start()
    with pytest.raises(
        JobError,
        match=r"row 1: it is longer than 1048576 bytes \(--max-record-bytes\) \(the row starts at byte 8 of the text\)",
    ):
        list(SOURCE.read(SOURCE.parts(str(path))[0], {"x": "string"}, limits))
    assert tracemalloc.get_traced_memory()[1] < 48 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("block", [*BLOCKS, 30, 45])
def test_a_row_is_too_long_wherever_blocks_are_cut(tmp_path, block):
    limits = Limits(max_record_bytes=20)
    for size, what in [
        (20, ""),
        (21, "row 2: it is longer"),
        (90, "row 2: it is longer"),
        (500, "row 2: it is longer"),
    ]:
        path = write(tmp_path / "a.csv", b"\xef\xbb\xbfx,y\n1,2\n\n3,4\n" + b"a" * (size - 3) + b",b\n5,6\n")
        with mock.patch.object(compression, "BLOCK_BYTES", block):
            found = SOURCE.read(SOURCE.parts(str(path))[0], {"x": "string"}, limits)
            if what:
                with pytest.raises(
                    JobError,
                    match=rf"{what} than 20 bytes \(--max-record-bytes\) \(the row starts at byte 16 of the text\)",
                ):
                    list(found)
            else:
                assert len(results(list(found))) == 4


def test_a_large_file_takes_bounded_memory(tmp_path):
    line = b'1,"' + b"12," * 30 + b'",x\n'
    path = write(tmp_path / "a.csv.gz", b"x,y,z\n" + line * (1 << 19))
    before, peak, count = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    for step in SOURCE.read(SOURCE.parts(str(path))[0], {"y": "string"}, Limits()):
        peak = max(peak, pa.total_allocated_bytes() - before)
        count += step.batch.num_rows if step.batch is not None else 0
    assert count == 1 << 19
    assert tracemalloc.get_traced_memory()[1] < 32 << 20 and peak < 16 << 20  # of 50 MB
    tracemalloc.stop()


def test_long_rows_are_looked_through_a_few_times(tmp_path):
    path = write(tmp_path / "a.csv", 'x,y\n1,"' + "a\n" * 50_000 + '"\n2,3\n')
    with mock.patch.object(csv_records, "_cut", wraps=csv_records._cut) as cut:
        assert len(read(path, ["x"], block=64)) == 2
    assert sum(len(call.args[0]) for call in cut.call_args_list) < 8 * path.stat().st_size


def test_every_cut_of_a_gzip_file_is_noticed(tmp_path):
    text = "x,y\n" + "".join(f'{k},"a{k * k}"\n' for k in range(300))
    whole = gzip.compress(text.encode())
    for size in [0, *random.Random(2).sample(range(1, len(whole)), 90), *range(len(whole) - 9, len(whole))]:
        (tmp_path / "cut.csv.gz").write_bytes(whole[:size])
        with pytest.raises(JobError, match=r"^\S+/cut.csv.gz: cut short: the gzip stream ended early"):
            read(tmp_path / "cut.csv.gz", ["x"])
    (tmp_path / "packed.csv").write_bytes(whole)
    assert len(read(tmp_path / "packed.csv", ["x"])) == 300


def test_a_last_row_with_too_few_cells_and_no_line_end_was_cut_short(tmp_path):
    for last in [b"3", b'"a"', b'"a,\n"', b"\xff"]:
        for more in [b"1,2\n", b"", b"\n\n", b'"\n",2\r']:
            path = write(tmp_path / "a.csv", b"\xef\xbb\xbfx,y\n" + more + last)
            where = path.stat().st_size - len(last)
            what = (
                rf"^\S+/a\.csv: cut short: its last row, at byte {where} of the text, has 1 of 2 cells and no line end$"
            )
            for block in BLOCKS:
                with pytest.raises(JobError, match=what):
                    read(path, ["x"], block=block)
            assert read(write(path, b"x,y\n" + more + last + b"\n"), ["x"])[-1][1] == "expected 2 cells, got 1"
            assert read(write(path, b"x,y\n" + more + last + b","), ["y"])[-1][1] == {"y": None}
    assert read(write(path, b"x,y\n1,2,3"), ["x"]) == [(b"1,2,3", "expected 2 cells, got 3")]


def test_missing_files(tmp_path):
    with pytest.raises(JobError, match="cannot be read"):
        SOURCE.parts(str(tmp_path / "missing.csv"))
    with pytest.raises(JobError, match="cannot be opened"):
        SOURCE.features(str(tmp_path / "missing.csv"))


def test_the_name_chooses_the_source():
    for name in ["a.csv", "a.TSV", "x/a.csv.gz", "a.tsv.gz"]:
        assert source_for(name) is SOURCE
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE


SPEC = make_spec(
    [
        passthrough_column("id", "int64"),
        passthrough_column("name"),
        sequence_categorical_column_with_identity("ids", 10, delimiter=","),
        sequence_numeric_column("x", delimiter="|"),
        numeric_column("w", default_value=7.0),
    ],
    SequenceGroup(max_length=3),
)


def lines(rng: random.Random, count: int) -> tuple[list[str], list[Mapping[str, Any]]]:
    """Lines of a file of the spec's features, and what the job must say of each: its row, or why it is rejected."""
    texts: list[str] = []
    wanted: list[Mapping[str, Any]] = []
    for k in range(count):
        ids = [rng.randrange(10) for _ in range(rng.randrange(5))]
        x = [rng.randrange(100) / 4 for _ in ids]
        row = {"id": k, "name": rng.choice(['a "b"\nc', "é, è", "plain"]), "ids": ids, "x": x, "w": None}
        bad = rng.choice([None, None, "bad_record", "not_an_integer", "out_of_range", "invalid_utf8"])
        row["w"] = rng.choice([None, 1.5])
        shown = [k, row["name"], ",".join(map(str, ids)), "|".join(map(str, x)), "" if row["w"] is None else row["w"]]
        if bad == "not_an_integer":
            shown[0] = "1.5"
        if bad == "out_of_range":
            shown[2], shown[3] = "1,10", "1|2"
        if bad == "invalid_utf8":
            shown[1] = "\udcff"
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerow(["unread", *shown, *(["more"] if bad == "bad_record" else [])])
        texts.append(out.getvalue())
        wanted.append({"reason": bad} if bad else row)
    return texts, wanted


def test_a_row_that_was_kept_is_read_as_it_stood():
    """As a repair does: each text is one row, whatever stands in it, under the header that the file had."""
    texts = [b"1,a", b'2,"oo', b"3,b\n", b"4,c\n5,d", b""]
    found = list(CSV().decoded(texts, "f.csv", {"x": "float32", "w": "string"}, "x,w"))
    (good,) = (batch for batch, _ in found if batch is not None)
    assert [good.column(name).to_pylist() for name in ("x", "w")] == [[b"1", b"3"], [b"a", b"b"]]
    assert good.column(origin.ROW_COLUMN).to_pylist() == [0, 2]
    (bad,) = (batch for _, batch in found if batch is not None)
    assert bad["row"].to_pylist() == [1, 3, 4] and bad["record"].to_pylist() == [texts[k] for k in (1, 3, 4)]
    assert set(bad["message"].to_pylist()) == {"expected the text of one row"}


@pytest.mark.slow
def test_a_job(tmp_path):
    texts, wanted = lines(random.Random(1), 300)
    data = ("other,id,name,ids,x,w\n" + "".join(texts)).encode("utf-8", "surrogateescape")
    path = write(tmp_path / "a.csv.gz", data)
    outcome = done(SPEC, path, tmp_path / "out", format="parquet", max_rejected=1.0)
    assert_balanced(outcome.ledger)
    rejected = read_rejected(outcome.rejected_files).to_pylist()
    bad = {k: want["reason"] for k, want in enumerate(wanted) if "reason" in want}
    assert {found["row"]: reason_of(found) for found in rejected} == {k: simple(bad[k]) for k in bad}
    for found in rejected:
        assert found["record"] == texts[found["row"]].encode("utf-8", "surrogateescape")
        assert found["record_format"] == "csv" and found["file"] == str(path)
    made = read_arrays(tmp_path / "out", sort_by="id")
    good = [want for want in wanted if "id" in want]
    assert made["id"].tolist() == [row["id"] for row in good]
    for k, row in enumerate(good):
        assert made["name"][k] in (row["name"], row["name"].encode())
        np.testing.assert_array_equal(made["ids"][k], (row["ids"][:3] + [-1] * 3)[:3])
        np.testing.assert_array_equal(made["x"][k].reshape(-1), (row["x"][:3] + [0.0] * 3)[:3])
        assert made["w"][k] == (7.0 if row["w"] is None else row["w"])


def reason_of(found: Mapping[str, Any]) -> str:
    return simple(found["reason"])


def simple(reason: str) -> str:
    """Text that is no integer has a reason of its own."""
    return {"not_a_number": "not_an_integer"}.get(reason, reason)


def test_a_column_that_the_header_lacks_stops_the_job(tmp_path):
    path = write(tmp_path / "a.csv", "id,nam,ids,x,w\n1,a,1,1,1\n")
    with pytest.raises(JobError, match=r"column 'name': the file has no feature 'name'; did you mean 'nam'"):
        run_job(SPEC, path, tmp_path / "out")
    write(tmp_path / "b.csv", "id,name,ids,x,w\n1,a,1,1,1\n")
    write(tmp_path / "c.csv", "id,nam,ids,x,w\n1,a,1,1,1\n")
    with pytest.raises(JobError, match=r"c\.csv: column 'name': .*did you mean 'nam'"):
        run_job(SPEC, [tmp_path / "b.csv", tmp_path / "c.csv"], tmp_path / "out")


ODD_ROWS = [["1", "a,b", "x"], ["2", "c;d|e", 'a "q"'], ["3", "", "f\tg"]]


class TestDelimiters:
    """Found in the header, or named by the line before it."""

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01"])
    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_found(self, delimiter, suffix, end, tmp_path):
        text = io.StringIO(newline="")
        made = csv.writer(text, delimiter=delimiter, lineterminator=end)
        made.writerows([["id", "what, if", "z"], *ODD_ROWS])  # the comma in quotes where it is the delimiter
        header = text.getvalue() if delimiter == "," else text.getvalue().replace("what, if", '"what, if"')
        path = write(tmp_path / f"a{suffix}", header)
        for block in BLOCKS:
            found = [row for _, row in read(path, ["id", "what, if", "z"], block=block)]
            assert [[(v or b"").decode() for v in row.values()] for row in found] == ODD_ROWS

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "~", " "])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_named(self, delimiter, mark, tmp_path):
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["id", "a,b;c", "z"], *ODD_ROWS])
        path = write(tmp_path / "a.csv", f"{mark}sep={delimiter}\r\n{text.getvalue()}")
        for block in BLOCKS:
            found = [row for _, row in read(path, ["id", "a,b;c", "z"], block=block)]
            assert [[(v or b"").decode() for v in row.values()] for row in found] == ODD_ROWS

    def test_rejected_rows_are_read_again(self, tmp_path):
        """By the header that is kept with them."""
        for name, text in (("a.csv", "id;x\n1;2\n3\n"), ("b.csv", "sep=~\nid,;~x\n1~2\n3\n")):
            [bad] = [step.rejected for step in reads(write(tmp_path / name, text), ["x"]) if step.rejected]
            assert bad.column("message").to_pylist() == ["expected 2 cells, got 1"]
            header = bad.column("header")[0].as_py()
            mended = b"3;9\n" if name == "a.csv" else b"3~9\n"
            [(good, none)] = SOURCE.decoded([mended], name, {"x": "string"}, header)
            assert good is not None and none is None and good.column("x").to_pylist() == [b"9"]

    def test_a_place_after_a_line_that_names_it(self, tmp_path):
        path = write(tmp_path / "a.csv", "sep=;\nid;x\n1;2\n3")
        with pytest.raises(JobError, match="its last row, at byte 15 of the text, has 1 of 2 cells and no line end"):
            read(path, ["x"])
