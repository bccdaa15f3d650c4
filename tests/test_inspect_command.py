"""The command `seqcols inspect`: what goes where, what it refuses, and errors as those of a run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import LARGEST, load, loads
from pipeline.command.demo import make_sample
from pipeline.command.tf_examples import write_examples
from pipeline.inspect.inspection import Inspection
from tests.inspecting import inspected
from tests.jobs import call
from transforms.errors import JobError

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current directory: good input, and much that is wrong."""
    monkeypatch.chdir(tmp_path)
    write_examples("in.tfrecord", [{"id": f"user {k}", "videos": [k, k % 3]} for k in range(9)])
    whole = Path("in.tfrecord").read_bytes()
    Path("cut.tfrecord").write_bytes(whole[:-5])
    Path("flipped.tfrecord").write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])
    Path("text.parquet").write_text("this is no Parquet file at all")
    Path("empty.csv").write_text("")
    Path("open.csv").write_text('a,b\n1,"2\n')
    Path("cut.jsonl").write_text('{"videos": [1]}\n{"videos": [')
    write_examples("none.tfrecord", [])
    write_examples("garbage.tfrecord", [b"", b"no tf.Example"])
    Path("dir").mkdir()
    return tmp_path


def test_the_draft_goes_to_stdout_and_the_table_to_stderr(folder):
    result = call("inspect", "in.tfrecord")
    assert result.exit_code == 0, result.output
    assert [column.key for column in loads(result.stdout).columns] == ["id", "videos"]
    assert result.stderr.startswith("sample: 9 rows, all rows of 1 file\n\nfeature ")
    assert result.stderr.endswith("\nnext: seqcols check COLUMNS.yaml --input in.tfrecord\n")


def test_the_next_command_is_named_and_can_be_pasted(folder):
    assert Inspection(["a b/*.csv", "c"], output="d e.yaml").next_command == (
        "seqcols check 'd e.yaml' --input 'a b/*.csv' --input c"
    )
    assert Inspection([f"{k}.csv" for k in range(500)]).next_command == "seqcols check COLUMNS.yaml --input FILES"
    said = call("inspect", "in.tfrecord", "-o", "c.yaml")
    *_, line = said.stdout.splitlines()
    assert line == "next: seqcols check c.yaml --input in.tfrecord"
    done = call(*shlex.split(line)[2:])
    assert done.exit_code == 0 and "9 read" in done.stdout, done.output


@pytest.mark.slow
def test_a_file_is_written_and_the_table_goes_to_stdout(folder):
    result = call("inspect", "in.tfrecord", "-o", "columns.yaml")
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout.startswith("sample: 9 rows, ")
    assert result.stdout.endswith(
        "\n\ncolumns file: columns.yaml\nnext: seqcols check columns.yaml --input in.tfrecord\n"
    )
    assert Path("columns.yaml").read_text() == call("inspect", "in.tfrecord").stdout
    assert call("run", "columns.yaml", "--input", "in.tfrecord", "--output", "out").exit_code == 0


def test_a_file_that_is_there_is_not_replaced_unless_asked(folder):
    Path("columns.yaml").write_text("mine")
    result = call("inspect", "missing.tfrecord", "--output", "columns.yaml")  # said before the input is looked for
    assert result.exit_code == 2
    assert result.stderr == "seqcols: error: --output 'columns.yaml': is there already; --overwrite replaces it\n"
    assert Path("columns.yaml").read_text() == "mine"
    assert call("inspect", "in.tfrecord", "-o", "columns.yaml", "--overwrite").exit_code == 0
    assert load("columns.yaml").columns


