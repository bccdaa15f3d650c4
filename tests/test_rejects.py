"""`seqcols rejects`: rejected rows for people, and their records in a file that is mended and put through repair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import dumps
from pipeline.dataset.manifest import read as read_manifest
from pipeline.inputs.originals import endings, places_file
from pipeline.sources.formats import SOURCES
from tests.faults.formats import example, framed
from tests.jobs import call, done, read_arrays, run_job
from tests.marks import slow_but
from tests.test_repair import FORMATS, ROWS, made, spec
from tests.test_repair_events import MENDED, SHOPPING, assert_like, clean_run, events_of, spec_of, write_both
from transforms import make_spec, numeric_column

FIXED: list[dict[str, Any]] = [row if row["id"] % 7 else {**row, "x": [0.5]} for row in ROWS]
BAD = [row for row in FIXED if not row["id"] % 7]


def mend(path: Path) -> None:
    """Writes 0.5 in place of what is no number, each row where it was."""
    if path.suffix == ".tfrecord":
        path.write_bytes(framed([example(row) for row in BAD]))
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        at = table.schema.get_field_index("x")
        assert table["id"].to_pylist() == [row["id"] for row in BAD]
        mended = pa.array([row["x"] for row in BAD], table.schema.field("x").type)
        pq.write_table(table.set_column(at, "x", mended), path)
    else:
        text = path.read_text()
        assert text.lower().count("nan") == len(BAD)
        path.write_text(text.replace("NaN", "0.5").replace("nan", "0.5"))


@pytest.mark.parametrize("name", slow_but(FORMATS, "a.jsonl", "a.csv"))
def test_what_is_written_mended_and_repaired_is_all_there(name, tmp_path):
    source, root = made(tmp_path, name), tmp_path / "out"
    done(spec(name), source, root, max_rejected=1.0, format="parquet")
    (tmp_path / "c.yaml").write_text(dumps(spec(name)))
    path = tmp_path / f"mended.{ {'a.tfrecord.gz': 'tfrecord', 'null.avro': 'parquet'}.get(name, name.split('.')[-1]) }"
    said = call("rejects", root, "-o", path)
    command = f"  seqcols repair {path} --columns COLUMNS.yaml --output {root}"
    assert said.exit_code == 0 and said.stdout.endswith(f"and then:\n{command}\n"), said.output
    if path.suffix in (".jsonl", ".csv"):
        lines = source.read_bytes().splitlines(keepends=True)
        head, rows = (lines[:1], lines[1:]) if path.suffix == ".csv" else ([], lines)
        assert path.read_bytes() == b"".join([*head, *(rows[row["id"]] for row in BAD)])
    mend(path)
    mended = call("repair", path, "--columns", tmp_path / "c.yaml", "--output", root)
    assert mended.exit_code == 0, mended.output
    made(tmp_path, name, FIXED)
    whole = done(spec(name), source, tmp_path / "whole", format="parquet")
    found, expected = (read_arrays(tmp_path / one, sort_by="id") for one in ("out", "whole"))
    assert found.keys() == expected.keys() and len(found["id"]) == len(ROWS) == whole.ledger["rows"]["written"]
    for feature, values in expected.items():
        np.testing.assert_array_equal(found[feature], values, feature)
    assert read_manifest(str(root)).content["rejected"]["rows"] == 0


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """A folder with a data set of JSON and CSV files, in two splits, and rows that were rejected for several reasons."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "a.jsonl").write_text('{"x": 1, "y": 1}\n{"x": "one", "y": 1}\n{"x": 1, "y": "\\u001b[31m"}\nno JSON\n')
    (folder / "b.csv").write_text("x,y\n1,1\n1,1,1\none,1\n")
    (folder / "c.csv").write_text("y,x\n1,1\nNaN,1\n")
    columns = make_spec([numeric_column("x"), numeric_column("y")])
    inputs = [f"train={folder / 'a.jsonl'}", f"test={folder}/*.csv"]
    done(columns, inputs, folder / "out", max_rejected=1.0)
    (folder / "columns.yaml").write_text(dumps(columns))
    return folder


def test_rows_are_shown_by_file_and_row(mixed):
    said = call("rejects", mixed / "out")
    assert said.exit_code == 0 and said.stderr == "seqcols: 6 of 6 rejected rows\n"
    assert said.stdout.replace(f"{mixed}/", "").splitlines() == [
        "a.jsonl row 1: not_a_number: column 'x': one - expected a number",
        '    {"x": "one", "y": 1}',
        "a.jsonl row 2: not_a_number: column 'y': \\x1b[31m - expected a number",
        '    {"x": 1, "y": "\\\\u001b[31m"}',
        "a.jsonl row 3: bad_record: no JSON - expected one JSON object: expecting value at character 1",
        "    no JSON",
        "b.csv row 1: bad_record: 1,1,1\\n - expected 2 cells, got 3",
        "    1,1,1",
        "b.csv row 2: not_a_number: column 'x': one - expected a number",
        "    one,1",
        "c.csv row 1: non_finite: column 'y': nan - expected finite numbers (non_finite: reject)",
        "    NaN,1",
    ]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--reason", "bad_record"], ["a.jsonl row 3", "b.csv row 1"]),
        (["--column", "x"], ["a.jsonl row 1", "b.csv row 2"]),
        (["--split", "test", "--reason", "not_a_number"], ["b.csv row 2"]),
        (["--reason", "missing"], []),
    ],
)
def test_rows_are_chosen(mixed, options, rows):
    said = call("rejects", mixed / "out", *options)
    found = [line.split(":")[0] for line in said.stdout.replace(f"{mixed}/", "").splitlines()[::2]]
    assert (said.exit_code, found) == (0, rows)
    assert said.stderr == f"seqcols: {len(rows)} of 6 rejected rows\n"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--reason", "misssing"], "--reason: unknown reason 'misssing'; did you mean 'missing'?"),
        (["--column", "z"], "--column: 'OUT' has no column 'z'; expected one of x, y"),
        (["--split", "tests"], "--split: expected one of train, test, got 'tests'; did you mean 'test'?"),
        (["--events"], "--events: 'OUT' was not made of events"),
        (["-o", "OUT"], "--output 'OUT': is a directory, give the name of a file"),
        (
            ["-o", "OUT/../a.jsonl", "--overwrite"],
            "--output 'OUT/../a.jsonl': is an input of the data set, give the name of another file",
        ),
        (["-o", "OUT.jsonl", "--reason", "missing"], "--output 'OUT.jsonl': none of the rejected rows is asked for"),
        (
            ["-o", "OUT.tfrecord", "--split", "test"],
            "--output 'OUT.tfrecord': records of the format csv (3) go to .csv",
        ),
    ],
)
def test_what_no_row_can_have_is_refused(mixed, options, error):
    root = str(mixed / "out")
    said = call("rejects", root, *(option.replace("OUT", root) for option in options))
    assert (said.exit_code, said.stderr) == (2, f"seqcols: error: {error.replace('OUT', root)}\n")
    assert not list(mixed.glob("out.*"))


