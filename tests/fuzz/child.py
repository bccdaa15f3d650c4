"""The process that tries inputs, one number after the other, and says before each which it is at.

    python -m tests.fuzz.child MODULE:CLASS MEMORY

It reads ranges (`FIRST END`, a line each) and writes events as lines of JSON: `ready`, `begin`, `end`, `done`.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.fuzz.outcome import Broken

PACKAGES: Final = ("/pipeline/", "/transforms/")


def main(name: str, memory: int) -> None:
    """Tries inputs until there are no more ranges.

    Args:
      name: module and class of the target, which is called with a number.
      memory: bytes of address space that an input may take beyond what the process has before it.
    """
    faulthandler.enable()  # says where a crash was; a parent that is tired of waiting aborts this process
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no event
    module, _, what = name.partition(":")
    target = getattr(importlib.import_module(module), what)()

    def tell(**event: Any) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    tell(event="ready")
    for line in sys.stdin:
        first, end = map(int, line.split())
        for seed in range(first, end):
            name = target.name(seed)
            tell(event="begin", seed=seed, name=name)
            tell(event="end", seed=seed, name=name, **_tried(target, seed, memory))
        tell(event="done")


def _tried(target: Callable[[int], str], seed: int, memory: int) -> dict[str, str]:
    """Tries one input; returns its outcome, or the finding."""
    _limit(_address_space() + memory)
    try:
        return {"outcome": target(seed)}
    except BaseException as error:
        _limit(resource.RLIM_INFINITY)
        kind = "memory" if isinstance(error, MemoryError) else "broken" if isinstance(error, Broken) else "exception"
        summary = f"{type(error).__name__}: {error}"
        return {"finding": kind, "at": _place(error), "summary": summary, "detail": traceback.format_exc()}
    finally:
        _limit(resource.RLIM_INFINITY)


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _place(error: BaseException) -> str:
    """Returns where the last line of ours stands: findings of one place are most often one finding."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    own = [
        frame for frame in frames if any(package in frame for package in PACKAGES) and "/site-packages/" not in frame
    ]
    return "/".join((own or frames)[-1].split("/")[-2:])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
