"""The file underneath every sink: what of a large one goes to the disk while it is written."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest

from pipeline.sinks import base
from pipeline.sinks.base import OutputFile


@pytest.fixture
def small(monkeypatch):
    """Makes files of some kilobytes large ones."""
    monkeypatch.setattr(base, "KEPT_BYTES", 4096)
    monkeypatch.setattr(base, "STRIDE", 1000)


def written(path, sizes: list[int]) -> bytes:
    data = np.random.default_rng(1).bytes(sum(sizes))
    file, at = OutputFile(str(path)), 0
    for size in sizes:
        file.write(data[at : at + size])
        at += size
    file.close()
    assert (file.bytes, file.written(1).sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


@pytest.mark.parametrize("sizes", [[], [10], [4096], [5095, 1], [4096, *[100] * 300], [50_000, 3], [7] * 3000])
def test_every_byte_behind_the_first_is_sent_once_and_then_dropped_once(tmp_path, small, monkeypatch, sizes):
    calls: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda number, *call: calls.append(call))
    data = written(tmp_path / "x", sizes)
    assert (tmp_path / "x").read_bytes() == data
    strides = max(len(data) - 4096, 0) // 1000
    sent, dropped = [], []
    for at, size, advice in calls:
        assert (size, advice) == (1000, os.POSIX_FADV_DONTNEED) and at + size <= len(data)
        (dropped if at in sent else sent).append(at)
    assert sent == [4096 + 1000 * k for k in range(strides)]
    assert dropped == sent[: max(strides - 8, 0)]


def test_what_is_sent_is_what_is_read(tmp_path, small):
    assert written(tmp_path / "x", [3333] * 40) == (tmp_path / "x").read_bytes()


def test_without_such_advice(tmp_path, small, monkeypatch):
    def refuse(*call: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    assert written(tmp_path / "x", [50_000]) == (tmp_path / "x").read_bytes()
    monkeypatch.delattr(os, "posix_fadvise")  # macOS
    assert written(tmp_path / "y", [50_000]) == (tmp_path / "y").read_bytes()
