"""What an input of the fuzzer is put through, and what must hold whatever it is.

A file of rows goes through its source, parse and validate as in the job; every other file through what reads it. The name of its
folder is a pattern that another folder's name matches. Allowed are the documented exceptions, each one line that a person and a
terminal can bear. Of the rows none may be missing or twice, and what becomes of one may not depend on how many are read at once.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.columns_file import reader as columns_file
from pipeline.columns_file.reader import load
from pipeline.compile_kernels import compile_all
from pipeline.dataset import manifest, target
from pipeline.dataset.layout import MANIFEST
from pipeline.errors import UsageError
from pipeline.inputs.match import InputFile, match
from pipeline.inputs.preflight import refuse_schema
from pipeline.job import cache, cache_files
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from tests.fuzz.corpus import entries, real_entries
from tests.fuzz.documents import INDEX_KEY
from tests.fuzz.files import Entry
from tests.fuzz.mutate import mutated
from tests.fuzz.outcome import CLEAN, FAILED, REJECTED, Broken
from tests.fuzz.specs import CHOICES, spec_of
from transforms.errors import JobError, SpecError
from transforms.escaping import MAX_VALUE_BYTES
from transforms.rows import origin
from transforms.rows.reasons import REASONS
from transforms.spec.spec import Spec
from transforms.stage_functions import densify_stage, mark
from transforms.stages import parse_batch, validate_batch
from transforms.stored.embedding_tables import read_table

LONGEST: Final = 2000
"""Characters that a message may have."""

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal or a log would not show as it stands: control characters, line ends, directions, what is no text."""

DENSE_EVERY: Final = 50
COMPARE_EVERY: Final = 16

Outcome = list[tuple[int, str]]


