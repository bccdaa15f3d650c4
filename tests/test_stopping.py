"""The command is stopped at any moment, imports included: on the real command line. `make faults` does it at random moments."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline import stopping
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, publish
from pipeline.job import cleaning
from tests.jobs import listing
from tests.marks import slow_but
from tests.test_publish import NEW, OLD, publish_run, whole, written
from transforms.errors import JobError

ROOT = Path(__file__).parent.parent
SEQCOLS = str(Path(sys.executable).parent / "seqcols")
COLUMNS = "columns: [{type: sequence_numeric_column, key: x}]\nsequence_groups: {sequence: {max_length: 3}}\n"

DRIVER = """
import os, runpy, sys, threading
number, moment, how, path = int(sys.argv[1]), *sys.argv[2:5]
held = []

def publishes():
    frame = sys._getframe()
    while frame and not frame.f_code.co_filename.endswith("/publish.py"):
        frame = frame.f_back
    return frame is not None

def hook(event, arguments):
    if event == "import" and arguments[0] == moment:
        os.kill(os.getpid(), number)
    if event == "fcntl.flock" and moment == "lock" and not held and publishes():
        held.append(os.open("out", os.O_RDONLY))
        import fcntl
        fcntl.flock(held[0], fcntl.LOCK_EX)  # for ever, as if somebody else did
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

sys.argv[:] = [path, *sys.argv[5:]]
sys.addaudithook(hook)
runpy.run_path(path, run_name="__main__") if how == "script" else runpy.run_module(path, run_name="__main__")
"""
"""Runs the command and sends a signal to itself: when it imports a module, or when it waits for the lock to publish."""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A columns file, an input, and an empty directory for temporary files."""
    (tmp_path / "c.yaml").write_text(COLUMNS)
    write_examples(str(tmp_path / "in.tfrecord"), [{"x": [1.0, 2.0]}] * 9)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def started(folder: Path, *command: str, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT)}
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **outputs)


def was_stopped(folder: Path, process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=120)
    told = [line for line in said.splitlines() if not line.startswith("pass ")]  # progress, where that takes long
    assert process.returncode == 130 and told in (
        ["seqcols: stopped"],
        ["seqcols: stopped; nothing was published"],
    ), (process.returncode, said)
    assert os.listdir(folder / "tmp") == []
    assert not (folder / "out").exists() or listing(folder / "out") == []


RUN = ["run", "c.yaml", "--input", "in.tfrecord", "--output", "out"]
LAUNCH = ["--columns=c.yaml", "--input=in.tfrecord", "--output=out"]
MOMENTS = [
    (signal.SIGINT, "pipeline.command.streams", "script", SEQCOLS, RUN),
    (signal.SIGTERM, "click", "module", "pipeline.command.cli", RUN),
    (signal.SIGHUP, "click", "module", "pipeline.launch", LAUNCH),
    (signal.SIGINT, "pydantic", "script", SEQCOLS, RUN),
    (signal.SIGTERM, "apache_beam.io.filesystems", "script", SEQCOLS, RUN),
    (signal.SIGINT, "tensorflow.python.client", "module", "pipeline.command.cli", RUN),
    (signal.SIGTERM, "lock", "script", SEQCOLS, RUN),
]


@pytest.mark.parametrize(("number", "moment", "how", "path", "arguments"), slow_but(MOMENTS, *MOMENTS[:-2]))
def test_stopped_at_a_moment(folder, number, moment, how, path, arguments):
    command = [sys.executable, "-c", DRIVER, str(int(number)), moment, how, path, *arguments]
    was_stopped(folder, started(folder, *command))


def test_nothing_is_imported_before_the_handlers_are_there():
    program = "import sys; had = set(sys.modules); import seqcols.__main__, pipeline.command.cli; print(*{*sys.modules} - had)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    own = {"seqcols", "seqcols.__main__", "pipeline", "pipeline.command", "pipeline.command.cli", "pipeline.stopping"}
    standard = {"__future__", "signal", "enum", "types", "operator", "_operator", "functools", "_functools"}
    standard |= {"collections", "_collections", "keyword", "reprlib", "itertools"}  # what `signal` imports
    standard |= {"importlib", "importlib.util", "importlib._abc", "contextlib", "warnings"}  # and `importlib.util`
    assert own <= set(done.stdout.split()) <= own | standard


def test_who_waits_for_the_lock_of_a_directory_can_be_stopped(tmp_path):
    """Publishing takes a moment once it has begun, and the lock of somebody else for ever."""
    publish_run(tmp_path, OLD, 1)
    place, content, graph = written(tmp_path, NEW, 2)
    ended: list[Exception] = []

    def work() -> None:
        try:
            publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
        except JobError as error:
            ended.append(error)

    with cleaning.run_in(place):
        lock = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and not cleaning.stop()
        os.close(lock)
        thread.join()
    assert "was stopped" in str(ended[0]) and whole(tmp_path) == OLD
    assert not list(tmp_path.rglob(f"*{NEW}*"))


