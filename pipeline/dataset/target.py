"""The output directory, checked: an unambiguous path that holds nothing a run must not replace."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from typing import Final

from pipeline.errors import UsageError

GLOB: Final = r"[*?\[\]]"
"""Characters that make a path a pattern to Beam's file systems, here so that help need not load `transforms.stored.trees`."""

URL: Final = re.compile(r"[A-Za-z][-+.A-Za-z0-9]*://")
"""The pattern by which Beam recognises a path that is not on this machine."""

REPLACED_NAMES: Final = (
    "transform",
    "serving",
    "statistics.json",
    "ledger.json",
    "distributions.json",
    "report.html",
)
"""The names that a run replaces in its directory; here, so that nobody waits for Beam. A test holds them to
`pipeline.dataset.layout`."""

OWN_FOLDERS: Final = ("examples", "rejected", "sequences", "transform", "serving")
"""The folders that a data set has."""

OWN_NAMES: Final = (*dict.fromkeys((*OWN_FOLDERS, *REPLACED_NAMES)), "manifest.json")
"""All that a run writes there."""


def checked_output(given: str, overwrite: bool = False) -> str:
    """Returns the output directory as an absolute path (or URL).

    Args:
      given: the directory.
      overwrite: whether a finished data set is replaced.

    Raises:
      UsageError: it could touch other people's files, or holds a finished data set that is not to be overwritten.
    """
    path = checked_directory("--output", given)
    if "://" not in path:
        for name in ("", *OWN_NAMES):
            if os.path.islink(os.path.join(path, name).rstrip("/")):
                where = os.path.join(path, name).rstrip("/")
                raise UsageError(f"--output {given!r}: {where!r} is a symbolic link, give the directory itself")
    refuse_inside(f"--output {given!r}", path)
    run = published_run(path)
    if not overwrite and run not in (None, interrupted_run(path)):
        raise UsageError(f"--output {path!r}: holds a finished data set; --overwrite replaces it")
    found = [name for name in REPLACED_NAMES if os.path.lexists(os.path.join(path, name))]
    if run is None and found and "://" not in path:  # a data set's manifest stands before they do
        raise UsageError(
            f"--output {path!r}: holds {found[0]!r} and no data set; choose another directory, or remove it"
        )
    return path


def refuse_inside(where: str, path: str) -> None:
    """Refuses a directory that is, or lies in, a folder of a data set: what is there goes with the next run.

    Raises:
      UsageError: it does.
    """
    above, _, name = path.rpartition("/")
    while above and not above.endswith("/"):
        if name in OWN_FOLDERS and _is_data_set(above):
            raise UsageError(f"{where}: {name!r} is a folder of the data set in {above!r}, choose another directory")
        above, _, name = above.rpartition("/")


def _is_data_set(path: str) -> bool:
    try:
        return published_run(path) is not None
    except UsageError:
        return False


def refuse_file(path: str, overwrite: bool) -> None:
    """Refuses a path to write to that already exists, before anybody waits.

    Args:
      path: the file; an empty string for none.
      overwrite: whether an existing file may be replaced.

    Raises:
      UsageError: it is a file that is not to be replaced, or no file; or it is one of another machine.
    """
    if "://" in path:
        raise UsageError(f"--output {path!r}: expected a file of this machine")
    if os.path.isdir(path):
        raise UsageError(f"--output {path!r}: is a directory, give the name of a file")
    if path and os.path.lexists(path) and not overwrite:
        raise UsageError(f"--output {path!r}: is there already; --overwrite replaces it")


def write_file(path: str, data: bytes, overwrite: bool) -> None:
    """Writes a file. A file that somebody else created meanwhile is not replaced, unless the request says so."""
    from transforms.stored.files import naming

    try:
        with naming(path), open(path, "wb" if overwrite else "xb") as file:
            file.write(data)
    except FileExistsError:
        refuse_file(path, overwrite)
        raise


def interrupted_run(output: str) -> str | None:
    """Returns the run that a directory's manifest is of if that run has died before it was done, else None."""
    from pipeline.dataset.layout import Layout
    from pipeline.dataset.leftovers import was_interrupted

    run = published_run(output)
    return run if run is not None and was_interrupted(Layout(output, run)) else None


