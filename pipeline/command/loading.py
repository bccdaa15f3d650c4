"""The libraries of a job, loaded without looking for garbage.

They are 850,000 objects that stay for as long as the process does. Python looks through all of them again and again while they
are loaded, a second of six, and whenever a quarter more has come to be, as when graphs are traced: half a second each time.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys


def load() -> None:
    """Loads TensorFlow, Beam and tf.Transform, and never looks for garbage among what is there then.

    TensorFlow gives an operation one thread then, unless `TF_NUM_INTRAOP_THREADS` says otherwise: what runs side by side are the
    workers, and dealing out the little that an operation does to a batch costs more than it brings.

    In a process that has loaded TensorFlow before, both stay as they are: what else is there may be garbage by now.
    """
    first = "tensorflow" not in sys.modules
    if first:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    alone = first and gc.isenabled()
    if alone:
        gc.disable()
    try:
        importlib.import_module("tensorflow_transform.beam")
    finally:
        if alone:
            gc.enable()
            gc.freeze()
