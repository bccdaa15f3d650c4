"""Running one pipeline, here in process or on an engine: with what options, what is shown meanwhile, and how it ended."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, fn_runner

from pipeline.dataset import layout, manifest
from pipeline.dataset.layout import Layout
from pipeline.dataset.notebook import Ledger, outcome_html
from pipeline.inputs.match import SkippedFile
from pipeline.job import cleaning, progress, wiring
from pipeline.job.failures import message_of, of_a_disk, of_function
from pipeline.job.request import Request
from pipeline.job.verdict import DONE, FAILED
from transforms.errors import JobError

WORKER_BYTES: Final = 64 << 20
"""So much input is worth one local worker more, up to one a core, unless somebody asks for another number."""

HANDED_OVER: Final = "handed_over"
"""The status of a run whose launcher does not wait for its engine."""


@dataclass(repr=False)
class Outcome:
    """The outcome of a run.

    Attributes:
      status: `done`, `failed`, `too_many_rejected`, or `handed_over` to an engine that is not waited for.
      message: the reason, if it is not done.
      output: the directory, or an empty string for a check.
      ledger: the ledger, as far as the run got.
      rejected_examples: the first rejected rows of every reason.
      rejected_files: the files with the rejected rows.
      repeated: input files that several patterns matched.
      passes: how often the input was read.
      skipped: broken files that were left out (`on_bad_file`).
      notes: remarks for the reader, one line each.
      repaired: for a repair, how many rows were `read`, `written` and `rejected`; of mended events also, under `events`, how many
        of these were `read`, `added`, `refused` and `rejected`.
      lengths: for a check, the lengths of the accepted rows by sequence group, as `Lengths.of` takes them.
      grouping: for a check of events, the `partitions` that their keys are dealt to, and `disk_bytes`: about how much room blocks
        take meanwhile.
      stale: files that the cache was wrong about; their entries have been dropped.
      error: the exception that was raised, if any.
    """

    status: str
    message: str = ""
    output: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    rejected_examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejected_files: list[str] = field(default_factory=list)
    repeated: Sequence[str] = ()
    passes: int = 1
    notes: Sequence[str] = ()
    skipped: Sequence[SkippedFile] = ()
    repaired: dict[str, Any] = field(default_factory=dict)
    lengths: dict[str, dict[str, Any]] = field(default_factory=dict)
    grouping: Mapping[str, int] = field(default_factory=dict)
    stale: Sequence[str] = ()
    error: BaseException | None = None

    def __repr__(self) -> str:
        """The status, with the numbers of rows."""
        why = f": {self.message}" if self.message else ""
        return f"Outcome({self.status}{why}; {self.ledger!r}; {self.output!r})"

    def _repr_html_(self) -> str:
        """Tables for notebooks."""
        return outcome_html(self.status, self.message, self.output, self.ledger, self.rejected_examples)


@contextlib.contextmanager
def tuned(request: Request, sizes: list[int], titles: list[str], stream: TextIO | None) -> Iterator[wiring.Tuning]:
    """Yields how to run the job, with its progress shown meanwhile where it runs here."""
    if not request.runs_here:
        yield wiring.Tuning(request.limits, spread=True)
        return
    with _folder_for_notes() as folder:
        workers = _workers(max(sizes)) if request.workers is None else request.workers
        tuning = wiring.Tuning(request.limits, workers, spread=workers != 1, notes=folder)
        with progress.shown(folder, titles, sizes, stream) if stream and folder else contextlib.nullcontext():
            yield tuning


def _workers(size: int) -> int:
    """Returns the number of workers for an input of some bytes: each traces a graph for the analysis, which takes a second."""
    return min(1 + size // WORKER_BYTES, len(os.sched_getaffinity(0)))


def _folder_for_notes() -> contextlib.AbstractContextManager[str]:
    """Returns a folder for notes of progress, or no name where the disk for such has no room: no run fails for that."""
    try:
        return tempfile.TemporaryDirectory(prefix="seqcols-progress-", ignore_cleanup_errors=True)
    except OSError:
        return contextlib.nullcontext("")


def options_for(request: Request, workers: int = 1) -> PipelineOptions:
    """Returns Beam's options: ours first, so that what a person asks for by Beam's own names wins."""
    args = ["--no_save_main_session"]
    if request.runs_here:
        # Threads share TensorFlow, which every process would load, in seconds and 700 MB. What takes long lets go of the GIL.
        # "multi_threading" would have them talk through gRPC, 0.8 s and 50 MB more; that "in_memory" has one worker only, as Beam
        # 2.77 warns, does not hold.
        args += [f"--direct_num_workers={workers}", "--direct_running_mode=in_memory"]
    return PipelineOptions([*args, *request.beam_args], **request.options)


def _holds(record: logging.LogRecord) -> bool:
    """Tells whether what the local runner logs is true: see `options_for`."""
    return "desired worker parallelism" not in record.getMessage()


def _places(request: Request) -> list[str]:
    """Returns where a file may lie that an error does not name."""
    with contextlib.suppress(OSError):  # there is no temporary directory that can be used
        return [*filter(None, [request.output]), tempfile.gettempdir()]
    return [*filter(None, [request.output])]


def execute(request: Request, build: Any, outcome: Outcome, workers: int = 1) -> None:
    """Builds and runs a pipeline; a failure ends in the outcome, one line long."""
    logging.getLogger(fn_runner.__name__).addFilter(_holds)
    # FnApiRunner by itself: `--runner=DirectRunner` would try to download another one first (Beam 2.77).
    options = options_for(request, workers)
    places = _places(request)
    try:
        root = beam.Pipeline(FnApiRunner(), options=options) if request.runs_here else beam.Pipeline(options=options)
        build(root)
    except JobError:
        raise
    except OSError as error:  # Beam and TensorFlow use temporary files of their own
        where = error.filename or " or ".join(places)
        raise JobError(f"{where}: {(error.strerror or str(error)).lower()}") from error
    except Exception as error:  # tracing runs the normalizer functions, and writes temporary files
        if of_a_disk(error):
            raise JobError(of_a_disk(error, places)) from error
        raise of_function(error) from error
    try:
        result = root.run()
        if not request.wait:
            outcome.status = HANDED_OVER
            return
        result.wait_until_finish()
    except Exception as error:
        if message_of(error).endswith("KeyboardInterrupt"):  # Beam 2.77 makes a RuntimeError of it
            raise KeyboardInterrupt from error
        outcome.status, outcome.message, outcome.error = FAILED, message_of(error, places), error


def take_result(place: Layout, outcome: Outcome) -> None:
    """Reads how the run ended, as its last step wrote it down."""
    result = _result_of(place) or _published_result(place, outcome)
    if result is None:
        outcome.message = outcome.message or "the job ended without a result"
        return
    outcome.status, outcome.message = result["status"], result["message"]
    outcome.ledger = Ledger(result.get("ledger", {}))
    outcome.repaired = result.get("repaired", {})
    outcome.lengths = result.get("lengths", {})
    outcome.stale = result.get("stale", ())
    outcome.notes = [*outcome.notes, *result.get("notes", [])]
    outcome.rejected_files = result.get("rejected_files", [])
    outcome.rejected_examples = result.get("rejected_examples", {})


def _result_of(place: Layout) -> dict[str, Any] | None:
    """Returns what the last step wrote down; None where it did not, or not to its end."""
    try:
        return dict(layout.read_json(place.result)) if layout.exists(place.result) else None
    except ValueError:
        return None


def _published_result(place: Layout, outcome: Outcome) -> dict[str, Any] | None:
    """Returns how a run ended that has published and then failed to say so; None for one that has not published."""
    if not cleaning.is_current(place):
        return None
    published = manifest.read(place.output)
    book = layout.read_json(published.path(published.content["ledger"]))
    why = f" ({outcome.message})" if outcome.message else ""
    return {
        "status": DONE,
        "message": "",
        "ledger": book,
        "repaired": published.content["runs"][-1],
        "rejected_files": published.rejected_files,
        "notes": [f"published, but how the run ended could not be written down{why}"],
    }


def conclude(place: Layout, outcome: Outcome) -> None:
    """Reads how a run ended and cleans up after it. One that has published does not fail any more, whatever fails here."""
    take_result(place, outcome)
    try:
        cleaning.clean(place, outcome.status == DONE, outcome.rejected_files, outcome.ledger)
    except Exception as error:  # of a store, too
        if outcome.status != DONE:
            raise
        outcome.notes = [
            *outcome.notes,
            f"published, but the run's own leftovers could not be removed ({message_of(error)})",
        ]
