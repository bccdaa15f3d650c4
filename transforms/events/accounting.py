"""The fate of each event, and the sums that must balance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from transforms.errors import JobError

UNIQUE, WINDOWS, MIN_EVENTS, LONGER, USED, REJECTED = range(1, 7)

FATES: Final = ("", "unique", "windows", "min_events", "longer", "used", "rejected")
"""The fates of an event, by number. If several rules left an event out, in several sequences, the last of them counts. An event
that is used anywhere is used."""

DROPPED: Final = FATES[UNIQUE:USED]

EXCLUDED: Final = "excluded"
"""The fate of an event that a run was asked to leave out, as if its file did not hold it."""


@dataclass(frozen=True)
class Counts:
    """The events of some sequences, accounted for.

    Attributes:
      read: events read.
      used: events that are a step or a target of some sequence.
      dropped: rule to the number of events that it left out (see `DROPPED`).
      rejected: events without a key or a time.
      sequences: sequences written.
      steps: their steps.
      targets: the events of their targets.
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
        """The number of steps and targets whose events were already counted as used: because of windows, or of splits."""
        return self.steps + self.targets - self.used

    @classmethod
    def of(cls, fates: np.ndarray, sequences: int, steps: int, targets: int) -> Counts:
        """Counts events by their fates.

        Args:
          fates: int8 `[events]`, numbers in `FATES`.
          sequences: the number of sequences written.
          steps: the number of their steps.
          targets: the number of events of their targets.

        Raises:
          JobError: the sums do not balance, which is a fault of this package.
        """
        found = np.bincount(fates, minlength=len(FATES)).tolist()
        dropped = {name: found[k] for k, name in enumerate(FATES) if name in DROPPED}
        made = cls(len(fates), found[USED], dropped, found[REJECTED], sequences, steps, targets)
        if found[0] or made.used_again < 0:
            raise JobError(f"events do not add up: {found[0]:,} without a fate, {made}")
        return made
