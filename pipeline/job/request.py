"""The request for a run, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pipeline.dataset.target import checked_directory
from pipeline.errors import UsageError
from pipeline.sources.limits import DEFAULTS, LARGEST_BYTES, Limits

if TYPE_CHECKING:
    from transforms.spec.spec import Spec

FORMATS: Final = ("tfrecord", "tfrecord.gz", "parquet", "sequence_example", "sequence_example.gz")
"""Names of the sinks, here so that help need not load them; a test holds them to `pipeline.sinks.formats.SINKS`."""

DEFAULT_MAX_REJECTED: Final = 0.1

DEFAULT_SHARD_BYTES: Final = 512 << 20
"""A file of examples is closed once it has this many bytes."""

DEFAULT_BUDGET: Final = 0.01
"""The share of steps that a planned T may lose."""

DEFAULT_BUCKETS: Final = 4
"""The largest number of length buckets in a plan."""

MOST_PARTITIONS: Final = 1 << 20

ON_BAD_FILE: Final = ("fail", "skip")


@dataclass(frozen=True, repr=False)
class Request:
    """A run that somebody asks for.

    Attributes:
      spec: the columns; None for those of `transform`.
      inputs: files, patterns or directories of data sets (see `pipeline.inputs.match.match`), all or none with the name of its
        split and `=` before it (see `pipeline.inputs.named`).
      output: directory of the data set.
      format: name of the sink.
      shards: number of files of examples for each split and length bucket; None leaves it to the workers.
      shard_bytes: size at which a file of examples is closed.
      max_rejected: the largest share of rows that may be rejected, 0 to 1.
      overwrite: whether a finished data set is replaced.
      allow_empty: whether a data set without rows is published.
      workers: local worker threads, 0 for all cores; None leaves it to the size of the input.
      cache: directory of the analysis cache, or an empty string for none.
      append: whether the rows are added to the data set that `output` holds, by its own transform; `spec` may be None.
      again: whether files are appended that the data set has the rows of already.
      statistics_split: the split that statistics, vocabularies and a T that the data decide come from; empty for `train`.
      transform: directory of a finished data set whose columns, statistics, T and vocabularies are used; empty for statistics
        fitted to `inputs`.
      statistics_inputs: further files, patterns or directories that count toward the statistics but are not written.
      max_record_bytes: the largest record, in bytes; a file with a larger one cannot be read. See `Limits`.
      max_steps: the most steps in a sequence; a row with more is rejected.
      max_unpack_ratio: how many times its size a compressed file may unpack to.
      max_batch_bytes: how much input to hold in memory at a time, in bytes.
      partitions: the number of parts that the keys of events are dealt to; None leaves it to the size of the input.
      exclude_events: files (Parquet with the columns `file` and `row`, as rejected ones) that name events to leave out.
      keep_sequences: whether the sequences that are made of events become a part of the data set.
      on_bad_file: what to do with a file that cannot be read to its end: `fail` fails the run, `skip` leaves out the whole file.
      columns_file: the path of the file that `spec` was read from, for the manifest; an empty string if there is none.
      wait: whether a run with `--runner` waits for the engine; otherwise it hands the job over and returns.
      beam_args: further options of Beam, as on a command line; with `--runner` the job runs there.
    """

    spec: Spec
    inputs: Sequence[str]
    output: str = ""
    format: str = "tfrecord"
    shards: int | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES
    max_rejected: float = DEFAULT_MAX_REJECTED
    overwrite: bool = False
    allow_empty: bool = False
    workers: int | None = None
    cache: str = ""
    transform: str = ""
    append: bool = False
    again: bool = False
    statistics_split: str = ""
    statistics_inputs: Sequence[str] = ()
    max_record_bytes: int = DEFAULTS.max_record_bytes
    max_steps: int = DEFAULTS.max_steps
    max_unpack_ratio: float = DEFAULTS.max_unpack_ratio
    max_batch_bytes: int = DEFAULTS.max_batch_bytes
    on_bad_file: str = ON_BAD_FILE[0]
    wait: bool = True
    partitions: int | None = None
    exclude_events: Sequence[str] = ()
    keep_sequences: bool = True
    columns_file: str = ""
    beam_args: Sequence[str] = ()

    def __post_init__(self) -> None:
        from transforms.stored.files import plain_path

        for name in ("output", "cache", "transform"):
            object.__setattr__(self, name, plain_path(getattr(self, name)))
        if self.spec is None and self.uses:
            from pipeline.job.given import columns_of, read_given  # which load Beam

            object.__setattr__(self, "spec", columns_of(read_given(self.uses)))

    def __repr__(self) -> str:
        """The columns by name, and what is not the default."""
        from transforms.errors import listed  # loads the columns, which help need not

        columns = listed([column.name for column in self.spec.columns] if self.spec is not None else []) or "no columns"
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "spec"}
        usual = {one.name: one.default for one in fields(self)}
        given = "".join(f", {name}={value!r}" for name, value in told.items() if value != usual[name])
        return f"Request({columns}{given})"

    @property
    def uses(self) -> str:
        """The directory of the data set whose transform is used; an empty string for none."""
        return self.output if self.append else self.transform

    @property
    def limits(self) -> Limits:
        """The largest records and files to accept."""
        return Limits(self.max_record_bytes, self.max_steps, self.max_unpack_ratio, self.max_batch_bytes)

    @property
    def options(self) -> dict[str, Any]:
        """The values of the options of `seqcols run`, by name: everything but the columns and Beam's own options."""
        others = ("spec", "columns_file", "beam_args")
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}

    @property
    def runs_here(self) -> bool:
        """Whether the job runs in this process and its local workers."""
        return not any(arg == "--runner" or arg.startswith("--runner=") for arg in self.beam_args)

    @property
    def has_processes(self) -> bool:
        """Whether local workers are processes: Beam's own `--direct_running_mode=multi_processing`."""
        return any("multi_processing" in arg for arg in self.beam_args)


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
    _check_transform(request)
    check_options(request)
    if request.spec.events is not None:
        _check_of_events(request)
    else:
        _refuse_of_events(request)
    _check_columns(request)


