"""Rows that change between two passes over them: one value, a row more or less, their order, or another file altogether.

`python -m tests.faults.changes [TRIALS]`: whole jobs, in which a file is replaced before each pass but the first, for that pass
alone or for good. Columns that need one analysis or three, files that count for the statistics only, and a cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipeline.job import reading, running
from pipeline.job.request import Request
from tests.faults.figures import note
from tests.faults.formats import Row, jsonl, rows_of
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column
from transforms.spec.spec import Spec

CHANGES: Final[dict[str, Callable[[list[Row]], list[Row]]]] = {
    "a value": lambda rows: [*rows[:3], {**rows[3], "x": [rows[3]["x"][0] + 1.0, *rows[3]["x"][1:]]}, *rows[4:]],
    "all values": lambda rows: [{**row, "x": [1000.0 * x for x in row["x"]]} for row in rows],
    "values of two rows": lambda rows: [{**rows[0], "x": rows[1]["x"]}, {**rows[1], "x": rows[0]["x"]}, *rows[2:]],
    "a value moved to the next row": lambda rows: [
        {**rows[0], "x": rows[0]["x"][:-1]},
        {**rows[1], "x": [rows[0]["x"][-1], *rows[1]["x"]]},
        *rows[2:],
    ],
    "a row less": lambda rows: rows[:-1],
    "a row twice": lambda rows: [*rows, rows[-1]],
    "a row twice in place of another": lambda rows: [*rows[:-1], rows[0]],
    "order": lambda rows: rows[::-1],
    "another file": lambda rows: rows_of(len(rows), seed=99),
    "no rows": lambda rows: [],
}
"""What may become of rows of `formats.rows_of`, six or more."""

CHAIN: Final = [{"type": "clip", "quantiles": [0.1, 0.9]}, "z_score", "max_abs"]


def spec_of(chain: Any) -> Spec:
    """Returns columns whose normalizers need a pass each."""
    return make_spec(
        [passthrough_column("id", "int64"), sequence_numeric_column("x", normalizer_fn=chain)],
        SequenceGroup(max_length=4),
    )


@contextmanager
def before_pass(number: int, path: Path, data: bytes, back: bytes | None = None) -> Iterator[None]:
    """Replaces a file, atomically, when a pass begins to read it; puts something else back when a later one does."""
    process = reading._Read.process

    def replaced(self: Any, split: Any) -> Any:
        wanted = data if self._number == number else back if self._number > number else None
        if split.path == str(path) and wanted is not None and path.read_bytes() != wanted:
            unfinished = path.with_suffix(".new")
            unfinished.write_bytes(wanted)
            os.replace(unfinished, path)
        return process(self, split)

    reading._Read.process = replaced  # type: ignore[method-assign]
    try:
        yield
    finally:
        reading._Read.process = process  # type: ignore[method-assign]


def trial(chain: Any, change: str, number: int, for_good: bool, written: bool = True, cache: bool = False) -> None:
    """Runs a job whose second file changes before a pass; it must fail, name that file and leave nothing.

    Args:
      chain: the normalizers.
      change: one of `CHANGES`.
      number: the pass.
      for_good: whether it stays so for later passes.
      written: whether the file is written, or counts for the statistics only.
      cache: whether there is one.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), [rows_of(12, seed) for seed in (1, 2)]
        paths = [folder / f"{k}.jsonl" for k in range(2)]
        for path, held in zip(paths, rows, strict=True):
            path.write_bytes(jsonl(held))
        request = Request(
            spec_of(chain),
            [str(path) for path in (paths if written else paths[:1])],
            str(folder / "out"),
            statistics_inputs=[] if written else [str(paths[1])],
            cache=str(folder / "cache") if cache else "",
        )
        whole = paths[1].read_bytes()
        with before_pass(number, paths[1], jsonl(CHANGES[change](rows[1])), None if for_good else whole):
            outcome = running.run(request)
        what = (chain, change, number, for_good, written, cache)
        assert outcome.status == "failed" and str(paths[1]) in outcome.message, (what, outcome)
        assert not list((folder / "out").rglob("*")), what
        assert not list((folder / "cache").rglob("*.json")), what


def trials() -> Iterator[tuple[Any, ...]]:
    """Yields the arguments of `trial`: each change between each pair of passes, then a choice of them in other jobs."""
    for change in CHANGES:
        yield from ((CHAIN, change, number, True) for number in (1, 2, 3))
    for change in ("a value", "all values", "order", "another file"):
        yield from ((CHAIN, change, number, False) for number in (1, 2))
        yield CHAIN, change, 2, True, False
        yield CHAIN, change, 3, True, True, True
        yield "z_score", change, 1, True
        yield "z_score", change, 1, True, True, True


def main(most: int) -> None:
    """Tries all, or so many, evenly spread."""
    every = list(trials())
    chosen = every[:: max(len(every) // most, 1)][:most]
    for arguments in chosen:
        trial(*arguments)
    note("changes between passes", len(chosen), unnoticed=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
