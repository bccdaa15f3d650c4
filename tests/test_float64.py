"""Numbers that float32 would take for one another: float64 and integers are carried whole, and what is lost is said."""

from __future__ import annotations

import csv
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset import statistics
from pipeline.inspect.inspection import Inspection, inspect_files
from pipeline.job import rounding_notes
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from pipeline.verify.verify import verify
from tests.jobs import done, read_arrays
from transforms import (
    SequenceGroup,
    apply,
    bucketized_column,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_numeric_column,
)
from transforms.densify import graph, spoiled
from transforms.parse.form import Form
from transforms.parse.parse import parse
from transforms.parse.rounding import Rounded, rounded
from transforms.rows.tally import Tally
from transforms.serve import parsing
from transforms.stages import parse_batch
from transforms.statistics import moments

SECONDS = 1.7e9 + np.arange(400) * 4.7
MICROS = 1_700_000_000_000_000 + np.arange(400) * 3


def z_scores(values: Any) -> np.ndarray:
    """z-scores by exact fractions, rounded at the end."""
    exact = [Fraction(v) for v in np.asarray(values).tolist()]
    mean = sum(exact) / len(exact)
    deviation = float(sum((v - mean) ** 2 for v in exact) / len(exact)) ** 0.5
    return np.array([float(v - mean) / deviation for v in exact])


def check_scores(made: np.ndarray, values: Any) -> None:
    """Within what the mean's last bit is, as a float64."""
    assert made.dtype == np.float64
    last = np.spacing(np.abs(np.asarray(values, np.float64)).max()) / np.std(values)
    np.testing.assert_allclose(made, z_scores(values), rtol=1e-12, atol=2 * last)
    assert len(set(made.tolist())) == len(set(np.asarray(values).tolist()))


def one(values: Any, column: Any, **more: Any) -> np.ndarray:
    """What a column makes of one row."""
    made = apply([{"x": list(values)}], [column], SequenceGroup(max_length="longest"), **more)
    assert not made.rejected.num_rows, made.rejected.to_pylist()[0]
    return made[column.name].reshape(-1)


@pytest.mark.parametrize("given", ["numbers", "text", "delimited", "integers"])
def test_doubles_stay_what_they_are(given):
    values: Any = {"integers": np.arange(2**45 - 400, 2**45).tolist()}.get(given, SECONDS.tolist())
    rows: Any = values if given in ("numbers", "integers") else [repr(v) for v in values]
    more = {"delimiter": ";"} if given == "delimited" else {}
    column = sequence_numeric_column("x", dtype="float64", **more)
    made = one([";".join(rows)] if more else rows, column)
    assert made.dtype == np.float64 and made.tolist() == values
    scored = one([";".join(rows)] if more else rows, column.model_copy(update={"normalizer_fn": Z.normalizer_fn}))
    check_scores(scored, values)


Z = sequence_numeric_column("x", normalizer_fn="z_score")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=1, max_size=9))
def test_every_double_is_carried(values):
    assert one(values, sequence_numeric_column("x", dtype="float64")).tolist() == values


@pytest.mark.parametrize("links", [["z_score"], [{"type": "clip", "min": 0}, "z_score"], ["min_max", "z_score"]])
def test_integers_are_normalised_as_integers(links):
    made = one(MICROS.tolist(), sequence_numeric_column("x", dtype="int64", default_value=0, normalizer_fn=links))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, z_scores(MICROS), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("links", [[], [{"type": "clip", "min": 0}]])
def test_buckets_of_neighbours(dtype, links):
    ends = MICROS[1:4].tolist()
    buckets = [*links, {"type": "bucketize", "boundaries": ends}]
    padding = 0 if dtype == "int64" else 0.0
    made = one(
        MICROS[:5].tolist(), sequence_numeric_column("x", dtype=dtype, default_value=padding, normalizer_fn=buckets)
    )
    assert made.tolist() == [0, 1, 2, 3, 3]


def test_a_bucketized_column_of_float64_compares_as_float64():
    source = sequence_numeric_column("x", dtype="float64")
    made = one(SECONDS[:5].tolist(), bucketized_column(source, SECONDS[1:4].tolist()))
    assert made.tolist() == [0, 1, 2, 3, 3]
    with pytest.raises(ValueError, match="must differ as float32"):
        bucketized_column(sequence_numeric_column("x"), SECONDS[1:4].tolist())


