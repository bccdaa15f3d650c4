"""Mended events of keys that have sequences: what is said of them, and what a run that begins again with them needs."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest
from pipeline.inputs.data_sets import names_of, parents
from pipeline.inputs.match import match, where_now
from pipeline.inputs.places import Places, places_of
from pipeline.job.request import DEFAULT_MAX_REJECTED
from pipeline.repair.mended_events import MendedEvents, MendedFile
from pipeline.repair.plan import RepairPlan
from pipeline.sources.limits import DEFAULT_MAX_STEPS
from transforms.errors import JobError
from transforms.rows.fates import dropped
from transforms.rows.origin import DIGEST_COLUMN
from transforms.splits.rule import TRAIN

EVENTS: Final = "events.parquet"
"""The mended events, to be read as a further input."""

PLACES: Final = "places.parquet"
"""The places of the events that they stand for, and of those that the data set was made without: to be excluded."""

MOST_ROWS: Final = 5
"""Rows of a file that are named."""

MOST_LISTED: Final = 3
"""Inputs of one folder that are listed one by one; more are a pattern, where one matches exactly them."""


def notes(plan: RepairPlan, found: MendedEvents) -> list[str]:
    """Returns what to say of events that are refused, a line for each file, and how to run again with them.

    What that run needs is written to a folder beside the file of mended records.

    Raises:
      JobError: it cannot be written.
    """
    lines = _refused(found.refused, "that has a sequence already", "that have sequences already")
    dropped = _refused(found.dropped, *["whose events make no sequence (a rule drops them)"] * 2)
    if not lines:
        return dropped
    excluded, by = _excluded(plan)
    folder = _write(plan, found, excluded)
    command = " ".join(map(shlex.quote, ["seqcols", "run", *_arguments(plan, folder, by)]))
    earlier = [run for run in plan.before.content["runs"] if run.get("events")]
    more = " (what earlier repairs of events have mended needs its own --input and --exclude-events)" if earlier else ""
    return [*lines, *dropped, f"to make these sequences again with them{more}: {command}"]


def _refused(parts: Sequence[MendedFile], of_one: str, of_several: str) -> list[str]:
    """Returns a line for each file: its events, and what is said of their key, or of their keys."""
    by_file: dict[str, list[MendedFile]] = {}
    for part in parts:
        if len(part.rows):
            by_file.setdefault(part.file, []).append(part)
    lines = []
    for file, own in sorted(by_file.items()):
        rows = np.sort(np.concatenate([part.rows for part in own]))
        keys = pa.chunked_array([part.keys for part in own]).unique()
        shown = ", ".join(map(str, rows[:MOST_ROWS])) + (", ..." if len(rows) > MOST_ROWS else "")
        whose = f"{_count(len(keys), 'key')} {of_one if len(keys) == 1 else of_several}"
        lines.append(f"{file}: {_count(len(rows), 'mended event')} of {whose}, which stay rejected: row {shown}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _write(plan: RepairPlan, found: MendedEvents, excluded: Places) -> str:
    """Writes all mended events that can be grouped, and the places of what a run leaves out; returns the folder.

    Its name says its content; it is none of the data set's, in which no input may lie.
    """
    parts, now = [part for part in found.good if len(part.rows)], _now(plan)
    events = pa.Table.from_batches([part.batch for part in parts]).drop_columns([DIGEST_COLUMN])
    left_out = [*((part.file, part.rows) for part in parts), *excluded.items()]
    files = np.repeat([now.get(file, file) for file, _ in left_out], [len(rows) for _, rows in left_out])
    places = pa.table({"file": pa.array(files, pa.string()), "row": np.concatenate([rows for _, rows in left_out])})
    held = {EVENTS: _parquet(events), PLACES: _parquet(places)}
    name = hashlib.sha256(b"".join(held.values())).hexdigest()[:8]
    around = (folder for path in names_of(plan.mended[0]) for folder in parents(path))
    inside = not set(names_of(plan.before.root)).isdisjoint(around)
    folder = f"{plan.before.root}-mended-{name}" if inside else f"{plan.mended[0].removesuffix('.parquet')}-{name}"
    layout.make_dirs(folder)
    for file, data in held.items():
        layout.write_bytes(FileSystems.join(folder, file), data)
    return folder


def _excluded(plan: RepairPlan) -> tuple[Places, Sequence[str]]:
    """Returns the events that the data set was made without; or the files that name them, where these cannot be read."""
    by = plan.before.sequences.get("excluded_by", ())
    try:
        return places_of(by), ()
    except JobError:  # which the run then says
        return {}, by


def _parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


def _arguments(plan: RepairPlan, folder: str, excluded_by: Sequence[str]) -> list[str]:
    """Returns the arguments of a run like that of the data set, with mended events instead of those that were rejected."""
    before, made = plan.before, plan.before.sequences
    options = {
        "--format": [before.format],
        "--partitions": [str(made["partitions"])],
        "--max-steps": [str(made["max_steps"])] if made["max_steps"] != DEFAULT_MAX_STEPS else [],
        "--max-rejected": _max_rejected(before),
        "--on-bad-file": ["skip"] if before.content.get("skipped_files") else [],
        "--statistics-split": [before.statistics_split] if before.statistics_split not in ("", TRAIN) else [],
        "--transform": [before.content["transform_of"]["data_set"]] if "transform_of" in before.content else [],
        "--input": [*_inputs(plan), FileSystems.join(folder, EVENTS)],
        "--exclude-events": [*excluded_by, FileSystems.join(folder, PLACES)],
        "--output": [before.root],
    }
    named = [word for option, values in options.items() for value in values for word in (option, value)]
    return [plan.columns_file or "COLUMNS.yaml", *named, "--overwrite"]


def _max_rejected(before: Manifest) -> list[str]:
    """Returns the share of rejects that the run may have: more than the usual one where the data set has more."""
    book: Mapping[str, Any] = layout.read_json(before.path(before.content["ledger"]))
    counts = [own["rows"] for own in (book, book["events"], *book.get("splits", {}).values())]
    share = max((rows["rejected"] - dropped(rows)) / rows["read"] for rows in counts if rows["read"])
    return [str(math.ceil(share * 100) / 100)] if share > DEFAULT_MAX_REJECTED else []


def _inputs(plan: RepairPlan) -> list[str]:
    """Returns the inputs of the data set as they are given to a run."""
    by_folder: dict[tuple[str, str], list[str]] = {}
    for path in _now(plan).values():
        by_folder.setdefault((os.path.dirname(path), os.path.splitext(path)[1]), []).append(path)
    given = []
    for (folder, ending), paths in by_folder.items():
        pattern = f"{folder}/*{ending}" if folder else f"*{ending}"
        given += [pattern] if len(paths) > MOST_LISTED and _matches(pattern, paths) else paths
    return given


def _now(plan: RepairPlan) -> dict[str, str]:
    """Returns where the inputs lie now."""
    listed = plan.before.content["inputs"]
    paths = [file["path"] for file in listed]
    return where_now(listed, match(plan.inputs), paths) if plan.inputs else dict(zip(paths, paths, strict=True))


def _matches(pattern: str, paths: list[str]) -> bool:
    try:
        return sorted(file.path for file in match([pattern]).files) == sorted(paths)
    except JobError:
        return False
