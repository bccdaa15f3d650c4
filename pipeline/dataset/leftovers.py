"""Leftovers of dead runs in an output directory, recognised by name: every file of a run is named after it.

A run on this machine holds a lock on a file in its staging folder for as long as it lives; whoever can take the lock knows that
it is dead. Elsewhere nobody can tell, and a run counts as dead when it began more than `STALE_DAYS` days ago.
"""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pipeline.dataset import layout
from pipeline.dataset.layout import EXAMPLES, LEDGER, MANIFEST, REJECTED, RUN, SHARD, SHARDED, Layout
from pipeline.dataset.manifest import named_files
from pipeline.dataset.publish import PLAIN_NAMES, own_names
from pipeline.dataset.stores import store_of
from transforms.errors import JobError
from transforms.stored import trees

STALE_DAYS: Final = 7

_OF_A_RUN: Final = [
    re.compile(pattern)
    for pattern in (
        rf"(?:{'|'.join(SHARDED)})/{SHARD}",
        rf"(?:statistics|ledger|distributions)-{RUN}\.json",
        rf"report-{RUN}\.html",
        rf"(?:transform|serving)-{RUN}/.+",
        rf"{re.escape(layout.STAGING_PREFIX)}{RUN}/.+",
    )
]
_TEMPORARY: Final = re.compile(rf"{re.escape(MANIFEST)}\.[0-9a-f]{{8}}\.tmp")


@contextlib.contextmanager
def living(place: Layout) -> Iterator[None]:
    """Makes the folders of a run and holds its lock while the block runs.

    Raises:
      JobError: a folder cannot be created or locked.
    """
    layout.make_dirs(place.output)
    with contextlib.ExitStack() as held:
        try:
            with store_of(place.output).alone(place.output):
                for folder in (place.staging, place.at(EXAMPLES), place.at(REJECTED)):
                    layout.make_dirs(folder)
                layout.write_bytes(
                    place.staged(layout.ALIVE), place.run_id.encode()
                )  # Beam 2.77 writes no empty objects to S3
                if store_of(place.output).is_local:
                    lock = held.enter_context(open(place.staged(layout.ALIVE), "rb"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise JobError(f"cannot write to {place.output!r}: {error.strerror or error}") from error
        yield


def is_alive(place: Layout) -> bool:
    """Returns whether a run is going on, as far as that can be known from here."""
    if not store_of(place.output).is_local:
        began = calendar.timegm(time.strptime(place.run_id[:15], "%Y%m%dT%H%M%S"))
        return time.time() - began < STALE_DAYS * 86400
    try:
        with open(place.staged(layout.ALIVE), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def was_interrupted(place: Layout) -> bool:
    """Returns whether a run has died on the way: its staging folder, which goes last, is still there."""
    return layout.exists(place.staging) and not is_alive(place)


def sweep(place: Layout) -> list[str]:
    """Removes what dead runs have left in the directory of a run.

    Shards and graphs that the manifest names are kept, whatever became of their run; so are the rejected rows of a run that was
    not published, which its ledger stands beside.

    Returns:
      The names of the dead runs.
    """
    with store_of(place.output).alone(place.output):
        manifest = _manifest(place)
        found = {run for _, run in unnamed(listing(place.output), manifest) if run} | _staged(place.output)
        runs = found - {place.run_id}
        dead = {run for run in runs if not is_alive(Layout(place.output, run))}
        for run in dead:  # should it live after all, it will not publish
            layout.claim(Layout(place.output, run), layout.STOPPED)
        gone = [name for name, run in unnamed(listing(place.output), manifest) if run in dead or not run]
        for name in sorted(gone, key=lambda name: name.endswith(layout.DECIDED)):
            _remove(place, name)
        for run in dead if store_of(place.output).is_local else ():  # and the folders in it that never got a file
            layout.delete(Layout(place.output, run).staging)
    return sorted(dead)


def _staged(output: str) -> set[str]:
    """Returns the runs that have a staging folder on this machine, be it empty."""
    if not store_of(output).is_local:
        return set()
    named = (re.fullmatch(re.escape(layout.STAGING_PREFIX) + RUN, name) for name in os.listdir(output))
    return {name[1] for name in named if name}


def listing(output: str) -> list[str]:
    """Returns the files in a directory and below, relative to it."""
    root = output.rstrip("/") + "/"
    return [path.removeprefix(root) for path in trees.files_below(output)]


def unnamed(files: Collection[str], manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the files that have the name of some run's and that no manifest names.

    Args:
      files: relative to the directory.
      manifest: the content of its manifest; empty if there is none.

    Returns:
      Each with its run; with an empty string where it is nobody's: parts of a manifest, or plain names that are not taken yet.
    """
    named = set(named_files(manifest)) if manifest else set()
    kept = {
        name[len(REJECTED) + 1 : -len(LEDGER) - 1]
        for name in files
        if re.fullmatch(rf"{REJECTED}/{RUN}-{LEDGER}", name)
    }
    half_done = {
        plain
        for name, plain in PLAIN_NAMES.items()
        if manifest and manifest.get(name) == own_names(manifest["run"])[name]
    }
    made = []
    for name in files:
        if name in named or name.split("/")[0] in named:
            continue
        run = next((found[1] for found in (pattern.fullmatch(name) for pattern in _OF_A_RUN) if found), "")
        is_kept = run in kept and name.startswith(f"{REJECTED}/")
        if (run and not is_kept) or _TEMPORARY.fullmatch(name) or name.split("/")[0] in half_done:
            made.append((name, run))
    return made


def _manifest(place: Layout) -> Mapping[str, Any]:
    """Returns what the manifest holds; nothing where there is none, or one that is not ours."""
    path = place.at(MANIFEST)
    content = layout.read_json(path) if layout.exists(path) else {}
    return content if isinstance(content, dict) and "run" in content else {}


def _remove(place: Layout, name: str) -> None:
    """Removes a file and the folders that are empty without it."""
    if name.endswith(f"/{layout.DECIDED}") and not store_of(place.output).is_local:
        return  # stays, as there is no folder whose absence would say the same
    layout.delete(place.at(*name.split("/")))
    parts = name.split("/")[:-1]
    while parts and parts not in ([EXAMPLES], [REJECTED]):
        layout.delete_if_empty(place.at(*parts))
        parts = parts[:-1]