def test_defaults_and_gaps_are_doubles():
    column = sequence_numeric_column("x", dtype="float64", default_value=0.1, non_finite="fill")
    made = apply([{"x": [1.0, float("nan")]}, {"x": []}], [column], SequenceGroup(max_length=3))
    assert made["x"][:, :, 0].tolist() == [[1.0, 0.1, 0.1], [0.1, 0.1, 0.1]]
    gap = sequence_numeric_column("x", dtype="float64", default_value=0.0, non_finite="mean")
    assert one([1.7e9, 1.7e9 + 1, float("nan")], gap).tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 0.5]
    assert apply([{}], [numeric_column("y", dtype="float64", default_value=1.7e9 + 1)])["y"].tolist() == [[1.7e9 + 1]]


def test_a_function_of_a_float64_column_is_given_float64():
    column = sequence_numeric_column("x", dtype="float64", normalizer_fn=["z_score", lambda x: x * 2.0])
    check_scores(one(SECONDS.tolist(), column) / 2, SECONDS)


def test_numbers_beyond_float32_are_rejected_where_float32_is_written():
    column = sequence_numeric_column("x", dtype="float64")
    assert one([1e300, -1e300], column).tolist() == [1e300, -1e300]
    spec = make_spec([column], SequenceGroup(max_length=2))
    arrays = apply([{"x": [1e300]}, {"x": [1.0]}], spec).arrays
    (fault,) = spoiled.normalizer_faults(dict(arrays), spec, narrow=True)
    assert (fault.reason, fault.rows.tolist()) == ("non_finite", [0]) and "in float32" in fault.message
    together = apply([{"x": [1e300]}, {"x": [1.0]}], [column], SequenceGroup(max_length=2, concatenate=True))
    assert together.rejected["reason"].to_pylist() == ["non_finite"]


FAR: list[tuple[Any, list[float]]] = [
    ("min_max", [-1.7e308, 1.7e308]),
    *(
        ({"type": "z_score", "per": per, **({"key": "k"} if per == "key" else {})}, values)
        for per in ("dimension", "column", "row", "key")
        for values in ([-1.7e308, 1.7e308], [1.0, 2.0, 1e300])  # variances beyond float64
    ),
]


@pytest.mark.parametrize(("normalizer", "values"), FAR)
def test_statistics_that_overflow_make_no_zeros(normalizer, values):
    column = sequence_numeric_column("x", dtype="float64", normalizer_fn=normalizer)
    made = apply([{"x": values, "k": "a"}], [column, passthrough_column("k")], SequenceGroup(max_length=3))
    assert made.rejected["reason"].to_pylist() == ["non_finite"]


def test_statistics_that_overflow_are_written_as_none():
    spec = make_spec([sequence_numeric_column("x", dtype="float64")], SequenceGroup(max_length=3))
    values = np.array([[1.7e308], [1.6e308]])
    table = moments.Moments.of(values, np.ones_like(values, bool), np.array([0, 2])).figures()[0]
    found = statistics.build(spec, table, Counter(), {"": 3})["columns"]["x"]
    assert [found[name] for name in ("count", "mean", "variance", "min", "max")] == [
        [2],
        [float((Fraction(1.7e308) + Fraction(1.6e308)) / 2)],
        [None],
        [1.6e308],
        [1.7e308],
    ]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def _parquet(path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([SECONDS.tolist()], pa.list_(pa.float64()))}), path)


def _jsonl(path: Path) -> None:
    path.write_text(json.dumps({"x": SECONDS.tolist()}) + "\n")


def _csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["x"], [";".join(map(repr, SECONDS.tolist()))]])


def _avro(path: Path) -> None:
    field = {"name": "x", "type": {"type": "array", "items": "double"}}
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": [field]}, [{"x": SECONDS.tolist()}])


@pytest.mark.parametrize("write", [_parquet, _jsonl, _csv, _avro])
def test_every_source_with_doubles_gives_them(tmp_path, write):
    path = tmp_path / f"in.{write.__name__[1:]}"
    write(path)
    column = sequence_numeric_column("x", dtype="float64", **({"delimiter": ";"} if write is _csv else {}))
    source = source_for(str(path))
    (split,) = source.parts(str(path))
    carriers = {key: form.carrier for key, form in column.features.items()}
    batches = [read.batch for read in source.read(split, carriers, Limits()) if read.batch is not None]
    parsed = [parse_batch(batch, [column]).batch.column("x").to_pylist() for batch in batches]
    assert [row for part in parsed for row in part] == [SECONDS.tolist()]


