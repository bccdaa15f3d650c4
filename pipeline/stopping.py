"""Ctrl-C and SIGTERM, at any moment of the command: exit code 130, one line, and nothing left behind.

The handler is there from the command's first statement on, so this imports nothing that takes time. It cleans up and ends the
process by itself. An exception raised in a handler arises wherever the program is, TensorFlow's callbacks and half imported
modules included, where it could be swallowed; and the in-process runner's workers would go on in their threads.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as type checkers read it; importing `typing` takes some milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

INTERRUPTED = 130

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PERSON = [2]
"""File descriptor that reaches the person, wherever 2 leads at the moment."""

_AT_END: list[Callable[[], str]] = []

_HELD_OFF = [False]
_LATER: list[int] = []
"""Signals that came while they were held off."""

_CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate")


def begin() -> None:
    """Sets the handlers. Whoever ran the command with nohup goes on when the terminal is closed."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end_now)


def ignore() -> None:
    """Lets no signal change any more how the process ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def hold_off() -> None:
    """Lets no signal end the process until `go_on`: for what must not stop in the middle and takes no longer than a moment."""
    _HELD_OFF[0] = True


def go_on() -> None:
    """Ends the process now if a signal to end it arrived meanwhile."""
    _HELD_OFF[0] = False
    if _LATER:
        os.kill(os.getpid(), _LATER.pop())


def at_end(work: Callable[[], str], last: bool = False) -> None:
    """Has something done when the command is stopped. What it returns is said then, unless that is nothing.

    Modules say so themselves, once they are whole: the handler cannot look into one that is half imported.
    """
    _AT_END.insert(len(_AT_END) if last else 0, work)


def end_now(number: int, frame: Any) -> None:
    """Cleans up and ends the process, from the signal handler itself. A run that is publishing is let finish that."""
    if _HELD_OFF[0]:
        _LATER[:] = [number]
        return
    ignore()
    told = "".join(f"; {one}" for one in [_done(work) for work in _AT_END] if one)
    say(f"seqcols: stopped{told}\n")
    os._exit(INTERRUPTED)


def _done(work: Callable[[], str]) -> str:
    try:
        return work()
    except Exception as error:  # what cannot be removed is no reason not to stop
        return " ".join(str(error).split())


def say(text: str) -> None:
    """Writes to the person at once; safe in a signal handler, where streams may be in the middle of a write."""
    try:
        os.write(PERSON[0], text.encode("utf-8", "backslashreplace"))
    except OSError:
        return  # nobody is there any more


def hold_other_threads() -> None:
    """Lets every other thread wait for ever before its next change of a file: what is removed from here on stays away."""
    import sys
    import threading
    import time

    own, writing = threading.get_ident(), os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hold(event: str, arguments: tuple[Any, ...]) -> None:
        if not (event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & writing)):
            return
        while threading.get_ident() != own:
            time.sleep(60)

    sys.addaudithook(hold)