def test_files_of_other_headers_and_formats(mixed, tmp_path):
    said = call("rejects", mixed / "out", "-o", tmp_path / "m.csv")
    assert said.exit_code == 0, said.output
    assert "not written: records of the format json (3) go to .jsonl or .ndjson\n" in said.stdout
    held = {path.name: path.read_text() for path in tmp_path.glob("*.csv")}
    assert held == {"m.csv": "x,y\n1,1,1\none,1\n", "m-2.csv": "y,x\nNaN,1\n"}
    again = call("rejects", mixed / "out", "-o", tmp_path / "m.csv")
    assert again.exit_code == 2 and again.stderr.endswith("m.csv': is there already; --overwrite replaces it\n")
    assert call("rejects", mixed / "out", "-o", tmp_path / "m.csv", "--overwrite").exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.glob("*.csv")} == held


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "x,y\n1,1\n",
            "has 1 rows, expected the 2 of PLACES, in their order; those that cannot be mended may stay as they are",
        ),
        ("y,x\n1,1\n1,1\n", "expected the header 'x,y', as it was, got 'y,x'"),
    ],
)
def test_a_file_that_does_not_fit_its_places_is_refused(mixed, tmp_path, text, error):
    path = tmp_path / "m.csv"
    assert call("rejects", mixed / "out", "-o", path, "--column", "x", "--split", "test").exit_code == 0
    assert path.read_text() == "x,y\none,1\n"
    assert call("rejects", mixed / "out", "-o", path, "--overwrite").exit_code == 0
    path.write_text(text)
    arguments = ["repair", path, "--columns", mixed / "columns.yaml", "--output", mixed / "out"]
    said = call(*arguments)
    places = places_file(str(path))
    assert (said.exit_code, said.stderr) == (1, f"seqcols: error: {path}: {error.replace('PLACES', places)}\n")
    held = Path(places).read_bytes()
    pq.write_table(pa.table({"row": [1, 2]}), places)
    said = call(*arguments)
    assert said.exit_code == 1 and said.stderr.endswith(f"{places}: expected the columns 'file' and 'row', got row\n")
    Path(places).write_bytes(held[:-9])
    said = call(*arguments)
    assert said.exit_code == 1 and f"{places}: damaged, cut short" in said.stderr
    other = path.rename(tmp_path / "m.txt")
    Path(places_file(str(other))).write_bytes(held)
    said = call(arguments[0], other, *arguments[2:])
    assert said.exit_code == 1 and "m.txt: its name does not say its format" in said.stderr
    Path(places).unlink()
    path.write_text(text)
    said = call(*arguments)
    assert said.exit_code == 2 and f"with the file of places {places} beside it" in said.stderr


