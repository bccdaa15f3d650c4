"""Vocabularies learned from the data: the job, the call in memory and the saved graph learn and look up alike."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs import done, read_arrays, read_json
from transforms.columns import constructor, indicator_column
from transforms.columns.learned_vocabulary import learners
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.spec.make_spec import make_spec
from transforms.stored.learned_words import Choice, learned_of
from transforms.stored.word_files import NO_WORDS

learned = constructor("sequence_categorical_column_with_learned_vocabulary")
learned_context = constructor("categorical_column_with_learned_vocabulary")
WORDS = ["a", "b", "bb", "B", "é", " ", "c d", "e\nf", "g\r", "", "\0", "z" * 200]


def by_frequency(words: list[Any], top_k: int | None = None, threshold: int = 0) -> list[bytes]:
    """The definition: `collections.Counter`, sorted by count, descending, and then by bytes."""
    texts = [word.encode() if isinstance(word, str) else word for word in words]
    counts = Counter(word for word in texts if word and b"\n" not in word and b"\r" not in word)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, count in ordered if count >= threshold][:top_k]


@given(
    words=st.lists(st.sampled_from([word.encode() for word in WORDS]) | st.binary(max_size=3), max_size=40),
    top_k=st.none() | st.integers(1, 5),
    threshold=st.none() | st.integers(1, 4),
)
def test_the_most_frequent(words, top_k, threshold):
    found = learned_of(pa.array(words, pa.large_binary()), Choice((), top_k, threshold))
    assert found.words == by_frequency(words, top_k, threshold or 0)
    assert found.counts.tolist() == [words.count(word) for word in found.words]


def test_ids_in_memory_are_places_in_the_vocabulary():
    rows = [{"x": ["b", "a", "b"]}, {"x": ["c", "", "b\n"]}, {"x": []}]
    assert apply(rows, [learned("x")])["x"].tolist() == [[0, 1, 0], [2, -1, -1], [-1] * 3]
    assert apply(rows, [learned("x", top_k=2)])["x"].tolist() == [[0, 1, 0], [-1, -1, -1], [-1] * 3]
    assert apply(rows, [learned("x", frequency_threshold=2, default_value=0)])["x"].tolist() == [
        *([0, 0, 0], [0, 0, 0], [-1] * 3)
    ]
    fitted = apply(rows, [learned("x", top_k=1, num_oov_buckets=10)]).fitted
    other = apply([{"x": ["omar", "b", "stringer"]}], [learned("x", top_k=1, num_oov_buckets=10)], fitted=fitted)
    assert other["x"].tolist() == [[1 + 6, 0, 1 + 4]]


def test_rejected_rows_and_cut_steps_teach_nothing():
    rows: list[dict[str, Any]] = [{"x": ["a", "b", "b", "b"]}, {"x": ["c"] * 9 + [None]}, {"x": ["a"]}]
    head, tail = SequenceGroup(max_length=1), SequenceGroup(max_length=1, truncate="tail")
    assert apply(rows, [learned("x")], head)["x"].tolist() == [[0], [0]]
    assert apply(rows, [learned("x")], tail)["x"].tolist() == [[1], [0]]  # once each: a before b
    kept, everything = (
        apply(rows, [learned("x", top_k=1, statistics_over=over)], head)["x"].tolist() for over in ("kept", "all")
    )
    assert (kept, everything) == ([[0], [0]], [[-1], [-1]])  # of all steps, b stands there three times


def test_no_words():
    rows = [{"x": ["", "\n"]}, {"x": []}]
    assert apply(rows, [learned("x", num_oov_buckets=1)])["x"].tolist() == [[1, 1], [-1, -1]]
    assert apply([{"x": [NO_WORDS.decode()]}], [learned("x")])["x"].tolist() == [[0]]
    assert apply([], [learned("x")])["x"].shape[0] == 0


def test_what_is_learned_alike_is_learned_once():
    columns = [
        indicator_column(learned("x", top_k=2)),
        learned("x", top_k=2, num_oov_buckets=5),
        learned_context("y", frequency_threshold=3),
        learned("a/b c" * 40, group="g"),
        learned("a/b c" * 40, group="g", statistics_over="all"),
    ]
    found = learners(columns)
    assert list(found) == [columns[1].vocabulary_name, *(column.vocabulary_name for column in columns[2:])]
    assert columns[1].vocabulary_name == "vocabulary_x_top_2"
    assert columns[2].vocabulary_name == "vocabulary_y_from_3"
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9_]{1,110}", name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k: expected an int >= 1, got 0"),
        ({"frequency_threshold": -1}, "frequency_threshold: expected an int >= 1"),
        ({"num_oov_buckets": -1}, "num_oov_buckets: expected an int >= 0"),
        ({"default_value": -2}, "default_value: -2 is no id: expected one >= 0, or -1 for none"),
        ({"top_k": 3, "default_value": 3}, r"default_value: 3 is no id: expected one in \[0, 3\)"),
        ({"default_value": 0, "num_oov_buckets": 1}, "default_value: 0 does not apply with num_oov_buckets 1"),
        ({"dtype": "float32"}, "dtype: expected string, bytes or an integer dtype"),
        ({"statistics_over": "al"}, "statistics_over: expected 'kept' or 'all', got 'al'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        learned("x", **arguments)


def test_the_number_of_ids():
    assert learned("x", 100, num_oov_buckets=3).id_count == 103
    assert learned("x", num_oov_buckets=3).id_count is None
    assert learned("x").needs_data
    assert make_spec([indicator_column(learned("x", 5))], SequenceGroup(max_length=2)).needs_analysis


# --- the job


def rows_of(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    def some(choices: Any, most: int) -> list[Any]:
        return [choices[k] for k in rng.integers(0, len(choices), rng.integers(0, most + 1))]

    return [
        {
            "row": k,
            "words": some(WORDS, 7),
            "numbers": [some([5, -3, 20, 3, -(2**40)], 2) for _ in range(rng.integers(0, 5))],
            "raw": some([b"\xff", b"\xfe\x00", b"a"], 3),
            "none": some(["", "\n"], 2),
            "one": str(rng.choice(["x", "y", "z"])) if rng.random() < 0.8 else None,
        }
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> tuple[Any, list[dict[str, Any]], Path]:
    """A job over three files, with every kind of learned column."""
    folder = tmp_path_factory.mktemp("learned")
    rows = rows_of(np.random.default_rng(6), 90)
    schema = pa.schema([pa.field("row", pa.int64()), *(pa.field(n, pa.list_(pa.string())) for n in ("words", "none"))])
    schema = schema.append(pa.field("numbers", pa.list_(pa.list_(pa.int64()))))
    schema = schema.append(pa.field("raw", pa.list_(pa.binary()))).append(pa.field("one", pa.string()))
    for k in range(3):
        table = pa.Table.from_pylist(rows[k::3], schema)
        pq.write_table(table, folder / f"{k}.parquet", row_group_size=7)
    columns = [
        learned("words", num_oov_buckets=3, group="words"),
        indicator_column(learned("words", top_k=2, num_oov_buckets=1, group="words")),
        learned("numbers", dtype="int64", max_ids=2, frequency_threshold=9, group="longest"),
        learned("raw", dtype="bytes", group="raw", statistics_over="all"),
        learned("none", group="none", num_oov_buckets=2),
        learned_context("one", default_value=0),
        constructor("passthrough_column")("row", dtype="int64"),
    ]
    groups = {
        "words": SequenceGroup(max_length=4, truncate="tail"),
        "longest": SequenceGroup(max_length="longest"),
        "raw": SequenceGroup(max_length=1),
        "none": SequenceGroup(max_length=2),
    }
    spec = make_spec(columns, groups)
    done(spec, folder / "*.parquet", folder / "out")
    return spec, rows, folder / "out"


@pytest.mark.slow
def test_job_memory_and_saved_graph_are_the_same(job):
    spec, rows, out = job
    written = read_arrays(out, sort_by="row")
    made = apply(rows, spec)
    served = apply(rows, spec, transform=str(out / "transform"))
    assert made.rejected.num_rows == 0
    for name in made.arrays:
        np.testing.assert_array_equal(written[name], made[name], err_msg=name)
        np.testing.assert_array_equal(served[name], made[name], err_msg=name)
    assert made["words"].max() > 9 and made["numbers"].shape[2] == 2


@pytest.mark.slow
def test_the_words_are_in_readable_files_that_the_manifest_names(job):
    _, rows, out = job
    found = read_json(out, "manifest.json")["vocabularies"]
    kept = [word for row in rows for word in row["words"][-4:]]
    expected = {
        "words": by_frequency(kept),
        "words_indicator": by_frequency(kept, 2),
        "numbers": by_frequency([str(n) for row in rows for step in row["numbers"] for n in step], None, 9),
        "raw": by_frequency([word for row in rows for word in row["raw"]]),
        "none": [],
        "one": by_frequency([row["one"] for row in rows if row["one"]]),
    }
    assert set(found) == set(expected)
    for name, words in expected.items():
        assert found[name]["words"] == len(words), name
        content = (out / "transform" / found[name]["file"]).read_bytes()
        assert content == b"".join(word + b"\n" for word in words or [NO_WORDS]), name
    assert found["words"]["file"].endswith("/vocabulary_words_group_words")


@pytest.mark.slow
def test_a_vocabulary_file_of_the_first_day_keeps_its_ids(job):
    """What docs/howto.md says to do on the next day, whose own vocabulary would give other ids."""
    spec, rows, out = job
    (column,) = [column for column in spec.columns if column.name == "words"]
    file = out / "transform" / read_json(out, "manifest.json")["vocabularies"]["words"]["file"]
    groups = {"words": spec.sequence_groups["words"]}
    kept = constructor("sequence_categorical_column_with_vocabulary_file")(
        "words", str(file), num_oov_buckets=3, group="words"
    )
    today = [{"words": [b"never seen"] * 9}, *rows]
    with_kept, with_own = (apply(today, [one], groups)["words"] for one in (kept, column))
    np.testing.assert_array_equal(with_kept[1:], read_arrays(out, sort_by="row")["words"])
    assert (with_kept[0] >= len(file.read_bytes().splitlines())).all() and (with_own[1:] != with_kept[1:]).any()
