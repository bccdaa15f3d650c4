"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Collection


def table(lines: list[tuple[str, ...]], left: Collection[int] = (0,)) -> list[str]:
    """Returns lines of cells as aligned text: some cells, the first alone unless said, to the left, figures to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    made = []
    for line in lines:
        sized = enumerate(zip(line, widths, strict=True))
        cells = [cell.ljust(width) if k in left else cell.rjust(width) for k, (cell, width) in sized]
        made.append("  ".join(cells).rstrip())
    return made
