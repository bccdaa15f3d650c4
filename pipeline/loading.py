"""The libraries of a job are loaded without looking for garbage.

They are 850,000 objects that stay for as long as the process does. Python looks through all of them again and again while they
are loaded, a second of six, and whenever a quarter more has come to be, as when graphs are traced: half a second each time.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def libraries() -> Iterator[None]:
    """Looks for no garbage while the block loads libraries, and never again among what is there after it.

    Nothing is done in a process that has loaded TensorFlow before: what else is there may be garbage by now.
    """
    if "tensorflow" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
