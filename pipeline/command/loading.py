"""The libraries of a job, loaded without looking for garbage.

They are 850,000 objects that stay for as long as the process does. Python looks through all of them again and again while they
are loaded, a second of six, and whenever a quarter more has come to be, as when graphs are traced: half a second each time.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Final

_SETTINGS: Final = {"TF_NUM_INTRAOP_THREADS": "1", "TF_ENABLE_ONEDNN_OPTS": "0"}
"""Of TensorFlow, which reads them when it is loaded."""


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Never looks for garbage in the block, nor, from its end on, among what is there then.

    In a process that has loaded TensorFlow before, all stays as it is: what else is there may be garbage by now.
    """
    alone = "tensorflow" not in sys.modules and gc.isenabled()
    if alone:
        gc.disable()
    try:
        yield
    finally:
        if alone:
            gc.enable()
            gc.freeze()


def load() -> None:
    """Loads TensorFlow, Beam and tf.Transform, unwatched.

    TensorFlow gives an operation one thread then, unless `TF_NUM_INTRAOP_THREADS` says otherwise: what runs side by side are the
    workers, and dealing out the little that an operation does to a batch costs more than it brings. It goes without oneDNN,
    unless `TF_ENABLE_ONEDNN_OPTS` says otherwise: that is for products of matrices, of which a graph here has none, and takes a
    quarter of a second to begin, and 30 MB in an allocator of its own. Beam asks less often (`quick_beam`).
    """
    first = "tensorflow" not in sys.modules
    if first:
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
    with unwatched():
        importlib.import_module("tensorflow_transform.beam")
        if first:
            from pipeline.command import quick_beam  # which imports Beam

            quick_beam.remember()
