"""The command as a person uses it: exit codes, messages, and what is left on the disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click.testing
import pyarrow.parquet as pq
import pytest

from pipeline.command.tf_examples import write_examples
from pipeline.dataset.manifest import read as read_manifest
from tests.jobs import call, listing, read_arrays, read_json, read_rejected

pytestmark = pytest.mark.usefixtures("command_line")

COLUMNS = """\
sequence_groups:
  watch: {max_length: 3}
columns:
  - {type: passthrough_column, key: id, dtype: int64}
  - {type: sequence_categorical_column_with_identity, key: videos, num_buckets: 10, group: watch}
"""
ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two files of 10 good rows each and one bad row in the first, and a columns file."""
    (tmp_path / "columns.yaml").write_text(COLUMNS)
    for part in range(2):
        rows: list[Any] = [{"id": 10 * part + k, "videos": [k, k]} for k in range(10)]
        write_examples(str(tmp_path / f"in-{part}.tfrecord"), [*rows, {"id": 99, "videos": [11]}][: 11 - part])
    return tmp_path


def run(folder: Path, *more: Any, output: str = "out", pattern: str = "in-*.tfrecord") -> click.testing.Result:
    return call("run", folder / "columns.yaml", "--input", folder / pattern, "--output", folder / output, *more)


