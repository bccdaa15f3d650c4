"""The serving model of a data set: asked for rows as they were read, and its answers compared with what was written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.dataset.manifest import Manifest
from pipeline.sources.limits import WIDEST
from transforms.columns.numeric_base import numeric_of
from transforms.errors import JobError
from transforms.normalizers import Function
from transforms.rows import origin, paths
from transforms.rows.ragged import Ragged, is_list, splits_of, unwrapped
from transforms.spec.spec import Spec, input_name
from transforms.stored import trees

FUNCTION_TOLERANCE: Final = 2.0**-20
"""Of the largest value of a feature: how far what a person's function computes may be off. TensorFlow 2.21 computes exp, log and
their like several values at a time and what is left over one by one, in two ways that differ in the last bits; so what a row
gets depends a little on how many rows are computed with it."""


RECORDS: Final = (b"tf.Example", b"tf.SequenceExample")
"""Formats of records that are requests themselves."""

READABLE: Final = {"int64": ("int64",), "string": ("large_binary",)}
FLOATS: Final = ("float", "int64")
"""Types of values in a record that the model takes for a carrier."""


class ServedModel:
    """The serving model of a data set, and what of its answers can be compared.

    Attributes:
      outputs: the features that it gives.
      inexact: names of those that are compared within `FUNCTION_TOLERANCE`, not bit for bit.
    """

    def __init__(self, manifest: Manifest, spec: Spec):
        import tensorflow as tf

        from transforms.serve.model import SIGNATURE

        self._path, self._spec = manifest.path(manifest.content["serving"]), spec
        try:
            with trees.fetched(self._path) as folder:
                self._loaded = tf.saved_model.load(folder)
            answered = self._loaded.signatures[SIGNATURE].structured_outputs
        except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
            raise JobError(f"{self._path}: cannot be loaded ({' '.join(str(error).split())[:300]})") from error
        self.outputs = [output for output in manifest.outputs if output.name in answered]
        there = answered.keys() | spec.passed_through.keys()
        lost = [o.name for o in spec.outputs() if o.name not in there]
        if lost:
            raise JobError(f"{self._path}: does not give the feature {lost[0]!r}")
        by_function = [
            c for c in spec.columns if (n := numeric_of(c)) and any(isinstance(k, Function) for k in n.links)
        ]
        own = {column.name for column in by_function} | {input_name(c.sequence_group or "") for c in by_function}
        self.inexact = [o.name for o in self.outputs if o.kind != "observed" and {o.source, o.name} & own]

    def answer(self, batch: pa.RecordBatch) -> tuple[dict[str, np.ndarray], int]:
        """Returns the model's answers for rows as they were read, and how many went in as the records that they are."""
        import tensorflow as tf

        from transforms.densify.graph import as_taken
        from transforms.serve.model import SIGNATURE

        try:
            if self._reads(batch):
                records = tf.constant(batch.column(origin.RECORD_COLUMN).to_pylist(), tf.string)
                made = self._loaded.signatures[SIGNATURE](examples=records)
                return {name: tensor.numpy() for name, tensor in made.items()}, batch.num_rows
            made = self._loaded.ragged(as_taken(self._loaded.ragged, ragged_request(batch, self._spec)))
        except tf.errors.OpError as error:
            line = " ".join(str(error).split())[:300]
            raise JobError(f"{self._path}: fails for rows of {origin.file_of(batch)} ({line})") from error
        return {name: tensor.numpy() for name, tensor in made.items()}, 0

    def _reads(self, batch: pa.RecordBatch) -> bool:
        """Whether the model takes the records of a batch: it reads no numbers from byte strings, and no ids from floats."""
        if (batch.schema.metadata or {}).get(origin.FORMAT_KEY) not in RECORDS:
            return False
        for key in self._spec.graph_inputs:
            form, kind = self._spec.features[key], batch.schema.field(key).type
            while is_list(kind):
                kind = kind.value_type
            if form != form.served or str(kind) not in READABLE.get(form.carrier, FLOATS):
                return False
        return True


