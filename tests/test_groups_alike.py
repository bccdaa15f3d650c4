"""Sequence groups alike go through the graph together: what that costs, and that nothing shows of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.dataset import statistics
from pipeline.job.finish import _sizes
from tests.marks import slow_but
from transforms import Column, SequenceGroup, make_spec
from transforms.columns import (
    categorical_column_with_identity,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.densify.collect import level_moments
from transforms.densify.densify import densify
from transforms.densify.graph import input_specs
from transforms.densify.side_by_side import bundles
from transforms.distributions import facts
from transforms.distributions.histograms import Counting
from transforms.fit.preprocessing_fn import static
from transforms.memory import apply
from transforms.rows import metrics
from transforms.rows.tally import add, count_lengths
from transforms.serve.model import outputs_together
from transforms.serve.parsing import request_specs
from transforms.serve.valid import admitted
from transforms.spec.spec import Spec, length_name, mask_name
from transforms.statistics.fitted import not_fitted, table_width

MAKE: dict[str, Callable[[str, str], Column]] = {
    "z_score": lambda key, group: sequence_numeric_column(key, normalizer_fn="z_score", group=group),
    "ids": lambda key, group: sequence_categorical_column_with_identity(key, 50, group=group),
    "hash": lambda key, group: sequence_categorical_column_with_hash_bucket(key, 50, group=group),
    "alone": lambda key, group: sequence_numeric_column(
        key, normalizer_fn={"type": "z_score", "per": "column"}, group=group
    ),
}


def wide(kind: str, columns: int, groups: int, policy: Callable[[int], SequenceGroup]) -> Spec:
    """Columns of one kind, dealt out to groups."""
    made = [MAKE[kind](f"c{k}", f"g{k % groups}") for k in range(columns)]
    return make_spec(made, {f"g{k}": policy(k) for k in range(groups)})


def operations(function: Callable[..., Any], *signature: Any) -> int:
    graph = tf.function(function, input_signature=list(signature), autograph=False).get_concrete_function().graph
    return len(graph.get_operations())


def counted(spec: Spec) -> dict[str, int]:
    """How many operations the graphs of a spec have: for the job, for its statistics, and what a request goes through before."""
    fitted = not_fitted(spec)
    table = tf.TensorSpec([5, table_width(spec)], tf.float64)

    def dense(raw: Any, table: tf.Tensor) -> Any:
        found = replace(fitted, tables=(table,))
        return static(spec, densify(spec, raw, found), found)

    return {
        "densify": operations(dense, input_specs(spec), table),
        "moments": operations(lambda raw: level_moments(spec, raw, fitted, 0)[1], input_specs(spec)),
        "request": operations(
            lambda given, good: admitted(spec, given, good), request_specs(spec), tf.TensorSpec([None], tf.bool)
        ),
    }


LENGTHS: dict[str, Callable[[int], SequenceGroup]] = {
    "longest": lambda k: SequenceGroup(),
    "one T": lambda k: SequenceGroup(max_length=8),
    "several T": lambda k: SequenceGroup(max_length=8 + k, padding="pre", truncate="reject"),
}


@pytest.mark.parametrize(
    ("length", "kind"),
    slow_but(itertools.product(LENGTHS, MAKE), ("longest", "ids"), ("one T", "hash"), ("several T", "z_score")),
)
def test_another_group_costs_a_few_operations_however_many_there_are(length, kind):
    few, some, many = (counted(wide(kind, n, n, LENGTHS[length])) for n in (2, 4, 8))
    one, two = (counted(wide(kind, n, 1, LENGTHS[length])) for n in (4, 8))
    for what in many:
        assert many[what] - some[what] == 2 * (some[what] - few[what]), what
        by_group, by_column = (many[what] - some[what]) / 4, (two[what] - one[what]) / 4
        # Its length, its mask and its outputs taken out of those of all groups; in a ragged tensor where T is the longest row.
        assert by_group <= by_column + (7 if length == "longest" else 6), what


def test_a_model_hands_on_lengths_of_all_groups_as_one_and_masks_of_one_shape():
    groups = {f"g{k}": SequenceGroup(max_length=4 + k // 2, mask=k > 0) for k in range(4)}
    spec = make_spec([MAKE["ids"](f"c{k}", f"g{k}") for k in range(4)], groups)
    together = [[output.name for output in outputs] for outputs in outputs_together(spec.outputs(), spec)]
    several = [names for names in together if len(names) > 1]
    assert several == [[length_name(f"g{k}") for k in range(4)], [mask_name("g2"), mask_name("g3")]]
    assert sorted(name for names in together for name in names) == sorted(output.name for output in spec.outputs())


def test_what_stands_together_in_several_groups():
    columns = [
        *(MAKE["z_score"](f"x{k}", f"g{k}") for k in range(4)),
        *(MAKE["ids"](f"i{k}{side}", f"g{k}") for k in range(4) for side in "ab"),
        MAKE["ids"]("i4", "g4"),
        *(sequence_numeric_column(f"p{k}", normalize_padding=True, group=f"g{k}") for k in range(2)),
    ]
    groups = {
        "g0": SequenceGroup(max_length=4),
        "g1": SequenceGroup(max_length=7, truncate="reject", mask=False),
        "g2": SequenceGroup(max_length=7, truncate="tail"),
        "g3": SequenceGroup(),
        "g4": SequenceGroup(max_length=2),
    }
    found = [[member.name for member in bundle.members] for bundle in bundles(make_spec(columns, groups))]
    assert [names for names in found if len(names) > 1] == [
        ["x0", "x1"],
        ["i0a", "i0b", "i1a", "i1b"],
        ["i2a", "i2b"],
        ["i3a", "i3b"],
    ]
    assert sorted(name for names in found for name in names) == sorted(column.name for column in columns)


KINDS: list[dict[str, Any]] = [
    {"normalizer_fn": "z_score"},
    {"normalizer_fn": [{"type": "clip", "min": -40.0}, "min_max"], "shape": (2,), "default_value": -1.0},
    {"normalizer_fn": ["z_score", "max_abs"], "non_finite": "fill", "observed_mask": True},
    {"normalizer_fn": "z_score", "statistics_over": "all"},
    {"normalizer_fn": "z_score", "dtype": "int64"},
    {"normalizer_fn": {"type": "bucketize", "boundaries": [-5.0, 0.0, 20.0]}},
]

POLICIES: dict[str, list[SequenceGroup]] = {
    "longest": [SequenceGroup(truncate="tail"), *[SequenceGroup(truncate="tail", mask=False)] * 2],
    "one T": [SequenceGroup(max_length=3, truncate="tail")] * 3,
    "several T, padded in front": [SequenceGroup(max_length=n, padding="pre", truncate="tail") for n in (2, 2, 4)],
    "concatenated": [SequenceGroup(max_length=n, concatenate=True) for n in (2, 3, 4)],
    "of all kinds": [SequenceGroup(max_length=2), SequenceGroup(), SequenceGroup(max_length=5, truncate="tail")],
}


def rows_of(columns: list[Column], count: int, seed: int) -> list[dict[str, Any]]:
    """Rows whose columns differ in mean, spread and length; the second group has no step in any row."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        row: dict[str, Any] = {}
        lengths = {"g0": int(rng.integers(0, 5)), "g1": 0, "g2": int(rng.integers(0, 8))}
        for k, column in enumerate(columns):
            size = lengths[column.sequence_group or ""] * column.step_width
            values: Any = rng.normal(10 * k, 1 + k, size).astype(np.float32)
            if "identity" in column.type_name or getattr(column, "dtype", "") == "int64":
                values = rng.integers(0, 50, size)
            elif getattr(column, "non_finite", "") == "fill" and size:
                values[0] = np.nan
            row[column.key] = values.tolist()
        made.append(row)
    return made


