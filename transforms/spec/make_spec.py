"""Columns and sequence groups to a spec, and all that is wrong with them together: rules that no column can check alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from transforms import dtypes
from transforms.columns import Column
from transforms.columns.from_tensorflow import converted, is_tensorflow
from transforms.columns.learned_vocabulary import extension_faults
from transforms.columns.numeric_base import numeric_of
from transforms.columns.shared_embedding import collection_faults
from transforms.columns.shared_words import reference_faults
from transforms.errors import SpecError, SpecFault, listed, nearest
from transforms.events.make_events import name_faults, split_faults
from transforms.events.spec import Events
from transforms.groups import DEFAULT_GROUP, SequenceGroup
from transforms.normalizers import places
from transforms.parse.form import Form
from transforms.problems import path_of, problems
from transforms.spec import dense_rows
from transforms.spec.spec import KINDS_OF_A_GROUP, Spec
from transforms.splits.rule import Split

LARGEST_EXAMPLE: Final = 1 << 31
"""Bytes of a tf.Example, at most: protobuf's own limit."""


def make_spec(
    columns: Sequence[Any] | Any | Spec,
    sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
    split: Split | None = None,
    events: Events | Mapping[str, Any] | None = None,
) -> Spec:
    """Builds and checks a spec from columns.

    Args:
      columns: the columns, ours or those of `tf.feature_column` (or a spec, which is returned as it is).
      sequence_groups: group name to policy; a single policy is that of the default group.
      split: the rule by which a job divides the rows into train, validation and test.
      events: how a job makes the rows of events first; the section of a columns file, or the mapping that it is made of.

    Raises:
      SpecError: with every fault found.
    """
    if isinstance(columns, Spec):
        return columns
    many = columns_in(columns)
    if isinstance(sequence_groups, SequenceGroup):
        sequence_groups = {DEFAULT_GROUP: sequence_groups}
    data = {"sequence_groups": sequence_groups or {}, "columns": many, "split": split, "events": events}
    try:
        spec = Spec.model_validate(data)
    except ValidationError as error:
        raise SpecError([SpecFault(p.path, p.message) for p in problems(error, Spec, data)]) from None
    faults = cross_faults(spec)
    if faults:
        raise SpecError(faults)
    return spec


def columns_in(columns: Any) -> list[Any]:
    """Returns one column or several as a list, TensorFlow's columns as ours.

    Raises:
      SpecError: columns of TensorFlow's that have no counterpart, all of them.
    """
    # A column of TensorFlow's is a tuple with names; one of ours can be iterated, as pydantic's models can.
    one = isinstance(columns, str | Mapping | Column) or hasattr(columns, "_fields")
    several = isinstance(columns, Iterable) and not one
    made, faults = [], []
    for k, column in enumerate(columns if several else [columns]):
        try:
            made.append(converted(column) if is_tensorflow(column) else column)
        except (TypeError, ValueError) as error:
            faults.append(SpecFault(f"columns[{k}]", str(error)))
    if faults:
        raise SpecError(faults)
    return made


def cross_faults(spec: Spec) -> list[SpecFault]:
    """Returns the faults between columns and groups, each of which is right by itself."""
    faults = [*_group_faults(spec), *_bucket_faults(spec), *_key_faults(spec), *_name_faults(spec)]
    faults += dense_rows.faults(spec, LARGEST_EXAMPLE - 1, "an example has 2 GiB at most")
    if spec.split is not None:
        made_of_events = spec.events is not None
        faults += [SpecFault(f"split.{field}", message) for field, message in spec.split.faults(made_of_events)]
    if spec.events is not None:
        faults += [*name_faults(spec.events), *split_faults(spec.events, spec.split), *_sequence_faults(spec)]
    return [*faults, *collection_faults(spec.columns), *extension_faults(spec.columns), *reference_faults(spec.columns)]


def _sequence_faults(spec: Spec) -> list[SpecFault]:
    """Columns that read what no sequence of the events has."""
    assert spec.events is not None
    names = spec.events.sequence_names
    if names is None:
        return []
    faults = []
    for k, column in enumerate(spec.columns):
        for key in column.features:
            if key not in names and not key.startswith("\0"):  # as stand-ins do for what is not valid itself
                hint = nearest(key, names) or f", known: {listed(names)}"
                where = f"columns[{k}].{column.place_of(key)}"
                faults.append(SpecFault(where, f"the sequences that events: makes have no feature {key!r}{hint}"))
    return faults


def job_faults(spec: Spec, most_bytes: int) -> list[SpecFault]:
    """Returns why no job can carry out a spec that is right by itself: what `run`, `check` and `plan` refuse alike.

    Args:
      spec: the spec.
      most_bytes: bytes that a dense row may take (`--max-record-bytes`).
    """
    if not spec.graph_inputs:  # tf.Transform 1.21 refuses a graph without inputs
        got = ", ".join(sorted({column.type_name for column in spec.columns}))
        return [SpecFault("columns", f"expected a column to densify, got only {got}")]
    return dense_rows.faults(spec, most_bytes, "--max-record-bytes")


