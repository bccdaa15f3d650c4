"""The whole specification: sequence groups and columns, checked against each other."""

from __future__ import annotations

import math
from typing import Any, Final

from pydantic import ConfigDict, Field, field_serializer, field_validator

from transforms import dtypes, reprs
from transforms.columns import AnyColumn, Column, Output
from transforms.columns.numeric_base import numeric_of
from transforms.columns.shared_words import bound
from transforms.events.spec import SPLIT, Events, events_to_dict
from transforms.groups import SequenceGroup
from transforms.models import Model
from transforms.normalizers import Normalizer
from transforms.normalizers.asks import Ask
from transforms.normalizers.function import Function
from transforms.parse.form import Form
from transforms.splits.rule import Split

KINDS_OF_A_GROUP: Final = ("length", "mask", "concatenation")


class Spec(Model):
    """Columns and the groups that their sequences belong to.

    Attributes:
      sequence_groups: group name to policy. A group that a column names and that is not here is an error, except the
        default one, `sequence`, which then takes every default.
      columns: the columns, in the order in which faults are reported.
      split: the rule by which a job divides the rows into train, validation and test; None for a data set without splits, or if
        inputs name their splits.
      events: the section that makes the rows of events first, of which the columns then read features and the key; None if the
        input holds the rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence_groups: dict[str, SequenceGroup] = Field(default_factory=dict)
    columns: list[AnyColumn] = Field(min_length=1)
    split: Split | None = None
    events: Events | None = None

    @field_validator("columns")
    @classmethod
    def _with_their_vocabularies(cls, columns: list[Column]) -> list[Column]:
        return bound(columns)

    @field_serializer("events", when_used="unless-none")
    def _events_as_written(self, events: Events) -> dict[str, Any]:
        return events_to_dict(events)

    def __repr__(self) -> str:
        """The call of `make_spec` that makes it, a column a line."""
        columns = "".join(f"    {column!r},\n" for column in self.columns)
        groups = "".join(f"    {name!r}: {group!r},\n" for name, group in self.sequence_groups.items())
        split = f", split={self.split!r}" if self.split else ""
        split += f", events={events_to_dict(self.events)!r}" if self.events else ""
        return f"make_spec([\n{columns}]{f', {{{chr(10)}{groups}}}' if groups else ''}{split})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Tables for notebooks."""
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
        return [column for column in self.columns if numeric_of(column) is not None]

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
        """The number of times that statistics are fitted one after the other: chains of normalizers may need several."""
        return max([ask.level for ask in self.asks], default=0) + 1

    @property
    def normalizers(self) -> list[Normalizer]:
        """Every link of every column's chain of normalizers."""
        return [link for c in self.columns if (numeric := numeric_of(c)) is not None for link in numeric.links]

    @property
    def calls_functions(self) -> bool:
        """Whether a normalizer is a person's function, which may use whatever TensorFlow and tf.Transform offer."""
        return any(isinstance(link, Function) for link in self.normalizers)

    @property
    def needs_analysis(self) -> bool:
        """Whether the data has to be read once before it can be written, as far as the spec tells.

        A normalizer that is a function may ask for it too, with analyzers of its own: only tracing it tells.
        """
        asked = any(column.needs_data for column in self.columns)
        return bool(self.longest_groups) or asked

    @property
    def passed_through(self) -> dict[str, Column]:
        """The columns outside the graph, by name, which is also the name of their output."""
        return {column.name: column for column in self.columns if not column.in_graph}

    @property
    def features(self) -> dict[str, Form]:
        """The form of every feature that a column reads, in the order of the columns."""
        made: dict[str, Form] = {}
        for column in self.columns:
            for key, form in column.features.items():
                made.setdefault(key, form)
        return made

    @property
    def read_features(self) -> dict[str, str]:
        """Everything that a job reads from a row, feature to carrier (see `Source.read`), for the columns and for the split."""
        split = dict.fromkeys(self.row_rule.keys, "string") if self.row_rule else {}
        return {**split, **{key: form.carrier for key, form in self.features.items()}}

    @property
    def optional_features(self) -> set[str]:
        """Features that a file may be without: those that only columns with `required: false` read."""
        needed = {key for column in self.columns if not column.optional for key in column.features}
        needed |= set(self.row_rule.keys if self.row_rule else ())
        return {key for key in self.features if key not in needed}

    @property
    def row_rule(self) -> Split | None:
        """The rule that divides the rows. Sequences of events that were split by time say their split themselves."""
        if self.events is None or self.split is None or self.split.by != "time":
            return self.split
        return Split(by="feature", feature=SPLIT, values={name: name for name in self.split.split_names})

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
        if output.kind in KINDS_OF_A_GROUP:  # a column may be named as the group of another one
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
