"""The exceptions of the package. A bad row is never one of them: a bad row is data (see `rejection`)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transforms.escaping import one_line


@dataclass(frozen=True)
class SpecFault:
    """One thing wrong with a columns file or a list of columns.

    Attributes:
      path: the place, as a path from the top (`columns[3].shape[0]`).
      message: the fault, with the offending value and what is allowed.
      line: 1-based line in the columns file, or 0 where there is no file.
    """

    path: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}: {self.path}" if self.line else self.path
        return one_line(f"{where}: {self.message}")


class SpecError(ValueError):
    """The columns cannot work as written. Holds every fault found, not only the first."""

    def __init__(self, faults: Sequence[SpecFault] | str):
        if isinstance(faults, str):
            faults = [SpecFault("columns", faults)]
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[SpecFault, ...]]]:
        return type(self), (self.faults,)


class JobError(RuntimeError):
    """The run cannot go on: a broken file, an unbalanced ledger, no rows. One line a person can act on (see `one_line`)."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def listed(names: Iterable[str]) -> str:
    """Returns names as a list for a message: the first 20, of each 60 characters, and how many more there are.

    >>> listed(["a", "b"])
    'a, b'
    """
    every = list(names)
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in every[:20]]
    return ", ".join(shown) + (f" and {len(every) - 20} more" if len(every) > 20 else "")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Returns `"; did you mean 'x'?"` for the closest allowed name, or an empty string when none is close.

    >>> nearest("shap", ["shape", "dtype"])
    "; did you mean 'shape'?"
    """
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
