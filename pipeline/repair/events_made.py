"""Sequences of mended events: made, counted and written, before they go through the columns as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TextIO

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import distributions, events_ledger, layout
from pipeline.dataset.layout import Layout
from pipeline.inputs.places import named, places_of
from pipeline.job.request import Request
from pipeline.job.writing import Shard, ShardTarget, rejected_outputs
from pipeline.repair import again, dropped_events, mended_events
from pipeline.repair.mended_events import MendedEvents, MendedFile
from pipeline.repair.plan import MadeSequences, RepairPlan
from pipeline.shuffle.blocks import Block, Gatherer
from pipeline.shuffle.group_events import BATCH_BYTES
from pipeline.shuffle.partition import Grouping
from pipeline.sinks.nested import SUFFIX, open_nested
from transforms.errors import JobError
from transforms.events.figures import Figures, exchanged
from transforms.rows import digests
from transforms.rows.tally import Tally, count_rejected

_OF_EVENTS = ("events", "event_digest", "sequences")


def with_sequences(plan: RepairPlan, request: Request, stream: TextIO | None) -> RepairPlan:
    """Makes the sequences of mended events whose keys have none, and writes them; the run's folders are there.

    Args:
      plan: the repair.
      request: how it runs.
      stream: where progress is shown.

    Returns:
      The plan with what was made (`None` where every event that was mended was refused), and with notes on what was refused.

    Raises:
      UsageError: nothing says how the events were grouped.
      JobError: a file cannot be read or written, or is not what the data set was made of.
    """
    grouping = mended_events.grouping_of(plan.before, plan.spec)
    read = mended_events.read(plan.before, grouping.incoming, plan.mended)
    found, table, changes, figures = _grouped(plan, grouping, read, request, stream)
    plan, counts = replace(plan, notes=(*plan.notes, *again.notes(plan, found))), found.counts()
    if not counts["added"] and not counts["rejected"]:
        return plan
    first = layout.read_json(plan.before.path(plan.before.content["ledger"]))["events"]
    tally = events_ledger.tally_of(first)
    tally.update(changes)
    tally.subtract(_counted(found.before))
    tally.update(_counted(found.staying))
    book = {**events_ledger.build(tally), "skipped_files": first["skipped_files"]}
    rejected, seen = _write_rejected(plan, found)
    _refuse_others(first, seen)
    ordered = table.select(list(plan.before.sequences["fields"]))
    return replace(plan, made=MadeSequences(_write_sequences(plan.place, ordered), rejected, book, counts, figures))


def _grouped(
    plan: RepairPlan, grouping: Grouping, found: MendedEvents, request: Request, stream: TextIO | None
) -> tuple[MendedEvents, pa.Table, Tally, Figures | None]:
    """Returns mended events, their sequences, by how much these change what was counted of all events, and the figures of all.

    Events of keys that have no sequence with them either stay rejected, and their records with them: what a rule drops is in no
    input, where the next repair of such a key looks for it.
    """
    others: list[Block] = []
    incoming = grouping.incoming
    keys = pa.chunked_array([part.keys for part in found.added], pa.large_binary()).unique()
    dropped = layout.read_json(plan.before.path(plan.before.content["ledger"]))["events"]["dropped"]
    if len(keys) and dropped_events.may_be_there(incoming.events, dropped):
        others = dropped_events.of_keys(plan, incoming, keys, request, stream)
    alone, were, old = grouping.grouped(others)
    if alone.num_rows:
        raise JobError(f"{plan.before.root!r}: does not hold the sequences that its events make: run the job again")
    table, now, new = grouping.grouped([*others, *_blocks(grouping, found.added)])
    held = [mended_events.key_texts(incoming, batch) for batch in table.to_batches()]
    found = found.grouped(pa.chunked_array(held, pa.large_binary()).unique())
    if any(len(part.rows) for part in found.dropped):
        table, now, new = grouping.grouped([*others, *_blocks(grouping, found.added)])
    changes: Tally = Counter()
    changes.update({key: n for key, n in now.items() if key[1] in _OF_EVENTS})
    changes.subtract({key: n for key, n in were.items() if key[1] in _OF_EVENTS})
    whole = distributions.read_events(plan.before)
    return found, table, changes, exchanged(whole, old, new) if whole else None


def _blocks(grouping: Grouping, parts: Sequence[MendedFile]) -> list[Block]:
    gatherer = Gatherer(grouping.incoming, 1)
    dealt = [*(gatherer.add(part.batch, part.file) for part in parts), gatherer.flush()]
    return [block for own in dealt if own is not None for _, block in own.blocks()]


def _counted(rejected: pa.Table) -> Tally:
    tally: Tally = Counter()
    for batch in rejected.to_batches():
        tally.update(count_rejected(batch))
    return tally


def _write_sequences(place: Layout, table: pa.Table) -> list[Shard]:
    """Writes sequences to a file, if there are any."""
    if not table.num_rows:
        return []
    folder = place.at(layout.SEQUENCES)
    layout.make_dirs(folder)
    file = open_nested(FileSystems.join(folder, layout.shard_name(place.run_id, SUFFIX)), table.schema)
    most = max(1, int(table.num_rows * BATCH_BYTES // max(table.nbytes, 1)))
    for batch in table.combine_chunks().to_batches(max_chunksize=most):
        file.write(batch)
    done = file.close()
    return [Shard(done.path, done.rows, done.bytes, done.sha256)]


def _write_rejected(plan: RepairPlan, found: MendedEvents) -> tuple[list[Shard], Tally]:
    """Writes the events that are rejected now; returns the file, if there is one, and a count of those that were."""
    places, seen = places_of(plan.mended), Counter[tuple[object, ...]]()
    target = ShardTarget(plan.place.at(layout.REJECTED), plan.place.run_id, "parquet")
    shard = target.begin(None, tuple(rejected_outputs(False)), 0, "")
    rows = 0
    for batch in mended_events.rejected_events(plan.before):
        seen.update(count_rejected(batch))
        left = batch.filter(pa.array(~named(places, batch)))
        rows += shard.write(left, digests.total(left.column("digest")), False)
    for batch in found.staying.to_batches():
        rows += shard.write(batch, digests.total(batch.column("digest")), False)
    if rows:
        return [shard.close()], seen
    shard.writer.abort()
    return [], seen


def _refuse_others(first: Mapping[str, Any], seen: Tally) -> None:
    """Refuses files of rejected events that are not what the run wrote.

    Raises:
      JobError: naming the first input file whose events they are not.
    """
    for file in {*first["files"], *(key[0] for key in seen)}:
        entry = first["files"].get(file, {"rows": {"rejected": 0}, "row_digests": {"rejected": digests.as_text(0)}})
        found = seen[file, "rows", "rejected"], digests.as_text(seen[file, "digest", "rejected"])
        if found != (entry["rows"]["rejected"], entry["row_digests"]["rejected"]):
            raise JobError(
                f"the ledger does not balance: {file}: the events in rejected/ are not those that were rejected ({found[0]} read)"
            )
