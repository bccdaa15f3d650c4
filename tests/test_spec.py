"""Columns checked against each other: every fault at once, with its path."""

from __future__ import annotations

import pickle

import pytest

from transforms.columns import (
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.spec.make_spec import make_spec

A, B = sequence_numeric_column("a"), sequence_numeric_column("b", group="other")


@pytest.mark.parametrize(
    ("columns", "groups", "paths"),
    [
        ([A, A], None, ["columns[1]"]),
        ([A, sequence_categorical_column_with_identity("a", 3)], None, ["columns[1].key", "columns[1]"]),
        ([A, numeric_column("a", observed_mask=True)], None, ["columns[1].key", "columns[1]"]),
        ([A, passthrough_column("sequence_length")], None, ["columns[1]"]),
        ([A, passthrough_column("sequence_mask")], None, ["columns[1]"]),
        ([sequence_numeric_column("a", observed_mask=True), numeric_column("a_observed")], None, ["columns[1]"]),
        ([A, B], None, ["columns[1].group"]),
        ([A, B], {"othr": SequenceGroup()}, ["columns[0].group", "columns[1].group", "sequence_groups.othr"]),
        ([B], {"other": SequenceGroup(truncate="reject")}, ["sequence_groups.other.truncate"]),
        ([A], {"unused": SequenceGroup()}, ["columns[0].group", "sequence_groups.unused"]),
        ([A], {"sequence": SequenceGroup(max_length=1 << 29)}, ["sequence_groups.sequence.max_length"]),
        ([numeric_column("__row__")], None, ["columns[0].key"]),
        ([], None, ["columns"]),
    ],
)
def test_faults(columns, groups, paths):
    with pytest.raises(SpecError) as caught:
        make_spec(columns, groups)
    assert {fault.path for fault in caught.value.faults} == set(paths)
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


def test_a_near_name_is_suggested():
    with pytest.raises(SpecError, match="did you mean 'other'"):
        make_spec([sequence_numeric_column("b", group="othr")], {"other": SequenceGroup()})


def test_a_policy_alone_is_that_of_the_default_group():
    policy = SequenceGroup(max_length=7)
    spec = make_spec([A, numeric_column("c")], policy)
    assert spec.group("sequence") == policy
    assert spec.outputs()[0].shape == (7, 1)
    assert make_spec(spec) is spec


def test_outputs_in_order():
    spec = make_spec(
        [numeric_column("c", shape=2), B, sequence_numeric_column("a", (), dtype="int32", observed_mask=True)],
        {"other": SequenceGroup(mask=False), "sequence": SequenceGroup(max_length=3)},
    )
    found = [(o.name, o.dtype, o.shape) for o in spec.outputs({"other": 9})]
    assert found == [
        ("c", "float32", (2,)),
        ("b", "float32", (9, 1)),
        ("a", "int32", (3,)),
        ("a_observed", "bool", (3,)),
        ("other_length", "int64", ()),
        ("sequence_length", "int64", ()),
        ("sequence_mask", "bool", (3,)),
    ]
    assert spec.outputs()[1].shape == (None, 1)


def test_whether_the_data_has_to_be_read_first():
    fixed = SequenceGroup(max_length=3)
    assert make_spec([A]).needs_analysis
    assert not make_spec([A], fixed).needs_analysis
    assert make_spec([sequence_numeric_column("a", normalizer_fn="z_score")], fixed).needs_analysis
    assert not make_spec([sequence_numeric_column("a", normalizer_fn=abs)], fixed).needs_analysis
    assert not make_spec([numeric_column("a")]).needs_analysis


def test_a_spec_survives_json_and_pickling():
    spec = make_spec(
        [A, sequence_categorical_column_with_identity("i", 3, 1, delimiter=",")], SequenceGroup(max_length=2)
    )
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