def test_help_and_spec_errors_load_nothing_heavy(tmp_path):
    (tmp_path / "columns.yaml").write_text(COLUMNS.replace("num_buckets", "num_bucket"))
    program = """
import sys
from pipeline.command.commands import cli
codes = []
for arguments in (["--help"], ["run", "--help"], ["--version"], ["run", sys.argv[1], "--input", "x", "--output", "y"],
                  ["check", "nowhere.yaml", "--input", "x"], ["plan", "nowhere.yaml", "--input", "x"]):
    try:
        cli(arguments)
    except SystemExit as end:
        codes.append(end.code)
print(codes, [name for name in ("tensorflow", "apache_beam", "tfx_bsl", "pandas") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "columns.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[0, 0, 0, 2, 2, 2] []"
    assert "--max-rejected" in done.stdout and "Exit codes: 0 done, 1 failed, 2 wrong use" in done.stdout


def test_a_run_and_its_summary(folder):
    result = run(folder)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "rows: 21 read, 20 written, 1 rejected (4.76%), 1 pass" in text and "the ledger balances" in text
    assert (
        "out_of_range: 1" in text
        and "in-0.tfrecord row 10 column 'videos': 11 at step 0 - expected an id in [0, 10)" in text
    )
    for name in ("manifest.json", "examples/", "rejected/", "transform/", "statistics.json", "ledger.json"):
        assert name in text and (folder / "out" / name).exists()
    assert str(folder / "out") in text
    assert read_arrays(folder / "out", sort_by="id")["videos"].tolist() == [[k % 10, k % 10, -1] for k in range(20)]
    assert not [name for name in listing(folder / "out") if name.startswith(".")]

    again = run(folder)
    assert again.exit_code == 2 and "holds a finished data set; --overwrite replaces it" in again.stderr


@pytest.mark.slow
def test_overwriting_with_fewer_shards_leaves_no_old_file(folder):
    """Many files give several shards; then one."""
    for k in range(2, 6):
        write_examples(str(folder / f"in-{k}.tfrecord"), [{"id": 100 + k, "videos": [1]}])
    assert run(folder, "--workers", 2).exit_code == 0
    before = set(listing(folder / "out" / "examples"))
    assert read_manifest(str(folder / "out")).rows == 24
    (folder / "out" / "notes.txt").write_text("somebody's own")
    result = run(folder, "--overwrite", "--format", "parquet", pattern="in-1.tfrecord")
    assert result.exit_code == 0, result.output
    after = listing(folder / "out" / "examples")
    assert len(after) == 1 and not before & set(after) and after[0].endswith(".parquet")
    assert listing(folder / "out" / "rejected") == [] and (folder / "out" / "notes.txt").exists()
    manifest = read_manifest(str(folder / "out"))
    assert manifest.files == [str(folder / "out" / "examples" / after[0])]
    assert pq.read_table(manifest.files[0])["id"].to_pylist() == list(range(10, 20))
    assert sum(counts["rows"] for counts in manifest.content["examples"]["files"]) == manifest.rows == 10


@pytest.mark.slow
def test_check_says_the_same_as_a_run_and_writes_nothing(folder):
    assert run(folder).exit_code == 0
    ledger = read_json(folder / "out", "ledger.json")
    before = listing(folder)
    result = call("check", folder / "columns.yaml", "--input", folder / "in-*.tfrecord")
    assert result.exit_code == 0 and listing(folder) == before
    assert "21 read, 20 accepted, 1 rejected" in result.stdout and "in-0.tfrecord row 10" in result.stdout
    for name, counts in ledger["columns"].items():
        line = next(line for line in result.stdout.splitlines() if line.startswith(f"{name} "))
        shown = [counts[what] for what in ("values", "kept", "truncated", "rejected", "padded", "replaced", "filled")]
        assert [int(figure.replace(",", "")) for figure in line.split()[1:]] == shown


@pytest.mark.slow
def test_check_gives_the_ledger_of_the_run(folder):
    from pipeline.columns_file.reader import load
    from pipeline.job.request import Request
    from pipeline.job.running import check

    spec = load(folder / "columns.yaml")
    checked = check(Request(spec, [str(folder / "in-*.tfrecord")]))
    assert run(folder).exit_code == 0
    assert checked.ledger == read_json(folder / "out", "ledger.json")


@pytest.mark.parametrize("command", ["run", "check"])
def test_too_many_rejects_have_a_code_of_their_own(folder, command):
    output = ["--output", folder / "out"] if command == "run" else []
    result = call(
        command, folder / "columns.yaml", "--input", folder / "in-0.tfrecord", *output, "--max-rejected", 0.05
    )
    assert result.exit_code == 3
    assert "1 of 11 rows rejected (9.09%), --max-rejected allows 5.00%" in result.stderr
    if command == "run":
        kept = listing(folder / "out")
        assert kept and all(name.startswith("rejected/") for name in kept)
        tables = [str(folder / "out" / name) for name in kept if name.endswith(".parquet")]
        assert read_rejected(tables)["row"].to_pylist() == [10]
        assert [
            json.loads((folder / "out" / name).read_text())["rows"]["read"] for name in kept if name.endswith("json")
        ] == [11]


WRONG_USE = [
    (["--format", "csv"], "csv"),
    (["--max-rejected", "2"], "--max-rejected: expected a fraction from 0 to 1, got 2.0"),
    (["--workers", "-1"], "--workers: expected 0"),
    (["--max-rejectd", "0.5"], "unknown option '--max-rejectd'; did you mean '--max-rejected'?"),
    (["--overwite"], "unknown option '--overwite'; did you mean '--overwrite'?"),
    (["--runer=X"], "unknown option '--runer'; did you mean '--runner'?"),
    (["--output", "a/../link"], "is a symbolic link"),
    (["--output", "a[12]"], "a glob character"),
    (["--output", "link"], "is a symbolic link"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG_USE, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_wrong_use(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    before = listing(folder)
    result = run(folder, *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert listing(folder) == before and not (folder / "out").exists()


def test_all_faults_of_the_columns_file_at_once(folder):
    text = COLUMNS.replace("num_buckets: 10", "num_bucket: 10").replace("int64", "int46")
    (folder / "columns.yaml").write_text(text + "  - {type: sequence_numeric, key: a}\n")
    result = run(folder)
    assert result.exit_code == 2 and not (folder / "out").exists()
    lines = result.stderr.splitlines()
    assert lines[0].startswith("seqcols: error: ") and lines[0].endswith("faults")
    expected = [
        ("line 4: columns[0].dtype", "int64"),
        ("line 5: columns[1].num_bucket", "num_buckets"),
        ("line 6: columns[2].type", "sequence_numeric_column"),
    ]
    for where, name in expected:
        assert [line for line in lines if line.startswith(where) and f"did you mean {name!r}?" in line], (where, lines)


FAILURES = [
    ("nowhere-*", "no file matches"),
    ("cut.tfrecord", "cut.tfrecord"),
]


@pytest.mark.parametrize(("pattern", "message"), FAILURES)
def test_input_that_cannot_be_read(folder, pattern, message):
    whole = (folder / "in-0.tfrecord").read_bytes()
    (folder / "cut.tfrecord").write_bytes(whole[:-7])
    result = run(folder, pattern=pattern)
    assert result.exit_code == 1 and message in result.stderr
    assert len(result.stderr.strip().splitlines()[-1]) < 400 and "Traceback" not in result.output
    assert not (folder / "out").exists() or listing(folder / "out") == []


def test_a_file_that_two_patterns_match_is_read_once(folder):
    result = run(folder, "--input", folder / "in-0.tfrecord")
    assert result.exit_code == 0
    assert "21 read" in result.stdout
    assert f"matched several times, read once: {folder / 'in-0.tfrecord'}" in result.stdout


def test_a_misspelt_key_is_named_with_the_nearest_feature(folder):
    (folder / "columns.yaml").write_text(COLUMNS.replace("key: videos", "key: vidoes"))
    result = run(folder)
    assert result.exit_code == 1 and "'vidoes'" in result.stderr and "did you mean 'videos'?" in result.stderr
    assert not (folder / "out").exists() or listing(folder / "out") == []


@pytest.mark.slow
def test_no_rows(folder):
    write_examples(str(folder / "in-0.tfrecord"), [])
    result = run(folder, pattern="in-0.tfrecord")
    assert result.exit_code == 1 and "--allow-empty" in result.stderr
    assert not (folder / "out").exists() or listing(folder / "out") == []
    result = run(folder, "--allow-empty", pattern="in-0.tfrecord")
    assert result.exit_code == 0, result.output
    manifest = read_manifest(str(folder / "out"))
    assert (manifest.rows, manifest.files, manifest.content["transform"]) == (0, [], None)
    assert sorted(listing(folder / "out")) == [
        "distributions.json",
        "ledger.json",
        "manifest.json",
        "report.html",
        "statistics.json",
    ]
    assert list(manifest.feature_spec()) == ["id", "videos", "watch_length", "watch_mask"]


@pytest.mark.slow
def test_a_function_beside_the_columns_file(folder):
    """Also in worker processes, which import it by themselves. A misspelt one is named with the nearest."""
    (folder / "my_normalizers.py").write_text("def halved(x):\n    return x / 2.0\n")
    columns = """\
