"""The rejected rows of a data set, as `seqcols rejects` prints them, and writes them for people to mend."""

from __future__ import annotations

import functools
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.command.shown import as_text
from pipeline.dataset import layout, leftovers
from pipeline.dataset.manifest import Manifest, read
from pipeline.dataset.splits import unknown_split
from pipeline.errors import UsageError
from pipeline.inputs import originals
from pipeline.inputs.places import batches_of
from pipeline.sources.formats import SOURCES
from transforms import escaping
from transforms.errors import listed, nearest
from transforms.rows import fates, origin, rejection
from transforms.rows.reasons import DROPPED, EXPLANATIONS
from transforms.stored.files import plain_path

_SCHEMA: Final = pa.schema(
    [
        field.with_type(pa.large_binary()) if field.name == "record" else field
        for field in rejection.SCHEMA
        if field.name != "digest"
    ]
)
"""Of many records together, there may be more than 2 GB."""

_TOLD: Final = ["file", "row", "reason", "column", "value", "message"]

_LINES: Final = pa.schema([*(_SCHEMA.field(name) for name in _TOLD), ("shown", pa.string())])

_ORDER: Final = [("file", "ascending"), ("row", "ascending")]

_LEDGER: Final = f"-{layout.LEDGER}"

_UNPUBLISHED: Final = "these are of the last run, which published nothing: there is nothing to repair, run again"


def opened(directory: str) -> Manifest:
    """Returns a data set; where none was published, what the last run has left: rejected rows and a ledger.

    Raises:
      JobError: there is neither.
    """
    root = plain_path(directory).rstrip("/")
    if layout.exists(f"{root}/{layout.MANIFEST}") or not layout.exists(f"{root}/{layout.REJECTED}"):
        return read(directory)
    names = [name for name in leftovers.listing(root) if name.startswith(f"{layout.REJECTED}/")]
    book = max((name for name in names if name.endswith(_LEDGER)), default="")
    if not book:
        return read(directory)
    content, run = layout.read_json(f"{root}/{book}"), book.removesuffix(_LEDGER)
    files = [{"path": name} for name in names if name.startswith(run) and name != book]
    rejected = {"rows": content["rows"]["rejected"], "files": files}
    return Manifest(root, {"rejected": rejected, "ledger": book, "splits": {"rows": content.get("splits", {})}})


def _is_published(found: Manifest) -> bool:
    return "run" in found.content


@dataclass(frozen=True)
class Rejects:
    """Some of the rejected rows of a data set.

    Attributes:
      found: the data set, or what is left of a run (see `opened`).
      reason: the reason that they were rejected for; empty for any that is a fault, those of dropped rows are none.
      column: the column that they were rejected for; empty for any.
      split: the split that they are of; empty for any.
      events: whether rejected events are meant, and not rows.
      columns: the columns at fault, once all were read.
    """

    found: Manifest
    reason: str = ""
    column: str = ""
    split: str = ""
    events: bool = False
    columns: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Refuses what no row can have.

        Raises:
          UsageError: naming what there is.
        """
        found = self.found
        if self.reason and self.reason not in EXPLANATIONS:
            hint = nearest(self.reason, EXPLANATIONS) or f"; expected one of {', '.join(EXPLANATIONS)}"
            raise UsageError(f"--reason: unknown reason {self.reason!r}{hint}")
        if self.events and not found.sequences:
            raise UsageError(f"--events: {found.root!r} was not made of events")
        if self.split and self.events:
            raise UsageError("--split: rejected events are in no split")
        if self.split and self.split not in found.splits:
            raise UsageError(f"--split: {unknown_split(self.split, found.splits)}")

    @property
    def total(self) -> int:
        """How many rows, or events, were rejected."""
        content = self.found.sequences if self.events else self.found.content
        return int(content[layout.REJECTED]["rows"]) - self.dropped

    @property
    def dropped(self) -> int:
        """How many rows were dropped, which lie beside the rejected ones."""
        return 0 if self.events else fates.dropped(self._ledger["rows"])

    @property
    def _ledger(self) -> Any:
        return layout.read_json(self.found.path(self.found.content["ledger"]))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields them, in `_SCHEMA`.

        Raises:
          UsageError: the data set has no such column.
        """
        wanted = {"reason": self.reason, "column": self.column, "split": self.split}
        files = self.found.rejected_event_files if self.events else self.found.rejected_files
        for batch in batches_of(files, [*_SCHEMA.names, *(["split"] if self.split else [])]):
            self.columns.update(batch.column("column").unique().to_pylist())
            chosen = [pc.equal(batch.column(name), value) for name, value in wanted.items() if value]
            if not self.reason:
                chosen.append(pc.invert(pc.is_in(batch.column("reason"), pa.array(DROPPED))))
            some = batch.filter(functools.reduce(pc.and_, chosen)) if chosen else batch
            if some.num_rows:
                yield some.select(_SCHEMA.names).cast(_SCHEMA)
        self._refuse_unknown()

    def _refuse_unknown(self) -> None:
        known = sorted({*self.columns, *([] if self.events else self._ledger.get("columns", ()))} - {""})
        if self.column and self.column not in known:
            hint = nearest(self.column, known) or (f"; expected one of {listed(known)}" if known else "")
            raise UsageError(f"--column: {self.found.root!r} has no column {self.column!r}{hint}")


