"""Drafts for features that nobody would wish for: odd names, types that no column takes, and rows that differ."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.columns_file.reader import loads
from pipeline.sources.tfrecord.framing import framed
from tests.inspecting import drafted, inspected, staged
from tests.jobs import done
from tests.marks import tried
from transforms.errors import JobError

ODD_NAMES = [
    *(
        "yes",
        "null",
        "~",
        "1",
        "1e3",
        "0x1f",
        "- a",
        "a: b",
        "#x",
        "{x}",
        "[",
        "'",
        '"',
        "a\nb",
        "\x1b[31m",
        " a ",
        "&a",
        "*a",
    ),
    *("\u3164", "\u202e", "\x85", "\ufeff", "\U000e0100", "é", "a\\b", "a/b", "%", "", "__row", "!a", "version: 1"),
    *("sequence_length", "sequence_mask", "x", "x_observed", "x_length", "x_mask", "group_length", "n" * 600),
]
NAMES = st.sampled_from(ODD_NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

INTEGERS = st.sampled_from([0, 1, 2, 7, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(0, 200)
FLOATS = st.sampled_from([0.0, -1.5, 3.0, 1e300, float("nan"), float("inf"), -0.0]) | st.floats(-1e3, 1e3)
WORDS = st.sampled_from(
    ["", "a", "b", "n/a", "12", "1.5", "nan", "1;2", "a|b", "1,2", "x\ny", "é\x1b[31m", " 3 ", "+7", "1_0"]
)
BYTES = WORDS.map(str.encode) | st.sampled_from([b"\xff", b"\xc3", b"\0"])


def rows_of(value: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    """Values of one feature in some rows."""
    return st.lists(value, min_size=count, max_size=count)


@st.composite
def feature(draw: Any, value: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Scalars, lists or lists of lists in some rows, with or without gaps; of one length, few, or many."""
    gaps = draw(st.sampled_from([0, 0, 1]))
    inner = value | st.none() if draw(st.integers(0, 5)) == 0 else value
    size = draw(st.integers(0, 4))
    sizes = (size, size) if draw(st.booleans()) else (0, 4)
    lists = st.lists(inner, min_size=sizes[0], max_size=sizes[1])
    shape = draw(st.integers(0, 3))
    made = [value, lists, lists, st.lists(st.lists(inner, min_size=size, max_size=sizes[1]), max_size=3)][shape]
    return draw(rows_of(made | st.none() if gaps else made, count))


# Parquet: columns with types.

LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), INTEGERS),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.sampled_from([0, 2**64 - 1, 2**63]) | st.integers(0, 5)),
    (pa.float64(), FLOATS),
    (pa.float32(), st.sampled_from([0.5, float("nan")])),
    (pa.string(), WORDS),
    (pa.binary(), BYTES),
    (pa.bool_(), st.booleans()),
    (pa.timestamp("us"), st.just(datetime.datetime(2020, 1, 2))),
    (pa.decimal128(10, 2), st.just(decimal.Decimal("1.50"))),
    (pa.struct([("a", pa.int64())]), st.just({"a": 1})),
    (pa.binary(2), st.just(b"ab")),
    (pa.null(), st.none()),
]


@st.composite
def tables(draw: Any) -> pa.Table:
    """Tables with up to five columns."""
    count = draw(st.integers(1, 30))
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        leaf, value = draw(st.sampled_from(LEAVES))
        if draw(st.integers(0, 9)) == 0:
            columns[name] = pa.nulls(count, leaf)
            continue
        values = draw(feature(value, count))
        deepest = next((v for v in values if v is not None), None)
        kind = leaf
        if isinstance(deepest, list):
            is_deep = any(isinstance(step, list) for v in values if v for step in v)
            kind = pa.list_(pa.list_(leaf)) if is_deep else pa.list_(leaf)
            values = [v if v is None or not is_deep else [s if isinstance(s, list) else [] for s in v] for v in values]
        made = pa.array(values, kind)
        if pa.types.is_string(made.type) and draw(st.booleans()):
            made = made.dictionary_encode()
        columns[name] = made
    return pa.table(columns)


def puts_to_use(path: Path) -> None:
    """Asserts that a file's draft loads and rejects nothing but what cannot be decoded, or that there is none and why."""
    found = inspected(path)
    try:
        made = found.text()
    except JobError as error:
        assert str(error).startswith("no feature "), error
        return
    reasons = staged(loads(made), path)
    assert set(reasons) <= {"bad_record"}, (reasons, made)
    assert reasons.get("bad_record", 0) == found.sample.bad
    for line in [*found.table, *made.splitlines()]:
        assert line.isprintable() and "\u3164" not in line


@settings(max_examples=tried(40))
@given(tables())
def test_parquet(table):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.parquet"
        pq.write_table(table, path)
        puts_to_use(path)


