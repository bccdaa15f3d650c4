"""Columns that requests do not have, such as a label: a serving model answers without them."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

from transforms.columns import Output
from transforms.errors import listed, nearest
from transforms.serve.parsing import Raw
from transforms.spec.spec import KINDS_OF_A_GROUP, Spec, input_name


def spec_without(spec: Spec, names: Iterable[str]) -> Spec:
    """Returns the columns that requests have.

    Args:
      spec: all columns.
      names: the columns to leave out.

    Raises:
      ValueError: there is no such column, or others cannot do without it.
    """
    by_name, names = {column.name: column for column in spec.columns}, list(names)
    kept = [column for column in spec.columns if column.name not in names]
    asked = spec.model_copy(update={"columns": kept})
    for name in names:
        column = by_name.get(name)
        if column is None:
            raise ValueError(f"no column {name!r}{nearest(name, by_name) or f'; there are {listed(by_name)}'}")
        if not column.in_graph:
            raise ValueError(f"column {name!r} is passed through: a request need not have it anyway")
        if spec.is_concatenated(column):
            raise ValueError(f"column {name!r} is a part of {input_name(column.sequence_group or '')!r}")
        if shared := column.features.keys() & asked.graph_inputs.keys():
            raise ValueError(f"column {name!r} cannot be left out: another column reads {min(shared)!r}, too")
    if not asked.graph_inputs:
        raise ValueError("no column is left that a request could have")
    return asked


def without_left_out(outputs: Iterable[Output], asked: Spec) -> list[Output]:
    """Returns the outputs of the columns that requests have, and of their groups."""
    columns, groups = {column.name for column in asked.columns}, set(asked.group_names)
    return [o for o in outputs if o.source in (groups if o.kind in KINDS_OF_A_GROUP else columns)]


def filled(spec: Spec, asked: Spec, raw: Raw) -> Raw:
    """Returns the features for the graph, which takes those of all columns.

    What stands for a sequence of a group that requests have is as long as the others of the group, which the graph lays side by
    side. All else is an empty list. No output that is returned depends on either.
    """
    missing = {key: tf.as_dtype(kind) for key, kind in spec.graph_inputs.items() if key not in raw}
    if not missing:
        return raw
    groups = asked.by_group
    made: Raw = {}
    for column in spec.columns:
        like = groups.get(column.sequence_group or "")
        for key in missing.keys() & column.features.keys():
            if like:
                splits = raw[like[0].key].row_splits // like[0].step_width * column.step_width
                made[key] = tf.RaggedTensor.from_row_splits(tf.zeros(splits[-1:], missing[key]), splits, validate=False)
    rows = next(iter(raw.values())).row_splits
    for key, kind in missing.items():
        if key not in made:
            made[key] = tf.RaggedTensor.from_row_splits(tf.zeros([0], kind), tf.zeros_like(rows), validate=False)
    return {**raw, **made}