WRONG = [
    (["in.tfrecord", "-o", "dir"], 2, "--output 'dir': is a directory, give the name of a file"),
    (["in.tfrecord", "-o", "gs://a/b"], 2, "--output 'gs://a/b': expected a file of this machine"),
    (["in.tfrecord", "-o", "no/columns.yaml"], 1, "no/columns.yaml: no such file or directory"),
    (["in.tfrecord", "--rows", "0"], 2, "0 is not in the range x>=1"),
    (["in.tfrecord", "--max-unpack-ratio", "0.5"], 2, "--max-unpack-ratio: expected 1 or more, got 0.5"),
    (["in.tfrecord", "--max-record-bytes", "0"], 2, "--max-record-bytes: expected 1 or more, got 0"),
    (["none.tfrecord"], 1, "no feature was found in 0 rows"),
    (["garbage.tfrecord"], 1, "no feature was found in 1 rows; 1 rows cannot be decoded"),
    ([], 2, "missing argument 'FILES...'"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_wrong_use_is_said_in_one_line(folder, arguments, code, message):
    result = call("inspect", *arguments)
    assert result.exit_code == code
    assert message in result.stderr.splitlines()[-1]
    assert len([line for line in result.stderr.splitlines() if "error" in line]) == 1


BROKEN = [
    "cut.tfrecord",
    "flipped.tfrecord",
    "text.parquet",
    "empty.csv",
    "open.csv",
    "cut.jsonl",
    "missing.csv",
    "no*.csv",
    "dir",
]


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_cannot_be_read_are_told_as_a_run_tells_them(folder, name):
    columns = [
        {"type": "sequence_categorical_column_with_hash_bucket", "key": k, "hash_bucket_size": 9} for k in ("videos",)
    ]
    if name.endswith("csv"):
        columns = [{"type": "passthrough_column", "key": "a"}, {"type": "numeric_column", "key": "b"}]
    if name.endswith("tfrecord"):
        columns[0]["dtype"] = "int64"
    Path("c.yaml").write_text(json.dumps({"columns": columns}))
    theirs = call("check", "c.yaml", "--input", name)
    ours = call("inspect", name)
    assert ours.exit_code == theirs.exit_code == 1
    (line,) = ours.stderr.splitlines()
    assert line == theirs.stderr.splitlines()[-1]
    assert "Traceback (most recent call last):" in call("inspect", name, "--debug").stderr


def test_what_an_error_beyond_the_sample_is(folder):
    """Of a long file the first rows are read; what is broken after them shows in a run."""
    Path("long.jsonl").write_text('{"n": [1, 2]}\n' * 20_000 + "{")
    assert call("inspect", "long.jsonl", "--rows", "10").exit_code == 0


def test_features_that_no_column_takes_are_left_out_with_the_reason(folder):
    table = pa.table(
        {
            "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "nothing": pa.nulls(2, pa.int64()),
            "hollow": pa.array([[], []], pa.list_(pa.float32())),
            "deep": [[[[1]]], [[[2]]]],
            "uneven": [[[0.5], [0.5, 1.5]], []],
            "nan": [float("nan"), float("inf")],
            "n\x1b[31m\n": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "array": ["[1, 2]", "z"],
            "fine": [1, 2],
        }
    )
    pq.write_table(table, "odd.parquet")
    result = call("inspect", "odd.parquet")
    assert [column.key for column in loads(result.stdout).columns] == ["fine"]
    reasons = re.findall(r"# left out: (.*)", result.stdout)
    left = dict(zip(re.findall(r"^  # - key: (.*)$", result.stdout, re.M), reasons, strict=True))
    assert left == {
        "map": "no column takes 2 map",
        "nothing": "no row of the sample holds a value",
        "hollow": "no row of the sample holds a value",
        "deep": "lists deeper than one a step",
        "uneven": "steps of 1 to 2 numbers: a column takes steps of one width",
        "nan": "no number is finite",
        "array": "1 of 2 texts are arrays, such as [1, 2]: some are not, so that no delimiter takes them apart",
        '"n\\e[31m\\n"': "no column takes 2 map",
    }
    assert all(line.isprintable() for line in result.output.splitlines())


def test_nothing_that_a_column_takes(folder):
    pq.write_table(
        pa.table({"bag": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "x": pa.nulls(1)}), "odd.parquet"
    )
    result = call("inspect", "odd.parquet")
    assert (
        result.exit_code == 1 and "no feature can be a column, among them 'bag': no column takes 1 map" in result.stderr
    )
    assert result.stdout == ""


@pytest.mark.slow
def test_keys_alone_make_no_job(folder):
    """One of them becomes something dense."""
    pq.write_table(pa.table({"a": ["x", "y"], "b": ["v", "w"]}), "keys.parquet")
    call("inspect", "keys.parquet", "-o", "c.yaml")
    assert [c.type_name for c in load("c.yaml").columns] == [
        "categorical_column_with_hash_bucket",
        "passthrough_column",
    ]
    assert call("run", "c.yaml", "--input", "keys.parquet", "--output", "out").exit_code == 0


def test_a_feature_that_some_files_lack_is_no_column_where_files_have_schemas(folder):
    pq.write_table(pa.table({"a": [1, 2], "b": [1, 2]}), "1.parquet")
    pq.write_table(pa.table({"a": [1, 2], "c": [True, True]}), "2.parquet")
    text = inspected("1.parquet", "2.parquet").text()
    assert [column.key for column in loads(text).columns] == ["a"]
    assert "2.parquet: there is no such feature" in text.replace("\n  #", "")


def test_a_schema_counts_even_where_no_row_of_its_file_is_looked_at(folder):
    pq.write_table(pa.table({"a": [1, 2], "b": [1, 2]}), "1.parquet")
    pq.write_table(
        pa.table({"a": [1, 2], "b": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8()))}), "2.parquet"
    )
    text = inspected("1.parquet", "2.parquet", rows=1).text()
    assert "2.parquet: expected values that fit float32, got map<string, int8" in text.replace("\n  #", "")


