"""Rules in the graph against rules on Arrow: what `parse` and `check` let through, and what they make of it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tensorflow as tf

from tests.harness import T, all_cases
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.parse.form import NO_ID, NO_WORD, Form
from transforms.parse.parse import parse
from transforms.rows.ragged import Ragged
from transforms.serve import parsing, record_features
from transforms.serve.valid import admitted
from transforms.spec.spec import Spec
from transforms.stages import parse_batch, validate_batch

INTEGERS = [0, 1, -1, 7, 127, 128, -128, -129, 2**31, 2**53 + 1, 2**63 - 1, NO_ID, NO_ID + 1]
FLOATS = [0.0, -0.0, 1.5, 65504.0, 65510.0, -1e38, 3.4e38, 1e-45, float("nan"), float("inf"), -float("inf")]
NUMBERS = [
    "1", " 12 ", "+7", "-0", "007", "1.5", "1e3", "1e39", "-1e400", "1e-60", ".5", "5.", "nan", "-INF", "infinity",
    "", "x", "1,5", "0x10", "\u00a03\u2009", "\x0b4\n", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "00000000000000000000000000000012", "1" * 80, "999999999999999999", "1000000000000000000",
    "0" * 80 + "5",
]  # fmt: skip
WORDS = [b"a", b"", b" b ", "é".encode(), b"\xff", b"\xed\xa0\x80", b"a\x00b", NO_WORD.encode(), b"\xef\xbb\xbfx"]
TYPES = {"int64": pa.int64(), "float32": pa.float32(), "string": pa.large_binary()}


def ragged(rows: list[list[Any]], kind: str) -> tf.RaggedTensor:
    flat = [value for row in rows for value in row]
    values = tf.constant(flat if kind == "string" else np.array(flat, kind), kind)  # NumPy drops a final NUL
    return tf.RaggedTensor.from_row_lengths(values, tf.constant([len(row) for row in rows], tf.int64))


def nested(rows: list[list[list[Any]]], kind: str) -> tf.RaggedTensor:
    inner = ragged([step for row in rows for step in row], kind)
    return tf.RaggedTensor.from_row_lengths(inner, tf.constant([len(row) for row in rows], tf.int64))


def same(given: tf.RaggedTensor, rows: Any, form: Form) -> int:
    """Asserts that the graph makes of a request what `parse` makes of the rows; returns how many rows are wrong."""
    made, good = parsing.canonical_feature(given, form)
    parsed = parse(rows, form)
    bad = sorted({int(row) for fault in parsed.faults for row in fault.rows})
    assert np.flatnonzero(~good.numpy()).tolist() == bad
    fine = pa.array(good.numpy())
    expected = Ragged.of(parsed.array.filter(fine))
    kept = parsing.blanked({"": made}, good)[""]
    lengths = kept.row_lengths().numpy()
    np.testing.assert_array_equal(lengths[good.numpy()], expected.lengths)
    assert not lengths[~good.numpy()].any()
    values = (
        expected.values.cast(pa.large_binary()) if pa.types.is_large_string(expected.values.type) else expected.values
    )
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype == object:
        assert kept.values.numpy().tolist() == array.tolist()
    else:
        np.testing.assert_array_equal(kept.values.numpy().view(np.uint8), array.view(np.uint8))
    return len(bad)


def some(rng: random.Random, pool: list[Any], most: int = 4) -> list[list[Any]]:
    return [[rng.choice(pool) for _ in range(rng.randrange(most + 1))] for _ in range(40)]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("ids", [False, True])
def test_integers(dtype, ids):
    rng = random.Random(dtype)
    for width in (1, 3) if ids else (1,):
        rows = some(rng, INTEGERS)
        given = pa.array(rows, pa.large_list(pa.int64()))
        for any_integer in (False, ids):
            form = Form("x", dtype, step_width=width, ids=ids, any_integer=any_integer, scalars=ids and width == 1)
            same(ragged(rows, "int64"), given, form)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("reject", [False, True])
def test_floats(dtype, reject):
    rows = some(random.Random(dtype), FLOATS)
    form = Form("x", dtype, reject_overflow=reject)
    wrong = same(ragged(rows, "float32"), pa.array(rows, pa.large_list(pa.float32())), form)
    assert bool(wrong) == (reject and dtype in ("float16", "bfloat16"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_subnormal_float32_is_zero(dtype):
    """Where it is parsed as float32, or was stored so: in the job and in the graph, of the same sign."""
    given, tiny = [1e-40, -1e-45, 2.0**-126, -0.0, 1.0], 2.0**-126
    for stored in ("float32", "float64"):
        expected = given if stored == dtype == "float64" else [0.0, -0.0, tiny, -0.0, 1.0]
        form = Form("x", dtype)
        parsed = parse(pa.array([given], pa.large_list(pa.type_for_alias(stored))), form).array.flatten().to_numpy()
        assert parsed.tobytes() == np.array(expected, parsed.dtype).tobytes()
        made, good = parsing.canonical_feature(ragged([given], stored), form)
        assert good.numpy().all() and made.values.numpy().tobytes() == parsed.tobytes()


@pytest.mark.parametrize("dtype", ["string", "bytes"])
@pytest.mark.parametrize("width", [0, 1, 3])
def test_words(dtype, width):
    rows = some(random.Random(dtype), WORDS)
    form = Form("x", dtype, step_width=max(width, 1), ids=width > 0)
    wrong = same(ragged(rows, "string"), pa.array(rows, pa.large_list(pa.large_binary())), form)
    assert bool(wrong) == (dtype == "string" or width > 0)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "float16", "string", "bytes"])
@pytest.mark.parametrize("delimiter", [",", "||", " "])
@pytest.mark.parametrize("ids", [False, True])
def test_delimited_text(dtype, delimiter, ids):
    if ids and dtype.startswith("float"):
        return
    rng = random.Random(dtype + delimiter)
    pool = [n.encode() for n in NUMBERS] + WORDS
    rows = []
    for _ in range(150):
        simple = rng.random() < 0.5
        parts = [rng.choice([b"1", b"22", b" 3 "] if simple else pool) for _ in range(rng.randrange(4))]
        rows.append([delimiter.encode().join(parts)] if parts else [])
    rows += [
        [text.encode()] for text in ("[]", " [1, 2]", "['a', 'b']\n", "[nan]", "[[1],[2]]", "[UNK]", "[CLS]|a|[SEP]")
    ]
    rows += [[], [b""], [b"  "], [b"1", b"2"], [b"\xff"], [delimiter.encode()], ["\u2003".encode()]]
    form = Form("x", dtype, delimiter=delimiter, step_width=2 if ids else 1, ids=ids)
    assert same(ragged(rows, "string"), pa.array(rows, pa.large_list(pa.large_binary())), form) < len(rows)


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("kind", ["int64", "float32", "string"])
def test_nested_lists(kind, ids):
    rng = random.Random(kind)
    pools: dict[str, list[Any]] = {"int64": INTEGERS, "float32": FLOATS, "string": WORDS}
    rows = []
    for _ in range(80):
        sizes = [rng.randrange(5 if rng.random() < 0.1 else 3) if ids else 2 for _ in range(rng.randrange(4))]
        if rng.random() < 0.1:
            sizes.append(3)
        rows.append([[rng.choice(pools[kind]) for _ in range(size)] for size in sizes])
    given = pa.array(rows, pa.large_list(pa.large_list(TYPES[kind])))
    assert same(nested(rows, kind), given, Form("x", kind, step_width=2, ids=ids)) < len(rows)


def test_spaces_are_those_that_arrow_trims():
    points = [chr(k) for k in range(0x3100) if not 0xD800 <= k < 0xE000]
    text = [f"{c}a{c}" for c in points]
    trimmed = pc.utf8_trim_whitespace(pa.array(text)).to_pylist()
    assert [t.decode() for t in parsing._trimmed(tf.constant(text)).numpy()] == trimmed
    assert trimmed.count("a") == 29


def test_which_features_are_present():
    kinds = {"ints": tf.train.Feature(int64_list=tf.train.Int64List()), "none": tf.train.Feature()}
    kinds["floats"] = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))
    records = [
        tf.train.Example(features=tf.train.Features(feature=part)) for part in (kinds, {}, {"floats": kinds["none"]})
    ]
    serialized = tf.constant([record.SerializeToString() for record in records] + [b""])
    forms = {key: Form(key, "float32") for key in ("ints", "none", "floats", "other")}
    held = {key: there.numpy().tolist() for key, there in record_features.read(serialized, forms).present.items()}
    assert held == {
        "ints": [True, False, False, False],
        "none": [False] * 4,
        "floats": [True, False, False, False],
        "other": [False] * 4,
    }


def valid(spec: Spec, given: dict[str, tf.RaggedTensor]) -> list[bool]:
    """Which rows the graph takes for valid."""
    one = next(iter(given.values()))
    return admitted(spec, given, tf.ones([one.nrows()], tf.bool))[1].numpy().tolist()


def accepted(spec: Spec, batch: pa.RecordBatch) -> list[bool]:
    """Which rows the job lets through."""
    done = validate_batch(parse_batch(batch, spec.columns).batch, spec).batch
    return np.isin(np.arange(batch.num_rows), done.column("__row__")).tolist()


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_every_column_type(case):
    """Rows of the harness, each as the lists that a request holds; the graph agrees with the rules on every one."""
    column = case.column
    if not column.in_graph or getattr(column, "required", False):
        return
    spec = make_spec([column], SequenceGroup(max_length=T) if column.is_sequence else None)
    values = [value for value, _ in [*case.expected, case.out_of_bounds, *case.rejected]] + [[]]
    rows = [{"x": value, **case.more(value)} for value in values]
    forms = parsing.forms(spec)
    held = [{key: as_request(row.get(key), form) for key, form in forms.items()} for row in rows]
    held = [row for row in held if None not in row.values()]
    assert len(held) > 1
    given, columns = {}, {}
    for key, form in forms.items():
        lists = [row[key] for row in held]
        given[key] = (nested if parsing.is_nested(form) else ragged)(lists, form.carrier)
        columns[key] = pa.array(lists, arrow_type(form))
    assert valid(spec, given) == accepted(spec, pa.RecordBatch.from_pydict(columns))


def arrow_type(form: Form) -> pa.DataType:
    flat = pa.large_list(TYPES[form.carrier])
    return pa.large_list(flat) if parsing.is_nested(form) else flat


def as_request(value: Any, form: Form) -> Any:
    """A value of the harness in the type that a request has; None where it has no such type."""
    value = value if isinstance(value, list | tuple) else [] if value is None else [value]
    deep = [isinstance(v, list | tuple) for v in value]
    if parsing.is_nested(form):
        value = [v if isinstance(v, list | tuple) else [v] for v in value]
    elif any(deep):
        return None
    try:
        made = pa.array([value], arrow_type(form))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
        return None
    flat = made.flatten().flatten() if parsing.is_nested(form) else made.flatten()
    return None if flat.null_count else made.to_pylist()[0]


GROUP = SequenceGroup(max_length=2, truncate="reject")
SPECS = [
    make_spec([sequence_numeric_column("a", (2,)), sequence_numeric_column("b", dtype="int8")], GROUP),
    make_spec(
        [
            sequence_numeric_column("a", (2,), incomplete_step="pad", non_finite="fill"),
            sequence_numeric_column("c", dtype="float16", group="other"),
            sequence_categorical_column_with_identity("b", 8),
        ],
        {"sequence": SequenceGroup(max_length=3), "other": GROUP},
    ),
    make_spec(
        [
            numeric_column("a", (2,)),
            numeric_column("c", default_value=1.0),
            categorical_column_with_identity("b", 8, max_ids=2),
        ]
    ),
    make_spec(
        [
            numeric_column("a", (2,), 0.0, non_finite="keep"),
            sequence_categorical_column_with_hash_bucket("b", 5, "int64", max_ids=2),
            sequence_numeric_column("c"),
        ]
    ),
]


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_fuzzed_rows(number):
    spec, rng = SPECS[number], random.Random(number)
    kinds = {"a": "float32", "b": "int64", "c": "float32"}
    verdicts = set()
    for _ in range(4):
        given, columns = {}, {}
        lengths = [rng.randrange(4) for _ in range(60)]
        for key, form in parsing.forms(spec).items():
            pool = [0, 1, 5, 7] if kinds[key] == "int64" else [0.5, 2.0]
            rare = INTEGERS if kinds[key] == "int64" else FLOATS
            rows = [[one(rng, pool, rare) for _ in range(size(rng, n, form))] for n in lengths]
            steps = parsing.is_nested(form)
            if steps:
                rows = [[[v] * rng.randrange(3) for v in row] for row in rows]
            given[key] = (nested if steps else ragged)(rows, kinds[key])
            kind = TYPES[kinds[key]]
            columns[key] = pa.array(rows, pa.large_list(pa.large_list(kind)) if steps else pa.large_list(kind))
        got = valid(spec, given)
        assert got == accepted(spec, pa.RecordBatch.from_pydict(columns))
        verdicts |= set(got)
    assert verdicts == {False, True}


def one(rng: random.Random, pool: list[Any], rare: list[Any]) -> Any:
    return rng.choice(rare if rng.random() < 0.05 else pool)


def size(rng: random.Random, steps: int, form: Form) -> int:
    width = 1 if form.ids else form.step_width
    if form.scalars:
        return rng.choice([0, width, width, width, width + 1])
    return max(steps * width + (rng.choice([-1, 1]) if rng.random() < 0.1 else 0), 0)
