"""Targets with known faults, to show that the fuzzer finds them. They need nothing of the package, so that they start at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from tests.fuzz.outcome import CLEAN, Broken


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    while True:
        pass


def _wait() -> None:
    time.sleep(1000)


def _raise() -> None:
    raise KeyError("nobody documents it")


def _eat() -> None:
    held = [bytes(64 << 20) for _ in range(64)]
    raise AssertionError(f"{len(held)} blocks fit")


def _exit() -> None:
    os._exit(3)


def _break() -> None:
    raise Broken("rows are missing")


FAULTS: Final[dict[int, tuple[Callable[[], None], str, str]]] = {
    3: (_crash, "crash", "ended by SIGSEGV"),
    5: (_hang, "hang", "no end after 0.5 s"),
    7: (_raise, "exception", "KeyError: 'nobody documents it'"),
    9: (_eat, "memory", "MemoryError: "),
    11: (_exit, "crash", "ended with the exit code 3"),
    13: (_break, "broken", "Broken: rows are missing"),
    15: (_wait, "hang", "no end after 0.5 s"),
}
"""Number of an input: what happens, and what the fuzzer must call it."""


class Faulty:
    """Does what `FAULTS` says."""

    def name(self, seed: int) -> str:
        """Returns whether the number is odd."""
        return "odd" if seed % 2 else "even"

    def __call__(self, seed: int) -> str:
        """Tries an input."""
        if seed in FAULTS:
            FAULTS[seed][0]()
        return CLEAN


class Unborn(Faulty):
    """Cannot even start."""

    def __init__(self) -> None:
        os._exit(1)
