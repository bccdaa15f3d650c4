"""Types that warehouses have, against Python's own arithmetic: booleans, decimals, times, UUIDs, integers without a sign."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS
from tests.test_requests import ragged, same
from transforms import (
    SequenceGroup,
    Spec,
    apply,
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.dtypes import DIGITS
from transforms.parse import carriers
from transforms.parse.form import NO_ID, NO_WORD, Form
from transforms.parse.parse import column_type_error, parse
from transforms.parse.units import UNITS

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
WHEN = dt.datetime(2024, 2, 29, 12, 30, 15, 123456, dt.UTC)
ZONES = [None, "UTC", "Europe/Paris", "+05:30"]
TIMES = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in ZONES]
TIMES += [pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
TIMES += [pa.duration(unit) for unit in ("s", "ms", "us", "ns")]
SIZES = {pa.date32(): UNITS["d"], pa.date64(): UNITS["ms"]}


def counted(kind: pa.DataType) -> int:
    """Returns the nanoseconds of what a type of times counts."""
    return SIZES.get(kind) or UNITS[kind.unit]


def of_ticks(ticks: list[int | None], kind: pa.DataType) -> pa.Array:
    stored = pa.int32() if kind.bit_width == 32 else pa.int64()
    return pa.array(ticks, stored).view(kind)


def faulty(made: carriers.Leaves) -> dict[int, str]:
    return {int(at): fault.reason for fault in made.faults for at in fault.positions}


@st.composite
def times(draw):
    kind = draw(st.sampled_from(TIMES))
    most = 2**31 - 1 if kind.bit_width == 32 else 2**63 - 1
    whole = st.integers(-(most // UNITS["d"]), most // UNITS["d"]).map(lambda days: days * UNITS["d"] // counted(kind))
    some = st.integers(-most - 1, most) | st.integers(-(10**9), 10**9) | whole.filter(lambda tick: abs(tick) <= most)
    return kind, draw(st.lists(st.none() | some, min_size=1, max_size=5)), draw(st.sampled_from(sorted(UNITS)))


@given(times())
def test_times_are_exact_numbers_of_a_unit_or_a_fault(case):
    kind, ticks, unit = case
    made = carriers.convert(of_ticks(ticks, kind), "int64", unit=unit)
    for at, tick in enumerate(ticks):
        exact = None if tick is None else Fraction(tick * counted(kind), UNITS[unit])
        expected: str | None
        if exact is None:
            expected = "null_value"
        elif exact.denominator > 1:
            expected = "not_an_integer"
        else:
            expected = None if -(2**63) <= exact < 2**63 else "integer_overflow"
        assert faulty(made).get(at) == expected
        if expected is None:
            assert made.values[at] == exact


@given(times(), st.sampled_from(["float64", "float32"]))
def test_times_are_the_nearest_floats_of_a_unit(case, dtype):
    kind, ticks, unit = case
    made = carriers.convert(of_ticks(ticks, kind), dtype, unit=unit)
    assert not made.faults and made.nulls == ticks.count(None)
    for tick, value in zip(ticks, made.values.tolist(), strict=True):
        if tick is None:
            assert np.isnan(value)
            continue
        nearest = float(Fraction(tick * counted(kind), UNITS[unit]))
        tolerance = (
            0.0 if abs(tick) < 2**53 and abs(nearest) * UNITS[unit] >= 2**29 * 10**9 else abs(nearest) * 2.0**-51
        )
        assert abs(float(np.float64(value)) - nearest) <= (tolerance if dtype == "float64" else abs(nearest) * 2.0**-23)


def test_times_of_today_are_the_very_nearest_floats():
    rng = np.random.default_rng(0)
    ticks = rng.integers(2**29 * 10**9, 2**62, 20_000)
    made = carriers.convert(pa.array(ticks).view(pa.timestamp("ns")), "float64").values
    assert made.tolist() == [float(Fraction(int(tick), 10**9)) for tick in ticks]


@given(
    st.lists(
        st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**30), max_value=10**30)
    )
)
def test_decimals_are_the_nearest_floats_and_exact_integers(values):
    array = pa.array(values, pa.decimal128(38, 3))
    floats = carriers.convert(array, "float64")
    assert not floats.faults
    np.testing.assert_array_equal(floats.values, [np.nan if v is None else float(Fraction(v)) for v in values])
    whole = carriers.convert(array, "int64")
    for at, value in enumerate(values):
        expected = "null_value" if value is None else "not_an_integer" if Fraction(value).denominator > 1 else None
        if expected is None and not -(2**63) <= value < 2**63:
            expected = "integer_overflow"
        assert faulty(whole).get(at) == expected
        assert expected or whole.values[at] == int(value)


@pytest.mark.parametrize("texts", [["0", "-7", None], ["0.5", "-7", "3"], ["-99.9", "0.1", "1"], ["7E3", "-2E4"]])
@pytest.mark.parametrize("make", [pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256])
def test_decimals_of_any_type_are_exact_integers_or_faults(make, texts):
    values = [None if text is None else Decimal(text) for text in texts]
    kinds = [make(2, -3)] if "7E3" in texts else [make(3, 1), make(9, 2)]
    for kind in kinds:
        made = carriers.convert(pa.array(values, kind), "int64")
        for at, value in enumerate(values):
            expected = "null_value" if value is None else "not_an_integer" if Fraction(value).denominator > 1 else None
            assert faulty(made).get(at) == expected
            assert expected or made.values[at] == int(value)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (pa.decimal256(76, 0), "9" * 76, "integer_overflow"),
        (pa.decimal256(76, 76), "0." + "9" * 76, "not_an_integer"),
        (pa.decimal128(38, 38), "-0." + "9" * 38, "not_an_integer"),
        (pa.decimal256(76, -3), "1E74", "integer_overflow"),
    ],
)
def test_decimals_of_most_digits_are_faults_of_their_rows_alone(kind, text, reason):
    made = carriers.convert(pa.array([Decimal(text), Decimal(0), None], kind), "int64")
    assert faulty(made) == {0: reason, 2: "null_value"} and made.values[1] == 0


@pytest.mark.parametrize(
    "kind", [pa.decimal128(20, 0), pa.decimal256(70, 2), pa.uint64(), pa.large_string(), pa.binary()]
)
def test_words_of_uint64_reach_to_the_last_one(kind):
    numbers = [0, 7, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
    given = pa.array(numbers, pa.uint64()) if kind == pa.uint64() else None
    if given is None and pa.types.is_decimal(kind):
        given = pa.array([Decimal(n) for n in numbers], kind)
    given = pa.array([str(n) for n in numbers]).cast(kind) if given is None else given
    made = carriers.convert(given, DIGITS)
    assert not made.faults and pa.array(made.values).to_pylist() == [str(n) for n in numbers]


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        (pa.array([-1, 5]), {0: "integer_overflow"}),
        (pa.array([2.5, 3.0, 2.0**60]), {0: "not_an_integer", 2: "integer_overflow"}),
        (pa.array(["18446744073709551616", "-1", "-0", "x", None, "9" * 80]),
         {0: "integer_overflow", 1: "integer_overflow", 3: "not_a_number", 4: "null_value", 5: "integer_overflow"}),
        (pa.array([Decimal(2**64), Decimal(1)], pa.decimal128(38, 0)), {0: "integer_overflow"}),
        (pa.array([True, False]), {}),
    ],
)  # fmt: skip
def test_words_of_uint64_have_bounds(given, reasons):
    assert faulty(carriers.convert(given, DIGITS)) == reasons


def test_booleans_are_0_and_1_and_uuids_text_or_bytes():
    flags = pa.array([True, False])
    assert carriers.convert(flags, "int8").values.tolist() == [1, 0]
    assert carriers.convert(flags, "float32").values.tolist() == [1.0, 0.0]
    one = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"?" * 16, one.bytes, None], pa.binary(16)))[1:]
    assert pa.array(carriers.convert(ids, "string").values).to_pylist() == [str(one), None]
    assert pa.array(carriers.convert(ids, "bytes").values).to_pylist() == [one.bytes, None]
    assert faulty(carriers.convert(ids, "int64")) == {0: "wrong_type", 1: "null_value"}


REFUSED = [
    (pa.bool_(), "string", "with dtype: int64 a boolean is 0 or 1"),
    (pa.timestamp("us"), "bytes", "a number of seconds, or of time_unit"),
    (pa.date32(), "string", "a number of seconds, or of time_unit"),
    (pa.int16(), "string", "dtype: int64 takes integers"),
    (pa.uint64(), "string", "dtype: uint64 takes integers"),
    (pa.decimal128(5, 2), "string", "give the column a dtype of numbers"),
    (pa.uuid(), "float32", "a column of words"),
    (pa.struct([("item", pa.int64()), ("ms", pa.int64())]), "int64", "name one of its fields, as '<key>.item'"),
]


@pytest.mark.parametrize(("kind", "dtype", "way_out"), REFUSED)
def test_what_is_refused_has_a_way_out(kind, dtype, way_out):
    for depth in range(3):
        why = column_type_error(kind, Form("x", dtype, scalars=True))
        assert way_out in why and str(kind) in why
        kind = pa.list_(kind) if depth else pa.large_list(kind)


@given(st.lists(st.booleans() | st.integers(0, 3) | st.floats(0, 3), min_size=1, max_size=4))
def test_a_list_of_booleans_and_numbers_is_rejected(values):
    kinds = {bool if isinstance(value, bool) else float for value in values}
    made = apply([{"x": [1.0]}, {"x": values}, {"x": [2.0]}], sequence_numeric_column("x"))
    assert made.rows.tolist() == ([0, 2] if len(kinds) > 1 else [0, 1, 2])
    if len(kinds) > 1:
        (bad,) = made.rejected.to_pylist()
        assert (bad["reason"], bad["message"]) == (
            "wrong_type",
            "expected numbers (float32), got booleans among numbers",
        )


FAR_AND_FINE = [
    ("2024-02-29T12:30:15.123456789Z", Fraction(1709209815123456789, 10**9)),
    ("2024-02-29T12:30:15.1234567+00:00", Fraction(17092098151234567, 10**7)),
    ("3000-01-01", Fraction(32503680000)),
    ("0001-01-01T00:00:00.5", Fraction(-62135596800) + Fraction(1, 2)),
]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_text_may_be_a_far_time_or_a_fine_one(unit):
    texts = [text for text, _ in FAR_AND_FINE] + ["3000-01-01T00:00:00.1234567"]
    exact = [time * 10**9 / UNITS[unit] for _, time in FAR_AND_FINE]
    floats = carriers.convert(pa.array(texts), "float64", unit=unit)
    assert faulty(floats) == {len(exact): "not_a_number"}
    np.testing.assert_allclose(floats.values[:-1], [float(time) for time in exact], rtol=2**-51)
    whole = carriers.convert(pa.array(texts), "int64", unit=unit)
    for at, time in enumerate(exact):
        expected = "not_an_integer" if time.denominator > 1 else None if abs(time) < 2**63 else "integer_overflow"
        assert faulty(whole).get(at) == expected
        assert expected or whole.values[at] == time


TEXT_TIMES = ["2024-02-29T12:30:15.123456Z", "2024-02-29 12:30:15.123456 UTC", "2024-02-29T13:30:15.123456+01:00"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", sorted(UNITS))
def test_text_is_the_nearest_float_to_its_time(unit, dtype):
    made = carriers.convert(pa.array([*TEXT_TIMES, "2250-01-01", "1.5", None]), dtype, unit=unit)
    exact = [number_of(WHEN)] * len(TEXT_TIMES) + [number_of(dt.date(2250, 1, 1))]
    expected = [float(time * 10**9 / UNITS[unit]) for time in exact] + [1.5, np.nan]
    assert not made.faults
    np.testing.assert_array_equal(made.values, np.array(expected, dtype))


@pytest.mark.parametrize("text", TEXT_TIMES)
def test_text_is_a_time_where_a_unit_is_asked_for(text):
    micros = (WHEN - EPOCH) // dt.timedelta(microseconds=1)
    rows = [{"x": text}, {"x": "7"}, {"x": "yesterday"}]
    made = apply(rows, numeric_column("x", dtype="int64", time_unit="us"))
    assert made["x"].tolist() == [[micros], [7]]
    assert made.rejected["message"].to_pylist() == ["expected an integer or a time in ISO 8601"]
    assert apply(rows, numeric_column("x", dtype="int64")).rows.tolist() == [1]


# Every source, each with the type that it has for a value, and what Python makes of it.

VALUES: dict[str, tuple[Any, pa.DataType, Any]] = {
    "flag": (True, pa.bool_(), "boolean"),
    "price": (Decimal("12.50"), pa.decimal128(10, 2), {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}),
    "millis": (WHEN.replace(microsecond=123000), pa.timestamp("ms", "UTC"), {"type": "long", "logicalType": "timestamp-millis"}),
    "micros": (WHEN, pa.timestamp("us", "UTC"), {"type": "long", "logicalType": "timestamp-micros"}),
    "local": (WHEN.replace(tzinfo=None), pa.timestamp("us"), {"type": "long", "logicalType": "local-timestamp-micros"}),
    "day": (WHEN.date(), pa.date32(), {"type": "int", "logicalType": "date"}),
    "clock": (WHEN.time(), pa.time64("us"), {"type": "long", "logicalType": "time-micros"}),
}  # fmt: skip


def number_of(value: Any) -> Fraction:
    if isinstance(value, dt.datetime):
        return Fraction((value.replace(tzinfo=value.tzinfo or dt.UTC) - EPOCH) // dt.timedelta(microseconds=1), 10**6)
    if isinstance(value, dt.date):
        return Fraction((value - EPOCH.date()).days * 86400)
    if isinstance(value, dt.time):
        return Fraction(((value.hour * 60 + value.minute) * 60 + value.second) * 10**6 + value.microsecond, 10**6)
    return Fraction(value)


def parquet(path, rows):
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, (_, kind, _) in VALUES.items()})
    pq.write_table(table, path / "x.parquet")
    return path / "x.parquet"


def avro(path, rows):
    fields = [{"name": name, "type": ["null", kind]} for name, (_, _, kind) in VALUES.items()]
    with open(path / "x.avro", "wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, rows)
    return path / "x.avro"


def batches(path, spec: Spec) -> list[pa.RecordBatch]:
    source = source_for(str(path))
    parts = [read.batch for part in source.parts(str(path)) for read in source.read(part, spec.read_features, DEFAULTS)]
    return [part for part in parts if part is not None and part.num_rows]


def read(path, spec: Spec) -> pa.Table:
    return pa.Table.from_batches(batches(path, spec))


def test_every_source_gives_the_numbers_of_python(tmp_path):
    rows = [{name: value for name, (value, _, _) in VALUES.items()}, dict.fromkeys(VALUES)]
    columns = [numeric_column(name, dtype="float64", default_value=-1, required=False) for name in VALUES]
    spec = make_spec(columns)
    expected = {name: [[float(number_of(value))], [-1.0]] for name, (value, _, _) in VALUES.items()}
    for data in (
        rows,
        read(parquet(tmp_path, rows), spec),
        read(avro(tmp_path, rows), spec),
        pa.Table.from_pylist(rows),
    ):
        made = apply(data, spec)
        assert not made.rejected.num_rows
        assert {name: made[name].tolist() for name in VALUES} == expected


@pytest.mark.parametrize("value", [True, 2**64 - 1, [2**64 - 1, 2**63], [[True], []], 2**70, [2**70, 1.5]])
def test_json_and_dicts_agree(tmp_path, value):
    (tmp_path / "x.jsonl").write_text(json.dumps({"x": value}) + '\n{"x": null}\n')
    for make in (numeric_column, sequence_numeric_column, sequence_categorical_column_with_hash_bucket):
        for dtype in ("float64", "int64", "uint64", "string"):
            if make is sequence_categorical_column_with_hash_bucket:
                if dtype == "float64":
                    continue
                column = make("x", 1000, dtype)
            else:
                column = make("x", dtype=dtype if dtype != "string" else "float32")
            spec = make_spec(column, SequenceGroup(max_length=3) if column.is_sequence else None)
            one = apply([{"x": value}, {"x": None}], spec)
            others = [apply(batch, spec) for batch in batches(tmp_path / "x.jsonl", spec)]
            assert one["x"].tolist() == [row for other in others for row in other["x"].tolist()]
            for name in ("row", "reason", "value", "message"):
                found = [bad for other in others for bad in other.rejected[name].to_pylist()]
                assert one.rejected[name].to_pylist() == found


def test_rows_of_python_do_not_depend_on_their_neighbours():
    pool = [
        True,
        1,
        2.5,
        Decimal("1.50"),
        Decimal("2"),
        WHEN,
        WHEN.replace(tzinfo=None),
        WHEN.date(),
        WHEN.time(),
        None,
    ]
    pool += [
        2**64 - 1,
        2**70,
        uuid.UUID(int=3),
        np.datetime64("2024-02-29T12:30"),
        np.float16(1.5),
        dt.timedelta(seconds=3),
        "7",
    ]
    rows = [{"x": value} for value in pool]
    for column in (
        numeric_column("x", dtype="float64", default_value=0),
        numeric_column("x", dtype="int64", default_value=0),
        categorical_column_with_hash_bucket("x", 1000),
        categorical_column_with_hash_bucket("x", 1000, "uint64"),
        passthrough_column("x", "uint64", default_value=2**64 - 2),
    ):
        together = apply([*rows, *rows[::-1]], [column, numeric_column("y", default_value=0)])
        alone = [apply([row], [column, numeric_column("y", default_value=0)]) for row in rows]
        kept = [k for k, one in enumerate(alone) if len(one.rows)]
        both = [*kept, *(2 * len(rows) - 1 - k for k in reversed(kept))]
        assert together.rows.tolist() == both
        assert together["x"].tolist() == [alone[min(k, 2 * len(rows) - 1 - k)]["x"].tolist()[0] for k in both]
        bad = {one["row"]: (one["reason"], one["value"], one["message"]) for one in together.rejected.to_pylist()}
        for k, one in enumerate(alone):
            for found in one.rejected.to_pylist():
                assert bad[k] == bad[2 * len(rows) - 1 - k] == (found["reason"], found["value"], found["message"])


NUMPY_TIMES: list[tuple[Any, float | None]] = [
    (np.timedelta64(90, "m"), 5400.0), (np.timedelta64(2, "h"), 7200.0), (np.timedelta64(-3, "D"), -259200.0),
    (np.timedelta64(1, "W"), 604800.0), (np.timedelta64(1500, "ms"), 1.5), (np.timedelta64(10**12, "fs"), 1e-3),
    (np.timedelta64(50, "s").astype("m8[25s]"), 50.0), (np.datetime64("2024"), 1704067200.0),
    (np.datetime64("2024-02"), 1706745600.0),
    (np.datetime64("2024-02-01"), 1706745600.0), (np.datetime64("2024-02-01T05"), 1706763600.0),
    (np.datetime64(3, "W"), 1814400.0), (np.datetime64(50, "s").astype("M8[25s]"), 50.0),
    (np.datetime64("2024-02-01T00:00:00.5"), 1706745600.5),
    (np.datetime64("NaT"), -1.0), (np.timedelta64("NaT", "D"), -1.0), (np.timedelta64(1, "M"), None), (np.timedelta64(5), None),
    (np.timedelta64(1, "ps"), None), (np.datetime64(2**62, "D"), None),
]  # fmt: skip


@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: [one], lambda one: np.array([one]), lambda one: [[one], [one]]]
)
def test_times_of_numpy_in_any_unit_are_exact_or_refused(wrap):
    scalar = not np.ndim(wrap(NUMPY_TIMES[0][0]))
    make = numeric_column if scalar else sequence_numeric_column
    column = make("x", dtype="float64", default_value=-1, **({} if scalar else {"non_finite": "fill"}))
    for value, seconds in NUMPY_TIMES:
        if not scalar and np.isnat(value):
            continue
        for rows in ([wrap(value)], [wrap(value), wrap(np.timedelta64(7, "s")), wrap(value)]):
            made = apply([{"x": row} for row in rows], column)
            assert made.rows.tolist() == [k for k in range(len(rows)) if k == 1 or seconds is not None]
            found = [np.ravel(row)[0] for row in made["x"]]
            assert found == [7.0 if k == 1 else seconds for k in made.rows.tolist()]


def test_words_of_uint64_are_hashed_and_looked_up_by_their_decimal_text():
    numbers = [0, 2**63 - 1, 2**63, 2**64 - 1]
    texts = tf.constant([str(n) for n in numbers])
    hashed = sequence_categorical_column_with_hash_bucket("x", 10**9, "uint64")
    for rows in ([{"x": numbers}], pa.table({"x": pa.array([numbers], pa.list_(pa.uint64()))})):
        assert apply(rows, hashed)["x"].tolist() == [tf.strings.to_hash_bucket_fast(texts, 10**9).numpy().tolist()]
    listed = sequence_categorical_column_with_vocabulary_list("x", numbers[::-1], dtype="uint64")
    assert apply([{"x": [*numbers, 5]}], listed)["x"].tolist() == [[3, 2, 1, 0, -1]]
    learned = sequence_categorical_column_with_learned_vocabulary("x", dtype="uint64")
    data = [{"x": [2**64 - 1, 2**64 - 1, 2**63]}, {"x": [[7], [], [2**63]]}]
    assert apply(data, learned)["x"].tolist() == [[0, 0, 1], [2, -1, 1]]  # of words as frequent the smaller text first


def test_pass_through_columns_take_them():
    rows = [{"key": 2**64 - 1, "at": WHEN, "exact": Decimal("0.1"), "good": False, "id": uuid.UUID(int=9)}]
    columns = [
        passthrough_column("key", "uint64"),
        passthrough_column("at", "int64", time_unit="us"),
        passthrough_column("exact", "float64"),
        passthrough_column("good", "int64"),
        passthrough_column("id"),
        numeric_column("y", default_value=0),
    ]
    made = apply(rows, columns)
    assert made["key"].tolist() == [2**64 - 1] and made["key"].dtype == np.uint64
    assert made["at"].tolist() == [(WHEN - EPOCH) // dt.timedelta(microseconds=1)]
    assert (made["exact"].tolist(), made["good"].tolist()) == ([0.1], [0])
    assert made["id"].tolist() == ["00000000-0000-0000-0000-000000000009"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: passthrough_column("x", time_unit="s"), "does not apply to text"),
        (lambda: numeric_column("x", delimiter=",", time_unit="s"), "does not apply with a delimiter"),
        (lambda: numeric_column("x", time_unit="seconds"), "time_unit"),
        (lambda: passthrough_column("x", "uint64", default_value=-1), "does not fit uint64"),
        (lambda: passthrough_column("x", "uint64", default_value=2**64), "does not fit uint64"),
        (lambda: passthrough_column("x", "float64", default_value="1"), "does not fit float64"),
    ],
)
def test_arguments_that_do_not_apply(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_id_of_a_boolean_or_a_day():
    assert apply([{"x": True}, {"x": False}], categorical_column_with_identity("x", 2))["x"].tolist() == [1, 0]
    days = categorical_column_with_identity("x", 10**6, time_unit="d")
    assert apply([{"x": WHEN.date()}], days)["x"].tolist() == [(WHEN - EPOCH).days]


# What a request sends: numbers for booleans, decimals and times; for words of dtype uint64 decimal text.

DIGIT_TEXT = [
    "0", "-0", "+7", "007", " 12 ", "", "x", "-1", "1.5", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "00000000000000000000000000000012", "28446744073709551615", "1" * 80, "18446744063709551615",
    "0" * 80 + "5", "+" + "0" * 80, "-" + "0" * 80, "-" + "0" * 80 + "5", "0" * 80 + "18446744073709551615",
    "0" * 80 + "18446744073709551616",
]  # fmt: skip


@pytest.mark.parametrize("step_width", [1, 2])
def test_a_request_of_words_of_uint64_is_parsed_as_in_a_job(step_width):
    form = Form("x", DIGITS, ids=True, scalars=step_width == 1)
    for text in DIGIT_TEXT:
        rows = [[text], ["5"]]
        wrong = same(
            ragged([[v.encode() for v in row] for row in rows], "string"), pa.array(rows, pa.list_(pa.string())), form
        )
        assert wrong == (not text.strip() or text in DIGIT_TEXT[6:9] or not 0 <= int(text) < 2**64)
    assert same(ragged([[5], [-1], [2**63 - 1]], "int64"), pa.array([[5], [-1], [2**63 - 1]]), form) == 1
    assert same(ragged([[NO_WORD.encode()], [b"1"]], "string"), pa.array([[NO_WORD], ["1"]]), form) == 1
    assert same(ragged([[NO_ID]], "int64"), pa.array([[NO_ID]]), form) == 1


def test_what_is_parsed_is_canonical_whatever_the_type():
    form = Form("x", "int64", time_unit="ms")
    times = pa.array([[WHEN.replace(microsecond=0)], []], pa.list_(pa.timestamp("s")))
    assert parse(times, form).array.to_pylist() == [[int((WHEN - EPOCH).total_seconds()) * 1000], []]
