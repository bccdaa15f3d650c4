"""The drift that is allowed (`--max-drift`), and what exceeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.compare.comparison import Comparison
from pipeline.errors import UsageError
from transforms.errors import nearest


@dataclass(frozen=True)
class DriftLimits:
    """The largest drift that is allowed.

    Attributes:
      default: for columns and sequence groups without a limit of their own; None for no limit.
      by_name: the limits of some of them, by name.
    """

    default: float | None = None
    by_name: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float | None:
        """Returns the limit of a column or a sequence group; None for no limit."""
        return self.by_name.get(name, self.default)


def parsed(given: Sequence[str]) -> DriftLimits:
    """Parses limits from the command line: `0.1` for all, `NAME=0.1` for one.

    >>> parsed(["0.1", "price=0.3"])
    DriftLimits(default=0.1, by_name={'price': 0.3})

    Raises:
      UsageError: a limit is not a number from 0 to 1, or is given twice.
    """
    default, by_name = None, {}
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = -1.0
        if not 0 <= limit <= 1:
            raise UsageError(f"--max-drift: expected a number from 0 to 1, or COLUMN=NUMBER, got {text!r}")
        if name in by_name or (not equals and default is not None):
            raise UsageError(f"--max-drift: {text!r}: expected one limit for {name or 'all'!r}, got another one before")
        if equals:
            by_name[name] = limit
        else:
            default = limit
    return DriftLimits(default, by_name)


def refuse_unknown(limits: DriftLimits, comparison: Comparison) -> None:
    """Refuses limits for names that neither side has.

    Raises:
      UsageError: there is such a limit; the error names the nearest column or sequence group.
    """
    known = [one.name for one in comparison.parts]
    for name in limits.by_name:
        if name not in known:
            hint = nearest(name, known) or f"; expected one of {', '.join(map(repr, known))}"
            raise UsageError(f"--max-drift: neither side has a column or sequence group {name!r}{hint}")


def beyond(limits: DriftLimits, comparison: Comparison) -> list[str]:
    """Returns a line for everything that exceeds its limit; what has a limit but cannot be compared counts as exceeding it."""
    made = []
    for one in comparison.parts:
        limit = limits.of(one.name)
        if limit is None:
            continue
        if one.fault:
            made.append(f"{one.kind} {one.name!r}: cannot be compared: {one.fault}")
        elif one.largest is not None and one.largest.drift > limit:
            made.append(
                f"{one.kind} {one.name!r}: {one.largest.name} {one.largest.drift:.4f} of {one.largest.of} > {limit}"
            )
    return made
