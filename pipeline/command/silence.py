"""Libraries that talk while they load."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

from pipeline.command import loading, streams
from pipeline.stopping import PERSON


def quiet_logs() -> None:
    """Silences what Beam and TensorFlow log in passing, and loads TensorFlow without its notes about CPUs and GPUs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    with _no_stderr():
        loading.load()
    logging.getLogger().setLevel(logging.ERROR)
    for name in ("tensorflow", "absl"):  # after loading: absl sets its own level when it loads
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # it logs the traceback of what we say in one line


@contextlib.contextmanager
def workers(talk: bool) -> Iterator[TextIO]:
    """Drops what worker processes write to stderr while the block runs; they inherit it, and load TensorFlow too.

    Args:
      talk: leave everything as it is.

    Yields:
      A stream that still reaches the person.
    """
    if talk:
        yield sys.stderr
        return
    with _no_stderr() as kept, streams.opened(os.dup(kept), close=True) as stream:
        yield stream


@contextlib.contextmanager
def _no_stderr() -> Iterator[int]:
    """Drops what is written to file descriptor 2: TensorFlow 2.21 logs there before any setting takes effect."""
    sys.stderr.flush()
    kept = os.dup(2)
    PERSON[0] = kept
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield kept
    finally:
        os.dup2(kept, 2)
        PERSON[0] = 2
        os.close(kept)
        os.close(sink)
