"""Rejected events whose records were mended: read again, and told apart by whether their keys have sequences already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import field_types, layout
from pipeline.dataset.manifest import Manifest
from pipeline.errors import UsageError
from pipeline.inputs.places import batches_of, named, places_of
from pipeline.job.sequences_plan import borders_of, fields_read
from pipeline.repair.rows import kept_of, mended_records
from pipeline.shuffle.partition import Grouping
from transforms.errors import JobError
from transforms.events.incoming import Incoming
from transforms.events.make_events import resolved
from transforms.rows import keys, origin, rejection
from transforms.rows.fields import plain
from transforms.spec.spec import Spec


class MendedFile(NamedTuple):
    """Mended events of one file.

    Attributes:
      file: the file that they were read from.
      batch: as `Incoming.ready` gives them.
      rows: int64 `[events]`, their numbers in the file.
      keys: large binary `[events]`, the canonical bytes of their keys.
    """

    file: str
    batch: pa.RecordBatch
    rows: np.ndarray
    keys: pa.Array

    def where(self, chosen: np.ndarray) -> MendedFile:
        """Returns some of them, bool `[events]`."""
        mask = pa.array(chosen)
        return MendedFile(self.file, self.batch.filter(mask), self.rows[chosen], self.keys.filter(mask))


@dataclass(frozen=True)
class MendedEvents:
    """Mended events, read again.

    Attributes:
      before: as they were rejected, in `rejection.SCHEMA`.
      good: those that can be grouped now.
      bad: those that are rejected again, in `rejection.SCHEMA`, with the records that they had first.
      added: those of `good` that become a part of the data set.
      refused: those whose keys have sequences, which other events would change.
      dropped: those of keys that have no sequence with them either: a rule drops them, unless more events come.
    """

    before: pa.Table
    good: Sequence[MendedFile]
    bad: pa.Table
    added: Sequence[MendedFile] = ()
    refused: Sequence[MendedFile] = ()
    dropped: Sequence[MendedFile] = ()

    def grouped(self, keys: pa.Array) -> MendedEvents:
        """Returns them with those dropped whose keys are none of `keys`, which have sequences now."""
        added, dropped = _divided(self.added, keys)
        return replace(self, added=added, dropped=dropped)

    def counts(self) -> dict[str, int]:
        """Returns how many were `read`, `added`, `refused` (those that are dropped, too) and `rejected` again."""
        added, *others = (sum(len(part.rows) for part in own) for own in (self.added, self.refused, self.dropped))
        return {"read": len(self.before), "added": added, "refused": sum(others), "rejected": len(self.bad)}

    @property
    def staying(self) -> pa.Table:
        """All that stay rejected, in `rejection.SCHEMA`."""
        places: dict[str, list[np.ndarray]] = {}
        for part in (*self.refused, *self.dropped):
            places.setdefault(part.file, []).append(part.rows)
        held = {file: np.concatenate(rows) for file, rows in places.items()}
        kept = [batch.filter(pa.array(named(held, batch))) for batch in self.before.to_batches()]
        return pa.Table.from_batches([*kept, *self.bad.to_batches()], rejection.SCHEMA)


def grouping_of(before: Manifest, spec: Spec) -> Grouping:
    """Returns how the events of a data set were grouped.

    Raises:
      UsageError: its manifest does not say it.
    """
    made = before.sequences
    if not before.sequence_files:
        raise UsageError(
            f"{before.root!r}: its sequences were not kept (--no-keep-sequences), and nothing else says which keys have one: "
            f"run the job again"
        )
    if not made.get("event_fields") or not made.get("max_steps"):
        raise UsageError(
            f"{before.root!r}: was written by an older seqcols, which did not note types: run the job again"
        )
    assert spec.events is not None
    kinds = field_types.from_json(made["event_fields"])
    return Grouping(Incoming(resolved(spec.events, list(kinds)), kinds), borders_of(spec.split), made["max_steps"])


def key_texts(incoming: Incoming, batch: pa.RecordBatch) -> pa.Array:
    """Returns the canonical bytes of the keys of events that can be grouped, or of sequences of them."""
    columns = [plain(batch.column(name)) for name in incoming.events.key]
    kinds = [incoming.kinds[name] for name in incoming.events.key]  # Parquet has fewer of them
    return keys.texts([column.cast(kind) for column, kind in zip(columns, kinds, strict=True)])


def read(before: Manifest, incoming: Incoming, mended: Sequence[str]) -> MendedEvents:
    """Reads mended events, each as the event of the file that it came from.

    Args:
      before: the data set.
      incoming: its events.
      mended: files with their places and records.

    Raises:
      JobError: a file or a record cannot be read.
    """
    places, records = places_of(mended), mended_records(mended)
    found = [batch.filter(pa.array(named(places, batch))) for batch in rejected_events(before)]
    chosen = pa.Table.from_batches(found, rejection.SCHEMA)
    good, bad = [], []
    features = fields_read(incoming).read_features
    for rows in chosen.combine_chunks().to_batches():
        for kept, _ in kept_of(rows, records):
            for batch, undecoded in kept.decoded(features):
                if batch is not None:
                    ready, unfit = incoming.ready(batch)
                    numbers = origin.row_numbers(batch)
                    left = numbers if unfit is None else numbers[~np.isin(numbers, unfit.column("row").to_numpy())]
                    good.append(MendedFile(kept.file, ready, left, key_texts(incoming, ready)))
                    bad += [] if unfit is None else [unfit.replace_schema_metadata()]
                bad += [] if undecoded is None else [undecoded]
    return _told_apart(before, incoming, MendedEvents(chosen, good, pa.Table.from_batches(bad, rejection.SCHEMA)))


def rejected_events(before: Manifest) -> Iterator[pa.RecordBatch]:
    """Yields the rejected events of a data set, in `rejection.SCHEMA`."""
    for batch in batches_of(before.rejected_event_files, rejection.SCHEMA.names):
        columns = [batch.column(field.name).cast(field.type) for field in rejection.SCHEMA]
        yield pa.RecordBatch.from_arrays(columns, schema=rejection.SCHEMA)


def _told_apart(before: Manifest, incoming: Incoming, mended: MendedEvents) -> MendedEvents:
    """Returns mended events with those named whose keys have sequences.

    Raises:
      JobError: the files of sequences are not those that were published.
    """
    wanted = pa.chunked_array([part.keys for part in mended.good], pa.large_binary()).unique()
    held, rows = [], 0
    for batch in batches_of(before.sequence_files, incoming.events.key):
        texts, rows = key_texts(incoming, batch), rows + batch.num_rows
        held.append(texts.filter(pc.is_in(texts, wanted)).unique())
    if rows != before.sequences["rows"]:
        where, known = before.path(layout.SEQUENCES), before.sequences["rows"]
        raise JobError(
            f"{where}: expected the {known:,} sequences of the manifest, got {rows:,}: seqcols verify says more"
        )
    refused, added = _divided(mended.good, pa.chunked_array(held, pa.large_binary()).unique())
    return replace(mended, added=added, refused=refused)


def _divided(parts: Sequence[MendedFile], keys: pa.Array) -> tuple[list[MendedFile], list[MendedFile]]:
    """Returns events whose keys are among some, and the others."""
    masks = [pc.is_in(part.keys, keys).to_numpy(zero_copy_only=False) for part in parts]
    pairs = list(zip(parts, masks, strict=True))
    return [part.where(mask) for part, mask in pairs], [part.where(~mask) for part, mask in pairs]
