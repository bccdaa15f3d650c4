"""Events that were mended: their sequences are made of events of all files, so that the run begins again with them."""

from __future__ import annotations

import shlex
from typing import Final

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest

MOST_INPUTS: Final = 3
"""Inputs that are named."""


def rejected_events(before: Manifest) -> int:
    """Returns how many events were rejected before the rows were made of the others."""
    return int(before.sequences[layout.REJECTED]["rows"]) if before.sequences else 0


def again(before: Manifest) -> str:
    """Returns what to do instead where events have changed: a sequence has events of all files."""
    inputs = " ".join(f"--input {shlex.quote(one['path'])}" for one in before.content["inputs"][:MOST_INPUTS])
    more = " ..." if len(before.content["inputs"]) > MOST_INPUTS else ""
    return (
        f"run again with the mended events as a further --input: seqcols run COLUMNS.yaml {inputs}{more} --input MENDED "
        f"--output {shlex.quote(before.root)} --overwrite"
    )
