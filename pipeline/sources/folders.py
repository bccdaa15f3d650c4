"""Folders that say something of the files in them, as Hive, Spark and BigQuery name them: `day=2024-01-31/part-0.parquet`.

A folder `name=value` is a feature of every row of the files below it, as text, which columns parse. The path alone decides, not
how it was found, so that a row has it in every pass, in the analysis cache and in a repair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from pipeline.sources.base import FilePart, Read, Source
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.rows import origin

NULL: Final = "__HIVE_DEFAULT_PARTITION__"
"""The value of a folder whose rows have none."""

_TEXT: Final = pa.large_string()


def features_of(path: str) -> dict[str, str | None]:
    """Returns what the folders of a path say, name to value, None for a null; of two folders of one name the inner one counts.

    >>> features_of("data/day=2024-01-31/at=10%3A30/shop=__HIVE_DEFAULT_PARTITION__/part-0.parquet")
    {'day': '2024-01-31', 'at': '10:30', 'shop': None}
    """
    pairs = (folder.partition("=") for folder in path.split("/")[:-1])
    found = {_decoded(name): None if value == NULL else _decoded(value) for name, equals, value in pairs if equals}
    return {name: value for name, value in found.items() if name and name not in origin.RESERVED}


def _decoded(text: str) -> str:
    """Returns text without percent signs that stand for bytes; as it is where these are not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def in_folders(source: Source, path: str) -> Source:
    """Returns the source of a file, with the features that its folders say."""
    values = features_of(path)
    return InFolders(source, values) if values else source


@dataclass(frozen=True)
class InFolders(Source):
    """Reads a file in folders that say features of its rows. What the file has itself of such a name counts instead.

    In a format with a schema that is the whole column, in another one each value: a row without it has that of the folder.

    Attributes:
      source: reads the file.
      values: see `features_of`.
    """

    source: Source
    values: Mapping[str, str | None]

    @property
    def packed(self) -> bool:
        """See the base class."""
        return self.source.packed

    @property
    def has_schema(self) -> bool:
        """See the base class."""
        return self.source.has_schema

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        return self.source.parts(path)

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. Rows of one batch that have such a feature and rows that do not come in batches of their own."""
        wanted = {name: value for name, value in self.values.items() if name in features}
        for read in self.source.read(split, features, limits):
            if read.batch is None:
                yield read
                continue
            rejected, size = read.rejected, read.size
            for batch in completed(read.batch, wanted, by_row=not self.has_schema):
                yield Read(batch, rejected, size)
                rejected, size = None, 0

    def screen(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[tuple[int, int]]:
        """See the base class."""
        return self.source.screen(split, features, limits)

    def unpacked_bytes(self, path: str, size: int, features: Collection[str], limits: Limits = DEFAULTS) -> int:
        """See the base class."""
        return self.source.unpacked_bytes(path, size, features, limits)

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. The file's own come first."""
        own = self.source.features(path, limits, sample)
        by_row = not self.has_schema
        absent = (name for name in self.values if name not in own or (by_row and pa.types.is_null(own[name])))
        return {**own, **dict.fromkeys(absent, _TEXT)}


def completed(
    batch: pa.RecordBatch, values: Mapping[str, str | None], by_row: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a batch with features that all of them have, as text: those that they do not have themselves.

    Args:
      batch: the rows.
      values: feature to its value.
      by_row: whether a null is no value of a row's own; such rows come in a batch of their own.
    """
    own = {name: batch.column(name) for name in values if name in batch.schema.names}
    absent = [name for name in values if name not in own]
    if by_row:
        absent += [name for name, column in own.items() if column.null_count == len(column)]
    mixed = [name for name in own if name not in absent and own[name].null_count] if by_row else []
    if not mixed:
        yield _with(batch, {name: values[name] for name in absent})
        return
    held = np.stack([own[name].is_valid().to_numpy(zero_copy_only=False) for name in mixed])
    kinds, kind = np.unique(held, axis=1, return_inverse=True)
    for k in range(kinds.shape[1]):
        nothing = [name for name, has in zip(mixed, kinds[:, k], strict=True) if not has]
        rows = batch.filter(pa.array(kind.reshape(-1) == k))
        yield _with(rows, {name: values[name] for name in [*absent, *nothing]})


def _with(batch: pa.RecordBatch, values: Mapping[str, str | None]) -> pa.RecordBatch:
    for name, value in values.items():
        column, field = pa.repeat(pa.scalar(value, _TEXT), batch.num_rows), pa.field(name, _TEXT)
        at = batch.schema.get_field_index(name)
        batch = batch.append_column(field, column) if at < 0 else batch.set_column(at, field, column)
    return batch
