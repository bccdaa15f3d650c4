"""Publishing: from files of a run to a data set that readers see whole, or not at all.

1. Everything that the run wrote has a name of its own (shards, graphs, and the files beside them), and is on the disk.
2. `manifest.json` is replaced in one step, by a run that has seen what it replaces. From here on readers see the new data set.
3. What the old manifest named is removed.
4. On a disk: graphs and all files beside the shards are copied to their plain names, and the manifest is replaced once more to
   name those. Until now a reader that follows the manifest found them under their own names. In an object store, where no lock
   keeps another run from doing the same at the same moment, they keep their own names.

A run that dies between two steps leaves a whole data set, old or new, and files that no manifest names: `leftovers` finds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Mapping
from typing import Any, BinaryIO, Final

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline import stopping
from pipeline.dataset import graphs, layout
from pipeline.dataset.layout import DISTRIBUTIONS, LEDGER, MANIFEST, REPORT, SERVING, STATISTICS, TRANSFORM, Layout
from pipeline.dataset.manifest import named_files, parsed, sealed
from pipeline.dataset.stores import Conflict, Store, Version, store_of, sync_folder
from transforms.errors import JobError
from transforms.stored import trees

ANY: Final = "*"
"""Any run that was published before."""

PLAIN_NAMES: Final = {
    "statistics": STATISTICS,
    "ledger": LEDGER,
    "distributions": DISTRIBUTIONS,
    "report": REPORT,
    "transform": TRANSFORM,
    "serving": SERVING,
}
"""The entries of a manifest besides the shards, and the name of each once it is published on a disk."""

_ENDED: Final[list[Layout]] = []
"""Runs that this process has published, or tried to."""


def publish(
    place: Layout,
    content: dict[str, Any],
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any] | None,
    staged_transform: str,
    replaces: str | None = ANY,
    staged_serving: str = "",
    report: bytes = b"",
    distributions: bytes = b"",
) -> list[str]:
    """Publishes a data set. One run at a time does so in a directory of this machine.

    Args:
      place: where.
      content: the manifest but for its version and digest, `transform`, `serving`, `statistics`, `ledger`, `distributions` and
        `report`, which are set here.
      ledger: the content of `ledger.json`.
      statistics: the content of `statistics.json`; None for no such file.
      staged_transform: folder with the saved graph; an empty string where there is none.
      replaces: the run that was published there when this one began, None for none.
      staged_serving: folder with the serving model; an empty string where there is none.
      report: the content of `report.html`; empty for no report.
      distributions: the content of `distributions.json` (see `transforms.distributions.facts`); empty for none.

    Returns:
      What went wrong after the data set was published, which it is with the first replacement of the manifest: notes for people.

    Raises:
      JobError: another run has published there since, or this one was stopped, or the manifest there is damaged, or a file cannot
        be written.
    """
    held = {**({} if statistics is None else {"statistics": statistics}), "ledger": ledger}
    content = {**content, "json_sha256": graphs.json_digests(**held)}
    if distributions:
        content["json_sha256"]["distributions"] = hashlib.sha256(distributions).hexdigest()
    content["report_sha256"] = hashlib.sha256(report).hexdigest() if report else ""
    files = {"distributions": distributions, "report": report}
    store = store_of(place.output)
    staged = {"transform": staged_transform, "serving": staged_serving}
    try:
        with store.alone(place.output):
            data, seen = store.read(place.at(MANIFEST))
            old = parsed(data, place.at(MANIFEST)) if seen else None
            found = old.get("run") if old else None
            if replaces != ANY and found not in (replaces, place.run_id):
                raise JobError(f"another run ({found}) has published in {place.output!r} meanwhile; this one has not")
            if layout.decided(place) == layout.STOPPED or not layout.exists(place.staging):
                raise JobError("the run was stopped")
            own = _write_own(place, held, files, staged)
            stopping.hold_off()  # not while the lock is waited for, which somebody else may hold for ever
            if not layout.claim(place, layout.PUBLISHING):
                raise JobError("the run was stopped")
            named = {**content, **own}
            seen = _replace_manifest(store, place, named, seen)
            notes = []
            if old:  # of this very run, where an engine tries its last step again
                notes.append(_remove(place, set(named_files(old)) - set(named_files(named))))
            notes.append(_take_plain_names(store, place, content, own, seen) if store.is_local else "")
            return [note for note in notes if note]
    except OSError as error:
        raise JobError(f"{error.filename or place.output}: cannot be published ({error.strerror or error})") from error
    finally:
        _ENDED.append(place)
        stopping.go_on()


def has_ended_here(place: Layout) -> bool:
    """Returns whether this process has published a run, or tried to: nobody needs to wait for it."""
    return place in _ENDED


def own_names(run_id: str) -> dict[str, str]:
    """Returns the names that the graphs of a run, and its files beside the shards, have until the data set is published."""
    return {
        name: f"{os.path.splitext(plain)[0]}-{run_id}{os.path.splitext(plain)[1]}"
        for name, plain in PLAIN_NAMES.items()
    }


def _write_own(
    place: Layout,
    held: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, bytes],
    staged: Mapping[str, str],
) -> dict[str, str | None]:
    """Writes what is not there yet under the run's own names, and returns these; None for what there is not."""
    own = own_names(place.run_id)
    for name, what in held.items():
        layout.write_json(place.at(own[name]), what)
    for name, data in files.items():
        if data:
            layout.write_bytes(place.at(own[name]), data)
    for name, path in staged.items():
        if path:
            _copy(path, place.at(own[name]))
    for folder in ("", *layout.SHARDED):
        if store_of(place.output).is_local and layout.exists(place.at(folder)):
            sync_folder(place.at(folder))
    there = {*held, *(name for name, one in {**staged, **files}.items() if one)}
    missing = [name for name in own if name not in there]
    return {**own, **dict.fromkeys(missing)}


