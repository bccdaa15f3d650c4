"""The whole specification: sequence groups and columns, checked against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from transforms import dtypes, reprs
from transforms.columns import AnyColumn, Column, Output
from transforms.columns.embedding import collection_faults
from transforms.columns.from_tensorflow import converted, is_tensorflow
from transforms.errors import SpecError, SpecFault, nearest
from transforms.groups import DEFAULT_GROUP, SequenceGroup
from transforms.models import Model
from transforms.normalizers import Normalizer, places
from transforms.normalizers.asks import Ask
from transforms.parse.parse import Form
from transforms.problems import path_of, problems
from transforms.spec import dense_rows


class Spec(Model):
    """Columns and the groups that their sequences belong to.

    Attributes:
      sequence_groups: group name to policy. A group that a column names and that is not here is an error, except the
        default one, `sequence`, which then takes every default.
      columns: the columns, in the order in which faults are reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence_groups: dict[str, SequenceGroup] = Field(default_factory=dict)
    columns: list[AnyColumn] = Field(min_length=1)

    def __repr__(self) -> str:
        """The call of `make_spec` that makes it, a column a line."""
        columns = "".join(f"    {column!r},\n" for column in self.columns)
        groups = "".join(f"    {name!r}: {group!r},\n" for name, group in self.sequence_groups.items())
        return f"make_spec([\n{columns}]{f', {{{chr(10)}{groups}}}' if groups else ''})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        members = [(c.name, c.type_name, c.sequence_group or "", repr(c)) for c in self.columns]
        policies = [(name, repr(self.group(name))) for name in self.group_names]
        made = reprs.table(("column", "type", "sequence group", "made by"), members)
        return made + (reprs.table(("sequence group", "policy"), policies) if policies else "")

    def group(self, name: str) -> SequenceGroup:
        """Returns the policy of a group."""
        return self.sequence_groups.get(name) or SequenceGroup()

    @property
    def sequence_columns(self) -> list[Column]:
        """The columns that are sequences."""
        return [column for column in self.columns if column.is_sequence]

    @property
    def group_names(self) -> list[str]:
        """Names of the groups that columns use, in the order of their first column."""
        return list(dict.fromkeys(c.sequence_group for c in self.columns if c.sequence_group is not None))

    def members(self, group: str) -> list[Column]:
        """Returns the columns of a group."""
        return [column for column in self.columns if column.sequence_group == group]

    @property
    def by_group(self) -> dict[str, list[Column]]:
        """The columns of every group, in the order of `group_names`."""
        made: dict[str, list[Column]] = {}
        for column in self.columns:
            if column.sequence_group is not None:
                made.setdefault(column.sequence_group, []).append(column)
        return made

    @property
    def numeric_columns(self) -> list[Column]:
        """The columns whose values have statistics, in the order of the table of moments."""
        return [column for column in self.columns if column.numeric is not None]

    @property
    def longest_groups(self) -> list[str]:
        """Names of the groups whose T the data decides."""
        return [name for name in self.group_names if self.group(name).fixed_length is None]

    @property
    def bucketed_group(self) -> str | None:
        """Name of the group whose length decides into which files a row is written; None where there are no length buckets."""
        return next((name for name in self.group_names if self.group(name).bucket_by_length is not None), None)

    @property
    def bucketed_names(self) -> frozenset[str]:
        """Names of the features whose T is that of a row's length bucket; none without buckets."""
        group = self.bucketed_group
        return frozenset(o.name for o in self.outputs_of(group) if o.sequence) if group is not None else frozenset()

    @property
    def asks(self) -> list[Ask]:
        """The statistics that columns ask for, column by column."""
        return [ask for column in self.columns for ask in column.asks()]

    @property
    def levels(self) -> int:
        """How many times statistics are fitted one after the other: chains of normalizers may need it more than once."""
        return max([ask.level for ask in self.asks], default=0) + 1

    @property
    def normalizers(self) -> list[Normalizer]:
        """Every link of every column's chain of normalizers."""
        return [link for c in self.numeric_columns if c.numeric is not None for link in c.numeric.links]

    @property
    def needs_analysis(self) -> bool:
        """Whether the data has to be read once before it can be written, as far as the spec tells.

        A normalizer that is a function may ask for it too, with analyzers of its own: only tracing it tells.
        """
        asked = any(column.needs_data for column in self.columns)
        return bool(self.longest_groups) or asked

    @property
    def features(self) -> dict[str, Form]:
        """How every feature is parsed that a column reads, in the order of the columns."""
        made: dict[str, Form] = {}
        for column in self.columns:
            for key, form in column.features.items():
                made.setdefault(key, form)
        return made

    @property
    def graph_inputs(self) -> dict[str, str]:
        """Features that the graph takes, key to what they are parsed as, in the order of the columns."""
        features = self.features
        wanted = [key for column in self.columns if column.in_graph for key in column.features]
        wanted += [ask.key for ask in self.asks if ask.key and ask.key in features]
        return {key: dtypes.parsed(features[key].dtype) for key in dict.fromkeys(wanted)}

    def outputs(self, lengths: dict[str, int | None] | None = None) -> list[Output]:
        """Returns every feature of the dense data: columns in order, then each group's length and mask.

        Args:
          lengths: T of the groups that leave it to the data, where it is known.
        """
        lengths = lengths or {}
        size = {name: self.group(name).fixed_length or lengths.get(name) for name in self.group_names}
        made: list[Output] = []
        for column in self.columns:
            group = column.sequence_group
            own = column.outputs(size[group] if group is not None else None)
            concatenated = group is not None and self.group(group).concatenate
            made += [output for output in own if not (concatenated and dense(output))]
        for name in self.group_names:
            made += self._group_outputs(name, size[name])
        return made

    def outputs_of(self, group: str) -> list[Output]:
        """Returns the features of a group: those of its columns, its length and its mask; T None where the data decides it."""
        policy = self.group(group)
        own = [output for column in self.members(group) for output in column.outputs(policy.fixed_length)]
        written = [output for output in own if not (policy.concatenate and dense(output))]
        return [*written, *self._group_outputs(group, policy.fixed_length)]

    def group_of(self, output: Output) -> str | None:
        """Returns the sequence group that an output is of, one of its columns' or its own; None for that of a context column."""
        if output.kind in _OF_A_GROUP:  # a column may be named as the group of another one
            return output.source
        return next((column.sequence_group for column in self.columns if column.name == output.source), None)

    def is_concatenated(self, column: Column) -> bool:
        """Returns whether a column is written as a part of its group's concatenation."""
        group = column.sequence_group
        return group is not None and self.group(group).concatenate and dense(column.outputs(None)[0])

    def concatenation(self, group: str) -> list[Output]:
        """Returns the outputs that make up a group's concatenation: in code-point order of the columns' names."""
        return sorted((o for c in self.members(group) for o in c.outputs(None) if dense(o)), key=lambda o: o.source)

    def _group_outputs(self, name: str, size: int | None) -> list[Output]:
        made = []
        if self.group(name).concatenate:
            width = sum(math.prod(n for n in o.shape[1:] if n) for o in self.concatenation(name))
            made.append(Output(input_name(name), "float32", (size, width), "concatenation", name, True))
        made.append(Output(length_name(name), "int64", (), "length", name))
        if self.group(name).mask:
            made.append(Output(mask_name(name), "bool", (size,), "mask", name, True))
        return made


