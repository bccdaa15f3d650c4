"""The libraries of a job are loaded without looking for garbage, once; TensorFlow gets one thread an operation, and no oneDNN."""

from __future__ import annotations

import gc
import importlib
import os
import sys

import pytest

from pipeline.command import loading

THREADS, ONEDNN = "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture
def seen(monkeypatch):
    """What is in force while the libraries would be loaded."""
    found: list[tuple[str, bool, str | None]] = []

    def load(name: str) -> None:
        settings = [os.environ[one] for one in (THREADS, ONEDNN) if one in os.environ]
        found.append((name, gc.isenabled(), " ".join(settings) or None))

    monkeypatch.setattr(importlib, "import_module", load)
    monkeypatch.setattr(gc, "freeze", lambda: found.append(("freeze", gc.isenabled(), None)))
    for name in (THREADS, ONEDNN):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return found


def test_the_first_time(seen, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    loading.load()
    assert seen == [("tensorflow_transform.beam", False, "1 0"), ("freeze", True, None)]


def test_what_a_person_asks_for_stays(seen, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv(THREADS, "4")
    monkeypatch.setenv(ONEDNN, "1")
    loading.load()
    assert seen[0] == ("tensorflow_transform.beam", False, "4 1")


def test_after_others_have_loaded_it(seen, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys.modules.get("tensorflow", object()))
    loading.load()
    assert seen == [("tensorflow_transform.beam", True, None)]


def test_what_a_command_loads_before_and_after(seen, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with loading.unwatched():
        seen.append(("before", gc.isenabled(), None))
        loading.load()
        seen.append(("after", gc.isenabled(), None))
    assert [one[:2] for one in seen] == [
        ("before", False),
        ("tensorflow_transform.beam", False),
        ("after", False),
        ("freeze", True),
    ]
