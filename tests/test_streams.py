"""Standard output or error closed, full, or with nobody who reads: the command's own result, and its own exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command import streams
from pipeline.command.tf_examples import write_examples
from pipeline.dataset.manifest import read
from tests import prepared
from tests.marks import slow_but

ROOT = Path(__file__).parent.parent
SEQCOLS = Path(sys.executable).parent / "seqcols"
COLUMNS = "columns: [{type: sequence_numeric_column, key: x}]\nsequence_groups: {sequence: {max_length: 3}}\n"
FULL = "standard output: no space left on device; not all was printed"
GONE = "standard output: broken pipe; not all was printed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A columns file, an input, a data set, and an empty directory for temporary files."""
    made: Path = tmp_path_factory.mktemp("streams")
    (made / "c.yaml").write_text(COLUMNS)
    (made / "bad.yaml").write_text("columns: []\n")
    write_examples(str(made / "in.tfrecord"), [{"x": [1.0, 2.0]}] * 9)
    prepared.prepare(str(made / "done")).publish()
    (made / "tmp").mkdir()
    return made


def shell(folder: Path, command: str) -> tuple[int, str]:
    """Runs a line of bash in which `seqcols` is the command; returns the command's exit code and what came on stderr."""
    line = f'seqcols() {{ "{SEQCOLS}" "$@"; }}; {command}; exit ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert os.listdir(folder / "tmp") == []
    return done.returncode, done.stderr.decode()


QUICK = [
    # What a command is there to print is missing: that is a failure, unless nobody wants it.
    ("seqcols schema > /dev/full", 1, f"seqcols: error: {FULL}\n"),
    ("seqcols explain > /dev/full", 1, f"seqcols: error: {FULL}\n"),
    ("seqcols completion bash > /dev/full", 1, f"seqcols: error: {FULL}\n"),
    ("seqcols explain > /dev/full 2> /dev/full", 1, ""),
    ("seqcols explain >&-", 0, ""),
    ("seqcols --help > /dev/full", 0, f"seqcols: {FULL}\n"),
    # A summary is not the result.
    ("seqcols verify done --rows 0 > /dev/full", 0, f"seqcols: {FULL}\n"),
    ("seqcols verify done --rows 0 >&- 2>&-", 0, ""),
    ("seqcols verify done --rows 0 <&-", 0, ""),
    ("seqcols inspect in.tfrecord -o drafted.yaml > /dev/full 2>&-", 0, ""),
    ("seqcols inspect in.tfrecord > /dev/full 2> /dev/null", 1, ""),
    # An error has its exit code, whether somebody can read it or not.
    ("seqcols verify nowhere 2>&-", 1, ""),
    ("seqcols run bad.yaml --input x --output y 2>&-", 2, ""),
    ("seqcols rnu 2> /dev/full", 2, ""),
    ("seqcols plan bad.yaml --input x >&- 2> /dev/full", 2, ""),
]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    slow_but(QUICK, *QUICK[3:6], QUICK[7], QUICK[11]),
    ids=[command for command, *_ in QUICK],
)
def test_a_quick_command(folder, command, code, said):
    assert shell(folder, command) == (code, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain"], ""),  # as behind `| head`, which has what it wanted
        (["schema"], ""),
        pytest.param(["verify", "done", "--rows", "0"], f"seqcols: {GONE}\n", marks=pytest.mark.slow),
    ],
)
def test_nobody_reads_any_more(folder, arguments, said):
    reader, writer = os.pipe()
    os.close(reader)
    command, environment = [str(SEQCOLS), *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, said)


@pytest.mark.slow
def test_a_run_publishes_and_ends_well(folder):
    """Its summary cannot be printed, and nothing that it loads writes into a file by the number of standard error."""
    run = "seqcols run c.yaml --input in.tfrecord --output out"
    assert shell(folder, f"{run} > /dev/full 2>&-") == (0, "")
    assert read(str(folder / "out")).rows == 9
    code, said = shell(folder, f"seqcols verify out --rows 9 > /dev/full; {run} | true")
    assert code == 2 and FULL in said and "holds a finished data set" in said


def test_what_a_stream_cannot_take_is_dropped_and_remembered():
    number = os.open("/dev/full", os.O_WRONLY)
    with streams.opened(number, close=True) as stream:
        print("a line", file=stream, flush=True)
        print("another", file=stream)
        fault = streams._FAULTS.pop(number)
    assert fault.errno == errno.ENOSPC
    with pytest.raises(OSError):
        os.fstat(number)


def test_what_it_can_take_is_there(tmp_path):
    number = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    with streams.opened(number, close=True) as stream:
        print("ä\ud800", file=stream)
    assert (tmp_path / "a").read_bytes() == "ä\\ud800\n".encode() and number not in streams._FAULTS


def test_what_is_printed_is_complete_but_for_that(folder):
    """The same text, with and without a terminal's line buffering."""
    for python in ([sys.executable], [sys.executable, "-u"]):
        command = [*python, "-m", "pipeline.command.cli", "explain"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout.count(b"\n") > 10 and done.stdout.endswith(b"\n") and done.stderr == b""
