"""Cleaning up after a run, whatever way it ends: done, failed, or stopped in the middle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pipeline import stopping
from pipeline.dataset import layout, leftovers, manifest, publish
from pipeline.dataset.layout import Layout
from pipeline.job import scratch
from transforms.stored import trees

_ACTIVE: Final[list[Layout]] = []
"""Runs of this process that have begun and are not cleaned up."""

_PUBLISHED: Final[list[Layout]] = []
"""Runs of this process that have published and were cleaned up."""

LAST_WRITE_SECONDS: Final = 0.1
"""The time for which a TensorFlow kernel, which nothing can stop, may go on writing; its next file has no folder any more."""

PATIENCE_SECONDS: Final = 60.0
"""The time that a run has to finish publishing when it is stopped while it publishes."""


@contextlib.contextmanager
def run_in(place: Layout) -> Iterator[None]:
    """Makes the folders that a run writes to, removes what dead runs left there, and remembers the run while the block runs.

    Raises:
      JobError: a folder cannot be created.
    """
    _ACTIVE.append(place)
    try:
        with leftovers.living(place):
            leftovers.sweep(place)
            yield
    finally:
        # Also after a failure here: a run that does not clean up itself is cleaned up as a failed one.
        if place in _ACTIVE:
            clean(place)


def leave(place: Layout) -> None:
    """Forgets a run that goes on elsewhere: its last step publishes, and what it may leave is for a later run to sweep."""
    _ACTIVE.remove(place)


def stop(hold: Callable[[], None] = lambda: None) -> bool:
    """Cleans up every run that is under way, as if this process ended.

    Args:
      hold: called when it is decided how each of them ends, before anything is removed.

    Returns:
      Whether one of them had published its data set all the same.
    """
    ended = [(place, _is_published(place, PATIENCE_SECONDS)) for place in _ACTIVE]
    if not ended:
        return False
    hold()
    for pause in (LAST_WRITE_SECONDS, 0.0):
        for place, done in ended:
            _remove(place, done)
        time.sleep(pause)
    return any(done for _, done in ended)


def _stopped() -> str:
    """Ends the runs of a process that was asked to stop; returns how they ended."""
    done = stop(stopping.hold_other_threads) or bool(_PUBLISHED)
    return "the data set had been published" if done else "nothing was published"


stopping.at_end(_stopped)


def clean(place: Layout, done: bool = False, rejected: Sequence[str] = (), ledger: Any = None) -> bool:
    """Removes what a run leaves behind: its staging folder, and its shards unless they are published.

    Args:
      place: where it ran.
      done: whether it is known to have published.
      rejected: files with the rejected rows of a run that was not published; they are kept, as they say why.
      ledger: the ledger of such a run, written beside them.

    Returns:
      Whether the run has published.
    """
    done = done or _is_published(place)
    if done:
        _PUBLISHED.append(place)
    try:
        _remove(place, done, rejected, ledger)
    finally:
        if place in _ACTIVE:
            _ACTIVE.remove(place)
    return done


def _remove(place: Layout, done: bool, rejected: Sequence[str] = (), ledger: Any = None) -> None:
    named = {*rejected, *(_published_files(place) if done else ())}
    for folder in layout.SHARDED:
        for path in trees.files_below(place.at(folder)):
            if layout.is_shard_of(place.run_id, path.rpartition("/")[2]) and path not in named:
                layout.delete(path)
    for name in () if done else publish.own_names(place.run_id).values():
        layout.delete(place.at(name))
    if rejected and not done:
        layout.write_json(place.at(layout.REJECTED, f"{place.run_id}-ledger.json"), ledger)
    scratch.remove(place)
    layout.delete(place.staging)
    for folder in layout.SHARDED:
        layout.delete_if_empty(place.at(folder))
    layout.delete_if_empty(place.output)


def _is_published(place: Layout, patience: float = 0.0) -> bool:
    """Decides that a run is stopped, unless it is decided that it publishes; returns whether it has published.

    Its staging folder, where that is written down, may be gone already. Then the manifest tells.
    """
    return is_current(place) if layout.claim(place, layout.STOPPED) else _has_published(place, patience)


def _has_published(place: Layout, patience: float) -> bool:
    """Waits, in seconds, for a run that is publishing in another thread or process to be done with it."""
    ends = time.monotonic() + patience
    while _goes_on(place) and time.monotonic() < ends:
        if layout.decided(place) != layout.PUBLISHING:
            return False  # neither claimed: the run had not begun in earnest
        time.sleep(0.1)
    return is_current(place)


def _goes_on(place: Layout) -> bool:
    return not publish.has_ended_here(place) and layout.exists(place.staging) and not layout.exists(place.result)


def is_current(place: Layout) -> bool:
    """Returns whether the data set in the directory is that of this run."""
    path = place.at(layout.MANIFEST)
    return layout.exists(path) and bool(layout.read_json(path).get("run") == place.run_id)


def _published_files(place: Layout) -> list[str]:
    published = manifest.read(place.output)
    return [published.path(name) for name in manifest.named_files(published.content)]