def test_requests_of_float64_are_parsed_as_the_job_parses():
    rows = [[1.7e9 + 0.25, 1e300, -0.0], [float("inf"), 5e-324], []]
    form = Form("x", "float64")
    raw = tf.ragged.constant(rows, tf.float64, row_splits_dtype=tf.int64)
    made, good = parsing.canonical_feature(raw, form)
    assert good.numpy().all()
    expected = parse(pa.array(rows, pa.large_list(pa.float64())), form).array.flatten().to_numpy()
    np.testing.assert_array_equal(made.values.numpy().view(np.int64), expected.view(np.int64))


@pytest.mark.slow
def test_the_whole_job(tmp_path):
    table = pa.table({"x": [SECONDS.tolist()], "i": [MICROS.tolist()], "plain": [SECONDS.tolist()]})
    pq.write_table(table, tmp_path / "in.parquet")
    columns = [
        sequence_numeric_column("x", dtype="float64", normalizer_fn=[{"type": "clip", "min": 0}, "z_score"]),
        sequence_numeric_column("plain", dtype="float64"),
        sequence_numeric_column("i", normalizer_fn="z_score"),
    ]
    spec = make_spec(columns, SequenceGroup(max_length="longest"))
    outcome = done(spec, tmp_path / "in.parquet", tmp_path / "out", format="parquet")
    made, memory = read_arrays(tmp_path / "out"), apply(table, spec)
    assert made["plain"].reshape(-1).tolist() == SECONDS.tolist()
    check_scores(made["x"].reshape(-1), SECONDS)
    for name in ("x", "plain", "i"):
        assert made[name].dtype == memory[name].dtype and (made[name] == memory[name]).all()
    said = {note.split("'")[1]: note for note in outcome.notes}
    assert set(said) == {"x", "plain", "i"}
    assert "float32 makes 400 different values 1 " in said["i"] and "dtype: int64 keeps integers apart" in said["i"]
    assert "float32 makes 400 different values" not in said["x"]
    assert "the signature 'ragged' of the serving model takes float64" in said["plain"]
    checked = check(Request(spec, [str(tmp_path / "in.parquet")], "", "tfrecord"))
    assert "--format parquet keeps them apart" in next(note for note in checked.notes if "'plain'" in note)
    assert said["i"] in checked.notes

    model = tf.saved_model.load(
        str(tmp_path / "out" / json.loads((tmp_path / "out/manifest.json").read_text())["serving"])
    )
    request = {
        "x": tf.ragged.constant([SECONDS.tolist()], tf.float64, row_splits_dtype=tf.int64),
        "plain": tf.ragged.constant([SECONDS.tolist()], tf.float64, row_splits_dtype=tf.int64),
        "i": tf.ragged.constant([MICROS.tolist()], tf.float32, row_splits_dtype=tf.int64),
    }
    answer = model.ragged(request)
    assert (answer["x"].numpy() == made["x"]).all() and (answer["plain"].numpy() == made["plain"]).all()
    features = {"x": SECONDS, "plain": SECONDS, "i": MICROS}
    record = tf.train.Example()
    for name, values in features.items():
        record.features.feature[name].float_list.value.extend(values.tolist())
    answer = model.signatures["serving_default"](examples=tf.constant([record.SerializeToString()]))
    assert answer["plain"].numpy().reshape(-1).tolist() == SECONDS.astype(np.float32).astype(np.float64).tolist()

    opened = tft.TFTransformOutput(
        str(tmp_path / "out" / json.loads((tmp_path / "out/manifest.json").read_text())["transform"])
    )
    assert set(opened.transformed_feature_spec()) == {*made}
    compared = verify(str(tmp_path / "out")).compared
    assert compared is not None and compared.rows == 1 and not compared.difference


def _notes(column: Any, values: Any, sink: str = "parquet", **policy: Any) -> list[str]:
    spec = make_spec([column], SequenceGroup(max_length=4, **policy) if column.is_sequence else None)
    tally: Tally = apply([{"x": list(values)}], spec).tally
    return rounding_notes.notes(spec, tally, sink)


