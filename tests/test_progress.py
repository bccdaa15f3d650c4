"""Progress: notes of workers, and what is shown of them."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from typing import Any

import pytest

from pipeline.job import progress
from pipeline.job.progress import Note, read_notes, shown, waiting

LINE = re.compile(r"^pass (\d)/(\d) (\w+): ([\d,]+) rows, (\d+)%(, [\d,]+ rows/s)?(, [\d,]+ s left)?$")


def test_notes_of_several_workers_add_up(tmp_path):
    for number, rows in ((0, 10), (0, 5), (1, 7)):
        note = Note(str(tmp_path), number)
        note.add(rows, rows * 100)
        note.write()
    assert read_notes(str(tmp_path)) == {0: (15, 1500), 1: (7, 700)}


def test_a_note_is_not_written_all_the_time(tmp_path, monkeypatch):
    note = Note(str(tmp_path), 0)
    note.add(1, 1)
    written: list[Any] = []
    monkeypatch.setattr(Note, "write", lambda self: written.append(self.rows))
    for _ in range(100):
        note.add(1, 1)
    assert len(written) <= 1 and note.rows == 101


def test_trouble_with_notes_does_not_fail_the_work(tmp_path):
    Note("", 0).add(1, 1)
    Note(str(tmp_path / "gone"), 0).add(1, 1)
    Note(str(tmp_path / "gone"), 0).write()
    (tmp_path / "0-broken.json").write_text('{"rows": 1')
    (tmp_path / "x-foreign.json").write_text('{"rows": 1, "size": 1}')
    assert read_notes(str(tmp_path)) == {}
    assert read_notes(str(tmp_path / "gone")) == {}


def test_plain_lines(tmp_path):
    """The last state is always said, and nothing is said twice."""
    stream = io.StringIO()
    with shown(str(tmp_path), ["analyse", "transform"], 1000, stream):
        note = Note(str(tmp_path), 0)
        note.add(1234, 250)
        note.write()
        time.sleep(1.5)
        note.add(6000, 750)
        note.write()
        other = Note(str(tmp_path), 1)
        other.add(5, 1)
        other.write()
    lines = stream.getvalue().splitlines()
    found = [LINE.match(line) for line in lines]
    assert all(found), lines
    said = [(m[1], m[2], m[3], m[4], m[5]) for m in found if m]
    assert said == [
        ("1", "2", "analyse", "1,234", "25"),
        ("1", "2", "analyse", "7,234", "100"),
        ("2", "2", "transform", "5", "0"),
    ]
    assert "rows/s" in lines[0] and "s left" in lines[0] and "left" not in lines[1]


def test_who_waits_is_told_what_for(tmp_path):
    stream = io.StringIO()
    with shown(str(tmp_path), ["analyse", "transform"], 1000, stream):
        time.sleep(1.5)
    assert stream.getvalue() == "pass 1/2 analyse: starting\n"


def test_nothing_read_says_nothing(tmp_path):
    stream = io.StringIO()
    with shown(str(tmp_path), ["check"], 0, stream):
        pass
    assert stream.getvalue() == ""


def test_input_without_bytes_divides_by_nothing(tmp_path):
    stream = io.StringIO()
    with shown(str(tmp_path), ["check"], 0, stream):
        Note(str(tmp_path), 0).add(3, 10)
    assert ": 3 rows, 100%" in stream.getvalue()


def test_the_thread_ends_also_when_the_work_fails(tmp_path):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), shown(str(tmp_path), ["check"], 1, io.StringIO()):
        raise ZeroDivisionError
    assert threading.active_count() == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_waited_for_is_said_at_once_and_wiped_away():
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), waiting("loading TensorFlow", stream):
        assert stream.getvalue() == "loading TensorFlow ..."
        raise ZeroDivisionError
    assert stream.getvalue() == "loading TensorFlow ...\r\x1b[2K"
    for other in (io.StringIO(), None):
        with waiting("loading TensorFlow", other):
            pass
        assert other is None or other.getvalue() == ""


def test_a_terminal_that_is_gone_fails_nothing():
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError("gone")

    done = False
    with waiting("loading TensorFlow", Gone()):
        done = True
    assert done


def test_bars_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    stream = Terminal()
    with shown(str(tmp_path), ["analyse", "transform"], 1000, stream):
        note = Note(str(tmp_path), 1)
        note.add(1234, 250)
        note.write()
        time.sleep(0.5)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "pass 1/2: analyse" in text and "pass 2/2: transform" in text
    assert "25 %" in text and "1,234 rows" in text and "starting" in text and "waits for pass 1" in text


def test_notes_are_replaced_in_one_step(tmp_path):
    """A reader never sees half a note."""
    note = Note(str(tmp_path), 0)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            note.rows += 10**12
            note.write()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        last = 0
        for _ in range(300):
            rows, _ = read_notes(str(tmp_path)).get(0, (0, 0))
            assert rows >= last
            last = rows
    finally:
        stop.set()
        thread.join()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert progress.SECONDS_BETWEEN_NOTES <= 1
