"""tf.SequenceExamples, alone and among tf.Examples, against protobuf's and TensorFlow's own parsers."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import Limits
from pipeline.sources.tfrecord.examples import with_lists
from pipeline.sources.tfrecord.framing import framed
from tests.jobs import assert_balanced, done, read_arrays, read_rejected
from tests.marks import slow_but, tried
from tests.test_source_tfrecord import BAD, example, feature, read, results, write
from transforms import (
    SequenceGroup,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.rows import origin

SOURCE = SOURCES["tfrecord"]
WANTED = {"a": "int64", "b": "float32", "c": "string"}
TYPES = {"int64_list": "int64", "float_list": "float", "bytes_list": "large_binary"}


def lists_of(values: Mapping[str, Sequence[Any]]) -> tf.train.FeatureLists:
    made = {name: tf.train.FeatureList(feature=[feature(step) for step in steps]) for name, steps in values.items()}
    return tf.train.FeatureLists(feature_list=made)


def sequence(context: Mapping[str, Any] | None = None, **lists: Sequence[Any]) -> bytes:
    """A serialized tf.SequenceExample; a step of None has no kind."""
    features = tf.train.Features(feature={name: feature(value) for name, value in (context or {}).items()})
    made = tf.train.SequenceExample(context=features, feature_lists=lists_of(lists) if lists else None)
    return made.SerializeToString(deterministic=True)


def expected(record: bytes, wanted: Mapping[str, str] = WANTED) -> Any:
    """What protobuf finds in a record, or the reason that it must be rejected for."""
    try:
        found = tf.train.SequenceExample.FromString(record)
    except DecodeError:
        return "bad_record"
    made: dict[str, Any] = {}
    for name in wanted:
        steps = (
            list(found.feature_lists.feature_list[name].feature) if name in found.feature_lists.feature_list else None
        )
        kind = found.context.feature[name].WhichOneof("kind") if name in found.context.feature else None
        if steps is not None:
            kinds = {step.WhichOneof("kind") for step in steps} - {None}
            if len(kinds) > 1 or kind is not None:
                return "bad_record"
            values: Any = [
                None if (k := step.WhichOneof("kind")) is None else list(getattr(step, k).value) for step in steps
            ]
            leaf = next(iter(kinds), "int64_list")
            made[name] = (values, f"large_list<item: large_list<item: {TYPES[leaf]}>>" if any(values) else "")
        elif kind is not None:
            values = list(getattr(found.context.feature[name], kind).value)
            made[name] = (values, f"large_list<item: {TYPES[kind]}>" if values else "")
    return made


def found_in(reads: Sequence[Any]) -> list[tuple[bytes, Any]]:
    """The records in order with what became of each; a type that no value stands for is left out."""
    made = results(list(reads))
    assert sorted(made) == list(range(len(made)))
    return [(made[k][0], without_idle_types(made[k][1])) for k in range(len(made))]


def without_idle_types(result: Any) -> Any:
    if not isinstance(result, dict):
        return result[0]
    return {
        name: (value, kind if any(v not in (None, []) for v in value) else "") for name, (value, kind) in result.items()
    }


def sequences(count: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    made = []
    for k in range(count):
        steps = rng.randrange(5)
        ids = [[rng.randrange(99)] for _ in range(steps)]
        words = [[b"w%d" % n for n in range(rng.randrange(3))] or None for _ in range(steps)]
        made.append(sequence({"a": [k], "other": [0.5]}, b=[[rng.random(), 1.0] for _ in ids], c=words, more=ids))
    return made


@pytest.mark.parametrize("compression", slow_but(["", "GZIP"], "GZIP"))
def test_values_are_those_of_tensorflows_parser(tmp_path, compression):
    records = sequences(250)
    path = write(tmp_path / "data.bin", records, compression)
    reads = read(path, WANTED, max_batch_rows=100)
    assert [step.batch.num_rows for step in reads] == [100, 100, 50]
    kinds = {"b": tf.io.RaggedFeature(tf.float32), "c": tf.io.RaggedFeature(tf.string)}
    context, lists, _ = tf.io.parse_sequence_example(records, {"a": tf.io.FixedLenFeature([1], tf.int64)}, kinds)
    columns = {name: [v for step in reads for v in step.batch.column(name).to_pylist()] for name in WANTED}
    assert columns["a"] == context["a"].numpy().tolist()
    assert columns["b"] == lists["b"].to_list()
    assert [[step or [] for step in row] for row in columns["c"]] == lists["c"].to_list()
    assert [record for record, _ in found_in(reads)] == records
    assert origin.encode_records(reads[0].batch, np.array([3])) == ("tf.SequenceExample", pa.array([records[3]]))
    assert sum(step.size for step in reads) == SOURCE.parts(path)[0].size


@pytest.mark.parametrize("at", [0, 1, 999, 1023, 1024, 2999])
def test_one_record_with_feature_lists_among_examples_keeps_them(tmp_path, at):
    records = [example(a=[k]) for k in range(3000)]
    records[at] = sequence({"a": [at]}, b=[[1.5], [2.5]])
    made = found_in(read(write(tmp_path / "data", records), WANTED))
    assert made == [(record, expected(record)) for record in records]
    assert made[at][1]["b"][0] == [[1.5], [2.5]]


def test_files_of_both_keep_their_batches_few(tmp_path):
    """A tf.SequenceExample without feature lists is, byte for byte, a tf.Example: both may alternate."""
    records = sequences(2048)
    for k in range(0, 2048, 3):
        records[k] = sequence({"a": [k]})
    assert records[0] == example(a=[0])
    reads = read(write(tmp_path / "data", records), WANTED, max_batch_rows=1024)
    assert found_in(reads) == [(record, expected(record)) for record in records]
    assert len(reads) == 4


def test_bad_rows_leave_their_neighbours_alone(tmp_path):
    records = sequences(5000)
    rng = random.Random(4)
    bad = sorted(rng.sample(range(5000), 50))
    ways = [
        lambda record: record[:-1],
        lambda record: record + b"\x01",
        lambda record: record.replace(b"\x0a\x01c", b"\x0a\x01\xff"),
        lambda record: sequence({"a": [1], "b": [1.5]}, b=[[1.5]]),
        lambda record: sequence({"a": [1]}, b=[[1.5], [2]]),
        lambda record: rng.choice(BAD),
    ]
    for k in bad:
        records[k] = rng.choice(ways)(records[k])
    reads = read(write(tmp_path / "data", records), WANTED)
    made = found_in(reads)
    assert made == [(record, expected(record)) for record in records]
    assert [k for k, (_, result) in enumerate(made) if result == "bad_record"] == bad
    messages = {message for step in reads if step.rejected for message in step.rejected.column("message").to_pylist()}
    assert messages == {
        "expected a serialized tf.Example",
        "expected a serialized tf.SequenceExample",
        "expected 'b' in the context or in the feature lists, got both",
        "expected steps of one kind in the feature list 'b'",
    }


def test_only_features_that_are_asked_for_can_spoil_a_row(tmp_path):
    odd = {"mixed": [[1], [1.5]], "both": [[1]]}
    records = [sequence({"a": [1], "both": [1]}, b=[[0.5]], **odd), sequence({"a": [b"x"]}, b=[[7]], **odd)]
    path = write(tmp_path / "data", records)
    assert found_in(read(path, WANTED)) == [(record, expected(record)) for record in records]
    assert [result for _, result in found_in(read(path, {"mixed": "int64"}))] == ["bad_record"] * 2
    assert [result for _, result in found_in(read(path, {"both": "int64"}))] == [
        "bad_record",
        {"both": ([[1]], NESTED)},
    ]


NESTED = "large_list<item: large_list<item: int64>>"


def test_rejected_rows_say_what_they_are(tmp_path):
    both = sequence({"a": [1]}, a=[[1]])
    table = {
        b"garbage": "tf.Example",
        example(a=[1])[:-1]: "tf.Example",
        both: "tf.SequenceExample",
        sequence({}, a=[[1]])[:-1]: "tf.SequenceExample",
        sequence({"a": [1]}, a=[[1]])[:-1]: "tf.SequenceExample",
        b"\x1a\x01x" + both: "tf.SequenceExample",
        b"\x1a\x01x" + example(a=[1]) + b"\x07": "tf.Example",
        b"\x12": "tf.SequenceExample",
    }
    reads = read(write(tmp_path / "data", [*table, sequence({"a": [1]}), b""]), WANTED)
    rejected = [entry for step in reads if step.rejected is not None for entry in step.rejected.to_pylist()]
    assert {entry["record"]: entry["record_format"] for entry in rejected} == table


STEP = st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2)
LISTS = st.one_of(
    st.lists(STEP, max_size=3),
    st.lists(st.none() | st.lists(st.sampled_from([0.5, -1.0]), max_size=2), max_size=3),
    st.lists(st.none() | st.lists(st.binary(max_size=2), min_size=1, max_size=2), max_size=3),
    st.lists(st.sampled_from([None, [1], [1.5], [b"x"], []]), max_size=3),
)
CONTEXT = st.sampled_from([None, [], [1], [2, 3], [0.5], [b"x", b"\xff"]])
NAMES = st.sampled_from(["a", "b", "c", "d"])


def pieces(context: Mapping[str, Any], lists: Mapping[str, Any], order: Sequence[int]) -> bytes:
    """The same message as its writer may also have written it: fields in any order, in pieces, beside unknown ones."""
    parts = [
        tf.train.SequenceExample(context=tf.train.Features(feature={n: feature(v)})) for n, v in context.items()
    ] + [tf.train.SequenceExample(feature_lists=lists_of({name: steps})) for name, steps in lists.items()]
    written = [part.SerializeToString() for part in parts]
    extra = [b"\x18\x07", b"\x23\x24", b"\x22\x02ab", b"\x2d\x00\x00\x00\x00", b"\x12\x00", b"\x10\x01", b""]
    return b"".join(written[k] if k < len(written) else extra[k % len(extra)] for k in order)


@st.composite
def record(draw: Any) -> bytes:
    kind = draw(st.integers(0, 9))
    context = draw(st.dictionaries(NAMES, CONTEXT, max_size=2))
    if kind == 0:
        return draw(st.sampled_from(BAD) | st.binary(max_size=12))
    if kind <= 2:
        return example(**context)
    lists = draw(st.dictionaries(NAMES, LISTS, max_size=3))
    if kind <= 4:
        return pieces(context, lists, draw(st.permutations(range(len(context) + len(lists) + 3))))
    return sequence(context, **lists)


@settings(max_examples=tried(120))
@given(records=st.lists(record(), max_size=12), most=st.integers(1, 13), shuffle=st.randoms(use_true_random=False))
def test_every_row_is_what_its_own_bytes_say(tmp_path, records, most, shuffle):
    path = tmp_path / "data"
    for _ in range(2):
        path.write_bytes(framed(records))
        assert found_in(read(path, WANTED, max_batch_rows=most)) == [(entry, expected(entry)) for entry in records]
        shuffle.shuffle(records)


VARINT = st.integers(0, 300) | st.integers(0, 2**64 - 1)


@st.composite
def field(draw: Any) -> bytes:
    """A field as protobuf allows it, lengths and tags in more bytes than they need now and then."""
    number, payload = draw(st.integers(1, 4)), draw(st.sampled_from([b"", b"\x0a\x05\x0a\x01a\x12\x00", b"ab"]))
    stretch = draw(st.integers(0, 2))
    kind = draw(st.sampled_from([0, 1, 2, 2, 2, 5]))
    body = {0: b"\x01", 1: bytes(8), 2: varint(len(payload), stretch) + payload, 5: bytes(4)}[kind]
    return varint(number << 3 | kind, draw(st.sampled_from([0, 0, stretch]))) + body


def varint(value: int, stretch: int = 0) -> bytes:
    made = []
    while value or not made:
        made.append(value & 0x7F)
        value >>= 7
    made += [0] * stretch
    return bytes([byte | 0x80 for byte in made[:-1]] + made[-1:])


@settings(max_examples=tried(300))
@given(written=st.lists(st.lists(field(), max_size=3).map(b"".join) | st.binary(max_size=6), min_size=1, max_size=5))
def test_no_record_with_feature_lists_counts_as_an_example(written):
    array = pa.array([*written, sequence({}, a=[[1]])], pa.large_binary())
    listed = with_lists(array)
    assert listed[-1]
    for data, has_lists in zip(written, listed, strict=False):
        try:
            message = tf.train.SequenceExample.FromString(data)
        except DecodeError:
            continue
        if not has_lists:
            assert not message.HasField("feature_lists")
            assert message.context == tf.train.Example.FromString(data).features
    for k in range(len(array)):
        assert with_lists(array.slice(k, 1))[0] == listed[k]


def found_by_tfx_bsl(record: bytes) -> Any:
    """What `expected` says, by another parser: Python's knows no entry of a map in which an unknown field stands."""
    try:
        batch = SequenceExamplesToRecordBatchDecoder("_").DecodeBatch([record])
    except RuntimeError:
        return "bad_record"
    made: dict[str, Any] = {}
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    lists = columns.pop("_", None)
    nested = {field.name: lists.field(field.name) for field in lists.type} if lists is not None else {}
    for name in WANTED:
        flat, steps = (own[name][0].as_py() if name in own else None for own in (columns, nested))
        if flat is not None and steps is not None:
            return "bad_record"
        if flat is not None or steps is not None:
            made[name] = (steps if flat is None else flat, str((nested if flat is None else columns)[name].type))
    return without_idle_types(made)


