"""Records read in a graph against the job's own source: the same records are bad, and the others hold the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.tfrecord.source import TFRecordSource
from tests.test_source_sequence_example import field, record, sequence, varint
from tests.test_source_tfrecord import BAD, example
from transforms.parse.form import Form
from transforms.parse.parse import parse
from transforms.rows import origin
from transforms.rows.ragged import Ragged, is_list
from transforms.serve import parsing, record_features

FORMS = {
    "a": Form("a", "int64", ids=True),
    "b": Form("b", "float32"),
    "c": Form("c", "bytes", ids=True, step_width=2, any_integer=True),
    "d": Form("d", "float32", scalars=True),
}
OTHERS = {
    "a": Form("a", "int64", ids=True, any_integer=True, step_width=2),
    "b": Form("b", "float32", ids=True),
    "c": Form("c", "string", delimiter=","),
    "d": Form("d", "int32", ids=True, scalars=True),
}


class Reader:
    """What the graph makes of features, as lists of rows; None for a row that is not valid."""

    def __init__(self, forms: dict[str, Form]):
        self.forms = forms
        self._call = tf.function(self._read, [tf.TensorSpec([None], tf.string)], autograph=False)

    def _read(self, records: tf.Tensor) -> Any:
        found = record_features.read(records, self.forms)
        features, good = {}, found.good
        for key, form in self.forms.items():
            features[key], fine = parsing.canonical_feature(found.features[key], form, True)
            good = good & fine
        return features, good, found.present

    def rows(self, records: Sequence[bytes]) -> list[dict[str, Any] | None]:
        features, good, present = self._call(tf.constant(list(records), tf.string))
        values = {key: feature.to_list() for key, feature in features.items()}
        return [
            {key: (bool(present[key][k]), np.array(values[key][k]).tolist()) for key in self.forms} if fine else None
            for k, fine in enumerate(good.numpy())
        ]


READERS = [Reader(FORMS), Reader(OTHERS)]


def job(records: Sequence[bytes], forms: dict[str, Form]) -> list[dict[str, Any] | None]:
    """The same by the job's source and `parse`; values of another kind, which a job may take for text, are not valid."""
    made: list[dict[str, Any] | None] = [None] * len(records)
    for batch, _ in TFRecordSource().decoded(records, "f", {key: form.carrier for key, form in forms.items()}, ""):
        if batch is None:
            continue
        bad, columns = set(), {}
        for key, form in forms.items():
            parsed = parse(batch.column(key), form)
            bad |= {int(row) for fault in parsed.faults for row in fault.rows} | other_kind(batch.column(key), form)
            columns[key] = [(values is not None, values or []) for values in as_bytes(parsed.array).to_pylist()]
        for k, row in enumerate(origin.row_numbers(batch).tolist()):
            made[row] = None if k in bad else {key: columns[key][k] for key in forms}
    return [entry and {key: (there, np.array(v).tolist()) for key, (there, v) in entry.items()} for entry in made]


def as_bytes(array: pa.Array) -> pa.Array:
    view = Ragged.of(array)
    text = pa.types.is_large_string(view.values.type)
    return Ragged(view.values.cast(pa.large_binary()), view.splits, view.present).to_list_array() if text else array


def other_kind(column: pa.Array, form: Form) -> set[int]:
    view = Ragged.of(column)
    counts = view.lengths
    kind = view.values.type
    if is_list(kind):
        inner = Ragged.of(view.values)
        counts, kind = inner.splits[view.splits[1:]] - inner.splits[view.splits[:-1]], inner.values.type
    allowed = {"int64": ["int64"], "float32": ["float", "int64"], "string": ["large_binary"]}[form.carrier]
    return set() if str(kind) in allowed else set(np.flatnonzero(counts).tolist())


def same(records: Sequence[bytes]) -> int:
    """Asserts that graph and job agree on every record; returns how many are valid."""
    valid = 0
    for reader in READERS:
        found, wanted = reader.rows(records), job(records, reader.forms)
        for entry, ours, theirs in zip(records, found, wanted, strict=True):
            assert repr(ours) == repr(theirs), entry
        valid += sum(entry is not None for entry in found)
    return valid


RECORDS = [
    example(a=[1, -5, 2**63 - 1, -(2**63)], b=[1.5, float("nan")], c=[b"x", b"", b"\xff"], d=[0.5]),
    example(a=[], b=[3, 2**53 + 1], c=[b"1,2"], d=[7], other=[b"y"]),
    example(a=None, b=[], d=[1]),
    sequence({"d": [1.0]}, a=[[1], [], [3]], b=[[0.5], [2.5]], c=[[b"x", b"y"], [], None, [b"z"]]),
    sequence({"d": [2], "b": [1.0]}, a=[[1], [2, 3]], c=[[b"x"], [b"y"]], other=[[1], [1.5]]),
    sequence({}, a=[], b=[[1], [2]], c=[[b"p,q"]], d=[[1.0]]),
    sequence({}, a=[[1]], b=[[1.5], [2]], d=[[1], [2]]),
    sequence({"a": [1]}, a=[[1]]),
    sequence({}, c=[None], d=[None], b=[None]),
    sequence({}, a=[[]], d=[[]]),
    example(d=[b"1"], a=[1.0]),
    example(**{"\u00e9": [1], "a": [1]}),
    b"",
]


def test_records_of_every_kind():
    assert same(RECORDS) == 12  # of 26: every record by two sets of columns
    assert same([]) == 0
    for entry in RECORDS:
        same([entry])


