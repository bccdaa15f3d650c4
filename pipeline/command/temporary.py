"""One folder for all that this process, its libraries and its workers leave in a temporary directory; it goes with the process.

Beam, TensorFlow's autograph and others put files there that they remove when the interpreter ends, if it comes to that.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Final

from pipeline import stopping

_OWN: Final[list[str]] = []


def begin() -> None:
    """Makes the folder, once, and makes it the temporary directory of this process and of those that it starts."""
    if _OWN:
        return
    owner = os.getpid()
    atexit.register(lambda: _remove() if os.getpid() == owner else None)  # not in a process that was forked off
    stopping.at_end(_stopped, last=True)  # a run that is publishing needs it until it is done
    stopping.hold_off()  # until it is known what to remove
    try:
        _OWN.append(tempfile.mkdtemp(prefix="seqcols-"))
        os.environ["TMPDIR"] = tempfile.tempdir = _OWN[0]
    except OSError:
        return  # whoever needs one will say so
    finally:
        stopping.go_on()


def _stopped() -> str:
    stopping.hold_other_threads()
    _remove()
    return ""


def _remove() -> None:
    for folder in _OWN:
        shutil.rmtree(folder, ignore_errors=True)
