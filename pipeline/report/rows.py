"""The parts of the page on rejected rows and on files: of rows, and of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.figures import share
from transforms.rows.fates import fates, faulty

MOST_FILES: Final = 100
"""Input files that are listed."""


def reasons(
    by_reason: Mapping[str, int], rejected: int, read: int, examples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Returns why rows were rejected, the most frequent reason first.

    Args:
      by_reason: the rows of each reason.
      rejected: all of them.
      read: all rows.
      examples: the first rejected rows of every reason.
    """
    return [
        {
            "reason": reason,
            "rows": f"{count:,}",
            "share": share(count, read),
            "of_rejected": round(100 * count / rejected, 1),
            "examples": examples.get(reason, []),
        }
        for reason, count in sorted(faulty(by_reason).items(), key=lambda pair: -pair[1])
        if count
    ]


def file(name: str, rows: Mapping[str, Any]) -> dict[str, str]:
    """Returns the rows of a file, or of a split."""
    counts = fates(rows)
    told = {what: f"{count:,}" for what, count in counts.items()}
    return {"name": name, **told, "share": share(counts["rejected"], counts["read"])}