def test_integers_of_a_float64_column_are_no_float32():
    forms = {"x": Form("x", "float64")}
    large = 1_700_000_000_123_457
    entries = [example(x=[large, large + 1]), example(x=[0.1]), sequence({}, x=[[large], [-1]])]
    found = Reader(forms).rows(entries)
    assert found[0] == {"x": (True, [float(large), float(large + 1)])}
    assert repr(found) == repr(job(entries, forms))


def message(*parts: tuple[int, bytes]) -> bytes:
    """Delimited fields, by number."""
    return b"".join(varint(number << 3 | 2) + varint(len(content)) + content for number, content in parts)


def one(feature: bytes, name: bytes = b"a") -> bytes:
    return message((1, message((1, message((1, name), (2, feature))))))


UNUSUAL = {
    "unpacked integers": one(message((3, b"\x08\x01\x08\x02"))),
    "packed and unpacked": one(message((3, b"\x0a\x02\x01\x02\x08\x03\x0a\x00"))),
    "unpacked floats": one(message((2, b"\x0d\x00\x00\x80\x3f\x0a\x04\x00\x00\x00\x40")), b"b"),
    "unknown fields": b"\x18\x07" + one(message((3, b"\x0a\x01\x05\x10\x01"), (9, b"x")) + b"\x25abcd\x29abcdefgh"),
    "a list in two pieces": one(message((3, b"\x0a\x01\x05"), (3, b"\x0a\x01\x06"))),
    "two kinds, the last one counts": one(message((3, b"\x0a\x01\x05"), (2, b""), (3, b"\x0a\x01\x06"))),
    "another kind last": one(message((3, b"\x0a\x01\x05"), (1, b"\x0a\x01x"))),
    "a value in two pieces": message(
        (1, message((1, message((2, message((3, b"\x08\x05"))), (1, b"a"), (2, b"\x1a\x02\x08\x06")))))
    ),
    "a key given twice": message((1, message((1, message((1, b"b"), (1, b"a"), (2, b"\x1a\x02\x08\x06")))))),
    "no key, no value": message((1, message((1, b""), (1, message((1, b"a")))))),
    "a name given twice": one(b"\x1a\x02\x08\x01") + one(b"\x1a\x02\x08\x02"),
    "the last one of a name has no kind": one(b"\x1a\x02\x08\x01") + one(b""),
    "long lengths": b"\x0a\x92\x00\x0a\x8e\x80\x00\x0a\x81\x00a\x12\x84\x80\x80\x80\x00\x1a\x02\x08\x05",
    "a tag of more bytes than needed": b"\x8a\x00\x00" + one(b"\x1a\x02\x08\x01"),
    "field 1 with another type": b"\x08\x01\x0d\x00\x00\x00\x00" + one(b"\x1a\x02\x08\x01"),
    "a varint of ten bytes": one(message((3, b"\x0a\x0a" + b"\xff" * 9 + b"\x01"))),
    "a varint of ten bytes, the last one 2": one(message((3, b"\x0a\x0a" + b"\xff" * 9 + b"\x02"))),
    "a varint of ten bytes, the last one 0": one(message((3, b"\x0a\x0a" + b"\xff" * 9 + b"\x00"))),
    "a varint of eleven bytes": one(message((3, b"\x0a\x0b" + b"\xff" * 10 + b"\x01"))),
    "a long varint that nobody reads": b"\x18" + b"\xff" * 9 + b"\x7f" + one(b"\x1a\x02\x08\x01"),
    "packed floats of five bytes": one(message((2, b"\x0a\x05abcde")), b"b"),
    "a packed integer cut short": one(message((3, b"\x0a\x02\x01\x81"))),
    "a name that is not UTF-8": one(b"", b"\xff"),
    "a surrogate": one(b"", b"\xed\xa0\x80"),
    "an overlong slash": one(b"", b"\xc0\xaf"),
    "field 0": b"\x02\x00",
    "a group that ends": one(b"\x1a\x02\x08\x01") + b"\x23\x24",
    "a group that does not": b"\x23" + one(b"\x1a\x02\x08\x01"),
    "an end of no group": one(b"\x1a\x02\x08\x01") + b"\x24",
    "a group with what looks like a feature": b"\x23" + one(b"\x1a\x02\x08\x01") + b"\x24",
    "a group within a list": one(message((3, b"\x08\x01\x23\x08\x02\x2b\x2c\x24\x08\x03"))),
    "a group that ends as another": b"\x23\x2c",
    "a kind of field that does not exist": b"\x0e",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_protocol_buffers_allow(name):
    same([RECORDS[0], UNUSUAL[name], RECORDS[3], UNUSUAL[name]])


def test_every_byte_changed_and_every_cut():
    rng = random.Random(1)
    for entry in (RECORDS[0], RECORDS[3], UNUSUAL["packed and unpacked"]):
        spoilt = [entry[:k] for k in range(len(entry))]
        for k in range(len(entry)):
            spoilt += [entry[:k] + bytes([value]) + entry[k + 1 :] for value in rng.sample(range(256), 4)]
        assert 0 < same(spoilt) < 2 * len(spoilt)


@settings(max_examples=40)
@given(records=st.lists(record() | st.lists(field(), max_size=3).map(b"".join) | st.sampled_from(BAD), max_size=12))
def test_every_row_is_what_its_own_bytes_say(records):
    same(records)


def test_a_text_of_many_bytes():
    """Lengths of three bytes, and names and words that are longer than TensorFlow keeps in place."""
    words = [b"w" * (k % 40) for k in range(900)]
    big = example(a=list(range(9000)), b=[0.5] * 5000, c=words, **{"n" * 300: [b"x" * 70_000]})
    assert same([big, RECORDS[0], big]) > 0