def test_who_publishes_is_waited_for(tmp_path, monkeypatch):
    """What was decided stands: a run that is stopped then has published, and is whole."""
    publish_run(tmp_path, OLD, 3)
    place, content, graph = written(tmp_path, NEW, 2)
    removing, go_on = threading.Event(), threading.Event()
    remove = publish._remove

    def slow(*arguments: Any) -> str:
        removing.set()
        go_on.wait()
        return remove(*arguments)

    def work() -> None:
        publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
        layout.write_json(place.result, {"status": "done"})

    monkeypatch.setattr(publish, "_remove", slow)
    with cleaning.run_in(place):
        thread = threading.Thread(target=work)
        thread.start()
        removing.wait()
        threading.Timer(0.2, go_on.set).start()
        held: list[str] = []
        assert cleaning.stop(lambda: held.append(whole(tmp_path)))
        assert held == [NEW] and not Path(place.staging).exists()
        thread.join()
    assert whole(tmp_path) == NEW and not list(tmp_path.rglob(f"*{OLD}*"))


@pytest.mark.parametrize("gone", ["decided", ""])
def test_stopped_while_it_cleans_up_a_run_keeps_what_it_has_published(tmp_path, gone):
    """The staging folder says how it was decided that a run ends, and goes last but one."""
    place, content, graph = written(tmp_path, NEW, 2)
    with cleaning.run_in(place):
        publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
        layout.delete(place.staged(gone) if gone else place.staging)
        assert cleaning.stop()
        assert whole(tmp_path) == NEW
    assert whole(tmp_path) == NEW


def test_other_threads_change_no_file_any_more(tmp_path):
    """In a process of its own: what is held is held for good."""
    program = """
import os, sys, threading, time
from pipeline import stopping
folder = sys.argv[1]
def work(change):
    while True:
        change(f"{folder}/{time.monotonic_ns()}")
changes = [os.mkdir, lambda path: open(path, "w").close(), lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY))]
for change in changes:
    threading.Thread(target=work, args=(change,), daemon=True).start()
time.sleep(0.2)
stopping.hold_other_threads()
time.sleep(0.5)  # for what had begun
before = len(os.listdir(folder))
time.sleep(0.2)
open(f"{folder}/own", "w").close()
os._exit(not 0 < before == len(os.listdir(folder)) - 1)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0


def test_what_fails_at_the_end_is_said_and_the_rest_is_done(monkeypatch, capfd):
    """Whatever cannot be removed, the command ends."""
    ended: list[Any] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    monkeypatch.setattr(stopping, "_AT_END", [])

    def fails() -> str:
        raise OSError(5, "Input/output error", "a\nb")

    stopping.at_end(lambda: ended.append("last") or "", last=True)  # type: ignore[func-returns-value]
    stopping.at_end(fails)
    stopping.end_now(signal.SIGTERM, None)
    assert ended == ["last", 130]
    assert capfd.readouterr().err == "seqcols: stopped; [Errno 5] Input/output error: 'a\\nb'\n"


@pytest.mark.parametrize(("before", "expected"), [(signal.SIG_DFL, stopping.end_now), (signal.SIG_IGN, signal.SIG_IGN)])
def test_nohup_is_heeded(monkeypatch, command_line, before, expected):
    hung_up = signal.signal(signal.SIGHUP, before)
    try:
        stopping.begin()
        assert signal.getsignal(signal.SIGHUP) == expected
        assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == stopping.end_now
    finally:
        signal.signal(signal.SIGHUP, hung_up)


def test_a_signal_while_this_very_thread_publishes_waits_for_the_end(tmp_path, monkeypatch):
    """With one worker the run publishes in the main thread, which also handles signals."""
    publish_run(tmp_path, OLD, 1)
    place, content, graph = written(tmp_path, NEW, 2)
    replace, ended = publish._replace_manifest, list[str]()

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended == []
        return replace(*arguments)

    monkeypatch.setattr(publish, "_replace_manifest", interrupted)
    monkeypatch.setattr(stopping, "_AT_END", [lambda: ended.insert(0, whole(tmp_path)) or ""])  # type: ignore[func-returns-value]
    monkeypatch.setattr(stopping, "ignore", lambda: None)
    monkeypatch.setattr(os, "_exit", lambda code: ended.append(str(code)))
    handler = signal.signal(signal.SIGTERM, stopping.end_now)
    try:
        with cleaning.run_in(place):
            publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
            assert ended == [NEW, "130"]
            assert cleaning.stop()  # at once: it has no result, and waits for none
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert whole(tmp_path) == NEW


def test_temporary_files_go_with_the_process(tmp_path):
    """Not with one that it has forked off, and whoever cannot have a folder for them goes on."""
    program = """
import os, sys, tempfile
from pipeline.command import temporary
make, tempfile.mkdtemp = tempfile.mkdtemp, lambda prefix: os.mkdir("/nowhere/at/all")
temporary.begin()
tempfile.mkdtemp = make
temporary.begin()
temporary.begin()
folder = tempfile.gettempdir()
assert folder == os.environ["TMPDIR"] and os.listdir(os.path.dirname(folder)) == [os.path.basename(folder)]
os.mkdir(tempfile.mkdtemp() + "/a")
if not os.fork():
    sys.exit()
os.wait()
sys.exit(not os.listdir(folder))
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0 and os.listdir(tmp_path) == []
