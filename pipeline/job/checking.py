"""`seqcols check`: reading and validating alone, with the same ledger as a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from pipeline.dataset import layout, ledger
from pipeline.inputs.match import changed
from pipeline.job import batch_coder, passes, rounding_notes, wiring
from pipeline.job.combine import Rejects, at_end, first_rejects, sum_tallies
from pipeline.job.plan import Plan
from pipeline.job.verdict import DONE, FAILED, TOO_MANY_REJECTED, refuse_absent, too_many_rejected
from transforms.beam import in_global_window
from transforms.densify import length_buckets
from transforms.errors import JobError
from transforms.rows import digests, origin
from transforms.rows.ragged import Ragged
from transforms.rows.tally import Tally, add, lengths_by_group, under
from transforms.spec.spec import Spec


def build(root: beam.Pipeline, plan: Plan, tuning: wiring.Tuning) -> beam.PCollection:
    """Adds reading and validating to a pipeline; one element comes out, what `_finish` wrote down."""
    batch_coder.register()
    files = root | "Files" >> beam.Create([file.path for file in plan.inputs.files], reshuffle=False)
    only = wiring.read_pass(files, "Check", plan.spec, tuning, 0, plan.splits)
    accepted = only.good | "Accepted" >> beam.ParDo(_CountAccepted(plan.spec))
    tally, examples = sum_tallies((*only.tallies, accepted), "Ledger"), first_rejects(only.rejected)
    return at_end(root, _finish, plan, tally=AsSingleton(tally), examples=AsSingleton(examples))


class _CountAccepted(beam.DoFn):
    """Counts as written what a run would write."""

    def __init__(self, spec: Spec):
        self._spec = spec

    def start_bundle(self) -> None:
        self._tally: Tally = Counter()

    def process(self, batch: pa.RecordBatch) -> None:
        """Adds a batch of accepted rows to the tally."""
        file, made = origin.file_of(batch), Counter[tuple[Any, ...]]()
        made[file, "rows", "written"] = batch.num_rows
        made[file, "digest", "written"] = digests.total(batch.column(origin.DIGEST_COLUMN))
        for name, (first, *_) in self._spec.by_group.items():
            steps = -(-Ragged.of(batch.column(first.key)).lengths // first.step_width)
            size = self._spec.group(name).fixed_length
            kept = np.minimum(steps, size) if size else steps
            made[file, "group", name, "steps"] = int(np.sum(kept))
            if name == self._spec.bucketed_group:
                made[file, "group", name, "places"] = length_buckets.places(kept, self._spec.group(name))
        add(self._tally, under(origin.split_of(batch), made))

    def finish_bundle(self) -> Iterator[Any]:
        yield in_global_window(self._tally)


def _finish(_: None, plan: Plan, tally: Tally, examples: Rejects) -> dict[str, Any]:
    """Writes down how the check ended; T where the data decides it is the longest accepted row."""
    counted = plan.splits.of_statistics(tally)
    longest = {name: int(counted["", "length_max", name]) for name in plan.spec.group_names}
    sizes = {name: plan.spec.group(name).fixed_length or longest[name] for name in plan.spec.group_names}
    book = {**ledger.of_run(tally, plan.spec, sizes, plan.splits), "skipped_files": plan.skipped_files}
    if plan.sequences is not None:
        book["events"] = plan.sequences.ledger
    result: dict[str, Any] = {
        "status": DONE,
        "message": "",
        "ledger": book,
        "rejected_examples": examples,
        "lengths": _lengths(counted, plan.spec),
        "notes": rounding_notes.notes(plan.spec, plan.splits.whole(tally), plan.sink),
    }
    try:
        passes.refuse_changed(changed(plan.screened))
        refuse_absent(plan, book)
        message = too_many_rejected(book, plan.max_rejected)
        if message:
            result |= {"status": TOO_MANY_REJECTED, "message": message}
        faults = ledger.imbalances(book)
        if faults:
            raise JobError(f"the ledger does not balance: {faults[0]}")
    except JobError as error:
        result |= {"status": FAILED, "message": str(error)}
    layout.write_json(plan.place.result, result)
    return result


def _lengths(tally: Tally, spec: Spec) -> dict[str, dict[str, Any]]:
    """Returns by group what `pipeline.planning.lengths.Lengths.of` takes."""
    found = lengths_by_group(tally)
    return {
        name: {
            "histogram": found.get(name, []),
            "steps": tally["", "length_sum", name],
            "longest": tally["", "length_max", name],
        }
        for name in spec.group_names
    }
