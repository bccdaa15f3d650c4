"""What `make bench` measures: the jobs, who takes part in each, and on how many rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.benchmarks import data, wide

OURS: Final = "seqcols"
TFT: Final = "tf.Transform"
LIMIT: Final = "the limit"
ML: Final = "MLTransform"
POLARS: Final = "Polars"
HELP: Final = "seqcols --help"
FAULT: Final = "a spec error"

FLOAT32: Final = {TFT, ML}
"""Who adds up means and deviations in float32."""

ROWS_A_FILE: Final = 200_000
ALL_COMPARED: Final = 200_000
"""Up to so many rows every value of two outputs is compared; of more, every integer, and the floats of so many rows."""


@dataclass(frozen=True)
class Job:
    """A job that several contenders do.

    Attributes:
      key: J1 to J4.
      title: what is done.
      sizes: the rows that each contender gets, growing.
      modules: the peer's module for each contender but ours.
      slopes: the pairs of sizes between which a contender's cost of a row is taken. The larger run must be longer than start-up.
      kind: format of input and output.
      columns: the columns file.
      rows_of: makes rows.
      repeats: at most so many; None for as many as are asked for.
      once: sizes that are run once.
      waits: whether the commands that a person waits for are measured, too.
    """

    key: str
    title: str
    sizes: Mapping[str, Sequence[int]]
    modules: Mapping[str, str]
    slopes: Mapping[str, Sequence[tuple[int, int]]]
    kind: str = "tfrecord"
    columns: str = data.COLUMNS
    rows_of: data.Rows = data.batch
    repeats: int | None = None
    once: Sequence[int] = field(default=())
    waits: bool = False

    def contenders(self, rows: int) -> list[str]:
        """Returns who gets this many rows."""
        return [name for name, sizes in self.sizes.items() if rows in sizes]

    def times(self, rows: int, asked: int) -> int:
        """Returns how often each contender is run on this many rows."""
        return 1 if rows in self.once else min(asked, self.repeats or asked)

    def data(self, folder: Path, rows: int) -> str:
        """Makes the input once; returns its pattern."""
        name = "" if self.rows_of is data.batch else "wide-"
        return data.make(folder, rows, self.kind, max(4, rows // ROWS_A_FILE), self.rows_of, name)

    def command(self, contender: str, columns: Path, pattern: str, output: Path) -> list[str]:
        """Returns what runs a contender."""
        if contender != OURS:
            module = f"tests.benchmarks.peers.{self.modules[contender]}"
            return [sys.executable, "-m", module, pattern, str(output)]
        ours = [sys.executable, "-m", "pipeline.cli", "run", str(columns), "--input", pattern, "--output", str(output)]
        return [*ours, "--format", self.kind] if self.kind != "tfrecord" else ours


MAIN: Final = (200_000, 800_000)
JOBS: Final = [
    Job(
        "J1",
        "TFRecord to TFRecord, 4 columns",
        {
            OURS: [5_000, 20_000, 200_000, 800_000, 3_200_000],
            TFT: [200_000, 800_000],
            LIMIT: [200_000, 800_000],
            ML: [5_000, 20_000],
        },
        {TFT: "tf_transform", LIMIT: "limit", ML: "ml_transform"},
        {OURS: [MAIN, (800_000, 3_200_000)], TFT: [MAIN], LIMIT: [MAIN], ML: [(5_000, 20_000)]},
        once=[3_200_000],
    ),
    Job(
        "J2",
        "Parquet to Parquet, the columns of J1",
        {OURS: [200_000, 800_000], POLARS: [200_000, 800_000]},
        {POLARS: "polars_script"},
        {OURS: [MAIN], POLARS: [MAIN]},
        kind="parquet",
    ),
    Job(
        "J3",
        "TFRecord to TFRecord, 250 columns",
        {OURS: [1_000, 20_000], TFT: [20_000]},
        {TFT: "tf_transform_wide"},
        {OURS: [(1_000, 20_000)]},
        columns=wide.columns_file(),
        rows_of=wide.batch,
        repeats=1,
    ),
    Job("J4", "what a person waits for", {OURS: [1_000], TFT: [1_000]}, {TFT: "tf_transform"}, {}, waits=True),
]

MISSPELT: Final = data.COLUMNS.replace("sequence_numeric_column", "sequence_numeric_colum")


WAITS: Final = {HELP: 0, FAULT: 2}
"""Commands that a person waits for, and their exit codes."""


def wait(name: str, folder: Path) -> list[str]:
    """Returns the command of one of `WAITS`."""
    if name == HELP:
        return [sys.executable, "-m", "pipeline.cli", "--help"]
    columns = folder / "misspelt.yaml"
    columns.write_text(MISSPELT)
    return [sys.executable, "-m", "pipeline.cli", "run", str(columns), "--input", "no", "--output", str(folder / "no")]


def fewer(rows: int) -> int:
    """Returns the rows for trying a job out."""
    return max(rows // 100, 100)


def quick(job: Job) -> Job:
    """Returns the job with few rows, once."""
    sizes = {name: sorted({fewer(rows) for rows in sizes}) for name, sizes in job.sizes.items()}
    slopes = {name: [(fewer(a), fewer(b)) for a, b in pairs] for name, pairs in job.slopes.items()}
    return replace(job, sizes=sizes, slopes=slopes, repeats=1)