def checked_directory(option: str, given: str) -> str:
    """Returns a directory that is written to as an absolute path, or a URL, without a slash at its end.

    Args:
      option: the option that it was given with, for messages.
      given: the directory.

    Raises:
      UsageError: it could stand for something else than it says, or no directory can be there.
    """
    from transforms.stored.files import plain_path

    if not given:
        raise UsageError(f"{option}: expected a directory")
    where, given = f"{option} {given!r}", plain_path(given)
    is_url = URL.match(given) is not None
    # A pattern may also come in with the directory that a relative path begins in.
    path = given.rstrip("/") if is_url else absolute(given)
    refuse_pattern(where, path)
    if "\\" in path:  # it parts folders for Beam, and escapes what follows for TensorFlow
        raise UsageError(f"{where}: a backslash is not allowed")
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise UsageError(f"{where}: control characters are not allowed")
    if any("\ud800" <= character <= "\udfff" for character in path):
        raise UsageError(f"{where}: bytes that are no UTF-8 are not allowed")
    if is_url and ".." in given.split("/"):  # an object store takes it for a name
        raise UsageError(f"{where}: '..' is not allowed in a URL, give the directory itself")
    if is_url:
        _refuse_url(where, path)
    elif "://" in given:
        raise UsageError(f"{where}: '://' stands only in URLs")
    elif path == "/":
        raise UsageError(f"{where}: is the root of the file system")
    else:
        _refuse_no_directory(where, path)
    return path


def absolute(given: str) -> str:
    """Returns a whole path without `..`, each of which is the folder above what the system finds so far, also behind a link."""
    parts = os.path.join(os.getcwd(), given).split("/")
    if ".." in parts:
        end = len(parts) - parts[::-1].index("..")
        with contextlib.suppress(ValueError):  # characters that no path has, which are refused as such
            given = "/".join([os.path.realpath("/".join(parts[:end])), *parts[end:]])
    return re.sub("^/+", "/", os.path.abspath(given))


def refuse_pattern(where: str, path: str) -> None:
    """Refuses a directory that is written to where libraries underneath could take its path for a pattern.

    Raises:
      UsageError: it has glob characters.
    """
    if re.search(GLOB, path):
        raise UsageError(f"{where}: a glob character in {path!r} could match other people's files")


def _refuse_url(where: str, path: str) -> None:
    """Refuses what is no place in an object store or the like; this machine's own files have no URLs here."""
    if path.lower().startswith("file:"):
        raise UsageError(f"{where}: expected file:/// and a path of this machine")
    if not re.match(r"(hdfs:///|[^/]+://)[^/]", path):
        raise UsageError(f"{where}: expected a bucket, or what the file system calls it, after '://'")
    from apache_beam.io.filesystems import FileSystems

    try:
        FileSystems.get_filesystem(path)
    except Exception as error:  # what comes with Beam's extras says so in many ways
        raise UsageError(f"{where}: there is no file system for such URLs ({error})") from error


def _refuse_no_directory(where: str, path: str) -> None:
    """Refuses a path at which no directory can be created, because it, or something above it, is not a directory."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        kind = "is a symbolic link that leads to no directory" if os.path.islink(path) else "is not a directory"
        raise UsageError(f"{where}: {path!r} {kind}")


def published_run(output: str) -> str | None:
    """Returns the run that a directory's manifest is of, None where there is no manifest.

    Raises:
      UsageError: a `manifest.json` lies there that is not ours, or is damaged: it is not ours to replace.
    """
    from pipeline.dataset import manifest
    from pipeline.dataset.layout import MANIFEST, exists
    from transforms.errors import JobError

    try:
        if not exists(f"{output.rstrip('/')}/{MANIFEST}"):
            return None
    except OSError as error:  # an object store that cannot be reached
        raise UsageError(f"--output {output!r}: cannot be looked at ({error})") from error
    try:
        return str(manifest.read(output).content["run"])
    except JobError as error:
        why = str(error)
    raise UsageError(
        f"--output {output!r}: its {MANIFEST} is damaged or not of seqcols; choose another directory ({why})"
    )