# JSON: rows that hold what they like.

JSON = st.one_of(
    INTEGERS,
    FLOATS,
    WORDS,
    st.booleans(),
    st.none(),
    st.just({"a": [1]}),
    st.integers(2**63, 2**70),
    st.lists(INTEGERS | st.none(), max_size=3),
    st.lists(FLOATS, max_size=3),
    st.lists(WORDS, max_size=3),
    st.lists(st.lists(INTEGERS, max_size=2), max_size=3),
    st.lists(st.lists(st.lists(st.integers(0, 1), max_size=1), max_size=2), max_size=2),
)


@st.composite
def lines(draw: Any) -> list[str]:
    """Lines of JSON: features of one kind, and such as differ in every row."""
    count = draw(st.integers(1, 30))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns = []
    for _ in names:
        value = draw(st.sampled_from([INTEGERS, FLOATS, WORDS, st.booleans()]))
        columns.append(draw(rows_of(JSON, count) if draw(st.integers(0, 3)) == 0 else feature(value, count)))
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    made = [json.dumps({k: v for k, v in row.items() if v is not None or draw(st.booleans())}) for row in rows]
    return [*made, *draw(st.lists(st.sampled_from(["[1]", "{", "3", "{}"]), max_size=2)), "{}"]


@settings(max_examples=tried(40))
@given(lines())
def test_json_lines(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        puts_to_use(path)


@st.composite
def records(draw: Any) -> list[bytes]:
    """Serialized tf.Examples, some features of other kinds in some rows, and records that are none."""
    # tfx_bsl 1.21 ends a name at a null byte, but not where it is told which features to read.
    names = draw(st.lists(NAMES.filter(lambda name: "\0" not in name), min_size=1, max_size=4, unique=True))
    kinds = {name: draw(st.sampled_from(["ints", "floats", "bytes", "any"])) for name in names}
    made = []
    for _ in range(draw(st.integers(1, 30))):
        row = tf.train.Example()
        for name, kind in kinds.items():
            if draw(st.integers(0, 9)) == 0:
                continue
            own = draw(st.sampled_from(["ints", "floats", "bytes"])) if kind == "any" else kind
            one = row.features.feature[name]
            if own == "ints":
                one.int64_list.value.extend(draw(st.lists(INTEGERS, max_size=3)))
            elif own == "floats":
                one.float_list.value.extend(draw(st.lists(st.floats(width=32), max_size=3)))
            else:
                one.bytes_list.value.extend(draw(st.lists(BYTES, max_size=3)))
        made.append(row.SerializeToString())
    return [*made, *draw(st.lists(st.just(b"no tf.Example"), max_size=1))]


@settings(max_examples=tried(40))
@given(records())
def test_tfrecords(made):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.tfrecord"
        path.write_bytes(framed(made))
        puts_to_use(path)


@settings(max_examples=tried(40))
@given(st.data())
def test_csv(data):
    # At the start of a file U+FEFF is no part of the name.
    names = data.draw(st.lists(NAMES.filter(lambda name: name.strip("\ufeff")), min_size=1, max_size=4, unique=True))
    cells = (
        WORDS
        | st.sampled_from(["1;2;3", "4;5", "a;b", "a;a;b", "", "3 4", "1,5"])
        | INTEGERS.map(str)
        | FLOATS.map(str)
    )
    lists = st.lists(INTEGERS, max_size=3).map(lambda v: ";".join(map(str, v)))
    one_kind = st.sampled_from([INTEGERS.map(str), FLOATS.map(str), cells, lists])
    count = data.draw(st.integers(1, 30))
    columns = [data.draw(rows_of(data.draw(one_kind), count)) for _ in names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(zip(*columns, strict=True))
        puts_to_use(path)


@pytest.mark.slow
def test_odd_names_go_through_a_whole_run(tmp_path):
    """Names that YAML would read as something else, that terminals obey, and that outputs of groups have."""
    random = np.random.default_rng(3)
    rows = []
    for k in range(40):
        lengths = random.integers(1, 5, len(ODD_NAMES))
        made = {name: random.integers(0, 9, n).tolist() for name, n in zip(ODD_NAMES, lengths, strict=True)}
        made["x"] = [float("nan") if v == 8 else v + 0.5 for v in made["x"]]
        rows.append({**made, "yes": f"key {k}", "null": str(random.choice(["a", "b"])), "~": 0.5 * k})
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec, _ = drafted(tmp_path, path)
    assert {column.key for column in spec.columns} == set(ODD_NAMES) - {"", "__row", "n" * 600}
    outcome = done(spec, path, tmp_path / "out")
    assert outcome.ledger["rows"]["written"] == 40
    # x has gaps, and x_observed is a feature of its own
    assert not spec.columns[[column.key for column in spec.columns].index("x")].model_dump()["observed_mask"]
