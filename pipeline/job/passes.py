"""Passes over the input, compared: a file that changes while a run reads it fails the run.

The first of several analyses writes down what it counted, and each later one compares. `finish` compares the last one
with the pass that writes. Passes that agree with one of them agree with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.dataset import layout, ledger
from pipeline.dataset.layout import Layout
from transforms.errors import JobError
from transforms.escaping import first_of
from transforms.rows.tally import Tally, from_list, listed

COUNTED: Final = "counted.json"
"""The file in the staging folder with the counts of the first pass."""


def compare(tally: Tally, place: Layout) -> None:
    """Compares what a pass counted with what the first one did; of the first it is written down.

    Raises:
      JobError: a file was read otherwise.
    """
    path = place.staged(COUNTED)
    if layout.exists(path):
        refuse_changed(ledger.changed(from_list(layout.read_json(path)), tally))
    else:
        layout.write_json(path, listed(tally))


def refuse_changed(files: Sequence[str]) -> None:
    """Refuses an input that the passes read differently.

    Args:
      files: the files that were read differently.

    Raises:
      JobError: there is one; it is named.
    """
    if files:
        raise JobError(f"{first_of(files, 'file')}: changed during the run, so that not every pass read the same")