def ragged_request(batch: pa.RecordBatch, spec: Spec) -> dict[str, Any]:
    """Returns rows as they were read as the ragged tensors that the serving model takes: parsed; delimited text as it is.

    Args:
      batch: rows of a source that the job accepted.
      spec: the columns.
    """
    import tensorflow as tf

    from transforms.densify import graph
    from transforms.serve import parsing
    from transforms.stages import parse_batch

    parsed = parse_batch(batch, spec.columns, WIDEST.max_steps).batch
    if parsed.num_rows != batch.num_rows:
        raise JobError(f"{origin.file_of(batch)}: rows that were written cannot be parsed any more")
    made = graph.raw_tensors(parsed, spec)
    for key, form in parsing.forms(spec).items():
        if form.delimiter is not None:
            text = _lists_of_text(batch, key)
            made[key] = tf.RaggedTensor.from_row_splits(tf.constant(text.values.to_pylist(), tf.string), text.splits)
        elif parsing.is_nested(form):
            made[key] = parsing.without_padding(made[key], form)
    return made


def _lists_of_text(batch: pa.RecordBatch, key: str) -> Ragged:
    """Returns a column of text, one string or a list of one a row, as lists of bytes."""
    held = paths.column(origin.plain(batch), key)
    array = pa.nulls(batch.num_rows) if held is None else unwrapped(held)
    if not pa.types.is_nested(array.type):
        present = array.is_valid().to_numpy(zero_copy_only=False)
        array = Ragged(array.drop_null(), splits_of(present), present).to_list_array()
    view = Ragged.of(array)
    return Ragged(view.values.cast(pa.large_binary()), view.splits, view.present)


def difference(
    model: ServedModel, made: dict[str, np.ndarray], expected: dict[str, np.ndarray]
) -> tuple[int, str] | None:
    """Returns the first row that differs and how, or None."""
    from transforms.serve.model import VALID

    invalid = np.flatnonzero(~made[VALID])
    if len(invalid):
        return int(invalid[0]), f"feature {VALID!r}: the model takes a row for invalid that was written"
    for output in model.outputs:
        ours, theirs = made[output.name], expected[output.name]
        if ours.shape != theirs.shape:
            return (
                0,
                f"feature {output.name!r}: the model gives the shape {ours.shape[1:]}, written is {theirs.shape[1:]}",
            )
        if ours.dtype == np.float64 and theirs.dtype == np.float32:  # a tf.Example holds no float64
            ours = ours.astype(np.float32)
        theirs = theirs.astype(ours.dtype)
        equal = _equal(ours, theirs, output.name in model.inexact)
        if not equal.all():
            at = np.argwhere(~equal)[0]
            where = f" {[int(k) for k in at[1:]]}" if len(at) > 1 else ""
            shown = f"the model gives {ours[tuple(at)]}, written is {theirs[tuple(at)]}"
            return int(at[0]), f"feature {output.name!r}{where}: {shown}"
    return None


def _equal(ours: np.ndarray, theirs: np.ndarray, inexact: bool) -> np.ndarray:
    """Returns which values are equal bit for bit (every NaN is one), or nearly so."""
    if ours.dtype.kind not in "fV":
        return np.asarray(ours == theirs)
    unsigned = np.dtype(f"u{ours.dtype.itemsize}")
    same = np.ascontiguousarray(ours).view(unsigned) == np.ascontiguousarray(theirs).view(unsigned)
    wide, other = ours.astype(np.float64), theirs.astype(np.float64)
    same |= np.isnan(wide) & np.isnan(other)
    if inexact and same.size:
        finite = np.abs(other[np.isfinite(other)])
        same |= np.abs(wide - other) <= FUNCTION_TOLERANCE * (finite.max() if finite.size else 0.0)
    return np.asarray(same)
