"""Running a repair, here."""

from __future__ import annotations

from dataclasses import replace
from typing import TextIO

from pipeline.job import cleaning, preparing, scratch
from pipeline.job.executing import Outcome, conclude, execute, options_for, tuned
from pipeline.job.request import Request
from pipeline.job.verdict import FAILED
from pipeline.repair import wiring
from pipeline.repair.events_made import with_sequences
from pipeline.repair.plan import Repair, RepairPlan, planned
from transforms.errors import SpecError, SpecFault


def repair(asked: Repair, stream: TextIO | None = None) -> Outcome:
    """Runs rejected rows through the columns again and adds those that pass to their data set.

    Args:
      asked: the request.
      stream: where progress is shown; None shows none.

    Returns:
      How it ended; its `ledger` is that of the whole data set, `repaired` what became of the rows that were read.

    Raises:
      UsageError: it cannot be carried out.
      SpecError: the columns do not fit the data set.
      JobError: the data set, or a file, cannot be read.
    """
    request = Request(asked.spec, inputs=["-"], workers=asked.workers)
    if preparing.needs_analysis(asked.spec) and not asked.spec.needs_analysis:
        what = "a normalizer function has analyzers of its own, whose statistics are not kept: run the job again"
        raise SpecError([SpecFault("columns", what)])
    plan = planned(asked, preparing.columns_text(asked.spec))
    most = plan.before.sequences.get("max_steps") or request.max_steps
    request = replace(request, output=plan.place.output, max_steps=most)  # errors of a full disk name the directory
    plan = replace(plan, place=scratch.placed(plan.place, request, options_for(request)))
    outcome = Outcome(FAILED, output=plan.place.output, passes=0, notes=plan.notes)
    with cleaning.run_in(plan.place):
        if plan.of_events:
            plan = with_sequences(plan, request, stream)
            outcome.notes = plan.notes
            if plan.made is None:
                outcome.message = "nothing was added: all mended events were refused"
                return outcome
        with tuned(request, [_size(plan)], ["repair"], stream) as tuning:
            execute(request, lambda root: wiring.build(root, plan, tuning), outcome, tuning.workers)
            conclude(plan.place, outcome)
    return outcome


def _size(plan: RepairPlan) -> int:
    if plan.made is not None:
        return sum(shard.bytes for shard in plan.made.shards)
    return sum(entry["bytes"] for entry in plan.before.content["rejected"]["files"])