def _group_faults(spec: Spec) -> list[SpecFault]:
    faults = []
    for k, column in enumerate(spec.columns):
        group = column.sequence_group
        if group is None or group in spec.sequence_groups:
            continue
        if group != DEFAULT_GROUP or spec.sequence_groups:
            known = ", ".join(map(repr, spec.sequence_groups)) or "none is defined"
            hint = nearest(group, spec.sequence_groups)
            where = f"columns[{k}].{column.path_to('group')}"
            faults.append(SpecFault(where, f"unknown sequence group {group!r}, known: {known}{hint}"))
    used = set(spec.group_names)
    for name, policy in spec.sequence_groups.items():
        path = ("sequence_groups", name)
        if name not in used:
            faults.append(SpecFault(path_of(path), "no column belongs to this group"))
        elif policy.fixed_length is not None and policy.min_length > policy.fixed_length:
            message = f"expected at most max_length, {policy.fixed_length}, got {policy.min_length}"
            faults.append(SpecFault(path_of((*path, "min_length")), message))
        elif policy.shorter == "drop" and not policy.min_length:
            message = "shorter: drop needs a min_length of 1 or more, got 0"
            faults.append(SpecFault(path_of((*path, "shorter")), message))
        elif policy.fixed_length is None and policy.truncate == "reject":
            message = "truncate: reject needs a max_length that is a number, got 'longest'"
            faults.append(SpecFault(path_of((*path, "truncate")), message))
        elif policy.concatenate and not spec.concatenation(name):
            message = "expected a column of numbers in the group (ids need an indicator_column or an embedding table)"
            faults.append(SpecFault(path_of((*path, "concatenate")), message))
    return faults


def _bucket_faults(spec: Spec) -> list[SpecFault]:
    faults = []
    for name, policy in spec.sequence_groups.items():
        if policy.bucket_by_length is None:
            continue
        named, last, first = list(policy.bucket_by_length), policy.fixed_length, spec.bucketed_group
        if last is None:
            message = "needs a max_length that is a number, got 'longest'"
        elif named != sorted(set(named)):
            message = f"expected ascending lengths, got {named!r}"
        elif named[-1] > last:
            message = f"expected at most max_length ({last}), which is the last bucket's, got {named[-1]}"
        elif first is not None and first != name:
            message = f"rows are in files by the length of {first!r} already: one group may have buckets"
        else:
            continue
        faults.append(SpecFault(path_of(("sequence_groups", name, "bucket_by_length")), message))
    return faults


def _key_faults(spec: Spec) -> list[SpecFault]:
    """One feature can feed several columns, but is parsed once: they must ask for it in the same form."""
    faults = []
    first: dict[str, tuple[int, Form]] = {}
    for k, column in enumerate(spec.columns):
        for key, form in column.features.items():
            where = f"columns[{k}].{column.place_of(key)}"
            if key.startswith("__"):
                faults.append(SpecFault(where, f"names that begin with '__' are reserved, got {key!r}"))
            before, other = first.setdefault(key, (k, form))
            if other.same_as != form.same_as:
                message = f"{key!r} is parsed in another way by columns[{before}]: a feature has one dtype and form"
                faults.append(SpecFault(where, message))
    return [*faults, *_normalizer_key_faults(spec)]


def _why_no_key(column: Column) -> str:
    """Returns why statistics cannot go by a column, or an empty string."""
    form = column.features[column.key]
    if column.is_sequence:
        return "is a sequence"
    if form.delimiter is not None:
        return "is delimited text"
    if dtypes.carrier(form.dtype) == "float32":  # a number with a fraction has no text that is exactly it
        return f"holds numbers ({form.dtype})"
    return "" if column.step_width == 1 else f"has several values ({column.step_width})"


def _normalizer_key_faults(spec: Spec) -> list[SpecFault]:
    """A normalizer by key goes by a context feature, which some column must read."""
    faults = []
    unfit = {c.key: why for c in spec.columns if (why := _why_no_key(c))}
    context = {c.key for c in spec.columns} - set(unfit)
    for k, column in enumerate(spec.columns):
        numeric = numeric_of(column)
        for place, link in zip(places(numeric.normalizer_fn), numeric.links, strict=True) if numeric else ():
            if link.key is not None and link.key not in context:
                known = ", ".join(map(repr, sorted(context))) or "there is none"
                why = f", which {unfit[link.key]}" if link.key in unfit else nearest(link.key, context)
                message = (
                    f"expected the key of a context column of one word or integer ({known}), got {link.key!r}{why}"
                )
                where = f"columns[{k}].{column.path_to('normalizer_fn')}{place}.key"
                faults.append(SpecFault(where, message))
    return faults


def _name_faults(spec: Spec) -> list[SpecFault]:
    faults = []
    seen: dict[str, str] = {}
    named = [(f"the group {o.source!r}", o) for o in spec.outputs() if o.kind in KINDS_OF_A_GROUP]
    named += [(f"columns[{k}]", output) for k, column in enumerate(spec.columns) for output in column.outputs(None)]
    for where, output in named:
        if output.name in seen:
            faults.append(
                SpecFault(where, f"two outputs are named {output.name!r}: this one and one of {seen[output.name]}")
            )
        seen.setdefault(output.name, where)
    return faults
