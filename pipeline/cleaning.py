"""Cleaning up after a run, whatever way it ends: done, failed, or stopped in the middle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pipeline import kill_points, layout, leftovers, manifest, publish, scratch
from pipeline.layout import Layout
from transforms import trees

_ACTIVE: Final[list[Layout]] = []
"""Runs of this process that have begun and are not cleaned up."""

PATIENCE_SECONDS: Final = 60.0
"""How long a run that is stopped while it publishes may take to finish that."""


@contextlib.contextmanager
def run_in(place: Layout) -> Iterator[None]:
    """Makes the folders that a run writes to, removes what dead runs left there, and remembers the run while the block runs.

    Raises:
      JobError: a folder cannot be made.
    """
    _ACTIVE.append(place)
    try:
        with leftovers.living(place):
            leftovers.sweep(place)
            kill_points.at("begun")
            yield
    finally:
        # Also after a failure here: a run that does not clean up itself is cleaned up as a failed one.
        if place in _ACTIVE:
            clean(place)


def leave(place: Layout) -> None:
    """Forgets a run that goes on elsewhere: its last step publishes, and what it may leave is for a later run to sweep."""
    _ACTIVE.remove(place)


def stop() -> bool:
    """Cleans up every run that is under way; for a signal handler, which then ends the process.

    Returns:
      Whether one of them had published its data set all the same.
    """
    return any([clean(place, patience=PATIENCE_SECONDS) for place in list(_ACTIVE)])


def clean(
    place: Layout, done: bool = False, rejected: Sequence[str] = (), ledger: Any = None, patience: float = 0.0
) -> bool:
    """Removes what a run leaves behind: its staging folder, and its shards unless they are published.

    Args:
      place: where it ran.
      done: whether it is known to have published.
      rejected: files with the rejected rows of a run that was not published; they are kept, as they say why.
      ledger: the ledger of such a run, written beside them.
      patience: seconds to wait for another process that is publishing; none for a run that has ended.

    Returns:
      Whether the run has published.
    """
    if not done and not layout.claim(place, layout.STOPPED):
        done = _has_published(place, patience)
    named = {*rejected, *(_published_files(place) if done else ())}
    for folder in (layout.EXAMPLES, layout.REJECTED):
        for path in trees.files_below(place.at(folder)):
            if path.startswith(place.at(folder, f"{place.run_id}-")) and path not in named:
                layout.delete(path)
    for name in () if done else publish.own_names(place.run_id).values():
        layout.delete(place.at(name))
    if rejected and not done:
        layout.write_json(place.at(layout.REJECTED, f"{place.run_id}-ledger.json"), ledger)
    kill_points.at("cleaned")
    scratch.remove(place)
    layout.delete(place.staging)
    for folder in (layout.EXAMPLES, layout.REJECTED):
        layout.delete_if_empty(place.at(folder))
    layout.delete_if_empty(place.output)
    if place in _ACTIVE:
        _ACTIVE.remove(place)
    return done


def _has_published(place: Layout, patience: float) -> bool:
    """Waits for a run that is publishing in another process to be done with it."""
    ends = time.monotonic() + patience
    while layout.exists(place.staging) and not layout.exists(place.result) and time.monotonic() < ends:
        if layout.decided(place) != layout.PUBLISHING:
            return False  # neither claimed: the run had not begun in earnest
        time.sleep(0.1)
    return _is_current(place)


def _is_current(place: Layout) -> bool:
    path = place.at(layout.MANIFEST)
    return layout.exists(path) and bool(layout.read_json(path).get("run") == place.run_id)


def _published_files(place: Layout) -> list[str]:
    published = manifest.read(place.output)
    return [*published.files, *published.rejected_files]