def lines(rejects: Rejects) -> list[str]:
    """Returns the rows for people, by file and row: where, why, and below that the record."""
    parts = (batch.select(_TOLD).append_column("shown", _shown(batch)) for batch in rejects.batches())
    made = []
    for row in pa.Table.from_batches(parts, _LINES).sort_by(_ORDER).to_pylist():
        column = f" column '{escaping.value(row['column'])}':" if row["column"] else ""
        value = f" {row['value']} -" if row["value"] else ""
        where = f"{row['file']} row {row['row']}: {row['reason']}"
        made += [f"{where}:{column}{value} {row['message']}", f"    {row['shown']}"]
    return made


def notes(rejects: Rejects, shown: int) -> list[str]:
    """Returns how many of all these are, and what else there is to know, a line each."""
    found = rejects.found
    if rejects.reason in DROPPED:
        made = [f"{shown:,} of {rejects.dropped:,} dropped rows"]
    else:
        made = [f"{shown:,} of {rejects.total:,} rejected {'events' if rejects.events else 'rows'}"]
        if rejects.dropped:
            made.append(f"{rejects.dropped:,} rows were dropped, which --reason {' or '.join(DROPPED)} shows")
    others = 0 if rejects.events or not found.sequences else found.sequences[layout.REJECTED]["rows"]
    if others:
        made.append(f"{others:,} events were rejected, which --events shows")
    return made if _is_published(found) else [*made, _UNPUBLISHED]


def write(rejects: Rejects, path: str, overwrite: bool) -> list[str]:
    """Writes the original records to a file of their own format, which the end of its name says; returns what to say of it.

    Raises:
      UsageError: none is of that format; or the file is an input, or is there already.
    """
    if os.path.realpath(path) in {os.path.realpath(one["path"]) for one in rejects.found.content.get("inputs", ())}:
        raise UsageError(f"--output {path!r}: is an input of the data set, give the name of another file")
    table = pa.Table.from_batches(rejects.batches(), _SCHEMA).sort_by(_ORDER)
    formats = table["record_format"].to_pylist()
    fits = [path.endswith(originals.endings(name)) for name in formats]
    others = Counter(name for name, fit in zip(formats, fits, strict=True) if not fit)
    if not any(fits):
        raise UsageError(f"--output {path!r}: {_of_other_formats(others) or 'none of the rejected rows is asked for'}")
    written = originals.write(path, table.filter(pa.array(fits)), overwrite)
    made = [f"{one}: {rows:,} records; their places: {originals.places_file(one)}" for one, rows in written.items()]
    if others:
        made.append(f"not written: {_of_other_formats(others)}")
    if not _is_published(rejects.found):
        return [*made, _UNPUBLISHED]
    made.append("mend the records, leave their number and order as they are, and then:")
    root = shlex.quote(rejects.found.root)
    return [*made, *(f"  seqcols repair {shlex.quote(one)} --columns COLUMNS.yaml --output {root}" for one in written)]


def _of_other_formats(others: Counter[str]) -> str:
    ends = {name: " or ".join(originals.endings(name)) or "no known name" for name in others}
    return "; ".join(f"records of the format {name} ({rows:,}) go to {ends[name]}" for name, rows in others.items())


def _shown(batch: pa.RecordBatch) -> pa.Array:
    """Returns the records for people, each as one short line."""
    formats, records, columns = (batch.column(name).to_pylist() for name in ("record_format", "record", "column"))
    decoded = _decoded_examples(records, formats)
    made = []
    for k, (record, record_format, column) in enumerate(zip(records, formats, columns, strict=True)):
        if record_format == origin.ARROW_IPC:
            decoded[k] = originals.opened_ipc(record, "").to_pylist()[0]
        if k in decoded:  # what was wrong comes first
            text = as_text(dict(sorted(decoded[k].items(), key=lambda item: item[0] != column)))
        else:
            text = escaping.of_bytes(record.rstrip(b"\r\n"))
        made.append(escaping.value(text))
    return pa.array(made, pa.string())


def _decoded_examples(records: Sequence[bytes], formats: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Returns the features of tf.Examples and tf.SequenceExamples by position."""
    source = SOURCES["tfrecord"]
    chosen = [k for k, name in enumerate(formats) if name in source.record_formats]
    if not chosen:
        return {}
    from pipeline.sources.tfrecord.examples import kinds

    own = [records[k] for k in chosen]
    features = dict.fromkeys(kinds(pa.array(own, pa.large_binary())), "string")
    made: dict[int, dict[str, Any]] = {}
    for good, _ in source.decoded(own, "", features, ""):
        if good is not None:
            rows = good.select(list(features)).to_pylist()
            made.update(zip((chosen[k] for k in origin.row_numbers(good)), rows, strict=True))
    return made
