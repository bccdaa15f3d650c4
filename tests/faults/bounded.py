"""Runs jobs one after another in this process, an ordinary one first, and says what memory each took at most.

    python -m tests.faults.bounded JOBS.json

JOBS.json holds a list of jobs: `columns` (YAML), `input`, and other arguments of a request. The first one is the ordinary job.
After it the address space of this process may grow by no more than the budget allows: see `budget`. Prints a list of results.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from pipeline.columns_file.reader import loads
from pipeline.job.request import Request
from pipeline.job.running import run
from transforms.errors import JobError

FACTOR = 1.5


def memory(what: str) -> int:
    """Returns a figure of /proc/self/status in bytes: VmHWM (largest resident size), VmPeak (largest address space)."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{what}:")) << 10


def forget_peaks() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def budget(ordinary: int, limit: int) -> int:
    """Returns how much memory a job may take that meets a limit: 1.5 times that of an ordinary one, and the limit itself."""
    return int(FACTOR * ordinary) + limit


def carried_out(columns: str, **more: Any) -> dict[str, Any]:
    forget_peaks()
    try:
        outcome = run(Request(loads(columns), **more))
        made = {"status": outcome.status, "message": outcome.message, "rows": outcome.ledger.get("rows")}
    except JobError as error:
        made = {"status": "failed", "message": str(error), "rows": None}
    return {**made, "peak": memory("VmHWM")}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        first, *others = json.load(file)
    limit = Request(loads(first["columns"]), []).max_record_bytes
    ordinary = carried_out(**first)
    allowed = budget(ordinary["peak"], limit)
    space = memory("VmPeak") + allowed - ordinary["peak"]
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    results = [ordinary, *(carried_out(**job) for job in others)]
    print(json.dumps({"budget": allowed, "results": results}))


if __name__ == "__main__":
    main()
