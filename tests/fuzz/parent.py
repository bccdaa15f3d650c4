"""The side that watches: gives numbers to child processes, and notices that one died, hangs, or says that it found something."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psutil

Event = dict[str, Any]

STARTING: Final = 300.0
"""Seconds in which a child must be ready: it imports TensorFlow, maybe on a busy machine."""

STARTS: Final = 3
"""How often a child may die before its first input."""


@dataclass(frozen=True)
class Limits:
    """What an input may take.

    Attributes:
      seconds: of CPU time. On a busy machine that is more by the clock.
      idle: seconds by the clock for one that waits.
      memory: bytes of address space beyond what the process had before. A page of a Parquet file may say that it is 2 GiB
        unpacked, which Arrow reserves before it looks; what it then fills is no more than there is.
    """

    seconds: float = 5.0
    idle: float = 60.0
    memory: int = 3 << 30


class Child:
    """A child process, and what it is at."""

    def __init__(self, target: str, limits: Limits, left: range):
        self.limits, self.left, self.seed, self.name = limits, left, -1, ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end)
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others take address space ahead, which would count
        }
        command = [sys.executable, "-m", "tests.fuzz.child", target, str(limits.memory)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, env=environment)
        assert self.process.stdout is not None and self.process.stdin is not None
        self.out, self._in = self.process.stdout, self.process.stdin
        self._rest = b""
        self._began, self._used = time.monotonic(), 0.0
        self.is_ready = False

    def give(self, seeds: range) -> None:
        """Tells it what to try."""
        self.left = seeds
        with contextlib.suppress(BrokenPipeError):  # its end is noticed where it is read from
            self._in.write(f"{seeds.start} {seeds.stop}\n".encode())
            self._in.flush()

    def events(self) -> Iterator[Event]:
        """Yields what it has said since; nothing at its end."""
        said = os.read(self.out.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self._note(event)
            yield event
        if not said:
            yield {"event": "gone"}

    def _note(self, event: Event) -> None:
        self.is_ready, self.seed = True, -1
        if event["event"] == "begin":
            self.seed, self.name = event["seed"], event["name"]
            self._began, self._used = time.monotonic(), self._cpu()
        elif event["event"] == "end":
            self.left = range(event["seed"] + 1, self.left.stop)

    def hangs(self) -> bool:
        """Tells whether it is at an input for too long."""
        waited = time.monotonic() - self._began
        if not self.is_ready:
            return waited > STARTING
        if self.seed < 0 or waited < self.limits.seconds:
            return False
        return waited > self.limits.idle or self._cpu() - self._used > self.limits.seconds

    def _cpu(self) -> float:
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def abort(self) -> None:
        """Makes it say where it is, and end."""
        self.process.send_signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()

    def end(self) -> tuple[str, int]:
        """Ends it; returns what it last said to its standard error, and how it had ended, as `Popen.returncode`."""
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        code = self.process.wait()
        self.out.close()
        with self._errors:
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 8000))
            return self._errors.read().decode("utf-8", "replace"), code


class Watch:
    """Has children try all the work. One that died or hangs is replaced, and the new one goes on after its input.

    Args:
      target: module and class of what tries an input.
      work: ranges of numbers.
      children: processes at a time.
      limits: what an input may take.
    """

    def __init__(self, target: str, work: Iterator[range], children: int, limits: Limits):
        self._target, self._work, self._limits = target, work, limits
        self._selector = selectors.DefaultSelector()
        self._starts = 0
        for _ in range(children):
            self._start(range(0))

    def events(self) -> Iterator[Event]:
        """Yields an event for every input that was tried."""
        try:
            while children := self._children():
                ready = [key.data for key, _ in self._selector.select(0.2)]
                for child in ready:
                    yield from self._heard(child)
                for child in children:
                    if child not in ready and child.hangs():
                        child.abort()
                        yield from self._replaced(child, "hang")
        finally:
            for child in self._children():
                child.end()

    def _children(self) -> list[Child]:
        return [key.data for key in self._selector.get_map().values()]

    def _start(self, left: range) -> None:
        child = Child(self._target, self._limits, left)
        self._selector.register(child.out, selectors.EVENT_READ, child)

    def _heard(self, child: Child) -> Iterator[Event]:
        for event in child.events():
            if event["event"] == "end":
                self._starts = 0
                yield event
            elif event["event"] in ("ready", "done"):
                self._give(child)
            elif event["event"] == "gone" and child.out in self._selector.get_map():
                yield from self._replaced(child, "crash")

    def _give(self, child: Child) -> None:
        seeds = child.left or next(self._work, range(0))
        if seeds:
            child.give(seeds)
        else:
            self._selector.unregister(child.out)
            child.end()

    def _replaced(self, child: Child, what: str) -> Iterator[Event]:
        """Starts a child in place of one that is no more; yields the finding."""
        self._selector.unregister(child.out)
        said, code = child.end()
        if child.seed < 0:
            self._starts += 1
            if self._starts >= STARTS:
                raise RuntimeError(f"the target does not start ({what}, {code}): {said}")
            self._start(child.left)
            return
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with the exit code {code}"
        summary = f"no end after {self._limits.seconds:g} s" if what == "hang" else how
        place = _place(said)
        yield {"seed": child.seed, "name": child.name, "finding": what, "at": place, "summary": summary, "detail": said}
        self._start(range(child.seed + 1, child.left.stop))


def _place(said: str) -> str:
    """Returns the innermost line of ours in what faulthandler said of the thread that it was in."""
    frames = re.findall(r'File "([^"]*/(?:pipeline|transforms|tests)/[^"]*)", line (\d+)', said)
    return "/".join(f"{frames[0][0]}:{frames[0][1]}".split("/")[-2:]) if frames else ""
