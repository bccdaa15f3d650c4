"""Bad rows as data: the faults that each rule reports in a batch, and the table of rejected rows built from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from transforms import escaping
from transforms.errors import JobError
from transforms.rows import origin

SCHEMA: Final = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("message", pa.string()),
        ("record_format", pa.string()),
        ("record", pa.binary()),
        ("header", pa.string()),
        ("digest", pa.uint64()),
    ]
)
"""Columns of a table of rejected rows. `record` is the original record (see `origin.encode_records`), `header` what it needs to
be read again (empty for nothing), `digest` that of the row (see `transforms.rows.digests`; null where its batch has none)."""


@dataclass(frozen=True)
class Fault:
    """The rows of a batch that break one rule of one column; at most one entry per row.

    Attributes:
      reason: a code of `reasons.REASONS`.
      column: name of the column.
      rows: int64 positions in the batch.
      values: the offending value of each, as text.
      message: what is allowed, for people.
      fatal: whether such a row stops the job instead of being rejected.
    """

    reason: str
    column: str
    rows: np.ndarray
    values: Sequence[str]
    message: str
    fatal: bool = False

    def __post_init__(self) -> None:
        assert len(self.rows) == len(self.values), (self.reason, len(self.rows), len(self.values))


def first_faults(faults: Iterable[Fault], num_rows: int) -> tuple[np.ndarray, list[tuple[Fault, int]]]:
    """Picks one fault for each bad row: the first in the order of the rules.

    Returns:
      The bad rows in ascending order, and for each the fault and the position in it.
    """
    faults = list(faults)
    if not faults:
        return np.zeros(0, np.int64), []
    owner = np.full(num_rows, -1, np.int64)
    entry = np.zeros(num_rows, np.int64)
    for number, fault in enumerate(faults):
        free = owner[fault.rows] < 0
        owner[fault.rows[free]] = number
        entry[fault.rows[free]] = np.flatnonzero(free)
    bad = np.flatnonzero(owner >= 0)
    return bad, [(faults[owner[row]], int(entry[row])) for row in bad]


def refuse_fatal(batch: pa.RecordBatch, faults: Iterable[Fault]) -> None:
    """Stops at the first fault that must stop the job.

    Raises:
      JobError: naming file, row, column and value.
    """
    for fault in faults:
        if fault.fatal and len(fault.rows):
            where = f"{origin.file_of(batch) or 'input'}: row {origin.row_numbers(batch)[fault.rows[0]]}"
            raise JobError(f"{where}: column {fault.column!r}: {escaping.value(fault.values[0])}, {fault.message}")


def of_file(rejected: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Returns rejected rows of one file as those of a file of this name."""
    if rejected.num_rows and rejected.column("file")[0].as_py() == name:
        return rejected
    return rejected.set_column(0, SCHEMA.field("file"), pa.array([name] * rejected.num_rows, pa.string()))


def split(batch: pa.RecordBatch, faults: Iterable[Fault]) -> tuple[np.ndarray, pa.RecordBatch | None]:
    """Separates the bad rows of a batch from the good ones.

    Args:
      batch: any batch; the origin columns of `rows` are used where it has them.
      faults: the faults that the rules report.

    Returns:
      A bool `[rows]` mask of the good rows, and the rejected rows in `SCHEMA` (None where there are none).
    """
    good = np.ones(batch.num_rows, bool)
    bad, chosen = first_faults(faults, batch.num_rows)
    if not len(bad):
        return good, None
    good[bad] = False
    record_format, records = origin.encode_records(batch, bad)
    carried = origin.DIGEST_COLUMN in batch.schema.names
    digests = batch.column(origin.DIGEST_COLUMN).take(pa.array(bad)) if carried else pa.nulls(len(bad), pa.uint64())
    rejected = pa.RecordBatch.from_pydict(
        {
            "file": [origin.file_of(batch)] * len(bad),
            "row": origin.row_numbers(batch)[bad],
            "reason": [fault.reason for fault, _ in chosen],
            "column": [fault.column for fault, _ in chosen],
            "value": [escaping.value(fault.values[k]) for fault, k in chosen],
            "message": [
                escaping.one_line(fault.message) for fault, _ in chosen
            ],  # it may name types, which name fields
            "record_format": [record_format] * len(bad),
            "record": records,
            "header": [(batch.schema.metadata or {}).get(origin.HEADER_KEY, b"").decode()] * len(bad),
            "digest": digests,
        },
        schema=SCHEMA,
    )
    split_name = origin.split_of(batch)
    return good, origin.in_split(rejected, split_name) if split_name else rejected
