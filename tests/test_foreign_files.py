"""Files that other tools wrote: each is read right, or refused with its name (see `tests/foreign`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.columns_file.reader import loads
from pipeline.inputs.match import match
from pipeline.inputs.preflight import look
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS
from tests.foreign.cases import CASES, Case, table
from tests.jobs import call, done, listing, read_arrays, run_job
from transforms import JobError, SequenceGroup, apply, make_spec
from transforms.rows import origin
from transforms.spec.spec import Spec

FOLDER = Path(__file__).parent / "foreign"
FILES = FOLDER / "files"
READ = [case for case in CASES if not case.refused]
REFUSED = [case for case in CASES if case.refused]
T = 4


def spec_of(case: Case) -> Spec:
    """The columns of a case; sequences of different lengths are in groups of their own."""
    columns = [values.column for values in case.values]
    named = [column.model_copy(update={"group": column.name}) if column.is_sequence else column for column in columns]
    groups = {column.name: SequenceGroup(max_length=T) for column in columns if column.is_sequence}
    return make_spec(named, groups)


def batches(case: Case, spec: Spec) -> Iterator[tuple[int, pa.RecordBatch | None, pa.RecordBatch | None]]:
    """The rows of a case as a run reads them, with the number of their file."""
    files = [file.path for file in match([str(FILES / case.path)]).files]
    look(files, spec)
    for number, path in enumerate(files):
        source = source_for(path)
        for part in source.parts(path):
            for read in source.read(part, dict.fromkeys(spec.features, "string"), DEFAULTS):
                yield number, read.batch, read.rejected


def is_same(one: Any, other: Any) -> bool:
    """Exactly, but for floats: pytest's approx has a tolerance of a last bit."""
    return bool(one == (pytest.approx(other, rel=1e-15, abs=0, nan_ok=True) if isinstance(other, float) else other))


def plain(value: Any, length: int | None) -> Any:
    """A value of an array as Python has it, without padding."""
    if length is None:
        one = value[0] if isinstance(value, np.ndarray) else value
        return one.item() if isinstance(one, np.generic) else one
    cut = value[:length]
    return (cut[..., 0] if cut.ndim == 2 and cut.shape[1] == 1 else cut).tolist()


@pytest.mark.parametrize("case", READ, ids=lambda case: case.path)
def test_is_read_right(case):
    spec = spec_of(case)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    rejected: dict[int, str] = {}
    for number, batch, bad in batches(case, spec):
        if bad is not None:
            rejected |= dict(zip(bad["row"].to_pylist(), bad["reason"].to_pylist(), strict=True))
        if batch is None or not batch.num_rows:
            continue
        rows = origin.row_numbers(batch)
        made = apply(batch.drop_columns([origin.ROW_COLUMN, origin.RECORD_COLUMN]), spec)
        at = rows[made.rejected["row"].to_numpy()].tolist()
        rejected |= dict(zip(at, made.rejected["reason"].to_pylist(), strict=True))
        for k, row in enumerate(rows[made.rows].tolist()):
            lengths = {c.name: int(made.lengths(c.name)[k]) if c.is_sequence else None for c in spec.columns}
            found[number, row] = {name: plain(made[name][k], length) for name, length in lengths.items()}
    assert rejected == case.rejected
    ordered = [found[place] for place in sorted(found)]
    for values in case.values:
        name, expected = values.column.name, values.expected
        got = [row[name] for row in ordered]
        assert len(got) == len(expected), name
        for one, other in zip(got, expected, strict=True):
            assert is_same(one, other), (name, one, other)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.path)
def test_is_refused_with_its_name(case, tmp_path):
    try:
        outcome = run_job(spec_of(case), FILES / case.path, tmp_path / "out")
        assert outcome.status == "failed"
        said = outcome.message
    except JobError as error:
        said = str(error)
    assert "\n" not in said and str(FILES / case.path) in said
    why = case.refused.replace("PATH", str(FILES / case.path))
    assert said == why or said.endswith((f": {why}", f" is {why}")), said
    assert not (tmp_path / "out").exists() or listing(tmp_path / "out") == []


@pytest.mark.parametrize(
    "path",
    ["spark/types.parquet", "spark/partitioned", "java/snappy.avro", "bigquery/rows-000000000001.json.gz", "databases/marked.csv",
     "tensorflow/zlib.tfrecord"],
)  # fmt: skip
def test_in_a_whole_job(path, tmp_path):
    case = next(case for case in READ if case.path == path)
    spec = spec_of(case)
    done(spec, FILES / path, tmp_path / "out", format="parquet")
    arrays = read_arrays(tmp_path / "out")
    by_id = np.argsort(arrays["id"].reshape(-1), kind="stable")
    arrays = {name: array[by_id] for name, array in arrays.items()}
    ids = next(values.expected for values in case.values if values.column.name == "id")
    order = np.argsort(ids, kind="stable")
    for values in case.values:
        name = values.column.name
        lengths = arrays[f"{name}_length"] if values.column.is_sequence else [None] * len(order)
        got = [plain(value, length) for value, length in zip(arrays[name], lengths, strict=True)]
        for one, k in zip(got, order, strict=True):
            other = values.expected[k]
            assert is_same(one, other), (name, one, other)


UNDRAFTED = {"duckdb/v2.parquet": "has a column that pyarrow cannot read", "arrow/empty.parquet": "has no rows"}


@pytest.mark.parametrize("case", [case for case in READ if case.path not in UNDRAFTED], ids=lambda case: case.path)
def test_a_draft(case, tmp_path, command_line):
    made = call("inspect", FILES / case.path, "-o", tmp_path / "columns.yaml")
    assert made.exit_code == 0, made.output
    assert loads((tmp_path / "columns.yaml").read_text()).columns


@pytest.mark.parametrize(
    ("path", "comment"),
    [
        ("java/snappy.avro", ": times in seconds (time_unit takes others)"),
        ("spark/types.parquet", ": times in seconds (time_unit takes others)"),
        ("bigquery/rows-000000000000.json", "all of them times (numeric_column with time_unit reads them)"),
        ("polars/plain.csv", "all of them times (numeric_column with time_unit reads them)"),
    ],
)
def test_a_draft_says_what_are_times(path, comment, tmp_path, command_line):
    call("inspect", FILES / path, "-o", tmp_path / "columns.yaml")
    text = (tmp_path / "columns.yaml").read_text()
    assert comment in " ".join(line.strip().removeprefix("# ") for line in text.splitlines())


def test_every_file_has_a_case():
    files = {path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file()}
    of_no_case = {file for file in files if not any(f"{file}/".startswith(f"{case.path}/") for case in CASES)}
    assert not of_no_case
    assert len(CASES) >= 40
    assert sum((FILES / file).stat().st_size for file in files) < 300_000


def test_the_table_in_the_docs_is_that_of_the_cases():
    page = (FOLDER.parent.parent / "docs" / "sources.md").read_text()
    assert "\n".join(table()) in page, "python -m tests.foreign.cases prints it"


def test_what_wrote_them_is_said():
    said = (FOLDER / "README.md").read_text()
    assert {path.name for path in (FOLDER / "write").iterdir() if path.is_file()} <= set(re.findall(r"[\w.]+", said))
    for case in CASES:
        assert case.by in said, case.by
