"""How `make test-pythons` finds Pythons and compares what they made; the jobs themselves need an environment each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pythons import run


def fake(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that has no Python but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_a_python_on_the_path_is_found(machine):
    fake(machine / "bin/python3.12", "echo 3.12; echo real")
    assert run.found("3.12") == Path("real")
    assert run.found("3.11") is None


def test_a_shim_that_runs_nothing_is_passed_over_for_the_newest_of_pyenvs(machine):
    fake(machine / "bin/python3.12", "exit 127")
    assert run.found("3.12") is None
    fake(machine / "pyenv/versions/3.12.9/bin/python3.12", "echo 3.12; echo older")
    fake(machine / "pyenv/versions/3.12.10/bin/python3.12", "echo 3.12; echo newer")
    assert run.found("3.12") == Path("newer")


def test_a_python_of_another_version_is_not_taken_for_its_name(machine):
    fake(machine / "bin/python3.13", "echo 3.11; echo real")
    assert run.found("3.13") is None


def test_what_differs_is_named():
    made = {"3.11": {"a": ["1"], "b": ["2"]}, "3.12": {"a": ["1"], "b": ["2"]}}
    assert run.differences(made) == []
    made["3.13"] = {"a": ["1"], "b": ["3"], "c": ["4"]}
    assert run.differences(made) == ["b: other bits on 3.13 than on 3.11", "c: other bits on 3.13 than on 3.11"]


def test_a_step_that_fails_says_its_last_words():
    with pytest.raises(run.Failed, match="the jobs ended with 3: no room"):
        run.carried_out(["sh", "-c", "echo no room >&2; exit 3"], "the jobs")


def test_a_step_sees_nothing_of_this_checkout(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "here")
    printed = run.carried_out(["sh", "-c", "echo [$PYTHONPATH]; pwd"], "a step").splitlines()
    assert printed[0] == "[]" and not Path(printed[1]).is_relative_to(run.ROOT)