def test_rows_of_a_run_that_published_nothing(tmp_path):
    source = made(tmp_path, "a.jsonl")
    assert run_job(spec(), source, tmp_path / "out", max_rejected=0.0).status == "too_many_rejected"
    said = call("rejects", tmp_path / "out")
    assert said.exit_code == 0 and said.stdout.count("row ") == len(BAD)
    assert said.stderr.splitlines()[1].startswith("seqcols: these are of the last run, which published nothing")
    said = call("rejects", tmp_path / "none")
    assert said.exit_code == 1 and "holds no finished data set" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_rejected_events_are_mended_likewise(name, tmp_path):
    rows, root = events_of(1), tmp_path / "out"
    bad = [k for k, row in enumerate(rows) if row["user"] in MENDED]
    dirty, clean = write_both(tmp_path, rows, bad, name)
    columns = spec_of(SHOPPING)
    done(columns, dirty / "*", root, max_rejected=1.0, format="parquet")
    (tmp_path / "c.yaml").write_text(dumps(columns))
    assert "events were rejected, which --events shows" in call("rejects", root).stderr
    path = tmp_path / f"mended.{name}"
    assert call("rejects", root, "--events", "-o", path).exit_code == 0
    places = pq.read_table(places_file(str(path))).to_pylist()
    half = len(rows) // 2
    fixed = [rows[place["row"] + half * (Path(place["file"]).name[0] == "b")] for place in places]
    if name == "parquet":
        pq.write_table(pa.Table.from_pylist(fixed, pq.read_schema(path)), path)
    elif name == "csv":
        path.write_text("user,at,item,price\n" + "".join(",".join(map(str, row.values())) + "\n" for row in fixed))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in fixed))
    said = call("repair", path, "--columns", tmp_path / "c.yaml", "--output", root)
    assert said.exit_code == 0, said.output
    clean_run(columns, clean, tmp_path / "whole", by=None)
    assert_like(root, tmp_path / "whole")


def test_every_format_of_records_has_an_ending():
    assert all(endings(name) for source in SOURCES.values() for name in (*source.record_formats, "arrow-ipc"))
    assert endings("tsv") == (".tsv",) and endings("unknown") == ()
