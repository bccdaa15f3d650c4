"""What a person asks for, checked before anything is read."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.sources.limits import DEFAULTS, LARGEST_BYTES, Limits

if TYPE_CHECKING:
    from transforms.spec.spec import Spec

FORMATS: Final = ("tfrecord", "tfrecord.gz", "parquet", "sequence_example", "sequence_example.gz")
"""Names of the sinks, here so that help need not load them; a test holds them to `pipeline.sinks.SINKS`."""

DEFAULT_MAX_REJECTED: Final = 0.1

DEFAULT_BUDGET: Final = 0.01
"""The share of steps that a planned T may lose."""

DEFAULT_BUCKETS: Final = 4
"""How many length buckets a plan has at most."""

GLOB: Final = r"[*?\[\]]"
"""Characters that make a path a pattern to Beam's file systems, here so that help need not load `transforms.stored.trees`."""

ON_BAD_FILE: Final = ("fail", "skip")

URL: Final = re.compile(r"[A-Za-z][-+.A-Za-z0-9]*://")
"""How Beam tells what is no file of this machine."""

REPLACED_NAMES: Final = ("transform", "serving", "statistics.json", "ledger.json", "report.html")
"""What a run replaces in its directory, here so that nobody waits for Beam; a test holds them to `pipeline.dataset.layout`."""

OWN_NAMES: Final = ("examples", "rejected", *REPLACED_NAMES, "manifest.json")
"""All that a run writes there."""


class UsageError(ValueError):
    """The request itself cannot be carried out: one line a person can act on (see `transforms.escaping.one_line`)."""

    def __init__(self, message: str):
        from transforms.escaping import one_line  # loads the columns, which help need not

        super().__init__(one_line(message))


@dataclass(frozen=True)
class Request:
    """A run that somebody asks for.

    Attributes:
      spec: the columns.
      inputs: files, patterns or directories of data sets (see `pipeline.inputs.match.match`).
      output: directory of the data set.
      format: name of the sink.
      max_rejected: the largest share of rows that may be rejected, 0 to 1.
      overwrite: whether a finished data set is replaced.
      allow_empty: whether a data set without rows is published.
      workers: local worker threads, 0 for all cores; None leaves it to the size of the input.
      cache: directory of the analysis cache, or an empty string for none.
      statistics_inputs: such that count for the statistics beside `inputs`, which always do, and are not written.
      max_record_bytes: the longest record, in bytes; a file with a longer one cannot be read. See `Limits`.
      max_steps: most steps of a sequence; a row with more is rejected.
      max_unpack_ratio: how many times its size a packed file may unpack to.
      max_batch_bytes: how much input is held at once, in bytes.
      on_bad_file: what becomes of a file that cannot be read to its end: `fail` fails the run, `skip` leaves the file out, whole.
      wait: whether a run with `--runner` waits for the engine; else it hands the job over and returns.
      beam_args: any other options of Beam, as on a command line; with `--runner` the job runs there.
    """

    spec: Spec
    inputs: Sequence[str]
    output: str = ""
    format: str = "tfrecord"
    max_rejected: float = DEFAULT_MAX_REJECTED
    overwrite: bool = False
    allow_empty: bool = False
    workers: int | None = None
    cache: str = ""
    statistics_inputs: Sequence[str] = ()
    max_record_bytes: int = DEFAULTS.max_record_bytes
    max_steps: int = DEFAULTS.max_steps
    max_unpack_ratio: float = DEFAULTS.max_unpack_ratio
    max_batch_bytes: int = DEFAULTS.max_batch_bytes
    on_bad_file: str = ON_BAD_FILE[0]
    wait: bool = True
    beam_args: Sequence[str] = ()

    @property
    def limits(self) -> Limits:
        """What is taken of the input at most."""
        return Limits(self.max_record_bytes, self.max_steps, self.max_unpack_ratio, self.max_batch_bytes)

    @property
    def runs_here(self) -> bool:
        """Whether the job runs in this process and its local workers."""
        return not any(arg == "--runner" or arg.startswith("--runner=") for arg in self.beam_args)

    @property
    def has_processes(self) -> bool:
        """Whether local workers are processes: Beam's own `--direct_running_mode=multi_processing`."""
        return any("multi_processing" in arg for arg in self.beam_args)


def checked_output(request: Request) -> str:
    """Returns the output directory as an absolute path (or URL).

    Raises:
      UsageError: it could touch other people's files, or holds a finished data set that is not to be overwritten.
    """
    path = checked_directory("--output", request.output)
    if "://" not in path:
        for name in ("", *OWN_NAMES):
            if os.path.islink(os.path.join(path, name).rstrip("/")):
                where = os.path.join(path, name).rstrip("/")
                raise UsageError(
                    f"--output {request.output!r}: {where!r} is a symbolic link, give the directory itself"
                )
    run = published_run(path)
    if not request.overwrite and run not in (None, interrupted_run(path)):
        raise UsageError(f"--output {path!r}: holds a finished data set; --overwrite replaces it")
    found = [name for name in REPLACED_NAMES if os.path.lexists(os.path.join(path, name))]
    if run is None and found and "://" not in path:  # a data set's manifest stands before they do
        raise UsageError(
            f"--output {path!r}: holds {found[0]!r} and no data set; choose another directory, or remove it"
        )
    return path


