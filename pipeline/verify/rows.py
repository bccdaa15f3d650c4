"""Verify the rows of a data set: some of its inputs through its serving model, against what the job wrote for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.dataset import samples
from pipeline.dataset.columns import spec_of
from pipeline.dataset.layout import SEQUENCES
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.samples import SampledRows
from pipeline.inputs.match import Inputs, match, where_now
from pipeline.sinks.formats import SINKS
from pipeline.sources.formats import SOURCES, source_for
from pipeline.verify.model import ServedModel, difference
from pipeline.verify.read_back import arrays_at, read_rows
from transforms import dtypes
from transforms.columns import Output
from transforms.densify.length_buckets import bucket_of, cut_arrays
from transforms.errors import JobError
from transforms.escaping import one_line
from transforms.rows import origin
from transforms.spec.spec import Spec, length_name

Tell = Callable[[str, int], None]
"""A function that is called with the shard that is compared, and the rows of it that were compared since the last call."""


@dataclass
class RowsCompared:
    """The result of comparing rows with the input.

    Attributes:
      rows: rows of the data set that were looked up in the input and computed again.
      as_requests: how many of them went in as the serialized records that they are; the others went in as ragged tensors.
      features: the number of features of each row.
      values: the number of values in all rows.
      not_equal: features that were compared within `FUNCTION_TOLERANCE`, not bit for bit.
      difference: the first difference, one line; an empty string for none.
      notes: remarks for the reader, one line each.
    """

    rows: int = 0
    as_requests: int = 0
    features: int = 0
    values: int = 0
    not_equal: list[str] = field(default_factory=list)
    difference: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Shard:
    """A file of the data set and the samples of it that are compared."""

    path: str
    entry: dict[str, Any]
    samples: list[SampledRows]
    outputs: list[Output]

    @property
    def bucket(self) -> int:
        """T of the length bucket that its rows are of, 0 for none."""
        return self.entry.get("T") or 0


def compare(
    manifest: Manifest, inputs: Sequence[str], most: int, tell: Tell = lambda path, count: None
) -> RowsCompared:
    """Compares sample rows of a data set, whose files were verified, with what its serving model makes of the same rows.

    Args:
      manifest: the data set.
      inputs: patterns of the input files, if they have moved from where the manifest says.
      most: about how many rows.
      tell: is called with the progress.

    Raises:
      JobError: an input cannot be read, or the model.
    """
    done = RowsCompared(features=len(manifest.outputs))
    if not manifest.rows:
        return done
    if manifest.sequences and not manifest.sequence_files:
        done.notes = [
            "the sequences that the rows were made of were not kept (--no-keep-sequences): no rows are compared"
        ]
        return done
    spec = spec_of(manifest)
    chosen = _chosen(manifest, most)
    if not chosen:
        raise JobError(f"{manifest.root!r}: its manifest does not say where rows come from")
    given, replaced = match(inputs), _replaced(manifest)
    done.notes = [
        *given.notes,
        *(f"{path}: was replaced by a file that was appended: not compared" for path in sorted(replaced)),
    ]
    chosen = [replace(one, samples=[s for s in one.samples if s.file not in replaced]) for one in chosen]
    chosen = [one for one in chosen if one.samples]
    where = _found_inputs(manifest, given, {sample.file for shard in chosen for sample in shard.samples})
    model = ServedModel(manifest, spec)
    done.features, done.not_equal = len(model.outputs), model.inexact
    for shard in chosen:
        tell(shard.path, 0)
        before = done.rows
        done.difference = one_line(_compare(manifest, spec, model, shard, where, done))
        tell(shard.path, done.rows - before)
        if done.difference:
            break
    return done


def _replaced(manifest: Manifest) -> set[str]:
    """Returns the names of input files by whose paths later runs have read others: what they held is not there any more."""
    last = {file["path"]: file.get("name", file["path"]) for file in manifest.content.get("inputs", [])}
    names = {file.get("name", file["path"]) for file in manifest.content.get("inputs", [])}
    return names - set(last.values())


def _chosen(manifest: Manifest, most: int) -> list[_Shard]:
    """Spreads the rows over the shards, and over each shard."""
    try:
        entries = [entry for entry in manifest.content["examples"]["files"] if samples.of_entry(entry)]
    except (AttributeError, TypeError, ValueError) as error:
        raise JobError(f"{manifest.root!r}: its manifest is damaged: what it says of samples cannot be read") from error
    entries = _spread(entries, most)
    made = []
    for entry in entries:
        found, share = samples.of_entry(entry), -(-most // len(entries))
        each = min(samples.WINDOW, max(1, -(-share // len(found))))
        found = [s._replace(size=min(s.size, each)) for s in _spread(found, share)]
        made.append(_Shard(manifest.path(entry["path"]), entry, found, manifest.outputs_of(entry)))
    return made


def _spread(items: list[Any], most: int) -> list[Any]:
    """Returns at most a number of the items, evenly spread, the first among them."""
    count = min(len(items), most)
    return [items[k * len(items) // count] for k in range(count)]


def _found_inputs(manifest: Manifest, inputs: Inputs, needed: set[str]) -> dict[str, str]:
    """Returns where the input files lie now: as the manifest says, or the file of that name among those given."""
    if manifest.sequences:  # they are a part of the data set, wherever that lies now
        return {path: manifest.path(f"{SEQUENCES}/{os.path.basename(path)}") for path in needed}
    return where_now(manifest.content.get("inputs", []), inputs, needed)


def _compare(
    manifest: Manifest, spec: Spec, model: ServedModel, shard: _Shard, where: dict[str, str], done: RowsCompared
) -> str:
    """Compares the samples of one shard; returns the first difference, or an empty string."""
    positions = np.concatenate([np.arange(s.position, s.position + s.size) for s in shard.samples])
    source = SOURCES[SINKS[manifest.format].source]
    features = {o.name: "int64" if o.dtype == "bool" else dtypes.carrier(o.dtype) for o in model.outputs}
    written = read_rows(source, shard.path, features, positions)
    for file in sorted({sample.file for sample in shard.samples}):
        rows_in = np.concatenate([np.arange(s.row, s.row + s.size) for s in shard.samples if s.file == file])
        rows_out = np.concatenate([np.arange(s.position, s.position + s.size) for s in shard.samples if s.file == file])
        order = np.argsort(rows_in)
        found = _compare_file(spec, model, where[file], rows_in[order], rows_out[order], shard, written, done)
        if found:
            return found
    return ""


def _compare_file(
    spec: Spec,
    model: ServedModel,
    path: str,
    rows_in: np.ndarray,
    rows_out: np.ndarray,
    shard: _Shard,
    written: list[pa.RecordBatch],
    done: RowsCompared,
) -> str:
    """Compares rows of one input file, ascending, with the rows of the shard that they became."""
    wanted = {key: form.carrier for key, form in spec.features.items()}
    batches = read_rows(source_for(path), path, wanted, rows_in)
    if sum(batch.num_rows for batch in batches) != len(rows_in):
        return f"{path}: has not all the rows any more that {shard.path} was made of"
    for batch in batches:
        numbers = origin.row_numbers(batch)
        at = rows_out[np.searchsorted(rows_in, numbers)]
        made, as_requests = model.answer(batch)
        names = {output.name for output in model.outputs}
        expected = arrays_at(written, at, [output for output in shard.outputs if output.name in names])
        found = _other_bucket(spec, made, shard.bucket)
        if shard.bucket and found is None:  # the model knows no buckets: it pads to max_length
            made = cut_arrays(made, spec, spec.bucketed_names, shard.bucket)
        found = found or difference(model, made, expected)
        if found is not None:
            row, what = found
            return f"{path} row {numbers[row]} ({shard.path} row {at[row]}): {what}"
        done.rows += batch.num_rows
        done.as_requests += as_requests
        done.values += sum(array.size for array in expected.values())
    return ""


def _other_bucket(spec: Spec, made: Mapping[str, np.ndarray], size: int) -> tuple[int, str] | None:
    """Returns the first row whose length belongs to another bucket than T `size`, and how; None where there are no buckets."""
    group = spec.bucketed_group
    if group is None:
        return None
    lengths = made[length_name(group)]
    sizes = bucket_of(lengths, spec.group(group).bucket_lengths)
    other = np.flatnonzero(sizes != size)
    if not len(other):
        return None
    row = int(other[0])
    return row, f"has {lengths[row]} steps, of the length bucket {sizes[row]}; it stands in a file of {size}"
