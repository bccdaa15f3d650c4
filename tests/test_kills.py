"""A run that kills itself: three of the points here, all of them in `make faults`; what a run finds that follows a dead one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.dataset import kill_points, layout
from pipeline.errors import UsageError
from pipeline.job import running
from pipeline.job.request import Request
from tests.faults.kills import NOT_OVER_NOTHING, SPEC


@pytest.mark.slow
def test_killed_at_some_points():
    points = ["shard", "manifest", "result"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", *points], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"fault": "kill -9", "trials": 9, "kill_points": 3, "torn": 0}


def test_every_point_is_in_the_code_once():
    code = "".join(path.read_text() for path in Path(layout.__file__).parents[1].rglob("*.py"))
    for point in kill_points.POINTS:
        assert code.count(f'kill_points.at("{point}"') == 1, point
    assert set(NOT_OVER_NOTHING) <= set(kill_points.POINTS)
    assert code.count("kill_points.at(") == len(kill_points.POINTS)


def test_a_point_that_there_is_not(monkeypatch):
    monkeypatch.setenv(kill_points.VARIABLE, "manifets")
    with pytest.raises(UsageError, match=r"SEQCOLS_KILL_AT: expected one of begun, .*, got 'manifets'"):
        running.run(Request(SPEC, ["nothing"], "nowhere"))
