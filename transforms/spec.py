"""The whole specification: sequence groups and columns, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transforms import dtypes
from transforms.columns import AnyColumn, Column, NumericBase, Output, SequenceColumn
from transforms.errors import SpecError, SpecFault, nearest
from transforms.groups import DEFAULT_GROUP, SequenceGroup
from transforms.messages import path_of, problems
from transforms.normalizers import Function


class Spec(BaseModel):
    """Columns and the groups that their sequences belong to.

    Attributes:
      sequence_groups: group name to policy. A group that a column names and that is not here is an error, except the
        default one, `sequence`, which then takes every default.
      columns: the columns, in the order in which faults are reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence_groups: dict[str, SequenceGroup] = Field(default_factory=dict)
    columns: list[AnyColumn] = Field(min_length=1)

    def group(self, name: str) -> SequenceGroup:
        """Returns the policy of a group."""
        return self.sequence_groups.get(name) or SequenceGroup()

    @property
    def sequence_columns(self) -> list[SequenceColumn]:
        """The columns that are sequences."""
        return [column for column in self.columns if isinstance(column, SequenceColumn)]

    @property
    def group_names(self) -> list[str]:
        """Names of the groups that columns use, in the order of their first column."""
        return list(dict.fromkeys(column.group for column in self.sequence_columns))

    @property
    def numeric_columns(self) -> list[NumericBase]:
        """The columns that have statistics, in the order of the table of moments."""
        return [column for column in self.columns if isinstance(column, NumericBase)]

    @property
    def longest_groups(self) -> list[str]:
        """Names of the groups whose T the data decides."""
        return [name for name in self.group_names if self.group(name).fixed_length is None]

    @property
    def needs_analysis(self) -> bool:
        """Whether the data has to be read once before it can be written, as far as the spec tells.

        A normalizer that is a function may ask for it too, with analyzers of its own: only tracing it tells.
        """
        return bool(self.longest_groups) or any(column.needs_statistics for column in self.numeric_columns)

    @property
    def functions(self) -> list[Function]:
        """The normalizers that are functions."""
        return [c.normalizer_fn for c in self.numeric_columns if isinstance(c.normalizer_fn, Function)]

    @property
    def graph_inputs(self) -> dict[str, str]:
        """Features that the graph takes, key to carrier, in the order of the columns."""
        return {column.key: dtypes.carrier(column.input_dtype) for column in self.columns if column.in_graph}

    def outputs(self, lengths: dict[str, int | None] | None = None) -> list[Output]:
        """Returns every feature of the dense data: columns in order, then each group's length and mask.

        Args:
          lengths: T of the groups that leave it to the data, where it is known.
        """
        lengths = lengths or {}
        size = {name: self.group(name).fixed_length or lengths.get(name) for name in self.group_names}
        made: list[Output] = []
        for column in self.columns:
            made += column.outputs(size[column.group] if isinstance(column, SequenceColumn) else None)
        for name in self.group_names:
            made.append(Output(length_name(name), "int64", (), "length", name))
            if self.group(name).mask:
                made.append(Output(mask_name(name), "bool", (size[name],), "mask", name))
        return made


def length_name(group: str) -> str:
    """Returns the name of a group's length feature."""
    return f"{group}_length"


def mask_name(group: str) -> str:
    """Returns the name of a group's mask feature."""
    return f"{group}_mask"


def make_spec(
    columns: Sequence[Column] | Column | Spec, sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None
) -> Spec:
    """Builds and checks a spec from columns made in Python.

    Args:
      columns: the columns (or a spec, which is returned as it is).
      sequence_groups: group name to policy; a single policy is that of the default group.

    Raises:
      SpecError: with every fault found.
    """
    if isinstance(columns, Spec):
        return columns
    if isinstance(columns, Column):
        columns = [columns]
    if isinstance(sequence_groups, SequenceGroup):
        sequence_groups = {DEFAULT_GROUP: sequence_groups}
    data = {"sequence_groups": sequence_groups or {}, "columns": list(columns)}
    try:
        spec = Spec.model_validate(data)
    except ValidationError as error:
        raise SpecError([SpecFault(p.path, p.message) for p in problems(error, Spec, data)]) from None
    faults = cross_faults(spec)
    if faults:
        raise SpecError(faults)
    return spec


def cross_faults(spec: Spec) -> list[SpecFault]:
    """Returns what is wrong between columns and groups, each of which is right by itself."""
    return [*_group_faults(spec), *_key_faults(spec), *_name_faults(spec)]


def _group_faults(spec: Spec) -> list[SpecFault]:
    faults = []
    for k, column in enumerate(spec.columns):
        if not isinstance(column, SequenceColumn) or column.group in spec.sequence_groups:
            continue
        if column.group != DEFAULT_GROUP or spec.sequence_groups:
            known = ", ".join(map(repr, spec.sequence_groups)) or "none is defined"
            hint = nearest(column.group, spec.sequence_groups)
            faults.append(
                SpecFault(f"columns[{k}].group", f"unknown sequence group {column.group!r}, known: {known}{hint}")
            )
    used = set(spec.group_names)
    for name, group in spec.sequence_groups.items():
        if name not in used:
            faults.append(SpecFault(path_of(("sequence_groups", name)), "no column belongs to this group"))
        elif group.fixed_length is None and group.truncate == "reject":
            message = "truncate: reject needs a max_length that is a number, got 'longest'"
            faults.append(SpecFault(path_of(("sequence_groups", name, "truncate")), message))
    return faults


def _key_faults(spec: Spec) -> list[SpecFault]:
    """One feature can feed several columns, but is parsed once: they must ask for it in the same form."""
    faults = []
    first: dict[str, tuple[int, Column]] = {}
    for k, column in enumerate(spec.columns):
        if column.key.startswith("__"):
            faults.append(
                SpecFault(f"columns[{k}].key", f"names that begin with '__' are reserved, got {column.key!r}")
            )
        before, other = first.setdefault(column.key, (k, column))
        kinds = [(c.input_dtype, c.delimiter, c.is_sequence, c.step_width, c.in_graph) for c in (other, column)]
        if kinds[0] != kinds[1]:
            message = f"{column.key!r} is parsed in another way by columns[{before}]: a feature has one dtype and form"
            faults.append(SpecFault(f"columns[{k}].key", message))
    return faults


def _name_faults(spec: Spec) -> list[SpecFault]:
    faults = []
    seen: dict[str, str] = {}
    for output in spec.outputs():
        what = f"{output.kind} of {output.source!r}"
        if output.name in seen:
            faults.append(
                SpecFault("columns", f"two outputs are named {output.name!r}: {seen[output.name]} and {what}")
            )
        seen[output.name] = what
    return faults
