"""What becomes of each event, and the sums that must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from transforms.errors import JobError

UNIQUE, WINDOWS, MIN_EVENTS, LONGER, USED, REJECTED = range(1, 7)

FATES: Final = ("", "unique", "windows", "min_events", "longer", "used", "rejected")
"""What can become of an event, by number: of an event that several rules left out, in several sequences, the last one counts. One
that is used anywhere is used."""

DROPPED: Final = FATES[UNIQUE:USED]


@dataclass(frozen=True)
class Counts:
    """The events of some sequences, accounted for.

    Attributes:
      read: events read.
      used: those that are a step or a target of some sequence.
      dropped: rule to the events that it left out (see `DROPPED`).
      rejected: events without a key or a time.
      sequences: sequences written.
      steps: their steps.
      targets: events that their targets are of.
    """

    read: int
    used: int
    dropped: Mapping[str, int]
    rejected: int
    sequences: int
    steps: int
    targets: int

    @property
    def used_again(self) -> int:
        """How many of the steps and targets are of events that were counted as used already: by windows, or by splits."""
        return self.steps + self.targets - self.used

    @classmethod
    def of(cls, fates: np.ndarray, sequences: int, steps: int, targets: int) -> Counts:
        """Counts events by what became of them.

        Args:
          fates: int8 `[events]`, numbers in `FATES`.
          sequences: how many were written.
          steps: how many they have.
          targets: of how many events their targets are.

        Raises:
          JobError: the sums do not come out: a fault of this package.
        """
        found = np.bincount(fates, minlength=len(FATES)).tolist()
        dropped = {name: found[k] for k, name in enumerate(FATES) if name in DROPPED}
        made = cls(len(fates), found[USED], dropped, found[REJECTED], sequences, steps, targets)
        if found[0] or made.used_again < 0:
            raise JobError(f"events do not add up: {found[0]:,} without a fate, {made}")
        return made
