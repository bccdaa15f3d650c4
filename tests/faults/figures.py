"""How many trials the loops of this package make, and what they found, for the table of `make faults`."""

from __future__ import annotations

import json
import os
from typing import Final

TRIALS: Final = "SEQCOLS_FAULT_TRIALS"
"""Says how many trials a loop makes; `full` for all that there are to be."""

FIGURES: Final = "SEQCOLS_FAULT_FIGURES"
"""Names the file that figures are added to, a line of JSON each."""


def trials(few: int, full: int) -> int:
    """Returns how many trials to make: as many as the environment says, `full` of them if it says so, else a few."""
    asked = os.environ.get(TRIALS, "")
    return full if asked == "full" else int(asked or few)


def note(fault: str, trials: int, **figures: int) -> None:
    """Notes what was tried and what came of it, for example `note("kill -9", 63, torn=0)`."""
    line = json.dumps({"fault": fault, "trials": trials, **figures})
    print(line, flush=True)
    if os.environ.get(FIGURES):
        with open(os.environ[FIGURES], "a", encoding="utf-8") as file:
            file.write(line + "\n")
