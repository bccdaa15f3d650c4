"""Running a repair, here."""

from __future__ import annotations

from dataclasses import replace
from typing import TextIO

from pipeline.job import cleaning, preparing, scratch
from pipeline.job.executing import Outcome, conclude, execute, options_for, tuned
from pipeline.job.request import Request
from pipeline.job.verdict import FAILED
from pipeline.repair import wiring
from pipeline.repair.plan import Repair, planned
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
    size = sum(entry["bytes"] for entry in plan.before.content["rejected"]["files"])
    request = replace(request, output=plan.place.output)  # which errors of a full disk name
    plan = replace(plan, place=scratch.placed(plan.place, request, options_for(request)))
    outcome = Outcome(FAILED, output=plan.place.output, passes=0, notes=plan.notes)
    with cleaning.run_in(plan.place), tuned(request, [size], ["repair"], stream) as tuning:
        execute(request, lambda root: wiring.build(root, plan, tuning), outcome, tuning.workers)
        conclude(plan.place, outcome)
    return outcome
