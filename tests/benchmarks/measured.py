"""One command as a whole: wall seconds, CPU seconds and peak memory of it and of all that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
      wall: seconds by the clock.
      cpu: seconds of user and system time, of the process and of all children that it waited for.
      peak: largest sum of resident memory over all its processes, in bytes, looked at every 20 ms.
    """

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Runs a command to its end.

    Raises:
      RuntimeError: it failed; what it said is in the message.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    said: list[bytes] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    watched, peak, status, usage = psutil.Process(process.pid), 0, 0, None
    while usage is None:
        peak = max(peak, sum(_resident(member) for member in [watched, *_children(watched)]))
        pid, status, found = os.wait4(process.pid, os.WNOHANG)
        if pid:
            usage = found
        else:
            time.sleep(SAMPLE_SECONDS)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said[0].decode(errors='replace')[-3000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, peak)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
        return found
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
