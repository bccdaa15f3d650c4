"""Columns made of columns: where faults are, what is learned for whom, and weights that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns_file.reader import dumps, loads
from transforms.columns import (
    bucketized_column,
    embedding_column,
    indicator_column,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
    weighted_categorical_column,
)
from transforms.densify.graph import raw_tensors
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.parse.form import NO_WEIGHT, Form
from transforms.parse.parse import parse
from transforms.spec.make_spec import make_spec
from transforms.stages import parse_batch, validate_batch

NAN, INF = float("nan"), float("inf")
IDS = sequence_categorical_column_with_identity("x", 9, max_ids=2)

FAULTY = """
columns:
  - type: indicator_column
    categorical_column:
      type: sequence_categorical_column_with_identity
      key: x
      num_buckets: 0
  - type: embedding_column
    dimension: 2
    categorical_column:
      type: weighted_categorical_column
      weight_feature_key: __w
      categorical_column:
        type: sequence_categorical_column_with_identity
        key: x
        num_bucket: 3
  - type: bucketized_column
    num_quantiles: 3
    source_column:
      type: numeric_column
      key: z
      normalizer_fn: {type: z_score, per: key, key: nowhere}
  - type: indicator_column
    categorical_column:
      type: sequence_categorical_column_with_identity
      key: z
      group: wrong
      num_buckets: 3