columns: [{type: sequence_numeric_column, key: videos, normalizer_fn: 'my_normalizers:%s'}]
sequence_groups: {sequence: {max_length: 2}}
"""
    (folder / "columns.yaml").write_text(columns % "halve")
    result = run(folder, pattern="in-1.tfrecord")
    assert result.exit_code == 2 and "did you mean 'halved'?" in result.stderr
    (folder / "columns.yaml").write_text(columns % "halved")
    result = run(folder, "--workers", 2, pattern="in-1.tfrecord")
    assert result.exit_code == 0, result.output
    assert read_arrays(folder / "out")["videos"][:, 0, 0].tolist() == [k / 2 for k in range(10)]


def test_schema_is_json():
    assert "sequence_numeric_column" in json.dumps(json.loads(call("schema").stdout))


@pytest.mark.slow
def test_interrupted_leaves_nothing_and_the_old_data_as_it_was(folder):
    """Ctrl-C, or a polite kill, at two moments of a run that replaces a data set."""
    (folder / "columns.yaml").write_text(COLUMNS.replace("max_length: 3", "max_length: longest"))
    assert run(folder, pattern="in-1.tfrecord").exit_code == 0
    before = {name: (folder / "out" / name).read_bytes() for name in listing(folder / "out")}
    write_examples(str(folder / "in-2.tfrecord"), [{"id": k, "videos": [1, 2, 3]} for k in range(60_000)])
    command = [
        sys.executable,
        "-m",
        "pipeline.command.cli",
        "run",
        folder / "columns.yaml",
        "--input",
        folder / "in-2.tfrecord",
    ]
    arguments = [str(part) for part in [*command, "--output", folder / "out", "--overwrite"]]
    for moment, number in (("staging", signal.SIGINT), ("examples", signal.SIGTERM)):
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(folder / "out", moment, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130 and "stopped; nothing was published" in said, said
        assert {name: (folder / "out" / name).read_bytes() for name in listing(folder / "out")} == before
        assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".")]


def wait_for(root: Path, moment: str, process: subprocess.Popen[str]) -> None:
    """Waits until a run has made its staging folder, or until it has begun a shard."""
    shards = len(list((root / "examples").iterdir()))
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        began = list(root.glob(".seqcols-*"))
        if began and moment == "staging":
            time.sleep(0.2)  # past the making of folders
            return
        if began and len(list((root / "examples").iterdir())) > shards:
            return
        time.sleep(0.01)
    raise AssertionError(f"the run never came to {moment}: {process.communicate(timeout=5)}")