def test_every_byte_of_a_record_has_a_say(tmp_path):
    whole = sequence({"a": [1, 300]}, b=[[1.5], None], c=[[b"x"], []])
    for at in range(len(whole)):
        records = [whole[:at] + bytes([value]) + whole[at + 1 :] for value in range(256)]
        made = found_in(read(write(tmp_path / "data", records), WANTED))
        for (_, found), record in zip(made, records, strict=True):
            own = {n: v for n, v in found.items() if v[0] is not None} if isinstance(found, dict) else found
            # tfx_bsl's, without a schema, knows no feature list without a name. NaN is NaN.
            assert repr(own) in (repr(found_by_tfx_bsl(record)), repr(expected(record))), record


def test_integers_of_feature_lists_keep_64_bits(tmp_path):
    """tfx_bsl 1.21 cuts them to 32: an id of 2^32 would be 0."""
    values = [2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63 - 1, -(2**63), -1, 0]
    records = [sequence({"a": [value]}, b=[[value], None, [1, value]], c=[[b"x"]]) for value in values]
    for odd in (b"", b"\x23\x24"):  # an unknown group, which TensorFlow's parser refuses
        path = write(tmp_path / "data", [*records, records[0] + odd])
        made = found_in(read(path, WANTED))
        assert [result["b"][0] for _, result in made] == [[[v], None, [1, v]] for v in [*values, values[0]]]


