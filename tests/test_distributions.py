"""How values are distributed: counted in bins, against bins found with `math.frexp` over plain Python values."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.bins import bins_of
from transforms import (
    SequenceGroup,
    bucketized_column,
    categorical_column_with_vocabulary_list,
    indicator_column,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.distributions import histograms
from transforms.distributions.centres import Centre, centres
from transforms.distributions.histograms import AFTER, BEFORE, BINS, COUNTED, IDS, ROWS, UNKNOWN, Counting
from transforms.kernels import bins
from transforms.kernels.values import read_only
from transforms.rows import digests
from transforms.rows.from_python import from_dicts
from transforms.rows.origin import FILE_KEY
from transforms.spec.spec import Spec
from transforms.stage_functions import densify_stage

T = 5


def counted(spec: Spec, rows: list[dict[str, Any]], one_in: int = 1) -> tuple[histograms.Counts, dict[str, Any]]:
    """Counts rows as the job does; also returns what they became."""
    (batch,) = (digests.attach(one, list(spec.features)) for one in from_dicts(rows))
    total: histograms.Counts = {}
    made = []
    for stage in densify_stage(spec, None, counting=Counting("", one_in))(batch):
        if stage.count:
            stage.count(total)
        made.append(stage.batch)
    table = pa.Table.from_batches([one for one in made if one.num_rows])
    return by_dimension(total), {name: table.column(name).to_pylist() for name in table.column_names}


def by_dimension(counts: histograms.Counts) -> histograms.Counts:
    return {
        (name, what, first + k): own
        for (name, what, first), of in counts.items()
        for k, own in enumerate(of.reshape(-1, of.shape[-1]))
    }


def nearest_ends(values: list[float]) -> Counter[tuple[float, int]]:
    """Returns how many values each bin has, by its sign and its end nearest to 0, in sixteenths of an octave."""
    found: Counter[tuple[float, int]] = Counter()
    for value in map(float, np.array(values, np.float32)):
        if not math.isfinite(value):
            found[math.nan, 0] += 1
            continue
        part, octave = math.frexp(abs(value))
        end = math.floor(part * 32) / 32 * 2.0**octave if abs(value) >= 2.0**-126 else 0.0
        found[end, int(math.copysign(1, value))] += 1
    return found


def in_bins(counts: np.ndarray) -> Counter[tuple[float, int]]:
    bins = np.flatnonzero(counts)
    found: Counter[tuple[float, int]] = Counter()
    for at, low, high, finite in zip(bins, *histograms.edges(bins), histograms.is_finite(bins), strict=True):
        sign = -1 if at >= BINS // 2 else 1
        key = (min(abs(low), abs(high)), sign) if finite else (math.nan, 0)
        found[key] += int(counts[at])
    return found


def random_rows(count: int = 200) -> list[dict[str, Any]]:
    generator = np.random.default_rng(11)
    made = []
    for _ in range(count):
        steps = int(generator.integers(0, 9))
        gaps = generator.normal(0, 10, steps)
        gaps[generator.random(steps) < 0.2] = np.nan
        two = generator.normal(0, [1, 1000], (steps, 2)).reshape(-1)
        row = {
            "plain": (generator.normal(0, 1, steps) * 10.0 ** generator.integers(-30, 30, steps)).tolist(),
            "gaps": gaps.tolist(),
            "two": two[: max(len(two) - int(generator.integers(0, 2)), 0)].tolist(),
            "whole": generator.integers(-(2**40), 2**40, steps).tolist(),
            "wide": generator.normal(0, 1, steps * 6).tolist(),
            "word": generator.choice(["a", "b", "c", "d"], steps).tolist(),
            "id": generator.choice([3, 5, 2000, 7000], steps).tolist(),
        }
        if generator.random() < 0.7:
            row["context"] = [float(generator.normal())]
        made.append(row)
    return made


COLUMNS = [
    sequence_numeric_column("plain", normalizer_fn={"type": "log1p", "signed": True}),
    sequence_numeric_column("gaps", non_finite="fill", default_value=7.0),
    sequence_numeric_column("two", shape=(2,), incomplete_step="pad", default_value=9.0),
    sequence_numeric_column("whole", dtype="int64"),
    sequence_numeric_column("wide", shape=(3, 2)),
    sequence_categorical_column_with_vocabulary_list("word", ["a", "b"], num_oov_buckets=2),
    sequence_categorical_column_with_identity("id", 10_000),
    numeric_column("context", default_value=4.0),
]


def kept(values: list[Any], width: int, truncate: str) -> list[list[Any]]:
    """Returns the kept steps of a row; the last may be short."""
    steps = [values[k : k + width] for k in range(0, len(values), width)]
    return steps[:T] if truncate == "head" else steps[-T:]


@pytest.mark.parametrize("truncate", ["head", "tail"])
@pytest.mark.parametrize("padding", ["post", "pre"])
def test_numbers_before_and_after_are_those_of_kept_steps_that_the_rows_hold(truncate, padding):
    group = SequenceGroup(max_length=T, truncate=truncate, padding=padding)
    rows = random_rows()
    counts, _ = counted(make_spec(COLUMNS, group), rows)
    held = {
        name: [step for row in rows for step in kept(row[name], width, truncate)]
        for name, width in (("plain", 1), ("gaps", 1), ("two", 2), ("whole", 1), ("wide", 6))
    }
    plain = [step[0] for step in held["plain"]]
    assert in_bins(counts["plain", BEFORE, 0]) == nearest_ends(plain)
    float32 = np.array(plain, np.float32).astype(np.float64)
    assert in_bins(counts["plain", AFTER, 0]) == nearest_ends(list(np.sign(float32) * np.log1p(np.abs(float32))))
    seen = [step[0] for step in held["gaps"] if math.isfinite(step[0])]
    assert len(seen) < len(held["gaps"])
    for what in (BEFORE, AFTER):
        assert in_bins(counts["gaps", what, 0]) == nearest_ends(seen)
        for dimension in (0, 1):
            values = [step[dimension] for step in held["two"] if len(step) > dimension]
            assert in_bins(counts["two", what, dimension]) == nearest_ends(values)
        assert in_bins(counts["whole", what, 0]) == nearest_ends([step[0] for step in held["whole"]])
        assert in_bins(counts["wide", what, -1]) == nearest_ends([value for step in held["wide"] for value in step])
        values = [row["context"][0] for row in rows if "context" in row]
        assert in_bins(counts["context", what, 0]) == nearest_ends(values)
    assert any(len(step) == 1 for step in held["two"])
    assert counts[ROWS, ROWS, -1] == counts[ROWS, COUNTED, -1] == len(rows)


def test_ids_beyond_the_bound_are_counted_together(monkeypatch):
    monkeypatch.setattr(histograms, "ALL_IDS", 1)
    column = sequence_categorical_column_with_identity("id", 10_000)
    counts, _ = counted(make_spec([column], SequenceGroup(max_length=4)), [{"id": [0, 255, 256, 9999]}])
    assert np.flatnonzero(counts["id", IDS, -1]).tolist() == [1, 256, 257]
    assert counts["id", IDS, -1][257] == 2 and len(counts["id", IDS, -1]) == 258


@pytest.mark.parametrize("padding", ["post", "pre"])
def test_ids_are_counted_one_by_one_up_to_a_bound_and_unknown_words_apart(padding):
    rows = random_rows()
    counts, _ = counted(make_spec(COLUMNS, SequenceGroup(max_length=T, padding=padding)), rows)
    ids = Counter(step[0] for row in rows for step in kept(row["id"], 1, "head"))
    expected = {4: ids[3], 6: ids[5], 2001: ids[2000], 7001: ids[7000]}
    assert {int(at): int(counts["id", IDS, -1][at]) for at in np.flatnonzero(counts["id", IDS, -1])} == expected
    words = Counter(step[0] for row in rows for step in kept(row["word"], 1, "head"))
    assert counts["word", IDS, -1][1:3].tolist() == [words["a"], words["b"]]
    assert counts["word", IDS, -1][3:5].sum() == counts["word", UNKNOWN, -1][0] == words["c"] + words["d"]
    assert counts["word", IDS, -1][0] == 0


def test_a_context_column_of_several_ids_and_unknown_words_without_buckets_count_as_no_id():
    column = categorical_column_with_vocabulary_list("w", ["a", "b"], max_ids=3)
    rows = [{"w": ["a", "b", "b"]}, {"w": ["x"]}, {}]
    counts, made = counted(make_spec([column]), rows)
    assert made["w"] == [[0, 1, 1], [-1, -1, -1], [-1, -1, -1]]
    assert counts["w", IDS, -1][:4].tolist() == [6, 1, 2, 0]
    assert ("w", UNKNOWN, -1) not in counts


def test_a_bucketized_column_has_numbers_before_and_ids_after_and_vectors_are_not_counted():
    bucketized = bucketized_column(sequence_numeric_column("x", non_finite="fill"), (0, 1))
    spec = make_spec(
        [bucketized, indicator_column(sequence_categorical_column_with_identity("i", 3))], SequenceGroup(max_length=3)
    )
    rows = [{"x": [-1.0, 0.5, math.nan], "i": [0, 1, 2]}, {"x": [2.0], "i": [2]}]
    counts, _ = counted(spec, rows)
    name = bucketized.name
    assert in_bins(counts[name, BEFORE, 0]) == nearest_ends([-1.0, 0.5, 2.0])
    assert counts[name, IDS, -1][:4].tolist() == [1, 1, 1, 1]
    assert {key[0] for key in counts} == {name, ROWS}


def test_a_concatenated_column_is_found_in_its_place():
    group = SequenceGroup(max_length=4, concatenate=True)
    columns = [sequence_numeric_column("b", normalizer_fn={"type": "clip", "max": 2.0}), sequence_numeric_column("a")]
    counts, _ = counted(make_spec(columns, group), [{"a": [1.0, 5.0], "b": [3.0, -4.0]}])
    assert in_bins(counts["a", AFTER, 0]) == nearest_ends([1.0, 5.0])
    assert in_bins(counts["b", BEFORE, 0]) == nearest_ends([3.0, -4.0])
    assert in_bins(counts["b", AFTER, 0]) == nearest_ends([2.0, -4.0])


def test_values_that_are_kept_though_not_finite_have_bins_of_their_own():
    column = sequence_numeric_column("x", non_finite="keep")
    counts, _ = counted(make_spec([column], SequenceGroup(max_length=3)), [{"x": [math.nan, -math.inf, 1.0]}])
    assert in_bins(counts["x", AFTER, 0]) == Counter({(math.nan, 0): 2, (1.0, 1): 1})


def test_rejected_rows_are_not_counted_late_ones_neither():
    columns = [sequence_numeric_column("x", normalizer_fn=lambda x: 1.0 / x)]
    rows = [{"x": [2.0]}, {"x": [0.0]}, {"x": [math.nan]}, {"x": [4.0]}]
    counts, made = counted(make_spec(columns, SequenceGroup(max_length=2)), rows)
    assert len(made["x"]) == 2
    assert in_bins(counts["x", BEFORE, 0]) == nearest_ends([2.0, 4.0])
    assert in_bins(counts["x", AFTER, 0]) == nearest_ends([0.5, 0.25])
    assert counts[ROWS, ROWS, -1] == 2


def test_a_part_of_the_rows_is_chosen_by_the_row_alone():
    spec = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=3))
    rows = [{"x": [float(2**k)]} for k in range(-60, 60)] * 4
    (whole,) = (digests.attach(one, list(spec.features)) for one in from_dicts(rows))
    count = densify_stage(spec, None, counting=Counting("", 4))

    def of(batches: list[pa.RecordBatch]) -> histograms.Counts:
        total: histograms.Counts = {}
        for batch in batches:
            for stage in count(batch):
                if stage.count:
                    stage.count(total)
        return by_dimension(total)

    together = of([whole])
    apart = of([whole.slice(at, 7) for at in range(0, len(rows), 7)])
    assert whole.schema.metadata[FILE_KEY] == whole.slice(7).schema.metadata[FILE_KEY]
    assert together.keys() == apart.keys()
    assert all((together[key] == apart[key]).all() for key in together)
    marks = whole.column("__digest__").to_pylist()
    expected = [row["x"][0] for row, mark in zip(rows, marks, strict=True) if mark % 4 == 0]
    assert 60 < len(expected) < 180
    assert in_bins(together["x", BEFORE, 0]) == nearest_ends(expected)
    assert together[ROWS, COUNTED, -1] == len(expected)
    assert together[ROWS, ROWS, -1] == len(rows)


def test_merging_adds_up_and_an_empty_sum_is_empty():
    generator = np.random.default_rng(3)
    parts = [{("x", AFTER, 0): np.bincount(generator.integers(0, BINS, 50), minlength=BINS)} for _ in range(5)]
    ((bins, counts),) = histograms.merged(map(histograms.packed, parts)).values()
    total = np.sum([part["x", AFTER, 0] for part in parts], axis=0)
    assert (np.flatnonzero(total) == bins).all() and (total[bins] == counts).all()
    assert histograms.merged([]) == {}


def test_values_far_from_zero_are_counted_around_their_mean():
    columns = [
        sequence_numeric_column("far", shape=(2,)),
        sequence_numeric_column("near"),
        numeric_column("year", dtype="int64"),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=3))
    figures = {"far": ([1013.25, 0.5], [4.0, 4.0]), "near": ([3.0], [1.0]), "year": ([2001.6], [9.0])}
    asks = [ask for ask in spec.asks if ask.level == 0 and ask.packed]
    table = np.concatenate(
        [np.array([[9.0] * len(m), m, np.multiply(v, 9), m, m]) for m, v in (figures[ask.owner] for ask in asks)],
        axis=1,
    )
    found = centres(spec, table)
    assert found == {"far": Centre((1013.25, 0.0)), "near": Centre((0.0,)), "year": Centre((np.float32(2001.6),))}
    assert found["far"].of(np.dtype(np.float32)).tolist() == [1013.25, 0.0]
    assert found["year"].of(np.dtype(np.int64)).tolist() == [2002]
    assert centres(spec, None)["far"] == Centre((0.0, 0.0))


def test_whole_numbers_of_more_than_24_bits_keep_their_distance_from_the_centre():
    spec = make_spec([sequence_numeric_column("x", dtype="int64")], SequenceGroup(max_length=2))
    count = histograms.counter(spec, {"x": Centre((1_700_000_001.0,))}, {})
    batch = pa.RecordBatch.from_pydict({"x": pa.array([[1_700_000_005]], pa.large_list(pa.int64()))})
    counts: histograms.Counts = {}
    count(batch, {"x": np.array([[1_700_000_005, 0]]), "sequence_length": np.array([1])}, counts)
    assert in_bins(counts["x", BEFORE, 0][0]) == nearest_ends([4.0])


def numbers(width: int, counts: np.ndarray, *arrays: np.ndarray) -> None:
    arguments: list[Any] = [*map(read_only, arrays), width, histograms.BIN_SHIFT, counts]
    bins.count_numbers(*arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_numbers_in_ranges_are_counted_as_numpy_counts_them(dtype):
    generator = np.random.default_rng(3)
    values = (generator.normal(0, 1, 90) * 10.0 ** generator.integers(0, 12, 90)).astype(dtype)
    first, sizes = np.array([0, 40, 41]), np.array([7, 0, 49])
    centre, seen = np.array([2, 3], dtype), generator.random(90) < 0.8
    counts = np.ones((2, BINS), np.int64)
    numbers(2, counts, values, first, sizes, centre, seen, first)
    expected = np.ones((2, BINS), np.int64)
    for begin, size in zip(first, sizes, strict=True):
        for k in (0, 1):
            own = slice(begin + k, begin + size, 2)
            np.add.at(expected[k], bins_of((values[own] - centre[k])[seen[own]]), 1)
    assert (counts == expected).all()


def test_uncompiled_the_same_is_counted():
    """The tests of this file that call kernels or count rows, once more."""
    words = "in_ranges or beyond_their_buffer or that_the_rows_hold"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__, "-k", words]
    uncompiled = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=uncompiled, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_values_and_ids_beyond_their_buffer_are_refused():
    one, counts = np.array([1]), np.zeros((1, BINS), np.int64)
    there, nothing = np.zeros(2), np.zeros(0, bool)
    for first, size, seen in ((1, 2, nothing), (-1, 1, nothing), (0, 2, np.ones(1, bool))):
        with pytest.raises(ValueError, match="not there"):
            numbers(1, counts, there, first * one, size * one, np.zeros(1), seen, 0 * one)
    for first, size in ((1, 2), (-1, 1)):
        ids: list[Any] = [*map(read_only, (np.zeros(2, np.int64), first * one, size * one)), 5, np.zeros(9, np.int64)]
        with pytest.raises(ValueError, match="not there"):
            bins.count_ids(*ids)


@pytest.mark.parametrize("size, one_in", [(0, 1), (64 << 20, 1), ((64 << 20) + 1, 2), (640 << 20, 16)])
def test_how_many_rows_are_counted_follows_from_the_size_of_the_input(size, one_in):
    assert histograms.part_counted(size) == one_in


def test_bins_end_where_the_next_begins():
    bins = np.arange(255 * 16)
    low, high = histograms.edges(bins)
    assert (low[1:] == high[:-1]).all()
    assert high[-1] == 2.0**128
    below = histograms.edges(bins + BINS // 2)
    assert (below[0] == -high).all() and (below[1] == -low).all()
