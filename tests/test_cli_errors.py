"""Every way in which the command fails: one line that a person can act on, the exit code, and with --debug the traceback."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipeline import stopping
from pipeline.command.tf_examples import write_examples
from tests import prepared
from tests.faults.injection import before_changes
from tests.jobs import call, listing
from tests.marks import slow_but

pytestmark = pytest.mark.usefixtures("command_line")

COLUMNS = """\
sequence_groups: {watch: {max_length: 3}}
columns:
  - {type: passthrough_column, key: id, dtype: int64}
  - {type: sequence_categorical_column_with_identity, key: videos, num_buckets: 10, group: watch}
"""
FUNCTION = """\
columns: [{type: sequence_numeric_column, key: x, normalizer_fn: 'MODULE:f'}]
sequence_groups: {sequence: {max_length: 2}}
"""
PROGRESS = re.compile(r"pass \d/\d \w+: ")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current directory: a columns file, good input, and much that is wrong."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(COLUMNS)
    write_examples("in.tfrecord", [{"id": k, "videos": [k]} for k in range(9)])
    write_examples("bad.tfrecord", [{"id": k, "videos": [11]} for k in range(9)])
    write_examples("x.tfrecord", [{"x": [1.0, 2.0]} for _ in range(9)])
    write_examples("empty.tfrecord", [])
    whole = Path("in.tfrecord").read_bytes()
    Path("cut.tfrecord").write_bytes(whole[:-5])
    Path("flipped.tfrecord").write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])
    Path("text.tfrecord").write_bytes(b"this is no TFRecord file at all")
    for name in ("dir", "dir.tfrecord"):
        Path(name).mkdir()
    Path("file").write_text("mine")
    Path("link").symlink_to("dir")
    os.mkfifo("pipe")
    return tmp_path


def said(result: Any) -> list[str]:
    """What was said on stderr, but for the progress of a run that is not on a terminal."""
    lines = result.stderr.splitlines()
    assert result.stderr.endswith("\n") and all(line.isprintable() for line in lines)
    return [line for line in lines if not PROGRESS.match(line)]


def refuses(code: int, message: str, *arguments: str, lines: int = 1, debug: bool = True) -> None:
    """Asserts exit code, stderr, and that nothing but rejected rows is left; and the same with --debug, which shows more."""
    result = call(*arguments)
    found = said(result)
    assert result.exit_code == code, result.output
    assert len(found) == lines, found
    assert found[0].startswith("seqcols: error: ") and message in found[0], found
    assert not found[0].rstrip().endswith(":")
    assert all(name.startswith("rejected/") for name in listing("out"))
    if debug:
        result = call(*arguments, "--debug")
        assert result.exit_code == code
        assert "Traceback (most recent call last):" in result.stderr
        assert result.stderr.splitlines()[-lines:] == found


def run(code: int, message: str, *more: str, **options: Any) -> None:
    refuses(code, message, "run", "c.yaml", "--input", "in.tfrecord", "--output", "out", *more, **options)


WRONG_COMMANDS = [
    (["rnu"], "no such command 'rnu'; did you mean 'run'?; see 'seqcols --help'"),
    (["run"], "missing option '--input'; see 'seqcols run --help'"),
    (["check", "--input", "in"], "missing argument 'COLUMNS'; see 'seqcols check --help'"),
    (["run", "c.yaml", "--output", "out"], "missing option '--input'"),
    (["run", "c.yaml", "--input", "in.tfrecord"], "missing option '--output'"),
    (["check", "c.yaml"], "missing option '--input'"),
    (["run", "c.yaml", "--input"], "option '--input' requires an argument"),
    (["verify"], "missing argument 'DIRECTORY'"),
    (["verify", "dir", "--rows", "many"], "'many' is not a valid integer"),
    (["verify", "dir", "--rows", "-1"], "-1 is not in the range x>=0"),
    (["verify", "dir", "--rosw", "1"], "no such option '--rosw'"),
    (["verify", "dir", "other"], "unexpected extra argument"),
    (["schema", "c.yaml"], "unexpected extra argument"),
    (["demo", "a", "b"], "unexpected extra argument"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG_COMMANDS, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_a_command_that_is_not_one(folder, arguments, message):
    refuses(2, message, *arguments, debug=False)


WRONG_VALUES = [
    (["--format", "csv"], "'csv' is not one of 'tfrecord'"),
    (["--max-rejected", "many"], "'many' is not a valid float"),
    (["--workers", "two"], "'two' is not a valid integer"),
]


@pytest.mark.parametrize(("more", "message"), WRONG_VALUES, ids=lambda v: v[0] if isinstance(v, list) else "")
def test_an_option_of_another_type(folder, more, message):
    run(2, message, *more, debug=False)


WRONG_OPTIONS = [
    (["--max-rejected", "2"], "--max-rejected: expected a fraction from 0 to 1, got 2.0"),
    (["--max-rejected", "nan"], "--max-rejected: expected a fraction from 0 to 1, got nan"),
    (["--workers", "-1"], "--workers: expected 0 (all cores) or more, got -1"),
    (["--overwite"], "unknown option '--overwite'; did you mean '--overwrite'?"),
    (["more.parquet"], "unexpected argument 'more.parquet'; quote a pattern"),
    (["--direct_num_workers=two"], "argument --direct_num_workers: invalid int value: 'two'"),
    (["--runner=DirectRuner"], "--runner 'DirectRuner': cannot be loaded; did you mean 'DirectRunner'?"),
    (["--runner=my.own.Runner"], "--runner 'my.own.Runner': cannot be loaded"),
    (["--input", ""], "--input: expected a file pattern, got ''"),
    (["--statistics-input", ""], "--statistics-input: expected a file pattern, got ''"),
    (["--cache", "a*"], "--cache 'a*': a glob character"),
    (["--cache", "file"], "/file' is not a directory"),
    (["--cache", "file/x"], "--cache 'file/x': "),
    (["--output", ""], "--output: expected a directory"),
    (["--output", "a/../link"], "is a symbolic link"),
    (["--output", "a[12]"], "a glob character"),
    (["--output", "a\nb"], "control characters are not allowed"),
    (["--output", "link"], "is a symbolic link"),
    (["--output", "file"], "is not a directory"),
    (["--output", "file/x"], "/file' is not a directory"),
    (["--output", "mine"], "its manifest.json is damaged or not of seqcols"),
    (["--output", "done"], "holds a finished data set; --overwrite replaces it"),
]


@pytest.mark.parametrize(("more", "message"), WRONG_OPTIONS, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_an_option_that_is_not_allowed(folder, more, message):
    (folder / "mine").mkdir()
    (folder / "mine" / "manifest.json").write_text("{}")
    prepared.prepare(str(folder / "done")).publish()
    before = listing(folder)
    run(2, message, *more)
    assert listing(folder) == before


def test_an_option_that_check_does_not_have(folder):
    refuses(2, "check runs on this machine: --runner does not apply", "check", "c.yaml", "--input", "x", "--runner=X")


COLUMNS_FILES: list[tuple[str, bytes | None, str]] = [
    ("none.yaml", None, "none.yaml: cannot read the columns file: no such file or directory"),
    ("dir", None, "dir: cannot read the columns file: expected a file, got a directory"),
    ("pipe", None, "pipe: cannot read the columns file: expected a file, got neither file nor directory"),
    ("empty.yaml", b"", "empty.yaml: expected a mapping with 'columns', got an empty file"),
    ("bytes.yaml", b"columns:\n  - \xff", "bytes.yaml: line 2: expected UTF-8 text, got the byte 0xff"),
    ("broken.yaml", b"columns: [", "broken.yaml: line 1: not YAML"),
    ("list.yaml", b"- a", "list.yaml: line 1: expected a mapping with 'columns', got ['a']"),
    ("unknown.yaml", b"colums: []", "unknown.yaml: 2 faults"),
    ("key.yaml", COLUMNS.replace("num_buckets", "num_bucket").encode(), "key.yaml: 2 faults"),
    ("word.yaml", COLUMNS.replace("int64", "int46").encode(), "line 3: columns[0].dtype: expected string"),
]


@pytest.mark.parametrize(("name", "content", "message"), COLUMNS_FILES, ids=[name for name, *_ in COLUMNS_FILES])
def test_a_columns_file_that_is_none(folder, name, content, message):
    if content is not None:
        (folder / name).write_bytes(content)
    lines = 3 if "2 faults" in message else 1
    refuses(2, message, "run", name, "--input", "in.tfrecord", "--output", "out", lines=lines)
    refuses(2, message, "check", name, "--input", "in.tfrecord", lines=lines, debug=False)


def test_files_that_may_not_be_read(folder, monkeypatch):
    """As for somebody who is not root, which tests may be."""

    def refuse(path: Any, *more: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.columns_file.reader.opened", refuse)
        run(2, "c.yaml: cannot read the columns file: permission denied", debug=False)
    monkeypatch.setattr(FileSystems, "open", staticmethod(refuse))
    run(1, f"{folder}/in.tfrecord: cannot be opened ([Errno 13] Permission denied")


INPUTS = [
    ("nowhere-*", "input 'nowhere-*': no file matches"),
    ("nowhere.tfrecord", "input 'nowhere.tfrecord': no file matches"),
    ("dir", "input 'dir': is a directory without files"),
    ("dir*", "input 'dir*': only directories match, give 'dir*/**' for the files in them"),
    ("dir/*", "input 'dir/*': no file matches"),
    ("pipe", "is no file"),
    ("nothing://x", "input 'nothing://x': cannot be listed"),
    ("cut.tfrecord", "cut.tfrecord: cut short: 5 bytes of the record at byte"),
    ("flipped.tfrecord", "flipped.tfrecord: bad checksum (CRC-32C) of the record at byte 0"),
    ("text.tfrecord", "text.tfrecord: not a TFRecord file"),
]


@pytest.mark.parametrize(("pattern", "message"), INPUTS, ids=[pattern for pattern, _ in INPUTS])
def test_input_that_cannot_be_read(folder, pattern, message):
    refuses(1, message, "run", "c.yaml", "--input", pattern, "--output", "out")
    refuses(1, message, "check", "c.yaml", "--input", pattern, debug=False)


def test_a_file_whose_name_looks_like_a_pattern_is_read(folder):
    os.rename("in.tfrecord", "in[1].tfrecord")
    assert call("check", "c.yaml", "--input", "in[1].tfrecord").exit_code == 0


ROWS = [
    (
        ["--input", "empty.tfrecord"],
        1,
        "no rows to write: 0 read, 0 rejected (--allow-empty publishes an empty data set)",
    ),
    (
        ["--input", "bad.tfrecord"],
        3,
        "9 of 9 rows rejected (100.00%), --max-rejected allows 10.00%; nothing was published",
    ),
    (["--input", "bad.tfrecord", "--max-rejected", "1"], 1, "no rows to write: 9 read, 9 rejected"),
]


@pytest.mark.parametrize(("more", "code", "message"), ROWS)
def test_rows_that_cannot_be_published(folder, more, code, message):
    refuses(code, message, "run", "c.yaml", "--output", "out", *more, debug=False)


def function(code: str | None, module: str) -> list[str]:
    if code is not None:
        Path(f"{module}.py").write_text(code)
    Path("f.yaml").write_text(FUNCTION.replace("MODULE", module))
    return ["run", "f.yaml", "--input", "x.tfrecord", "--output", "out"]


MISSING = "expected a module that can be imported, got 'errors_none'"
FUNCTIONS: list[tuple[str, str | None, str]] = [
    ("errors_none", None, f"line 1: columns[0].normalizer_fn: {MISSING}"),
    ("errors_raises", "1/0", "importing 'errors_raises' failed: ZeroDivisionError: division by zero"),
    ("errors_syntax", "def f(:\n", "importing 'errors_syntax' failed: SyntaxError"),
    ("errors_exits", "import sys; sys.exit(3)", "importing 'errors_exits' failed: SystemExit: 3"),
    ("errors_lacks", "def g(x): return x", "expected a function of errors_lacks, got 'f'"),
    ("errors_value", "f = 3", "expected a function, got 'errors_value:f', which is 3"),
    ("errors_arity", "def f(): return 1", "column 'x': normalizer_fn 'errors_arity:f' failed: TypeError: f() takes 0"),
    (
        "errors_fails",
        "def f(x): raise RuntimeError('two\\nlines \\x1b[31m')",
        "column 'x': normalizer_fn 'errors_fails:f' failed: RuntimeError: two lines \\x1b[31m",
    ),
    ("errors_no", "def f(x): pass", "normalizer_fn 'errors_no:f' must return a tensor; it returned None"),
    ("errors_sum", "def f(x): return x[0]", "must return the shape that it was given, (None, 1); it returned (1,)"),
    (
        "errors_width",
        "def f(x): return x[:, :0]",
        "must return the shape that it was given, (None, 1); it returned (None, 0)",
    ),
    (
        "errors_text",
        "import tensorflow as tf\ndef f(x): return tf.strings.as_string(x)",
        "normalizer_fn 'errors_text:f' must return numbers; it returned string",
    ),
]


@pytest.mark.parametrize(("module", "code", "message"), FUNCTIONS, ids=[module for module, *_ in FUNCTIONS])
def test_a_function_that_is_none(folder, module, code, message):
    refuses(2, message, *function(code, module))


@pytest.mark.parametrize(
    ("module", "code", "message"),
    [
        (
            "errors_steps",
            "import tensorflow as tf\ndef f(x): return tf.concat([x, x], 0)",
            "column x: normalizer_fn errors_steps:f must return as many steps as it was given",
        ),
        (
            "errors_late",
            "import tensorflow as tf\ndef f(x):\n"
            "    with tf.control_dependencies([tf.debugging.assert_less(x, 0.0, message='below 0, please')]):\n"
            "        return tf.identity(x)\n",
            "below 0, please",
        ),
    ],
)
def test_a_function_that_fails_when_the_graph_runs(folder, module, code, message):
    refuses(1, message, *function(code, module), debug=False)


def test_damage_that_only_the_run_comes_to(folder):
    """After the rows that are looked at before it."""
    write_examples("late.tfrecord", [{"id": k, "videos": [k % 10]} for k in range(300)])
    Path("late.tfrecord").write_bytes(Path("late.tfrecord").read_bytes()[:-3])
    refuses(1, "late.tfrecord: cut short: 3 bytes of the record at byte", "check", "c.yaml", "--input", "late.tfrecord")


@pytest.mark.parametrize("part", slow_but(["/.seqcols-", "/examples/", "/statistics-", "/manifest.json"], "/examples/"))
def test_a_device_without_space(folder, part):
    def full(number: int, path: str) -> None:
        if path.startswith(f"{folder}/out{part}"):
            raise OSError(28, "No space left on device", path)

    with before_changes(str(folder), full):
        result = call("run", "c.yaml", "--input", "in.tfrecord", "--output", "out")
    (line,) = said(result)
    assert result.exit_code == 1
    assert line.startswith("seqcols: error: ") and f"{folder}/out{part}" in line, line
    assert "no space left on device" in line.lower()
    assert not Path("out").exists() or listing("out") == []


def test_an_output_that_may_not_be_written(folder, monkeypatch):
    def refuse(path: str, *more: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "makedirs", refuse)
    run(1, f"cannot make the directory '{folder}/out'", debug=False)
    refuses(1, "a/input: permission denied", "demo", "a", debug=False)


@pytest.mark.parametrize("name", ["nowhere", "dir", "file"])
def test_verifying_what_is_no_data_set(folder, name):
    refuses(1, f"'{name}' holds no finished data set: there is no manifest.json", "verify", name)


def test_verifying_a_damaged_data_set(folder):
    prepared.prepare(str(folder / "done")).publish()
    (folder / "done" / "ledger.json").write_text("{")
    refuses(1, "done: 2 faults", "verify", "done", lines=3, debug=False)
    (folder / "done" / "manifest.json").write_text("{")
    refuses(1, "'done/manifest.json': damaged, no JSON: ", "verify", "done")


def test_a_bug_is_one_line_too(folder, monkeypatch):
    from pipeline.columns_file import reader as columns_file

    def broken(*given: Any) -> Any:
        raise KeyError("some\nkey")

    monkeypatch.setattr(columns_file, "load", broken)
    run(1, "KeyError: 'some\\nkey' (--debug shows where)")


@pytest.mark.parametrize("command", ["run", "check", "verify", "demo"])
def test_interrupted_before_anything_was_done(folder, monkeypatch, capfd, command):
    """Ctrl-C while modules load and files are looked at. (tests/test_cli.py interrupts runs.)"""
    from pipeline.columns_file import reader as columns_file
    from pipeline.command import demo
    from pipeline.job import cleaning
    from pipeline.verify import verify

    monkeypatch.setattr(cleaning, "_PUBLISHED", [])  # by other tests, in this process

    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    def exit_now(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", exit_now)
    for owner, name in ((columns_file, "load"), (verify, "files"), (demo, "make_sample")):
        monkeypatch.setattr(owner, name, interrupt)
    arguments = {"verify": ["dir"], "demo": ["dir"], "run": ["c.yaml", "--input", "x", "--output", "out"]}
    result = call(command, *arguments.get(command, ["c.yaml", "--input", "x"]))
    assert result.exit_code == stopping.INTERRUPTED == 130
    assert re.fullmatch(r"seqcols: stopped(; nothing was published)?\n", capfd.readouterr().err)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN and not Path("out").exists()


def test_no_command_at_all_is_told_the_help(folder):
    result = call()
    assert result.exit_code == 2 and "Commands:" in result.stderr


OF_ANOTHER_RUN = [
    "--statistics-from",
    "--statistics",
    "--stats-of",
    "--transform-from",
    "--fitted-by",
    "--use-statistics=out",
]


@pytest.mark.parametrize("option", OF_ANOTHER_RUN)
@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_nobody_who_wants_the_statistics_of_another_run_is_led_to_what_adds_files(folder, command, option):
    output = ["--output", "out"] if command == "run" else []
    result = call(command, "c.yaml", "--input", "in.tfrecord", *output, option, "done")
    assert result.exit_code == 2 and not Path("out").exists()
    (line,) = said(result)
    assert line == (
        f"seqcols: error: unknown option '{option.split('=')[0]}'; --transform DIR uses columns, statistics and vocabularies "
        f"of a finished data set"
    )


@pytest.mark.parametrize("option", ["--statistics-input", "--budget"])
def test_an_option_of_another_command_is_not_its_own_nearest_name(folder, option):
    (line,) = said(call("check", "c.yaml", "--input", "in.tfrecord", option, "1"))
    assert line == f"seqcols: error: {option}: is no option of check"


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--statistics-imput", "; did you mean '--statistics-input'?"),
        ("--statistic-inputs", "; did you mean '--statistics-input'?"),
        ("--transform_name_maping", "; did you mean '--transform_name_mapping'?"),
        ("--max-record", "; did you mean '--max-record-bytes'?"),
        ("--train-input", "; did you mean '--input'?"),
        ("--dry-run", "; seqcols check reads and validates as run does, and writes nothing"),
        ("--dryrun", "; seqcols check reads and validates as run does, and writes nothing"),
        ("--undo-append", "; seqcols undo-append DIR takes the last append back"),
        ("--fit", "; --transform DIR uses columns, statistics and vocabularies of a finished data set"),
        ("--zzzzzz", ""),
    ],
)
def test_who_has_nearly_written_an_option_is_told(folder, option, hint):
    run(2, f"unknown option '{option}'{hint}", option, "x", debug=False)


@pytest.mark.parametrize("option", ["--dry_run", "--dry_run=true"])
def test_what_only_dataflow_can_try_does_not_run_here(folder, option):
    (line,) = said(call("run", "c.yaml", "--input", "in.tfrecord", "--output", "out", option))
    assert line == (
        "seqcols: error: --dry_run: is an option of Dataflow alone; "
        "seqcols check reads and validates as run does, and writes nothing"
    )
    assert not Path("out").exists()


@pytest.mark.parametrize("data", [b"this is no TFRecord file at all", b'{"x": 1}\n{"x": 2}\n', b"PAR1\x00\xff"])
@pytest.mark.parametrize("name", ["rows.tfrecord", "rows.jsonl.gz", "ROWS.parquet"])
def test_rows_in_place_of_the_columns_file(folder, name, data):
    Path(name).write_bytes(data)
    (line,) = said(call("check", name, "--input", "in.tfrecord"))
    assert line == (
        f"seqcols: error: COLUMNS: '{name}' is a file with rows, expected a columns file (YAML); "
        "--input names the rows, and seqcols inspect drafts the columns"
    )


def test_the_columns_file_in_place_of_rows(folder):
    (line,) = said(call("check", "c.yaml", "--input", "c.yaml"))
    assert line.endswith(
        "/c.yaml: a YAML file, as a columns file is, expected TFRecord, Parquet, Avro, CSV, or JSON Lines (one object a line); "
        "the columns file is given without --input"
    )


def test_help_says_that_the_inputs_count_too(folder):
    text = " ".join(call("run", "--help").stdout.split())
    assert "counts toward the statistics in addition to --input, but is not written" in text
