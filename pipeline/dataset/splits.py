"""The splits of a run or of a data set, and what was counted of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from transforms.rows.tally import Tally, add, by_split
from transforms.splits.rule import Split

_READ: Final = (("rows", "read"), ("digest", "read"))


@dataclass(frozen=True)
class Splits:
    """The splits of a run; none where it makes one data set.

    Attributes:
      names: their names, in order.
      statistics: the split that statistics, vocabularies and a T that the data decide are of.
      rule: what divides the rows; None where files do.
      files: the split of each file, where inputs name theirs.
    """

    names: tuple[str, ...] = ()
    statistics: str = ""
    rule: Split | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    @property
    def by(self) -> str:
        """What divides the rows, as a columns file names it."""
        return self.rule.by if self.rule is not None else "input"

    def of_file(self, path: str) -> str:
        """Returns the split of all rows of a file: what counts for the statistics alone is of theirs. Empty where rows differ."""
        return self.files.get(path, self.statistics) if self.rule is None else ""

    def gives_statistics(self, path: str) -> bool:
        """Returns whether a file may have rows that the statistics are of."""
        return self.of_file(path) in ("", self.statistics)

    def parts(self, tally: Tally) -> dict[str, Tally]:
        """Returns what was counted of each split, in order. A record that no rule could look at belongs to none."""
        found = by_split(tally)
        made: dict[str, Tally] = {name: found.get(name, Counter()) for name in self.names}
        for key, n in found.get("", {}).items() if self.rule is None else ():
            if key[0]:
                add(made[self.of_file(key[0])], {key: n})
        return made

    def of_statistics(self, tally: Tally) -> Tally:
        """Returns what was counted of the split that the statistics are of; everything where there are no splits."""
        return self.parts(tally)[self.statistics] if self else tally

    def of_passes(self, tally: Tally) -> Tally:
        """Returns what every pass counts: what the reader read, and all of the split that the statistics are of."""
        return by_split(tally).get("", Counter()) + self.of_statistics(tally) if self else tally

    def whole(self, tally: Tally) -> Tally:
        """Returns what was counted of all rows. How many were read says the reader, who knows no splits."""
        made: Tally = Counter()
        for split, found in by_split(tally).items():
            add(made, {key: n for key, n in found.items() if not split or key[1:] not in _READ})
        return made


NO_SPLITS: Final = Splits()