def _take_plain_names(
    store: Store, place: Layout, content: dict[str, Any], own: Mapping[str, str | None], seen: Version
) -> str:
    """Copies what has the run's own names to the plain ones, names those in the manifest, and removes the copies.

    Returns:
      Why that failed, where it did: the manifest then goes on naming what has the run's own names.
    """
    plain = {name: target if own[name] else None for name, target in PLAIN_NAMES.items()}
    try:
        for name, target in plain.items():
            if target:
                layout.delete(place.at(target))
                _copy(place.at(own[name] or ""), place.at(target))
        _replace_manifest(store, place, {**content, **plain}, seen)
    except (OSError, JobError) as error:
        names = ", ".join(filter(None, own.values()))
        return f"published, but {names} could not be copied to their plain names ({' '.join(str(error).split())})"
    for left in filter(None, own.values()):
        layout.delete(place.at(left))
    return ""


def _replace_manifest(store: Store, place: Layout, content: Mapping[str, Any], seen: Version) -> Version:
    path, data = place.at(MANIFEST), sealed(content)
    try:
        return store.replace(path, data, seen)
    except (Conflict, OSError) as error:
        with contextlib.suppress(OSError):
            there, version = store.read(path)
            if there == data:  # flushing failed, or the answer of a store was lost: readers see it
                return version
        if isinstance(error, Conflict):
            what = f"another run has published in {place.output!r} at this very moment; this one has not"
        else:
            what = f"cannot replace {path!r}: {(error.strerror or str(error)).lower()}"
        raise JobError(what) from error


def _copy(source: str, target: str) -> None:
    """Copies a file or a tree, on any file system; on a disk it survives a power cut, except for its own name."""

    def write(path: str, file: BinaryIO) -> None:
        layout.write_bytes(path, file.read())

    written = trees.copy(source, target, write)
    if not written:
        with FileSystems.open(source, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            write(target, file)
    folders = set()
    for path in written:
        folder = FileSystems.split(path)[0]
        while folder not in folders and len(folder) >= len(target):  # a folder that holds only folders counts too
            folders.add(folder)
            folder = FileSystems.split(folder)[0]
    for folder in folders:
        sync_folder(folder)


def _remove(place: Layout, names: Collection[str]) -> str:
    """Removes what an old manifest named; returns, for people, what is left of it."""
    for relative in sorted(names):
        layout.delete(place.at(*relative.split("/")))
    left = [place.at(name) for name in sorted(names) if "://" not in place.output and os.path.lexists(place.at(name))]
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"published, but {left[0]}{more} of the old data set could not be removed" if left else ""
