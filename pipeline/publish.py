"""Publishing: from files of a run to a data set that readers see whole, or not at all.

1. Everything that the run wrote has a name of its own (shards, transform, statistics, ledger).
2. `manifest.json` is replaced in one step. From here on readers see the new data set.
3. What the old manifest named is removed.
4. The transform, the statistics and the ledger are copied to their plain names, and the manifest is replaced once more to
   name those. Until now a reader that follows the manifest found them under their own names.

A run that dies between two steps leaves a whole data set, old or new, and files that no manifest names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline import layout
from pipeline.layout import LEDGER, MANIFEST, SERVING, STATISTICS, TRANSFORM, Layout
from pipeline.manifest import named_files
from transforms.errors import JobError

ANY: Final = "*"
"""Whatever run was published before."""

_HERE: Final[list[Layout]] = []


def publish(
    place: Layout,
    content: dict[str, Any],
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any],
    staged_transform: str,
    replaces: str | None = ANY,
    staged_serving: str = "",
) -> None:
    """Publishes a data set. One run at a time does so in a directory of this machine.

    Args:
      place: where.
      content: the manifest but for `transform`, `serving`, `statistics` and `ledger`, which are set here.
      ledger: what `ledger.json` holds.
      statistics: what `statistics.json` holds.
      staged_transform: folder with the saved graph; an empty string where there is none.
      replaces: the run that was published there when this one began, None for none.
      staged_serving: folder with the serving model; an empty string where there is none.

    Raises:
      JobError: another run has published there since, or this one was stopped.
    """
    _HERE.append(place)
    try:
        with _alone(place):
            old = layout.read_json(place.at(MANIFEST)) if layout.exists(place.at(MANIFEST)) else None
            found = old.get("run") if old else None
            if replaces != ANY and found not in (replaces, place.run_id):
                raise JobError(f"another run ({found}) has published in {place.output!r} meanwhile; this one has not")
            staged = {"transform": staged_transform, "serving": staged_serving}
            _publish(place, content, ledger, statistics, staged, old)
    finally:
        _HERE.remove(place)


def is_publishing_here() -> bool:
    """Returns whether a thread of this process is publishing: it should be let finish."""
    return bool(_HERE)


@contextlib.contextmanager
def _alone(place: Layout) -> Iterator[None]:
    """Holds a lock on the directory, which ends with the process whatever happens. Object stores have none."""
    if "://" in place.output:
        yield
        return
    descriptor = os.open(place.output, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def own_names(place: Layout) -> dict[str, str]:
    """Returns the names that statistics, ledger and graphs have until the data set is published."""
    return {
        "statistics": f"statistics-{place.run_id}.json",
        "ledger": f"ledger-{place.run_id}.json",
        "transform": f"transform-{place.run_id}",
        "serving": f"serving-{place.run_id}",
    }


def _publish(
    place: Layout,
    content: dict[str, Any],
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any],
    staged: Mapping[str, str],
    old: Mapping[str, Any] | None,
) -> None:
    own: dict[str, str | None] = {**own_names(place), **{name: None for name, path in staged.items() if not path}}
    layout.write_json(place.at(own["statistics"]), statistics)  # type: ignore[arg-type]
    layout.write_json(place.at(own["ledger"]), ledger)  # type: ignore[arg-type]
    for name, path in staged.items():
        if path:
            _copy(path, place.at(own[name]))  # type: ignore[arg-type]
    if not layout.claim(place, layout.PUBLISHING):
        raise JobError("the run was stopped")
    _replace_manifest(place, {**content, **own})
    if old:
        _remove(place, old)
    names = {"statistics": STATISTICS, "ledger": LEDGER, "transform": TRANSFORM, "serving": SERVING}
    plain = {name: target if own[name] else None for name, target in names.items()}
    for name, target in plain.items():
        if target:
            layout.delete(place.at(target))
            _copy(place.at(own[name]), place.at(target))  # type: ignore[arg-type]
    _replace_manifest(place, {**content, **plain})
    for left in own.values():
        if left:
            layout.delete(place.at(left))


def _replace_manifest(place: Layout, content: Mapping[str, Any]) -> None:
    temporary = place.at(f"{MANIFEST}.{place.run_id}")
    layout.write_json(temporary, content)
    try:
        FileSystems.rename([temporary], [place.at(MANIFEST)])
    except (BeamIOError, OSError) as error:
        raise JobError(f"cannot replace {place.at(MANIFEST)!r}: {error}") from error


def _copy(source: str, target: str) -> None:
    """Copies a file or a tree, file by file, on any file system."""
    found = FileSystems.match([source.rstrip("/") + "/**"])[0].metadata_list
    if not found:
        with FileSystems.open(source, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            layout.write_bytes(target, file.read())
        return
    for entry in found:
        relative = entry.path.removeprefix(source).lstrip("/")
        where = FileSystems.join(target, *relative.split("/"))
        layout.make_dirs(FileSystems.split(where)[0])
        with FileSystems.open(entry.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            layout.write_bytes(where, file.read())


def _remove(place: Layout, old: Mapping[str, Any]) -> None:
    """Removes what an old manifest named. It lists nothing outside the directory, but is only a file: check."""
    for relative in named_files(old):
        inside = ".." not in relative.split("/") and not relative.startswith("/")
        if inside and not re.search(r"[*?\[\]]", relative):  # Beam's file systems would expand a pattern
            layout.delete(place.at(*relative.split("/")))