def test_few_bad_rows_do_not_spoil_a_column(folder):
    """Nor do they count as accepted: the draft says what becomes of them."""
    Path("in.csv").write_text("n,w\n" + "1.5,a\n" * 299 + "n/a,b\n")
    text = inspected("in.csv").text()
    assert "# It rejects 1 of these rows." in text and "'n': not_a_number: n/a - expected a number" in text
    assert {c.key: c.type_name for c in loads(text).columns}["n"] == "numeric_column"
    Path("in.csv").write_text("n,w\n" + "1.5,a\n" * 90 + "n/a,b\n" * 10)
    words = loads(inspected("in.csv").text()).columns[0]
    assert words.type_name == "categorical_column_with_learned_vocabulary"


def test_a_long_bad_value_is_shortened_in_the_draft(folder):
    """As it is in a run's rejected rows: one list of many values would fill the head of the file."""
    rows = [{"x": [1.5, 2.0]}] * 299 + [{"x": ["n/a", *range(1000)]}]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = inspected("in.jsonl").text()
    assert "'x': wrong_type: ['n/a', 0, 1, 2, " in text and "... - expected" in text.replace("\n#  ", "")
    assert "999" not in text and "seqcols: what" not in text


@pytest.mark.slow
def test_wide_data(folder):
    """Where comments would make the file too large, it has none; where there are too many columns, that is said."""
    pq.write_table(pa.table({f"feature number {k}": [k, k + 1] for k in range(1500)}), "wide.parquet")
    text = inspected("wide.parquet").text()
    assert len(text.encode()) <= LARGEST and len(loads(text).columns) == 1500
    pq.write_table(pa.table({f"{k}": [k, k + 1] for k in range(5000)}), "wide.parquet")
    with pytest.raises(JobError, match="5,000 features: "):
        inspected("wide.parquet").text()


def test_the_draft_in_the_docs_is_that_of_the_demo(folder):
    _, inputs, _ = make_sample("build/demo")
    page = (Path(__file__).parent.parent / "docs/inspect.md").read_text()
    assert inspected(inputs).text() in page
