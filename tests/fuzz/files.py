"""What an entry of the corpus is, and how files are packed."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

CODECS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": lambda data: data,
    "gz": lambda data: gzip.compress(data, 1, mtime=0),
}
"""How a file is packed, by the last ending of its name."""


@dataclass(frozen=True)
class Entry:
    """A small valid file.

    Attributes:
      format: what it counts as in the table of a run.
      file: the name that it has on the disk.
      data: what is in it, before it is packed.
      layout: what mutators may know of its structure: `tfrecord`, `lines`, `yaml`, `json`, `parquet`, `avro`, `index` or `bytes`.
      codec: how it is packed, of `CODECS`.
      columns: what reads it: `lists`, `texts` (every value is text), or the name of another target.
    """

    format: str
    file: str
    data: bytes
    layout: str
    codec: str = ""
    columns: str = "lists"

    def packed(self, data: bytes) -> bytes:
        """Returns contents as they stand in the file."""
        return CODECS[self.codec](data)


def parquet_file(table: pa.Table, **how: Any) -> bytes:
    """Returns a table as a Parquet file."""
    held = io.BytesIO()
    pq.write_table(table, held, **how)
    return held.getvalue()