@pytest.mark.parametrize("policies", slow_but(POLICIES, "of all kinds", "concatenated"))
def test_in_several_groups_a_column_is_to_the_last_bit_what_it_is_alone(policies):
    groups = {f"g{k}": policy for k, policy in enumerate(POLICIES[policies])}
    columns = [
        *(sequence_numeric_column(f"x{k}_{g}", group=g, **kind) for k, kind in enumerate(KINDS) for g in groups),
        *(MAKE["ids"](f"i_{g}", g) for g in groups),
    ]
    rows = rows_of(columns, 40, 1)
    together = apply(rows, columns, groups)
    assert together.rejected.num_rows == 0
    part = apply(rows[3:9], columns, groups, fitted=together.fitted)  # a row is what it is, whatever the batch
    checked = set()
    for column in columns:
        group = column.sequence_group or ""
        alone = apply(rows, [column], {group: groups[group].model_copy(update={"concatenate": False})})
        for name, values in alone.arrays.items():
            if groups[group].concatenate and name == column.name and column.type_name == "sequence_numeric_column":
                continue
            made = together.arrays[name]
            assert (made.dtype, made.shape, made.tobytes()) == (values.dtype, values.shape, values.tobytes()), name
            assert part.arrays[name].tobytes() == values[3:9].tobytes(), name
            checked.add(name)
    concatenated = {f"{name}_input" for name, policy in groups.items() if policy.concatenate}
    assert checked == set(together.arrays) - concatenated


def test_a_column_may_be_named_as_the_group_of_another_one():
    columns = [
        MAKE["ids"]("b", "a"),
        MAKE["z_score"]("x", "a"),
        MAKE["ids"]("c", "b"),
        categorical_column_with_identity("d", 3),
    ]
    spec = make_spec(columns, {"a": SequenceGroup(concatenate=True), "b": SequenceGroup()})
    outputs = spec.outputs({"a": 3, "b": 5})
    found = {output.name: spec.group_of(output) for output in outputs}
    assert found == {
        **{"b": "a", "a_length": "a", "a_mask": "a", "a_input": "a"},
        **{"c": "b", "b_length": "b", "b_mask": "b"},
        "d": None,
    }
    part: Any = SimpleNamespace(outputs=tuple(outputs))
    assert _sizes(spec, [part]) == {"a": 3, "b": 5}


def test_figures_of_lengths_are_taken_out_of_a_tally_once_for_all_groups():
    """A tally has some figures of every column in every file: to go through it for each group is quadratic."""
    seen = []

    class Looked(Counter[tuple[Any, ...]]):
        def items(self) -> Any:
            seen.append(len(self))
            return super().items()

    counted = []
    for count in (2, 20):
        spec = wide("ids", count, count, LENGTHS["longest"])
        tally = Looked()
        for group in spec.group_names:
            add(tally, count_lengths(group, np.array([1, 2, 2])))
        seen.clear()
        facts.gathered(spec, tally, {}, Counting(), "run", [])
        described = statistics.build(spec, np.zeros((5, table_width(spec))), tally, dict.fromkeys(spec.group_names, 2))
        assert described["groups"]["g1"]["histogram"] == [[1, 1], [2, 2]]
        metrics.report_lengths(tally)
        counted.append(len(seen))
    assert counted[0] == counted[1]