def _check_of_events(request: Request) -> None:
    together = {
        "--cache": request.cache,
        "--statistics-input": request.statistics_inputs,
        "--append": request.append,
    }
    for option in (name for name, given in together.items() if given):
        raise UsageError(f"{option}: does not apply to events, of which all make the sequences together")
    if not request.wait:
        raise UsageError("--no-wait: a job of its own makes the sequences first, which has to be waited for")


def _refuse_of_events(request: Request) -> None:
    of_events = {
        "--partitions": request.partitions is not None,
        "--exclude-events": request.exclude_events,
        "--no-keep-sequences": not request.keep_sequences,
    }
    for option in (name for name, given in of_events.items() if given):
        raise UsageError(f"{option}: applies to events, and the columns file has no section events:")


def check_options(request: Request) -> None:
    """Checks the options, whatever the columns are.

    Raises:
      UsageError: a value is not allowed.
    """
    if request.format not in FORMATS:
        raise UsageError(f"--format: expected one of {', '.join(FORMATS)}, got {request.format!r}")
    if not 0 <= request.max_rejected <= 1:
        raise UsageError(f"--max-rejected: expected a fraction from 0 to 1, got {request.max_rejected!r}")
    check_workers(request.workers)
    _check_shards(request)
    if request.on_bad_file not in ON_BAD_FILE:
        raise UsageError(f"--on-bad-file: expected one of {', '.join(ON_BAD_FILE)}, got {request.on_bad_file!r}")
    if not request.wait and request.runs_here:
        raise UsageError("--no-wait: the job runs here, in this process; it needs --runner")
    if not request.wait and "://" not in request.output:  # whose lock the launcher holds
        raise UsageError(f"--no-wait: --output {request.output!r} is of this machine; give one that the engine reaches")
    _check_limits(request)
    if request.partitions is not None and not 1 <= request.partitions <= MOST_PARTITIONS:
        raise UsageError(f"--partitions: expected 1 to {MOST_PARTITIONS:,}, got {request.partitions!r}")
    if "" in request.statistics_inputs:
        raise UsageError("--statistics-input: expected a file pattern, got ''")
    if request.cache:
        checked_directory("--cache", request.cache)
    if "" in request.exclude_events:
        raise UsageError("--exclude-events: expected a file pattern, got ''")
    if "" in request.inputs:
        raise UsageError("--input: expected a file pattern, got ''")
    if not request.inputs:
        raise UsageError("--input: expected at least one file pattern")


def _check_transform(request: Request) -> None:
    if request.append:
        others = {"--transform": request.transform, "--overwrite": request.overwrite}
        for option in (name for name, given in others.items() if given):
            raise UsageError(f"{option}: does not apply, --append adds to {request.output!r} by its own transform")
    if request.again and not request.append:
        raise UsageError("--again: does not apply without --append")
    if request.spec is None:
        raise UsageError("expected a columns file, or --transform with a data set whose columns are used")
    fitting = {
        "--statistics-input": request.statistics_inputs,
        "--statistics-split": request.statistics_split,
        "--cache": request.cache,
    }
    for option in (name for name, given in fitting.items() if given and request.uses):
        whose = "--append" if request.append else f"--transform {request.transform!r}"
        raise UsageError(f"{option}: does not apply, the statistics are those of {whose}")


def _check_columns(request: Request) -> None:
    from transforms.errors import SpecError
    from transforms.spec.make_spec import job_faults

    faults = job_faults(request.spec, request.max_record_bytes)
    if faults:
        raise SpecError(faults)


def _check_shards(request: Request) -> None:
    if request.shards is not None and (type(request.shards) is not int or request.shards < 1):
        raise UsageError(f"--shards: expected 1 or more, got {request.shards!r}")
    if type(request.shard_bytes) is not int or request.shard_bytes < 1:
        raise UsageError(f"--shard-bytes: expected 1 or more, got {request.shard_bytes!r}")
    if request.shards is not None and request.shard_bytes != DEFAULT_SHARD_BYTES:
        raise UsageError(
            "--shards says how many files there are, and --shard-bytes how large they are: expected one of them"
        )


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