@pytest.mark.parametrize(
    ("column", "values", "more", "said"),
    [
        (sequence_numeric_column("x"), [2**24, 2**24 + 1], {}, "float32 makes 2 different values 1"),
        (sequence_numeric_column("x"), ["16777216", "16777217"], {}, "dtype: int64 keeps integers apart"),
        (
            sequence_numeric_column("x", non_finite="fill"),
            [None, 0, 2**24, 2**24 + 1],
            {},
            "float32 makes 3 different values 2",
        ),
        (sequence_numeric_column("x"), [0.1, 0.1 + 1e-12], {}, "dtype: float64 keeps them apart"),
        (sequence_numeric_column("x"), [0.1, 0.2, 2.0**24, 2.0**24 + 2], {}, ""),
        (sequence_numeric_column("x"), [*range(4000)], {}, ""),
        (sequence_numeric_column("x"), np.random.default_rng(5).normal(size=4000), {}, ""),
        (sequence_numeric_column("x", dtype="float16"), [2**13, 2**13 + 1], {}, ""),
        (sequence_numeric_column("x", dtype="float64"), [2**53, 2**53 + 1], {}, "dtype: int64 keeps integers apart"),
        (sequence_numeric_column("x", dtype="float64"), SECONDS, {"sink": "tfrecord"}, "--format parquet"),
        (sequence_numeric_column("x", dtype="float64"), SECONDS, {"concatenate": True}, "concatenate: false"),
        (sequence_numeric_column("x", dtype="float64"), SECONDS, {}, "the signature 'ragged'"),
        (sequence_numeric_column("x", dtype="float64"), [1.0, 2.0], {"sink": "tfrecord"}, ""),
        (sequence_numeric_column("x", dtype="int64", default_value=0), MICROS, {"sink": "tfrecord"}, ""),
        (sequence_numeric_column("x", dtype="int64", default_value=0), MICROS, {"concatenate": True}, "concatenate"),
        (
            sequence_numeric_column("x", dtype="int64", default_value=0, normalizer_fn=lambda x: x / 2.0),
            MICROS,
            {},
            "float32, which a function is given,",
        ),
        (
            sequence_numeric_column("x", dtype="int64", default_value=0, normalizer_fn="z_score"),
            [2**60, 2**60 + 1],
            {},
            "subtract a constant at the source",
        ),
        (
            bucketized_column(sequence_numeric_column("x", dtype="int64", default_value=0), (0.0, 1.0)),
            MICROS,
            {},
            "float32, in which boundaries are compared,",
        ),
    ],
)
def test_what_is_lost_is_said_with_the_remedy(column, values, more, said):
    found = _notes(column, values, **more)
    assert len(found) == bool(said) and said in "".join(found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(values=st.lists(st.integers(-(2**62), 2**62) | st.integers(2**24 - 3, 2**24 + 3), max_size=30))
def test_rounded_integers_are_those_that_meet(values):
    array = np.array(values, np.int64)
    lost = len(set(values)) - len({float(np.float32(v)) for v in values})
    made = rounded(array, array.astype(np.float32))
    assert made.whole == made.different - made.left == lost
    assert made.matters == (lost > 0) or made == Rounded()


def test_inspect_says_it_and_drafts_float64(tmp_path):
    rows = [{"gaps": [v, None], "whole": [int(v) * 10**6]} for v in SECONDS.tolist()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    text = inspect_files(Inspection([str(tmp_path / "in.parquet")])).text()
    assert "float32 makes 400 different values 16: dtype float64" in " ".join(text.replace("#", " ").split())
    assert "dtype: float64" in text and "dtype: int64" in text


def test_a_graph_of_an_earlier_version_takes_float32(tmp_path):
    module = tf.Module()
    taken = tf.RaggedTensorSpec([None, None], tf.float32, 1, tf.int64)
    module.transform_fn = tf.function(lambda raw: {"x": raw["x"].to_tensor()}, input_signature=[{"x": taken}])
    tf.saved_model.save(module, str(tmp_path / "g"))
    spec = make_spec([sequence_numeric_column("x", dtype="float64")], SequenceGroup(max_length=2))
    function = graph.called(tf.saved_model.load(str(tmp_path / "g")), spec)
    made = function({"x": tf.ragged.constant([[1.5, 2.5]], tf.float64, row_splits_dtype=tf.int64)})
    assert made["x"].dtype == tf.float64 and made["x"].numpy().tolist() == [[1.5, 2.5]]
