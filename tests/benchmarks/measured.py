"""One command as a whole: wall seconds, CPU seconds and peak memory of it and of all that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.02
FAMILY_EVERY = 10
"""Samples between two looks for new processes: a look reads every process of the machine, which is not free."""


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
      wall: seconds by the clock.
      cpu: seconds of user and system time, of the process and of all that it started.
      peak: largest sum of resident memory over all its processes, in bytes, looked at every 20 ms. Pages that processes share
        count once for each.
    """

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None, code: int = 0) -> Measured:
    """Runs a command to its end, which must have this exit code.

    Raises:
      RuntimeError: it has another; what the command said is in the message.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    said: list[bytes] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    family, status, usage = _Family(process.pid), 0, None
    while usage is None:
        family.look()
        pid, status, found = os.wait4(process.pid, os.WNOHANG)
        if pid:
            usage = found
        else:
            time.sleep(SAMPLE_SECONDS)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    if process.returncode != code:
        text = said[0].decode(errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}, expected {code}:\n{text}")
    return Measured(wall, max(usage.ru_utime + usage.ru_stime, family.cpu), family.peak)


class _Family:
    """A process and all that it started: the peak of their memory, and the CPU time that was seen of each.

    The system adds up the CPU time of children that were waited for; of a worker that nobody waits for, this is what remains.
    """

    def __init__(self, pid: int):
        self._first, self._members, self._looks = psutil.Process(pid), [psutil.Process(pid)], 0
        self._cpu: dict[int, float] = {}
        self.peak = 0

    @property
    def cpu(self) -> float:
        """Seconds, as far as they were seen."""
        return sum(self._cpu.values())

    def look(self) -> None:
        if self._looks % FAMILY_EVERY == 0:
            self._members = [self._first, *_children(self._first)]
        self._looks += 1
        resident = 0
        for member in self._members:
            try:
                with member.oneshot():
                    resident += member.memory_info().rss
                    times = member.cpu_times()
                self._cpu[member.pid] = times.user + times.system
            except psutil.Error:
                continue
        self.peak = max(self.peak, resident)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
        return found
    except psutil.Error:
        return []


def ours(columns: Path, pattern: str, output: Path, *options: str) -> list[str]:
    """Returns what runs `seqcols run` in this environment."""
    run = [sys.executable, "-m", "pipeline.command.cli", "run", str(columns)]
    return [*run, "--input", pattern, "--output", str(output), *options]