class Target:
    """Makes the input of a number and tries it; in a folder of its own."""

    def __init__(self) -> None:
        memory = "/dev/shm"  # no disk is to be waited for
        place = memory if os.access(memory, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="seqcols-fuzz-", dir=place)
        # Whatever takes a path for a pattern reads the decoy.
        self._here, self._decoys = Path(self._folder.name) / "run[1]", Path(self._folder.name) / "run1"
        self._here.mkdir()
        self._decoys.mkdir()
        os.chdir(self._here)  # the index of a cache names its pieces by where they are
        self._made, self._real = entries(), real_entries()
        compile_all()  # which may take half a minute, and no input may

    def entry(self, seed: int) -> Entry:
        """Returns the file that is spoilt. Every twentieth is of the real data, where there are any."""
        chosen = self._real if self._real and seed % 20 == 19 else self._made
        return chosen[(seed // 20 if chosen is self._real else seed) % len(chosen)]

    def data(self, seed: int) -> bytes:
        """Returns an input."""
        entry = self.entry(seed)
        same = self._real if entry in self._real else self._made
        return mutated(entry, same, random.Random(f"mutation {seed}"))

    def name(self, seed: int) -> str:
        """Returns the row of the table that an input counts for."""
        return self.entry(seed).format

    def __call__(self, seed: int) -> str:
        """Tries an input.

        Returns:
          `clean`, `rejected` (some rows were) or `failed` (with a documented exception).

        Raises:
          Exception: anything else is a finding.
        """
        entry = self.entry(seed)
        path = self._here / entry.file
        path.write_bytes(self.data(seed))
        (self._decoys / entry.file).write_bytes(b"decoy")
        try:
            return _OTHER.get(entry.columns, _read_rows)(path, entry.columns, seed)
        except (JobError, SpecError, UsageError) as error:
            _check_error(error)
            return FAILED


def _check_error(error: Exception) -> None:
    lines = [str(fault) for fault in error.faults] if isinstance(error, SpecError) else [str(error)]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            raise MemoryError(f"behind {error}") from error
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for line in lines:
        if not line or len(line) > LONGEST or _UNSAFE.search(line):
            raise Broken(f"the message is no one line of at most {LONGEST} characters: {line[:3000]!r}") from error


def _read_rows(path: Path, columns: str, seed: int) -> str:
    for given in (str(path), path.name):
        _check([file.path for file in match([given]).files] == [str(path)], f"{given!r} is another file")
    spec = spec_of(columns, seed % CHOICES)
    limits = Limits(max_batch_rows=3 if seed % 8 == 0 else 1024)
    try:
        found = _outcome(str(path), spec, limits, seed % DENSE_EVERY == 0)
    except JobError as error:
        if seed % COMPARE_EVERY == 0:
            _must_fail(str(path), spec, error)
        raise
    if seed % COMPARE_EVERY == 0:
        alone = _outcome(str(path), spec, Limits(max_batch_rows=1), False)
        if alone != found:
            differs = [(a, b) for a, b in zip(found, alone, strict=False) if a != b]
            raise Broken(f"rows are others read one by one: {differs[:1]!r:.3000} ({len(found)}, {len(alone)} rows)")
    return REJECTED if any(what.startswith("rejected") for _, what in found) else CLEAN


def _must_fail(path: str, spec: Spec, error: JobError) -> None:
    try:
        _outcome(path, spec, Limits(max_batch_rows=1), False)
    except JobError:
        return
    raise Broken(f"read one by one the rows do not fail: {error}") from error


def _outcome(path: str, spec: Spec, limits: Limits, dense: bool) -> Outcome:
    """Reads a file as the job does; returns what became of each row, by number."""
    source = source_for(path)
    source.features(path)
    made: Outcome = []
    first = 0
    for split in source.parts(path):
        _check(split.first_row == first, f"a split begins at row {split.first_row}, the last ended at {first}")
        own = [one for batch in _batches(source, split, spec, limits) for one in _rows_of(batch, spec, dense)]
        _check(sorted(number for number, _ in own) == list(range(first, first + len(own))), "rows are missing or twice")
        made += own
        first += len(own)
    return sorted(made)


def _batches(source: Any, split: Any, spec: Spec, limits: Limits) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a split, good rows and rejected ones; refuses what the job refuses."""
    features = {key: form.carrier for key, form in spec.features.items()}
    checked, size = not source.has_schema, 0
    for read in source.read(split, features, limits):
        _check(read.size >= 0, f"a step read {read.size} bytes")
        size += read.size
        if read.batch is not None and not checked:
            refuse_schema(split.path, {field.name: field.type for field in read.batch.schema}, spec)
            checked = True
        yield from (batch for batch in (read.batch, read.rejected) if batch is not None and batch.num_rows)
    _check(size <= max(split.size, 1), f"{size} bytes were read of {split.size}")


def _rows_of(batch: pa.RecordBatch, spec: Spec, dense: bool) -> Outcome:
    """Returns what becomes of the rows of a batch: their values, or why they were rejected."""
    if (
        "reason" in batch.schema.names
        and "record_format" in batch.schema.names
        and origin.ROW_COLUMN not in batch.schema.names
    ):
        return _rejected_rows(batch)
    parsed = parse_batch(batch, spec.columns)
    valid = validate_batch(parsed.batch, spec)
    bad = [row for stage in (parsed, valid) if stage.rejected is not None for row in _rejected_rows(stage.rejected)]
    good = valid.batch
    good.select(list(spec.features)).validate(full=True)
    _check(good.num_rows + len(bad) == batch.num_rows, f"{batch.num_rows} rows became {good.num_rows} and {len(bad)}")
    if dense and good.num_rows:
        _check_dense(good, spec)
    values = good.select(list(spec.features)).to_pylist()
    return bad + [(int(k), repr(row)) for k, row in zip(origin.row_numbers(good), values, strict=True)]


def _rejected_rows(rejected: pa.RecordBatch) -> Outcome:
    rejected.validate(full=True)
    made = []
    for row in rejected.to_pylist():
        _check(row["reason"] in REASONS, f"the reason is {row['reason']!r}")
        _check(isinstance(row["record"], bytes) and row["record_format"] != "", "a rejected row has no record")
        _check(len(row["value"].encode()) <= MAX_VALUE_BYTES, f"the value is {row['value']!r}")
        for what in ("value", "message", "column"):
            if _UNSAFE.search(row[what]) or len(row[what]) > LONGEST:
                raise Broken(f"the {what} is not for people: {row[what][:3000]!r}")
        record = _arrow_row(row["record"]) if row["record_format"] == origin.ARROW_IPC else repr(row["record"])
        made.append((row["row"], f"rejected: {row['reason']} {row['column']} {row['value']} {record}"))
    return made


def _arrow_row(record: bytes) -> str:
    """Returns what a record of a columnar source holds: equal rows need not have equal bytes."""
    table = pa.ipc.open_stream(record).read_all()
    _check(table.num_rows == 1, f"a record holds {table.num_rows} rows")
    try:
        return f"{table.schema.types} {table.to_pylist()}"
    except UnicodeDecodeError:  # what a file calls text need not be any
        return f"{table.schema.types} no text"


_GRAPHS: Final[dict[str, Any]] = {}
MOST_GRAPHS: Final = 4
"""Building one takes a second."""


def _check_dense(good: pa.RecordBatch, spec: Spec) -> None:
    key = repr(spec)
    if key not in _GRAPHS and len(_GRAPHS) == MOST_GRAPHS:
        return
    densify = _GRAPHS.setdefault(key, densify_stage(spec, None))
    stages = list(densify(mark(good, b"validated")))
    made = sum(
        stage.batch.num_rows + (stage.rejected.num_rows if stage.rejected is not None else 0) for stage in stages
    )
    _check(made == good.num_rows, f"{good.num_rows} rows became {made} dense or rejected ones")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise Broken(message)


def _columns_file(path: Path, columns: str, seed: int) -> str:
    spec = load(path)
    columns_file.loads(columns_file.dumps(spec))  # what can be read can be written
    return CLEAN


def _vocabulary(path: Path, columns: str, seed: int) -> str:
    dtype = ("string", "bytes", "int64")[seed % 3]
    text = f"""columns: [{{type: sequence_categorical_column_with_vocabulary_file, key: x, dtype: {dtype},
        vocabulary_file: {path.name}}}]"""
    (path.parent / "own.yaml").write_text(text)
    load(path.parent / "own.yaml")
    return CLEAN


def _table(path: Path, columns: str, seed: int) -> str:
    text = f"""columns: [{{type: embedding_column, dimension: 3, table: {path.name},
        categorical_column: {{type: sequence_categorical_column_with_identity, key: x, num_buckets: 4}}}}]"""
    (path.parent / "own.yaml").write_text(text)
    load(path.parent / "own.yaml")
    table = read_table(str(path))
    _check(table.values.shape == (4, 3) and bool(np.isfinite(table.values).all()), f"the table is {table.values!r}")
    return CLEAN


def _manifest(path: Path, columns: str, seed: int) -> str:
    root = str(path.parent)
    assert path.name == MANIFEST
    problems: list[Exception] = []
    try:
        target.published_run(root)
    except UsageError as error:
        _check_error(error)
        problems.append(error)
    made = manifest.read(root)
    _check(not problems, f"a reader takes what a run refuses: {problems}")
    for name in [*made.files, *made.rejected_files, *(made.path(name) for name in manifest.named_files(made.content))]:
        _check(name.startswith(root + "/") and "/../" not in name + "/", f"it names {name!r}")
    assert made.rows >= 0
    assert isinstance(made.format, str)
    list(made.outputs)
    return CLEAN


def _index(path: Path, columns: str, seed: int) -> str:
    """As `cache.plan` looks for the parts that it has: whatever is wrong with one is a note, and its files are read again."""
    (path.parent / "one.piece").write_bytes(b"accumulator")
    files = [InputFile("a.csv", 10, 5.0)]
    found, notes = cache._usable(str(path.parent), files, [INDEX_KEY])
    try:
        entry = cache_files.read_index(str(path))
    except Exception:
        _check(not found, "a damaged index was used")
    else:
        assert all(isinstance(file.path, str) for file in entry.files)
    for note in notes:
        _check(not _UNSAFE.search(note) and len(note) <= LONGEST, f"the note is {note[:3000]!r}")
    return CLEAN if found else FAILED


_OTHER: Final[dict[str, Callable[[Path, str, int], str]]] = {
    "columns file": _columns_file,
    "vocabulary": _vocabulary,
    "table": _table,
    "manifest": _manifest,
    "index": _index,
}
