"""What the command says about itself: reasons explained, shells told how to complete."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.jobs import call
from transforms.rows.reasons import EXPLANATIONS

SEQCOLS = Path(sys.executable).parent / "seqcols"


@pytest.mark.parametrize("reason", EXPLANATIONS)
def test_a_reason_is_explained(reason):
    done = call("explain", reason)
    assert done.exit_code == 0
    told = EXPLANATIONS[reason]
    assert all(text in done.output for text in (reason, told.meaning, told.remedy))


def test_all_reasons_are_listed():
    lines = call("explain").output.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPLANATIONS)


@pytest.mark.parametrize(
    ("reason", "hint"), [("out_of_rang", "; did you mean 'out_of_range'?"), ("x", "; expected one of bad_record, ")]
)
def test_an_unknown_reason_is_refused(reason, hint):
    done = call("explain", reason)
    assert done.exit_code == 2
    assert f"unknown reason '{reason}'{hint}" in done.stderr


def test_help_is_of_one_command():
    assert "Read --input by the columns file" in call("help", "run").output
    done = call("help", "run", "chek")
    assert (done.exit_code, done.stdout) == (2, "") and "help: expected one command, got 'run chek'" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("seqcols exp", ["explain", "export"]),
        ("seqcols explain out", ["out_of_range"]),
        ("seqcols run --max-s", ["--max-steps"]),
        ("seqcols run --format p", ["parquet"]),
    ],
)
def test_a_shell_completes(words, expected):
    """As bash asks, by the script of `seqcols completion`."""
    script = f"""
        eval "$({SEQCOLS} completion bash)"
        COMP_WORDS=({words}) COMP_CWORD={len(words.split()) - 1}
        _seqcols_completion {SEQCOLS}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell):
    assert "_SEQCOLS_COMPLETE" in call("completion", shell).output


def test_another_shell_is_refused():
    assert call("completion", "tcsh").exit_code == 2


def test_the_help_says_whole_sentences_of_all_commands():
    done = call("--help")
    assert call("help").output == done.output
    assert "..." not in done.output.split("Commands:")[1]
    assert "Print the help of COMMAND, or of all commands." in done.output


@pytest.mark.parametrize("name", ["run", "verify", "help"])
def test_help_of_a_command(name):
    assert call("help", name).output == call(name, "--help").output


def test_help_of_a_misspelt_command():
    done = call("help", "verfy")
    assert done.exit_code == 2 and "no such command 'verfy'; did you mean 'verify'?" in done.stderr


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version(option):
    assert call(option).output == f"seqcols, version {version('seqcols')}\n"


def test_help_loads_nothing_that_takes_long():
    heavy = {"numpy", "pyarrow", "pydantic", "transforms"}
    code = f"import sys, pipeline.command.commands; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
