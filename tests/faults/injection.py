"""Faults of the file system, injected where Python asks the operating system for something: nothing of ours is patched."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
REQUESTS = re.compile(rb"(?:PUT|POST|PATCH|DELETE) (\S+) HTTP/")
"""What asks an object store for a change begins so."""

NAMED = re.compile(rb'"name": ?"([^"]+)"')
"""Cloud Storage is told the name of an object that it is sent whole in what follows."""

CHANGES = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.symlink")


def changed_by(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Returns the path of the file, or the URL of the object, that an audited event is about to change; None for no change."""
    if event == "http.client.send":
        data = arguments[1] if isinstance(arguments[1], bytes | bytearray) else b""
        asked = REQUESTS.match(data) or NAMED.search(data[:1000])
        return urllib.parse.unquote(asked[1].decode()) if asked else None
    if not (event == "open" or event in CHANGES):
        return None
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return None
    # Of a name that replaces another one, the one that is replaced: that is what a reader sees change.
    named = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
    path = os.fspath(named) if isinstance(named, str | os.PathLike) else ""
    return path if isinstance(path, str) else None


class _Injector:
    """Counts calls that change files below a folder, and lets something happen before the n-th."""

    def __init__(self) -> None:
        self.below = ""
        self.seen = 0
        self.before: Callable[[int, str], None] | None = None
        self.installed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.before is None:
            return
        path = changed_by(event, arguments)
        if path is not None and path.startswith(self.below):
            self.seen += 1
            self.before(self.seen, path)


_INJECTOR = _Injector()


@contextlib.contextmanager
def before_changes(below: str, action: Callable[[int, str], None]) -> Iterator[_Injector]:
    """Calls `action` with number and path before each change below a folder."""
    if not _INJECTOR.installed:
        sys.addaudithook(_INJECTOR)  # for as long as the process lives; it does nothing between uses
        _INJECTOR.installed = True
    _INJECTOR.below, _INJECTOR.seen, _INJECTOR.before = below, 0, action
    try:
        yield _INJECTOR
    finally:
        _INJECTOR.before = None


def killed_before(number: int, below: str, work: Callable[[], object]) -> bool:
    """Does some work in a child process that ends, as if killed, before its n-th change below a folder.

    Returns:
      Whether it was; False where it was done before that.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            with before_changes(below, lambda seen, path: os._exit(9) if seen == number else None):
                work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), f"the work failed with {status}"
    return status == 9


def failing(number: int, below: str, code: int = errno.ENOSPC) -> contextlib.AbstractContextManager[_Injector]:
    """Lets the n-th change below a folder fail with an error of the operating system, and all later ones."""

    def fail(seen: int, path: str) -> None:
        if seen >= number:
            raise OSError(code, os.strerror(code), path)

    return before_changes(below, fail)


def kill(number: int) -> Callable[[int, str], None]:
    """Returns the action that ends this process with SIGKILL, which nothing can catch, before its n-th change."""
    return lambda seen, path: os.kill(os.getpid(), signal.SIGKILL) if seen == number else None