def dense(output: Output) -> bool:
    """Returns whether an output can be concatenated, as TensorFlow's `SequenceFeatures` does: numbers, and not ids."""
    return output.sequence and output.kind == "values"


def input_name(group: str) -> str:
    """Returns the name of a group's concatenation."""
    return f"{group}_input"


def length_name(group: str) -> str:
    """Returns the name of a group's length feature."""
    return f"{group}_length"


def mask_name(group: str) -> str:
    """Returns the name of a group's mask feature."""
    return f"{group}_mask"


def make_spec(
    columns: Sequence[Any] | Any | Spec, sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None
) -> Spec:
    """Builds and checks a spec from columns made in Python.

    Args:
      columns: the columns, ours or those of `tf.feature_column` (or a spec, which is returned as it is).
      sequence_groups: group name to policy; a single policy is that of the default group.

    Raises:
      SpecError: with every fault found.
    """
    if isinstance(columns, Spec):
        return columns
    many = columns_in(columns)
    if isinstance(sequence_groups, SequenceGroup):
        sequence_groups = {DEFAULT_GROUP: sequence_groups}
    data = {"sequence_groups": sequence_groups or {}, "columns": many}
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
    """Returns what is wrong between columns and groups, each of which is right by itself."""
    faults = [*_group_faults(spec), *_bucket_faults(spec), *_key_faults(spec), *_name_faults(spec)]
    faults += dense_rows.faults(spec, LARGEST_EXAMPLE - 1, "an example has 2 GiB at most")
    return [*faults, *collection_faults(spec.columns)]


def job_faults(spec: Spec, most_bytes: int) -> list[SpecFault]:
    """Returns why no job can carry out a spec that is right by itself: what `run`, `check` and `plan` refuse alike.

    Args:
      spec: the spec.
      most_bytes: bytes that a dense row may take (`--max-record-bytes`).
    """
    if not spec.graph_inputs:  # tf.Transform 1.21 refuses a graph without inputs
        return [SpecFault("columns", "expected a column to densify, got only passthrough_column")]
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
        numeric = column.numeric
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
    named = [(f"the group {o.source!r}", o) for o in spec.outputs() if o.kind in _OF_A_GROUP]
    named += [(f"columns[{k}]", output) for k, column in enumerate(spec.columns) for output in column.outputs(None)]
    for where, output in named:
        if output.name in seen:
            faults.append(
                SpecFault(where, f"two outputs are named {output.name!r}: this one and one of {seen[output.name]}")
            )
        seen.setdefault(output.name, where)
    return faults


_OF_A_GROUP: Final = ("length", "mask", "concatenation")

LARGEST_EXAMPLE: Final = 1 << 31
"""Bytes of a tf.Example, at most: protobuf's own limit."""
