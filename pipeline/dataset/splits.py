"""The splits of a run or of a data set, and the counts of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from transforms.errors import nearest
from transforms.rows.tally import Tally, add, by_split
from transforms.splits.rule import Split


def unknown_split(name: object, names: Collection[str]) -> str:
    """Returns what is wrong with a name that no split of a data set has.

    >>> unknown_split("tst", ["train", "test"]), unknown_split("test", [])
    ("expected one of train, test, got 'tst'; did you mean 'test'?", "expected none, as this data set has no splits, got 'test'")
    """
    known = f"one of {', '.join(names)}" if names else "none, as this data set has no splits"
    return f"expected {known}, got {name!r}{nearest(str(name), names)}"


_READ: Final = (("rows", "read"), ("digest", "read"))


@dataclass(frozen=True)
class Splits:
    """The splits of a run; empty if it writes one data set without splits.

    Attributes:
      names: their names, in order.
      statistics: the split that statistics, vocabularies and a T that the data decide come from; empty if those of another data
        set are used.
      rule: the rule that divides the rows; None if they are divided by file.
      files: the split of each file, if inputs name theirs.
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
        """The way in which rows are divided, as a columns file names it."""
        return self.rule.by if self.rule is not None else "input"

    def of_file(self, path: str) -> str:
        """Returns the split of all rows of a file; a file for statistics only belongs to their split. Empty if rows differ."""
        return self.files.get(path, self.statistics) if self.rule is None else ""

    def gives_statistics(self, path: str) -> bool:
        """Returns whether a file may have rows that count toward the statistics."""
        return self.of_file(path) in ("", self.statistics)

    def parts(self, tally: Tally) -> dict[str, Tally]:
        """Returns the counts of each split, in order. A record that no rule could look at belongs to none."""
        found = by_split(tally)
        made: dict[str, Tally] = {name: found.get(name, Counter()) for name in self.names}
        for key, n in found.get("", {}).items() if self.rule is None else ():
            if key[0]:
                add(made[self.of_file(key[0])], {key: n})
        return made

    def of_statistics(self, tally: Tally) -> Tally:
        """Returns the counts of the split that the statistics come from; all counts if there is none."""
        return self.parts(tally)[self.statistics] if self.statistics else tally

    def of_passes(self, tally: Tally) -> Tally:
        """Returns the counts that every pass has: the reader's, and all those of the split that the statistics come from."""
        return by_split(tally).get("", Counter()) + self.of_statistics(tally) if self else tally

    def whole(self, tally: Tally) -> Tally:
        """Returns the counts of all rows. The rows read are those that the reader counted, which knows no splits."""
        made: Tally = Counter()
        for split, found in by_split(tally).items():
            add(made, {key: n for key, n in found.items() if not split or key[1:] not in _READ})
        return made


NO_SPLITS: Final = Splits()
