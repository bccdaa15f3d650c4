"""`tf.io` feature specs: for parsing what the columns read, and what the job writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transforms import dtypes
from transforms.columns import Column, Output
from transforms.groups import SequenceGroup
from transforms.spec.make_spec import columns_in, make_spec
from transforms.spec.spec import Spec


def make_parse_example_spec(feature_columns: Sequence[Any] | Any | Spec) -> dict[str, Any]:
    """Returns how `tf.io.parse_example` reads raw rows for the columns, as `tf.feature_column.make_parse_example_spec` does.

    A sequence, or a feature of ids, is a `VarLenFeature`; a `numeric_column` and a `passthrough_column` a `FixedLenFeature` with
    their default. Integers are parsed as int64 and floats as float32, whatever the column's dtype is: TensorFlow's own spec names
    the dtype, and parsing then fails for every other. A delimited feature is one string.

    Args:
      feature_columns: the columns, of ours or of `tf.feature_column`, or a spec. No columns read nothing: `{}`.

    Raises:
      SpecError: the columns do not work together.
    """
    import tensorflow as tf

    # Groups do not matter to parsing, and need not be given.
    made: dict[str, Any] = {}
    for column in _columns(feature_columns):
        for key, form in column.features.items():
            kind = tf.as_dtype(form.carrier)
            fixed = column.fixed()
            made.setdefault(
                key, tf.io.FixedLenFeature(fixed[0], kind, fixed[1]) if fixed else tf.io.VarLenFeature(kind)
            )
    return made


def _columns(columns: Sequence[Any] | Any | Spec) -> list[Column]:
    if isinstance(columns, Spec):
        return columns.columns
    found = columns_in(columns)
    if not found:  # which TensorFlow takes, though no job has anything to do
        return []
    names = {getattr(column, "sequence_group", None) for column in found} - {None}
    return make_spec(found, {str(name): SequenceGroup() for name in names}).columns


def make_output_parse_example_spec(
    columns: Sequence[Any] | Any | Spec,
    sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
    lengths: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Returns how `tf.io.parse_example` reads what a job writes for the columns: a `FixedLenFeature` for every output.

    The manifest of a data set gives the same (`Manifest.feature_spec`), with the T that the data had.

    Args:
      columns: the columns, or a spec.
      sequence_groups: policies by group.
      lengths: T of the groups that leave it to the data.

    Raises:
      ValueError: T of a group is not known.
    """
    spec = make_spec(columns, sequence_groups)
    return feature_spec(spec.outputs({name: n for name, n in (lengths or {}).items()}))


def parse_spec(outputs: Sequence[Output]) -> dict[str, dict[str, Any]]:
    """Returns how the features of a tf.Example are read back, as data for a JSON file.

    >>> parse_spec([Output("x", "float16", (4, 2), "values", "x")])
    {'x': {'dtype': 'float32', 'shape': [4, 2], 'cast': 'float16'}}

    Returns:
      Feature name to `dtype` (what to parse it as: `int64`, `float32` or `string`), `shape`, and `cast`: the
      declared dtype where it is another one, else None.

    Raises:
      ValueError: a shape is not known.
    """
    spec = {}
    for output in outputs:
        carrier = "int64" if output.dtype == "bool" else dtypes.carrier(output.dtype)
        declared = "string" if output.dtype == "bytes" else output.dtype
        cast = None if carrier == declared else declared
        spec[output.name] = {"dtype": carrier, "shape": list(known_shape(output)), "cast": cast}
    return spec


def known_shape(output: Output) -> tuple[int, ...]:
    """Returns the shape of an output.

    Raises:
      ValueError: a dimension is still open.
    """
    shape = tuple(size for size in output.shape if size is not None)
    if len(shape) != len(output.shape):
        raise ValueError(f"output {output.name!r}: expected a known shape, got {list(output.shape)!r}")
    return shape


def feature_spec(outputs: Sequence[Output]) -> dict[str, Any]:
    """Returns what `tf.io.parse_example` takes: name to `tf.io.FixedLenFeature`, in the carrier's dtype."""
    import tensorflow as tf

    spec = parse_spec(outputs)
    return {name: tf.io.FixedLenFeature(f["shape"], tf.dtypes.as_dtype(f["dtype"])) for name, f in spec.items()}


def sequence_spec(outputs: Sequence[Output]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what `tf.io.parse_sequence_example` takes for outputs written as tf.SequenceExamples.

    Returns:
      Context features, name to `tf.io.FixedLenFeature`; and sequence features, name to `tf.io.FixedLenSequenceFeature` whose
      shape is that of a step.

    Raises:
      ValueError: a shape is not known.
    """
    import tensorflow as tf

    spec = parse_spec(outputs)
    sequences = {output.name for output in outputs if output.sequence}
    kinds = {name: tf.dtypes.as_dtype(f["dtype"]) for name, f in spec.items()}
    context = {n: tf.io.FixedLenFeature(f["shape"], kinds[n]) for n, f in spec.items() if n not in sequences}
    steps = {n: tf.io.FixedLenSequenceFeature(f["shape"][1:], kinds[n]) for n, f in spec.items() if n in sequences}
    return context, steps
