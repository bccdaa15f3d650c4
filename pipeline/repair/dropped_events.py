"""Events of keys without a sequence that a rule has dropped: together with mended ones they may make a sequence now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TextIO

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import AsList, AsSingleton

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest
from pipeline.inputs.match import match, where_now
from pipeline.inputs.places import places_of
from pipeline.job import batch_coder
from pipeline.job.combine import at_end, sum_tallies
from pipeline.job.executing import Outcome, execute, tuned
from pipeline.job.reading import ReadBatches
from pipeline.job.request import Request
from pipeline.job.sequences_plan import fields_read
from pipeline.job.sequences_wiring import BATCH_ROWS
from pipeline.job.verdict import FAILED
from pipeline.job.wiring import Tuning
from pipeline.repair.mended_events import key_texts
from pipeline.repair.plan import RepairPlan
from pipeline.shuffle.blocks import Block, Dealt, Gatherer, unpacked
from pipeline.sources.limits import WIDEST
from transforms.beam import GOOD, TALLIES, in_global_window
from transforms.errors import JobError
from transforms.events.accounting import EXCLUDED
from transforms.events.incoming import Incoming
from transforms.events.spec import Events
from transforms.rows import digests, origin
from transforms.rows.tally import Tally, from_list, listed, without_times

FOUND: Final = "dropped-events"
"""Name of the results in the staging folder."""


def may_be_there(events: Events, dropped: Mapping[str, int]) -> bool:
    """Returns whether a key may have events and no sequence.

    >>> may_be_there(Events(key="user", order_by="at"), {"windows": 0, "min_events": 3, "longer": 0})
    True

    Args:
      events: the section.
      dropped: the number of events that each rule has dropped.
    """
    windows = events.windows is not None and events.windows.partial == "drop" and dropped["windows"]
    return bool(windows or dropped["min_events"] or (events.longer == "reject" and dropped["longer"]))


def of_keys(
    plan: RepairPlan, incoming: Incoming, keys: pa.Array, request: Request, stream: TextIO | None
) -> list[Block]:
    """Reads the inputs of a data set again, and returns the events of some keys.

    Args:
      plan: the repair, whose staging folder is there.
      incoming: the events.
      keys: large binary, the canonical bytes of the keys.
      request: how it runs.
      stream: where progress is shown.

    Raises:
      JobError: the inputs cannot be read, or are not what the data set was made of.
    """
    before, outcome = plan.before, Outcome(FAILED)
    known = {file["path"]: file["bytes"] for file in before.content["inputs"]}
    try:
        paths = where_now(before.content["inputs"], match(plan.inputs), set(known))
        with tuned(request, [sum(known.values())], ["look"], stream) as tuning:
            search = _Search(plan, incoming, keys, {path: name for name, path in paths.items()})
            execute(request, lambda root: search.build(root, tuning), outcome, tuning.workers)
        if outcome.message:
            raise JobError(outcome.message)
    except JobError as error:
        where = "" if plan.inputs else "; --input says where the inputs lie now"
        raise JobError(
            f"keys of mended events may have other events, which a rule has dropped; looking for these: {error}{where}"
        ) from error
    found = layout.read_json(plan.place.staged(f"{FOUND}.json"))
    _refuse_others(before, from_list(found["tally"]))
    return [unpacked(layout.read_bytes(plan.place.staged(f"{FOUND}-{k}"))) for k in range(found["blocks"])]


class _Search:
    """The pipeline that looks for the events of some keys."""

    def __init__(self, plan: RepairPlan, incoming: Incoming, keys: pa.Array, names: Mapping[str, str]):
        self._plan, self._incoming, self._keys, self._names = plan, incoming, keys, names

    def build(self, root: beam.Pipeline, tuning: Tuning) -> beam.PCollection:
        """Adds reading and looking to a pipeline."""
        batch_coder.register()
        files = root | "Files" >> beam.Create(list(self._names), reshuffle=False)
        limits = replace(WIDEST, max_batch_rows=BATCH_ROWS)
        excluded = places_of(self._plan.before.sequences.get("excluded_by", ()))
        how = (fields_read(self._incoming), limits, tuning.spread, tuning.notes, 0, self._names)
        read = files | "Read" >> ReadBatches(*how, excluded=excluded)
        blocks = read[GOOD] | "OfKeys" >> beam.ParDo(_OfKeys(self._incoming, self._keys))
        tally = sum_tallies((read[TALLIES],), "Ledger")
        return at_end(root, _written_down, self._plan, blocks=AsList(blocks), tally=AsSingleton(tally))


class _OfKeys(beam.DoFn):
    """Events to the blocks, as bytes, of those that can be grouped and have one of some keys."""

    def __init__(self, incoming: Incoming, keys: pa.Array):
        self._incoming, self._keys = incoming, keys

    def start_bundle(self) -> None:
        """Begins with nothing gathered."""
        self._gatherer = Gatherer(self._incoming, 1)

    def process(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        """Takes events as they were read."""
        ready, _ = self._incoming.ready(batch)
        own = ready.filter(pc.is_in(key_texts(self._incoming, ready), self._keys))
        yield from _packed(self._gatherer.add(own, origin.file_of(batch)))

    def finish_bundle(self) -> Iterator[Any]:
        """Yields what was still gathered."""
        yield from map(in_global_window, _packed(self._gatherer.flush()))


def _packed(dealt: Dealt | None) -> Iterator[bytes]:
    return (block.packed().to_pybytes() for _, block in (dealt.blocks() if dealt is not None else ()))


def _written_down(_: None, plan: RepairPlan, blocks: Sequence[bytes], tally: Tally) -> str:
    for k, block in enumerate(blocks):
        layout.write_bytes(plan.place.staged(f"{FOUND}-{k}"), block)
    counted = without_times(tally)
    layout.write_json(plan.place.staged(f"{FOUND}.json"), {"blocks": len(blocks), "tally": listed(counted)})
    return plan.place.run_id


def _refuse_others(before: Manifest, tally: Tally) -> None:
    """Refuses inputs that are not what the data set was made of.

    Raises:
      JobError: naming the first file.
    """
    held = layout.read_json(before.path(before.content["ledger"]))["events"]["files"]
    for file, entry in held.items():
        read = (tally[file, "rows", "read"], digests.as_text(tally[file, "digest", "read"]))
        left = tally[file, "events", EXCLUDED]
        if (*read, left) != (entry["rows"]["read"], entry["row_digests"]["read"], entry["rows"].get(EXCLUDED, 0)):
            raise JobError(f"{file}: is not what {before.root!r} was made of: run the job again")
