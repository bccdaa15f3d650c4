"""What the loops of this package found, for the table of `make faults`: one JSON line each in the file that a variable names."""

from __future__ import annotations

import json
import os
from typing import Final

VARIABLE: Final = "SEQCOLS_FAULT_FIGURES"


def note(fault: str, **figures: int | str) -> None:
    """Notes what was tried and what came of it, for example `note("kill -9", trials=63, lost=0)`."""
    line = json.dumps({"fault": fault, **figures})
    print(line, flush=True)
    if os.environ.get(VARIABLE):
        with open(os.environ[VARIABLE], "a") as file:
            file.write(line + "\n")
