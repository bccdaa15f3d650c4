"""Parquet files of sequences as they were made of events: lists with nulls, of any type, a checksum on every page."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.sinks.base import OutputFile
from pipeline.sinks.contents import Contents, Tell, hashed
from pipeline.sinks.parquet import RowGroups
from pipeline.sources.base import open_input
from pipeline.sources.compression import Blocks
from pipeline.sources.limits import WIDEST
from pipeline.sources.parquet import ParquetSource
from transforms.errors import JobError

SUFFIX = ".parquet"

TIMES_READ = 2
"""How often `examine` reads a file."""


def open_nested(path: str, schema: pa.Schema, packed: bool = True) -> RowGroups:
    """Creates a file; one that only this run reads, on this machine, need not be `packed`.

    Raises:
      JobError: it cannot be created.
    """
    return RowGroups(OutputFile(path), schema, packed=packed)


def fields_of(schema: pa.Schema) -> dict[str, str]:
    """Returns the fields of sequences and their types as they are read back, which is how the manifest lists them."""
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), out)
    return _shown(pq.read_schema(pa.BufferReader(out.getvalue())))


def _shown(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def examine(path: str, fields: Mapping[str, str], tell: Tell) -> Contents:
    """Reads a file to its end, every checksum in it included.

    Args:
      path: the file.
      fields: what `fields_of` said when it was written.
      tell: is called with the bytes read.

    Raises:
      JobError: the file cannot be opened.
    """
    found = Contents()
    for _ in hashed(Blocks(open_input(path), path), found, tell):
        pass
    source = ParquetSource()
    try:
        held = _shown(pa.schema(list(source.features(path, WIDEST).items())))
        if held != dict(fields):
            odd = next(name for name in {**fields, **held} if held.get(name) != fields.get(name))
            kinds = f"the file has {held.get(odd, 'no such field')}, the manifest {fields.get(odd, 'no such field')}"
            found.faults.append(f"field {odd!r}: {kinds}")
        for split in source.parts(path):
            for read in source.read(split, dict.fromkeys(held, ""), WIDEST):
                found.rows += read.rows
                tell(read.size)
    except JobError as error:
        found.faults.append(str(error).removeprefix(f"{path}: "))
    return found