def interrupted_run(output: str) -> str | None:
    """Returns the run that a directory's manifest is of if that run has died before it was done, else None."""
    from pipeline.dataset.layout import Layout
    from pipeline.dataset.leftovers import was_interrupted

    run = published_run(output)
    return run if run is not None and was_interrupted(Layout(output, run)) else None


def checked_directory(option: str, given: str) -> str:
    """Returns a directory that is written to as an absolute path, or a URL, without a slash at its end.

    Args:
      option: what it was given as, for messages.
      given: the directory.

    Raises:
      UsageError: it could stand for something else than it says, or no directory can be there.
    """
    if not given:
        raise UsageError(f"{option}: expected a directory")
    where = f"{option} {given!r}"
    is_url = URL.match(given) is not None
    # A pattern may also come in with the directory that a relative path begins in.
    path = given.rstrip("/") if is_url else re.sub("^/+", "/", os.path.abspath(given))
    refuse_pattern(where, path)
    if "\\" in path:  # it parts folders for Beam, and escapes what follows for TensorFlow
        raise UsageError(f"{where}: a backslash is not allowed")
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise UsageError(f"{where}: control characters are not allowed")
    if any("\ud800" <= character <= "\udfff" for character in path):
        raise UsageError(f"{where}: bytes that are no UTF-8 are not allowed")
    if ".." in re.split(r"[/\\]", given):
        raise UsageError(f"{where}: '..' is not allowed, give the directory itself")
    if is_url:
        _refuse_url(where, path)
    elif "://" in given:
        raise UsageError(f"{where}: '://' stands only in URLs")
    elif path == "/":
        raise UsageError(f"{where}: is the root of the file system")
    else:
        _refuse_no_directory(where, path)
    return path


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
        raise UsageError(f"{where}: give the path itself, without file://")
    if not re.match(r"(hdfs:///|[^/]+://)[^/]", path):
        raise UsageError(f"{where}: expected a bucket, or what the file system calls it, after '://'")
    from apache_beam.io.filesystems import FileSystems

    try:
        FileSystems.get_filesystem(path)
    except Exception as error:  # what comes with Beam's extras says so in many ways
        raise UsageError(f"{where}: there is no file system for such URLs ({error})") from error


def _refuse_no_directory(where: str, path: str) -> None:
    """Refuses a path at which no directory can be made, because it, or what it lies below, is something else."""
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


def check_workers(workers: int | None) -> None:
    """Checks the number of workers.

    Raises:
      UsageError: it is negative.
    """
    if workers is not None and workers < 0:
        raise UsageError(f"--workers: expected 0 (all cores) or more, got {workers!r}")


def check_values(request: Request) -> None:
    """Checks what needs no file system.

    Raises:
      UsageError: a value is not allowed.
      SpecError: no job can carry out the columns.
    """
    if request.format not in FORMATS:
        raise UsageError(f"--format: expected one of {', '.join(FORMATS)}, got {request.format!r}")
    if not 0 <= request.max_rejected <= 1:
        raise UsageError(f"--max-rejected: expected a fraction from 0 to 1, got {request.max_rejected!r}")
    check_workers(request.workers)
    if request.on_bad_file not in ON_BAD_FILE:
        raise UsageError(f"--on-bad-file: expected one of {', '.join(ON_BAD_FILE)}, got {request.on_bad_file!r}")
    if not request.wait and request.runs_here:
        raise UsageError("--no-wait: the job runs here, in this process; it needs --runner")
    if not request.wait and "://" not in request.output:  # whose lock the launcher holds
        raise UsageError(f"--no-wait: --output {request.output!r} is of this machine; give one that the engine reaches")
    _check_limits(request)
    if "" in request.statistics_inputs:
        raise UsageError("--statistics-input: expected a file pattern, got ''")
    if request.cache:
        checked_directory("--cache", request.cache)
    if "" in request.inputs:
        raise UsageError("--input: expected a file pattern, got ''")
    if not request.inputs:
        raise UsageError("--input: expected at least one file pattern")
    _check_columns(request)


def _check_columns(request: Request) -> None:
    from transforms.errors import SpecError
    from transforms.spec.spec import job_faults

    faults = job_faults(request.spec, request.max_record_bytes)
    if faults:
        raise SpecError(faults)


def _check_limits(request: Request) -> None:
    for option, bytes_given in (
        ("--max-record-bytes", request.max_record_bytes),
        ("--max-batch-bytes", request.max_batch_bytes),
    ):
        if type(bytes_given) is not int or not 1 <= bytes_given <= LARGEST_BYTES:
            raise UsageError(f"{option}: expected 1 to {LARGEST_BYTES} bytes, got {bytes_given!r}")
    if type(request.max_steps) is not int or request.max_steps < 1:
        raise UsageError(f"--max-steps: expected 1 or more, got {request.max_steps!r}")
    ratio = request.max_unpack_ratio
    if type(ratio) not in (int, float) or not ratio >= 1:
        raise UsageError(f"--max-unpack-ratio: expected 1 or more, got {ratio!r}")
