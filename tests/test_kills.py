"""A run that is killed before a change of a file: some here, all in `make faults`; what a run finds that follows a dead one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.faults.injection import changed_by


@pytest.mark.slow
def test_killed_before_some_changes():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", "3"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["trials"], found["torn"]) == (12, 0) and found["changes"] > 20


@pytest.mark.slow
def test_appends_transforms_and_splits_killed_before_some_changes():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills_of_appends", "2"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["trials"], found["torn"]) == (14, 0) and found["changes"] > 20


@pytest.mark.parametrize(
    ("event", "arguments", "path"),
    [
        ("open", ("a", "w", os.O_WRONLY | os.O_CREAT), "a"),
        ("open", ("a", "r", os.O_RDONLY), None),
        ("os.rename", ("a.tmp", "a", -1, -1), "a"),
        ("os.remove", ("a", -1), "a"),
        ("os.listdir", ("a",), None),
        ("http.client.send", (None, b"PUT /bucket/out/manifest.json HTTP/1.1\r\n"), "/bucket/out/manifest.json"),
        (
            "http.client.send",
            (None, b"POST /upload?name=out%2Fmanifest.json HTTP/1.1\r\n"),
            "/upload?name=out/manifest.json",
        ),
        ("http.client.send", (None, b"GET /bucket/out/manifest.json HTTP/1.1\r\n"), None),
        (
            "http.client.send",
            (None, b'--=1\r\ncontent-type: application/json\r\n\r\n{"name": "out/manifest.json"}'),
            "out/manifest.json",
        ),
        ("http.client.send", (None, b"the data of an object"), None),
    ],
)
def test_what_counts_as_a_change(event, arguments, path):
    assert changed_by(event, arguments) == path