sequence_groups: {}
"""


def test_faults_inside_columns_have_their_paths_and_lines():
    with pytest.raises(SpecError) as caught:
        loads(FAULTY)
    found = [(fault.line, fault.path) for fault in caught.value.faults]
    assert found == [
        (7, "columns[0].categorical_column.num_buckets"),
        (13, "columns[1].categorical_column.categorical_column.num_buckets"),
        (16, "columns[1].categorical_column.categorical_column.num_bucket"),
        (22, "columns[2].source_column.normalizer_fn.key"),
        (26, "columns[3].categorical_column.key"),
        (27, "columns[3].categorical_column.group"),
    ]
    weighted = weighted_categorical_column(IDS, "__w")
    with pytest.raises(
        SpecError, match=r"columns\[0\].categorical_column.weight_feature_key: names that begin with '__'"
    ):
        make_spec([indicator_column(weighted)])


def test_functions_inside_columns_are_looked_for(tmp_path: Any):
    from pipeline.columns_file.reader import check_functions

    source = "{type: numeric_column, key: x, normalizer_fn: 'nowhere:f'}"
    text = f"columns:\n  - {{type: bucketized_column, boundaries: [0], source_column: {source}}}\n"
    (tmp_path / "columns.yaml").write_text(text)
    (fault,) = check_functions(loads(text), tmp_path / "columns.yaml")
    assert (fault.path, fault.line) == ("columns[0].source_column.normalizer_fn", 2)


def test_a_file_gives_back_what_was_written():
    weighted = weighted_categorical_column(IDS, "w", "int32")
    quantiles = bucketized_column(sequence_numeric_column("n", normalizer_fn="z_score"), num_quantiles=4)
    spec = make_spec([weighted, indicator_column(weighted), embedding_column(quantiles, 3, max_norm=2)])
    text = dumps(spec)
    assert loads(text) == spec
    assert "categorical_column: {type: bucketized_column, source_column: {type: sequence_numeric_column, key:" in text


def test_an_indicator_needs_to_know_how_many_ids_there_are():
    learned = sequence_categorical_column_with_learned_vocabulary("x")
    with pytest.raises(ValueError, match="learns how many ids there are: give it a top_k"):
        indicator_column(learned)
    embedding_column(learned, 3)
    with pytest.raises(ValueError, match="table: needs to know how many ids"):
        embedding_column(learned, 3, table=np.zeros((2, 3)))
    limited = sequence_categorical_column_with_learned_vocabulary("x", top_k=2, num_oov_buckets=1)
    made = apply([{"x": ["a", "b", "b", "c", "c", "c"]}], [indicator_column(limited)])
    assert made["x_indicator"].argmax(axis=2).tolist() == [[2, 1, 1, 0, 0, 0]]


def test_columns_of_one_name_inside_keep_what_is_theirs():
    """The column itself, and others made of columns of that name that differ: words, statistics, quantiles."""
    plain, other = (sequence_categorical_column_with_vocabulary_list("x", words) for words in (["a", "b"], ["b", "a"]))
    one, two = sequence_numeric_column("n", normalizer_fn="z_score"), sequence_numeric_column("n")
    columns = [
        plain,
        indicator_column(other),
        one,
        bucketized_column(two, num_quantiles=2),
        indicator_column(bucketized_column(one, num_quantiles=4)),
        embedding_column(bucketized_column(two, (5,)), 2),
    ]
    rows = [{"x": ["a", "b", "c", "a"], "n": [1.0, 2.0, 3.0, 10.0]}]
    made = apply(rows, columns)
    assert made["x"].tolist() == [[0, 1, -1, 0]]
    assert made["x_indicator"].tolist() == [[[0, 1], [1, 0], [0, 0], [0, 1]]]
    assert made["n_bucketized"].tolist() == [[0, 0, 1, 1]]
    assert made["n_bucketized_indicator"].argmax(axis=2).tolist() == [[0, 1, 2, 3]]
    assert made["n_bucketized_embedding"].tolist() == [[0, 0, 0, 1]]
    np.testing.assert_allclose(made["n"].mean(), 0, atol=1e-6)


def test_learned_quantiles():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(200, 3)) * [1, 100, 1e-3]).astype(np.float32)
    rows = [{"x": row.reshape(-1)} for row in np.split(values, 40)]
    column = bucketized_column(sequence_numeric_column("x", 3), num_quantiles=5)
    assert (column.id_count, column.needs_data) == (15, True)
    assert not bucketized_column(sequence_numeric_column("x", 3), (0, 1)).needs_data
    made = apply(rows, column)["x_bucketized"].reshape(-1, 3)
    for k in range(3):
        wide = values[:, k].astype(np.float64)
        boundaries = np.quantile(wide, [0.2, 0.4, 0.6, 0.8])
        np.testing.assert_array_equal(made[:, k], np.searchsorted(boundaries, wide, side="right") + 5 * k)
        assert np.bincount(made[:, k])[5 * k :].tolist() == [40] * 5


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[3.0, 3.0, 3.0]], [[2, 2, 2]]),  # a constant: no number is below a boundary
        ([[]], [[]]),
        ([[NAN, NAN]], [[-1, -1]]),
        ([[1e30, 1.0, -1e30]], [[2, 1, 0]]),
        ([[5.0]], [[2]]),
    ],
)
def test_quantiles_of_little(rows: Any, expected: Any):
    column = bucketized_column(sequence_numeric_column("x", non_finite="fill"), num_quantiles=3)
    assert apply([{"x": row} for row in rows], column)["x_bucketized"].tolist() == expected


def test_statistics_are_those_of_earlier_rows():
    column = bucketized_column(sequence_numeric_column("x"), num_quantiles=2)
    fitted = apply([{"x": [1.0, 2.0, 3.0]}], column).fitted
    assert apply([{"x": [1.9, 2.0, 99.0]}], column, fitted=fitted)["x_bucketized"].tolist() == [[0, 1, 1]]
    group = SequenceGroup(max_length=2)
    nothing = apply([{"x": []}], column, group).fitted
    assert apply([{"x": [1.9, -2.0]}], column, group, fitted=nothing)["x_bucketized"].tolist() == [[0, 0]]


def test_gaps_have_a_bucket_where_something_takes_their_place():
    def made(policy: str, **more: Any) -> Any:
        source = sequence_numeric_column("x", non_finite=policy, **more)
        return apply([{"x": [NAN, 1.0, INF, 3.0]}], bucketized_column(source, (2,)))["x_bucketized"].tolist()

    assert made("fill") == [[-1, 0, -1, 1]]
    assert made("mean") == [[1, 0, 1, 1]]
    assert made("forward_fill") == [[-1, 0, 0, 1]]
    assert made("keep") == [[1, 0, 1, 1]]
    assert made("fill", normalizer_fn=lambda x: tf.math.log(1 - x)) == [[-1, 0, -1, -1]]
    with pytest.raises(ValueError, match="observed_mask does not apply"):
        made("fill", observed_mask=True)


def test_cut_off_steps_count_where_a_rows_statistics_are_over_all():
    source = sequence_numeric_column("x", normalizer_fn={"type": "z_score", "per": "row"}, statistics_over="all")
    made = apply([{"x": [1.0, 2.0, 9.0]}], [bucketized_column(source, (-0.7,)), source], SequenceGroup(max_length=2))
    np.testing.assert_allclose(made["x"][0, :, 0], [-0.84, -0.56], atol=0.01)
    assert made["x_bucketized"].tolist() == [[0, 1]]


def test_context_columns_are_wrapped_too():
    columns = [indicator_column(bucketized_column(numeric_column("x", 2, [0.0, 5.0]), (1,)))]
    made = apply([{"x": [0.0, 2.0]}, {}], columns)
    assert made["x_bucketized_indicator"].tolist() == [[1, 0, 0, 1], [1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("ids", "weights", "reason", "value"),
    [
        ([[1], [2]], [[1.0], [2.0]], None, None),
        ([1, 2], [1, 2], None, None),
        ([1, 2], ["1", " 2e0 "], None, None),
        ([], None, None, None),
        (None, [], None, None),
        ([[], [1, 2]], [[], [1.0, 2.0]], None, None),
        ([1, 2], [1.0], "length_mismatch", "x: 2, w: 1"),
        ([1, 2], None, "length_mismatch", "x: 2, w: 0"),
        (None, [1.0], "length_mismatch", "x: 0, w: 1"),
        ([[1], [], [2]], [[1.0], [2.0], []], "length_mismatch", "x: 2, w: 2, in other steps"),
        ([[1], [2]], [[1.0, 2.0]], "length_mismatch", "x: 2, w: 2, in other steps"),
        ([[1], [2], []], [[1.0], [2.0]], "length_mismatch", "x: 2, w: 2, in other steps"),
        ([[], [1]], [[NAN], [1.0]], "non_finite", "nan"),
        ([1, 2], [1.0, NAN], "non_finite", "nan"),
        ([1, 2], [1.0, None], "non_finite", "null"),
        ([1, 2], [1.0, -INF], "non_finite", "-inf at step 1"),
        ([1, 2], [1.0, 1e300], "non_finite", "1e+300"),
        ([1, 9], [1.0, 1.0], "out_of_range", "9 at step 1"),
        ([[1, 2]], [[1.0, 2.0, 3.0]], "wrong_step_width", "[1.0, 2.0, 3.0]"),
    ],
)
def test_weights_that_do_not_fit(ids: Any, weights: Any, reason: str | None, value: str | None):
    column = weighted_categorical_column(IDS, "w")
    good = {"x": [[1]], "w": [[1.0]]}
    made = apply([{"x": ids, "w": weights}, good], [column])
    (fault,) = made.rejected.to_pylist() or [{"reason": None, "value": None, "row": None}]
    assert (fault["reason"], fault["value"]) == (reason, value)
    assert made.rows.tolist() == ([0, 1] if reason is None else [1])
    if reason == "length_mismatch":
        assert fault["message"] == "expected one weight ('w') for every id ('x')"
        assert fault["column"] == "x_weighted_by_w"


def test_weights_in_text_and_of_integers():
    ids = sequence_categorical_column_with_identity("x", 9, delimiter=";")
    made = apply([{"x": "1;2", "w": "3;4"}], [weighted_categorical_column(ids, "w", "int8")])
    assert made["x_weighted_by_w_weights"].tolist() == [[3.0, 4.0]]
    assert made["x_weighted_by_w_weights"].dtype == np.float32
    rejected = apply([{"x": "1;2", "w": "3;400"}], [weighted_categorical_column(ids, "w", "int8")]).rejected
    assert rejected["reason"].to_pylist() == ["integer_overflow"]


def test_a_step_without_a_weight_has_the_marker():
    form = Form("w", "float32", step_width=2, ids=True)
    parsed = parse(pa.array([[[1.5], [], [1, 2]], None]), form).array
    np.testing.assert_array_equal(parsed[0].values.to_numpy(), np.float32([1.5, NO_WEIGHT, NO_WEIGHT, NO_WEIGHT, 1, 2]))
    assert parsed[1].as_py() is None


steps_of_ids = st.lists(st.lists(st.integers(-1, 10), max_size=2), max_size=3)
steps_of_weights = st.lists(st.lists(st.sampled_from([0.5, 2.0, INF]), max_size=2), max_size=3)


@given(st.lists(st.tuples(steps_of_ids, steps_of_weights), min_size=1, max_size=6))
def test_the_graph_finds_the_rows_that_the_rules_reject(rows: Any):
    spec = make_spec([weighted_categorical_column(IDS, "w")])
    types = pa.schema([(key, pa.list_(pa.list_(kind))) for key, kind in (("x", pa.int64()), ("w", pa.float32()))])
    batch = pa.RecordBatch.from_pylist([{"x": x, "w": w} for x, w in rows], types)
    parsed = parse_batch(batch, spec.columns).batch
    rejected = validate_batch(parsed, spec).rejected
    bad = set(rejected["row"].to_pylist()) if rejected is not None else set()
    valid = spec.columns[0].valid(raw_tensors(parsed, spec)).numpy()
    assert valid.tolist() == [row not in bad for row in range(len(rows))]
