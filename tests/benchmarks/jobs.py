"""What `make bench` measures: the jobs, who takes part in each, and on how many rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.benchmarks import data, events, groups, latency, wide
from tests.benchmarks.measured import Measured, ours

OURS: Final = "seqcols"
ONE_WORKER: Final = "seqcols, one worker"
TWO_WORKERS: Final = "seqcols, two workers"
TFT: Final = "tf.Transform"
COMPILED: Final = "the compiled loop"
LIMIT: Final = "the limit"
ML: Final = "MLTransform"
POLARS: Final = "Polars"
IMPORTS: Final = "imports of seqcols run"
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
      key: J1 to J6.
      title: what is done.
      sizes: the rows that each contender gets, growing.
      modules: the peer's module for each contender that is a peer.
      slopes: the pairs of sizes between which a contender's cost of a row is taken. The larger run must be longer than start-up.
      kind: format of input and output.
      columns: the columns file, or that of each contender where they differ: their outputs then do, too, and are not compared.
      rows_of: makes rows.
      repeats: at most so many; None for as many as are asked for.
      twice: sizes that are run twice, and not compared: what runs there has been compared on fewer rows.
      options: of `seqcols run`, by contender.
      commands: of `COMMANDS`, those that are measured, too.
      rows_a_file: rows of an input file, about.
      block: rows of a row group of the input.
      makes_rows: whether rows are made of those of the input, so that there are fewer.
      figures: measures more of a contender's output, by name; None for a job where nothing else is measured.
    """

    key: str
    title: str
    sizes: Mapping[str, Sequence[int]]
    modules: Mapping[str, str]
    slopes: Mapping[str, Sequence[tuple[int, int]]]
    kind: str = "tfrecord"
    columns: str | Mapping[str, str] = data.COLUMNS
    rows_of: data.Rows = data.batch
    repeats: int | None = None
    twice: Sequence[int] = field(default=())
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commands: Sequence[str] = field(default=())
    rows_a_file: int = ROWS_A_FILE
    block: int = data.BLOCK
    makes_rows: bool = False
    figures: Callable[[Path, str], Mapping[str, Measured]] | None = None

    def contenders(self, rows: int) -> list[str]:
        """Returns who gets this many rows."""
        return [name for name, sizes in self.sizes.items() if rows in sizes]

    def times(self, rows: int, asked: int) -> int:
        """Returns how often each contender is run on this many rows."""
        return min(asked, 2 if rows in self.twice else self.repeats or asked)

    def columns_of(self, contender: str) -> str:
        """Returns the columns file of a contender."""
        return self.columns if isinstance(self.columns, str) else self.columns[contender]

    def data(self, folder: Path, rows: int) -> str:
        """Makes the input once; returns its pattern."""
        name = {data.batch: "", events.batch: "events-"}.get(self.rows_of, "wide-")
        return data.make(
            folder, rows, self.kind, max(4, rows // self.rows_a_file), self.rows_of, name, block=self.block
        )

    def command(self, contender: str, columns: Path, pattern: str, output: Path) -> list[str]:
        """Returns what runs a contender."""
        if contender in self.modules:
            module = f"tests.benchmarks.peers.{self.modules[contender]}"
            return [sys.executable, "-m", module, pattern, str(output)]
        kind = ["--format", self.kind] if self.kind != "tfrecord" else []
        return ours(columns, pattern, output, *kind, *self.options.get(contender, ()))


MAIN: Final = (200_000, 800_000)
LARGEST: Final = (800_000, 3_200_000)
EVENTS: Final = (10_000_000, 40_000_000)
JOBS: Final = [
    Job(
        "J1",
        "TFRecord to TFRecord, 4 columns",
        {
            OURS: [5_000, 20_000, 200_000, 800_000, 3_200_000],
            ONE_WORKER: [800_000, 3_200_000],
            TWO_WORKERS: [800_000, 3_200_000],
            TFT: [200_000, 800_000],
            COMPILED: [20_000, 200_000, 800_000],  # on the fewest rows it may have to wait for its compiler
            LIMIT: [200_000, 800_000],
            ML: [5_000, 20_000],
        },
        {TFT: "tf_transform", COMPILED: "compiled_loop", LIMIT: "limit", ML: "ml_transform"},
        {
            OURS: [MAIN, LARGEST],
            ONE_WORKER: [LARGEST],
            TWO_WORKERS: [LARGEST],
            TFT: [MAIN],
            COMPILED: [MAIN],
            LIMIT: [MAIN],
            ML: [(5_000, 20_000)],
        },
        twice=[3_200_000],
        options={ONE_WORKER: ["--workers=1"], TWO_WORKERS: ["--workers=2"]},
        commands=[IMPORTS],
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
    Job(
        "J4",
        "what a person waits for",
        {OURS: [1_000], TFT: [1_000]},
        {TFT: "tf_transform"},
        {},
        commands=[HELP, FAULT],
    ),
    Job(
        "J3-groups",
        "the columns of J3 with masks, in one group and in 250",
        {name: [1_000] for name in groups.COLUMNS},
        {},
        {},
        columns=groups.COLUMNS,
        rows_of=wide.batch,
        figures=groups.served,
    ),
    Job(
        "J5",
        "events in Parquet to padded sequences in Parquet, 250,000 users",
        {OURS: EVENTS, POLARS: EVENTS},
        {POLARS: "polars_events"},
        {OURS: [EVENTS], POLARS: [EVENTS]},
        kind="parquet",
        columns=events.COLUMNS,
        rows_of=events.batch,
        rows_a_file=2_500_000,
        block=500_000,
        options={OURS: ["--no-keep-sequences"]},
        makes_rows=True,
    ),
    Job(
        "J6",
        "one request, with 1, 20 and 250 of the columns of J3",
        {name: [1_000] for name in latency.COLUMNS},
        {},
        {},
        columns=latency.COLUMNS,
        rows_of=wide.batch,
        repeats=1,
        figures=latency.served,
    ),
]

MISSPELT: Final = data.COLUMNS.replace("sequence_numeric_column", "sequence_numeric_colum")

COMMANDS: Final = {IMPORTS: 0, HELP: 0, FAULT: 2}
"""Commands that get no rows, and their exit codes."""

IMPORTED: Final = (
    "from pipeline import allocator; allocator.begin(); "
    "from pipeline.command import loading; loading.load(); "
    "import pipeline.command.actions, pipeline.job.wiring"
)
"""What a run imports before it reads, in the way in which it does."""


def command_of(name: str, folder: Path) -> list[str]:
    """Returns one of `COMMANDS`."""
    if name == IMPORTS:
        return [sys.executable, "-c", IMPORTED]
    if name == HELP:
        return [sys.executable, "-m", "pipeline.command.cli", "--help"]
    columns = folder / "misspelt.yaml"
    columns.write_text(MISSPELT)
    return [
        sys.executable,
        "-m",
        "pipeline.command.cli",
        "run",
        str(columns),
        "--input",
        "no",
        "--output",
        str(folder / "no"),
    ]


def fewer(rows: int) -> int:
    """Returns the rows for trying a job out."""
    return max(rows // 100, 100)


def quick(job: Job) -> Job:
    """Returns the job with few rows, once."""
    sizes = {name: sorted({fewer(rows) for rows in sizes}) for name, sizes in job.sizes.items()}
    slopes = {name: [(fewer(a), fewer(b)) for a, b in pairs] for name, pairs in job.slopes.items()}
    return replace(job, sizes=sizes, slopes=slopes, repeats=1)
