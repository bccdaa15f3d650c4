"""What becomes of rows without a whole job: a source, then parse, validate and densify as the job's workers run them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.rows import digests as row_digests
from transforms.rows import origin
from transforms.rows.from_python import batches_of
from transforms.rows.tally import Tally, add, count_rejected
from transforms.spec.spec import Spec
from transforms.stage_functions import StageFunction, densify_stage


@dataclass
class Outcomes:
    """Dense batches, rejected rows by number, and what was counted."""

    dense: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally = field(default_factory=Counter)

    def digests(self) -> dict[int, str]:
        """Returns a digest of each dense row, by its feature `id`."""
        made: dict[int, str] = {}
        for batch in self.dense:
            arrays = {name: batch.column(name) for name in batch.schema.names if name not in origin.RESERVED}
            made |= digests({name: _matrix(array) for name, array in arrays.items()})
        return made


def digests(arrays: Mapping[str, np.ndarray]) -> dict[int, str]:
    """Returns a digest of each row of arrays `[rows, ...]`, by the feature `id`: of the bits of every value."""
    made: dict[int, str] = {}
    for number, digest in listed(arrays):
        assert number not in made, f"row {number} came out twice"
        made[number] = digest
    return made


def listed(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[int, str]]:
    """Yields the feature `id` of each row of arrays `[rows, ...]`, and a digest of the bits of all its values."""
    names = sorted(arrays)
    for row, number in enumerate(arrays["id"].reshape(-1).tolist()):
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + _bits(arrays[name][row]))
        yield int(number), digest.hexdigest()


def _bits(value: Any) -> bytes:
    """Returns a value's bits, in the dtype that carries it in every format: int64, float32 or text."""
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return b"".join(len(text).to_bytes(8, "little") + text for text in map(_text, np.ravel(array).tolist()))
    return np.ascontiguousarray(array, np.int64 if array.dtype.kind in "biu" else np.float32).tobytes()


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _matrix(array: pa.Array) -> np.ndarray:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    return np.asarray(array.flatten().to_numpy(zero_copy_only=False)).reshape(len(array), -1)


MOST_STEPS = 50

_STAGES: dict[int, tuple[Spec, StageFunction]] = {}


def densify(spec: Spec) -> StageFunction:
    """Returns the stage of a spec without statistics; the graph of each is built once."""
    if id(spec) not in _STAGES:
        _STAGES[id(spec)] = spec, densify_stage(spec, None, max_steps=MOST_STEPS)
    return _STAGES[id(spec)][1]


def of_batches(batches: Iterable[pa.RecordBatch], stage: StageFunction) -> Outcomes:
    """Returns what becomes of batches."""
    made = Outcomes()
    for batch in batches:
        made.tally[origin.file_of(batch), "rows", "read"] += batch.num_rows
        if origin.DIGEST_COLUMN in batch.schema.names:
            made.tally[origin.file_of(batch), "digest", "read"] += row_digests.total(batch.column(origin.DIGEST_COLUMN))
        for done in stage(batch):
            add(made.tally, done.tally)
            made.dense += [done.batch] if done.batch.num_rows else []
            made.rejected += [] if done.rejected is None else done.rejected.to_pylist()
    made.rejected.sort(key=lambda row: (row["file"], row["row"]))
    return made


def of_rows(data: Iterable[Mapping[str, Any]], spec: Spec, stage: StageFunction | None = None) -> Outcomes:
    """Returns what becomes of rows in memory."""
    return of_batches(batches_of(data), stage or densify(spec))


def of_file(path: Path, spec: Spec, limits: Limits | None = None, stage: StageFunction | None = None) -> Outcomes:
    """Returns what becomes of the rows of a file."""
    bad: list[pa.RecordBatch] = []
    made = of_batches(_read(str(path), spec, limits or DEFAULTS, bad), stage or densify(spec))
    for table in bad:
        made.tally[str(path), "rows", "read"] += table.num_rows
        made.tally[str(path), "digest", "read"] += row_digests.total(table.column("digest"))
        add(made.tally, count_rejected(table))
        made.rejected += table.to_pylist()
    made.rejected.sort(key=lambda row: (row["file"], row["row"]))
    return made


def _read(path: str, spec: Spec, limits: Limits, bad: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    features = {key: form.carrier for key, form in spec.features.items()}
    source = source_for(path)
    for split in source.parts(path):
        for read in source.read(split, features, limits):
            if read.rejected is not None:
                bad.append(row_digests.attach_rejected(read.rejected))
            if read.batch is not None and read.batch.num_rows:
                yield row_digests.attach(read.batch, features)