def test_names_that_the_decoder_uses_itself(tmp_path):
    records = [sequence({"feature lists": [k], "_": [b"x"]}, **{"feature lists_": [[k]]}) for k in range(3)]
    records.append(sequence({"feature lists": [1.5], "_": [b"x"]}, **{"feature lists_": [[1.5]]}))
    wanted = {"feature lists": "int64", "feature lists_": "int64", "_": "string"}
    made = found_in(read(write(tmp_path / "data", records), wanted))
    assert made == [(entry, expected(entry, wanted)) for entry in records]
    assert len(SOURCE.features(str(tmp_path / "data"))) == 3


def test_features_name_context_and_feature_lists(tmp_path):
    records = [
        b"\x12garbage",
        example(a=[1], late=None),
        sequence({"a": [2.5], "b": [b"x"]}, x=[], y=[None], s=[[b"u"]]),
        sequence({"s": [b"u"]}, x=[[1], None], b=[[1]], late=[[0.5]]),
    ]
    path = write(tmp_path / "data", records)
    flat = {kind: pa.large_list(kind) for kind in (pa.int64(), pa.float32(), pa.large_binary())}
    assert SOURCE.features(path) == {
        "a": flat[pa.int64()],
        "b": flat[pa.large_binary()],
        "s": pa.large_list(flat[pa.large_binary()]),
        "x": pa.large_list(flat[pa.int64()]),
        "y": pa.large_list(pa.null()),
        "late": pa.large_list(flat[pa.float32()]),
    }
    assert SOURCE.features(path, sample=1) == {}
    assert set(SOURCE.features(path, sample=2)) == {"a", "late"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_short_is_an_error(tmp_path, packed):
    records = sequences(100)
    whole = framed(records)
    ends = set(np.cumsum([len(entry) + 16 for entry in records]).tolist())
    data = gzip.compress(whole) if packed else whole
    path = tmp_path / ("cut.gz" if packed else "cut")
    for size in random.Random(1).sample(range(1, len(data)), 60):
        path.write_bytes(data[:size])
        if packed or size not in ends:
            with pytest.raises(JobError, match=r"cut short|not a TFRecord"):
                list(SOURCE.read(SOURCE.parts(str(path))[0], WANTED, Limits()))


@pytest.mark.slow
def test_a_job_over_sequence_examples_writes_what_it_writes_for_examples(tmp_path):
    columns = [
        passthrough_column("id", "int64"),
        numeric_column("w"),
        sequence_categorical_column_with_identity("ids", 10),
        sequence_numeric_column("x", (2,)),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=3))
    rng = random.Random(3)
    nested, flat, bad = [], [], []
    for k in range(300):
        steps = rng.randrange(6)
        ids, x = [rng.randrange(10) for _ in range(steps)], [[rng.random(), 1.0] for _ in range(steps)]
        context = {"id": [k], "w": [k / 2]}
        if k % 50 == 7:
            bad.append(k)
            x = [[1.0, 2.0], [3.0]]
            ids = [1, 2]
        nested.append(sequence(context, ids=[[i] for i in ids], x=x))
        if k % 50 == 8:
            bad.append(k)
            nested[-1] = sequence(context | {"x": [1.0]}, ids=[[i] for i in ids], x=x)
        elif k not in bad:
            flat.append(example(**context, ids=ids or None, x=[v for step in x for v in step] or None))
    (tmp_path / "nested.tfrecord").write_bytes(framed(nested))
    (tmp_path / "flat.tfrecord").write_bytes(framed(flat))
    outcome = done(spec, tmp_path / "nested.tfrecord", tmp_path / "a", max_rejected=0.1)
    done(spec, tmp_path / "flat.tfrecord", tmp_path / "b")
    made, same = (read_arrays(tmp_path / name, sort_by="id") for name in "ab")
    for name, array in same.items():
        np.testing.assert_array_equal(made[name], array, name)
    assert_balanced(outcome.ledger)
    rejected = read_rejected(outcome.rejected_files)
    assert rejected["row"].to_pylist() == bad
    assert set(rejected["reason"].to_pylist()) == {"bad_record", "wrong_step_width"}
    assert rejected["record"].to_pylist() == [nested[k] for k in bad]
    assert set(rejected["record_format"].to_pylist()) == {"tf.SequenceExample"}
