"""The first rows of a data set, as `seqcols head` prints them: without padding, and with words for ids where there are any."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.command.shown import as_text
from pipeline.dataset.columns import read_columns
from pipeline.dataset.manifest import Manifest, read_examples
from pipeline.dataset.splits import unknown_split
from pipeline.errors import UsageError
from pipeline.loaders import numpy_batches
from transforms import escaping
from transforms.columns import Output
from transforms.errors import SpecError
from transforms.spec.spec import Spec, length_name

Row = dict[str, Any]


def lines(root: str, rows: int, split: str) -> tuple[list[str], list[str]]:
    """Returns the first rows of a data set for people, and what else there is to know of them, a line each.

    Args:
      root: directory of the data set.
      rows: how many rows.
      split: the split that they are of; empty for the first one, if there are splits.

    Raises:
      JobError: there is no such data set, or a file cannot be read.
      UsageError: there is no such split.
    """
    found = read_examples(root)
    if split and split not in found.splits:
        raise UsageError(f"--split: {unknown_split(split, found.splits)}")
    chosen = split or next(iter(found.splits), "")
    own = found.split(chosen) if chosen else found
    spec = _spec(found)
    made = []
    for number, row in enumerate(_rows(found, chosen, rows)):
        made += [f"row {number}", *_told(found, spec, row)]
    notes = [f"{min(rows, own.rows):,} of {own.rows:,} rows{f' of the split {chosen}' if chosen else ''}"]
    if spec is None:
        notes.append("the columns cannot be read back from the manifest: padding is shown, too")
    if chosen and not split and len(found.splits) > 1:
        notes.append(f"--split shows another split, one of {', '.join(found.splits)}")
    return made, notes


def _spec(found: Manifest) -> Spec | None:
    """Returns the columns of a data set, which say what group a feature belongs to; None where YAML cannot hold them."""
    try:
        return read_columns(found)
    except SpecError:
        return None


def _rows(found: Manifest, split: str, rows: int) -> Iterator[Row]:
    """Yields the first rows, those of one length bucket after those of another, in the order of the files."""
    left = rows
    lengths: list[int | None] = [*found.bucket_lengths]
    for length in lengths or [None]:
        if not left:
            return
        for batch in itertools.islice(numpy_batches(found.root, left, bucket=length, split=split or None), 1):
            count = len(next(iter(batch.values())))
            named = {output.name: _worded(found, output, batch[output.name]) for output in found.outputs}
            yield from ({name: values[k] for name, values in named.items()} for k in range(count))
            left -= count


def _worded(found: Manifest, output: Output, values: np.ndarray) -> np.ndarray:
    """Returns values with words for ids, where the data set knows them."""
    if output.kind != "ids" or output.source not in found.vocabularies:
        return values
    ids, at = np.unique(values, return_inverse=True)
    words = np.array(found.vocabularies[output.source].shown(ids.tolist()), object)
    return words[at.reshape(-1)].reshape(values.shape)


def _told(found: Manifest, spec: Spec | None, row: Row) -> list[str]:
    shown = {output.name: _shown(spec, row, output) for output in found.outputs if output.kind != "mask"}
    width = max(map(len, map(escaping.value, shown)), default=0)
    return [f"  {escaping.value(name):{width}}  {escaping.value(text)}" for name, text in shown.items()]


def _shown(spec: Spec | None, row: Row, output: Output) -> str:
    """Returns a feature of a row: of a sequence the steps that are no padding, and one value where a step holds no more."""
    values = row[output.name]
    if output.shape[output.sequence :] == (1,):
        values = values[..., 0]
    group = spec.group_of(output) if spec and output.sequence else None
    if spec is None or group is None:
        return as_text(values.tolist() if isinstance(values, np.ndarray | np.generic) else values)
    length, steps = int(row[length_name(group)]), len(values)
    kept = values[steps - length :] if spec.group(group).padding == "pre" else values[:length]
    padding = f" and {steps - length:,} of padding" if length < steps else ""
    return f"{as_text(kept.tolist())}{padding}"
