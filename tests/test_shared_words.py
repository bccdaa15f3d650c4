"""`vocabulary_of`: a target has the ids of its sequence, in memory, in a job, in the graph, and in every later day's data."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.columns_file.reader import load, loads
from pipeline.dataset.manifest import read as read_manifest
from tests.jobs import arrays_of, call, done, read_arrays
from transforms.columns import constructor, embedding_column, indicator_column
from transforms.columns.learned_vocabulary import LearnedVocabulary, SequenceLearnedVocabulary
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.spec import text
from transforms.spec.make_spec import make_spec

learned = constructor("sequence_categorical_column_with_learned_vocabulary")
context = constructor("categorical_column_with_learned_vocabulary")


def by_hand(rows: list[dict[str, Any]], top_k: int) -> dict[str, int]:
    """The ids of the words of the sequences alone: the frequent ones first, of one frequency by their bytes."""
    counts = Counter(word for row in rows for word in row["x"])
    return {word: k for k, word in enumerate(sorted(counts, key=lambda word: (-counts[word], word.encode()))[:top_k])}


def rows_of(seed: int, count: int = 60) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    words = [f"w{k}" for k in range(12)]
    # The targets are all of one word, which would come first if they counted.
    return [
        {
            "n": k,
            "x": [draw.choice(words) for _ in range(draw.randrange(1, 6))],
            "t": draw.choice(["w11", "w11", "w3", "new"]),
        }
        for k in range(count)
    ]


@pytest.mark.parametrize("first", [True, False])
def test_the_words_of_the_other_column_alone_count(first):
    rows = rows_of(0)
    columns = [learned("x", top_k=8), context("t", vocabulary_of="x")]
    made = apply(rows, columns if first else columns[::-1], SequenceGroup(max_length=5))
    ids = by_hand(rows, 8)
    assert made["t"].tolist() == [ids.get(row["t"], -1) for row in rows]
    assert made["x"].tolist() == [([ids.get(word, -1) for word in row["x"]] + [-1] * 5)[:5] for row in rows]


def test_unknown_words_share_their_buckets():
    rows = [{"x": ["a", "b", "c"], "t": word} for word in ("d", "e", "c", "a")]
    for more in ({"num_oov_buckets": 7}, {"num_oov_buckets": 7, "reserve": 30}, {"default_value": 1}):
        made = apply(
            [*rows, {"x": ["d", "e"], "t": "b"}], [learned("x", top_k=3, **more), context("t", vocabulary_of="x")]
        )
        ids = dict(
            zip(["a", "b", "c", "d", "e"], [*made["x"][0].tolist()[:3], *made["x"][4].tolist()[:2]], strict=True)
        )
        assert made["t"].tolist() == [ids[word] for word in "decab"]


def test_the_vocabulary_may_be_that_of_a_part():
    rows = rows_of(1)
    alone = apply(rows, [learned("x", top_k=8, num_oov_buckets=2), context("t", vocabulary_of="x")])["t"]
    for wrap in (indicator_column, lambda column: embedding_column(column, 4)):
        made = apply(rows, [wrap(learned("x", top_k=8, num_oov_buckets=2)), context("t", vocabulary_of="x")])
        np.testing.assert_array_equal(made["t"], alone)


@pytest.mark.parametrize("first", [True, False])
def test_the_column_with_the_name_comes_before_parts_with_it(first):
    rows = [*rows_of(1), {"x": ["new"], "t": "new"}]  # `new` is no word of the others, and has an id of its bucket
    parts = [indicator_column(learned("x", top_k=8, num_oov_buckets=1)), embedding_column(learned("x", top_k=2), 4)]
    own = [learned("x", top_k=8, num_oov_buckets=50)]
    made = apply(rows, [*(own + parts if first else parts + own), context("t", vocabulary_of="x")])
    alone = apply(rows, [*own, context("t", vocabulary_of="x")])
    assert made["t"].tolist() == alone["t"].tolist() and made["t"][-1] == made["x"][-1, 0] >= 8


@pytest.mark.parametrize(
    "columns, path, message",
    [
        ([context("t", vocabulary_of="y"), learned("xy")], "columns[0].vocabulary_of", "(known: xy), got 'y'"),
        (
            [context("t", vocabulary_of="xz"), learned("xyz")],
            "columns[0].vocabulary_of",
            "got 'xz'; did you mean 'xyz'?",
        ),
        ([context("t", vocabulary_of="x")], "columns[0].vocabulary_of", "(there is none), got 'x'"),
        (
            [context("t", vocabulary_of="t"), learned("x")],
            "columns[0].vocabulary_of",
            "has the vocabulary of 't' itself",
        ),
        (
            [context("t", vocabulary_of="x"), context("u", vocabulary_of="t"), learned("x")],
            "columns[1].vocabulary_of",
            "got 't', which has the vocabulary of 'x' itself",
        ),
        (
            [context("t", vocabulary_of="x"), constructor("sequence_numeric_column")("x")],
            "columns[0].vocabulary_of",
            "got 'x', which is of type sequence_numeric_column",
        ),
        (
            [context("t", vocabulary_of="x", top_k=5), learned("x", top_k=3)],
            "columns[0].top_k",
            "whose vocabulary this is (3), got 5",
        ),
        ([context("t", vocabulary_of="x", num_oov_buckets=5), learned("x")], "columns[0].num_oov_buckets", "got 5"),
        (
            [context("t", vocabulary_of="x", dtype="int64"), learned("x")],
            "columns[0].dtype",
            "expected 'string', as 'x' has it",
        ),
        (
            [
                context("t", vocabulary_of="x"),
                indicator_column(learned("x", top_k=3)),
                embedding_column(learned("x"), 2),
            ],
            "columns[0].vocabulary_of",
            "'x' has 2 learned vocabularies",
        ),
        (  # one vocabulary, but one word has two ids
            [
                context("t", vocabulary_of="x"),
                embedding_column(learned("x", top_k=3, num_oov_buckets=2), 4),
                indicator_column(learned("x", top_k=3, num_oov_buckets=9)),
            ],
            "columns[0].vocabulary_of",
            "'x' has 2 learned vocabularies",
        ),
        (
            [embedding_column(context("t", vocabulary_of="x"), 2), learned("x")],
            "columns[0].categorical_column.vocabulary_of",
            "applies to a column of its own, not to one inside another",
        ),
    ],
)
def test_what_names_no_vocabulary(columns, path, message):
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        make_spec(columns)
    assert [fault.path for fault in caught.value.faults] == [path]


def test_a_faulty_column_is_reported_once():
    kind = "categorical_column_with_learned_vocabulary"
    with pytest.raises(SpecError) as caught:
        loads(
            f"columns:\n  - {{type: sequence_{kind}, key: x, top_k: 0}}\n  - {{type: {kind}, key: t, vocabulary_of: x}}\n"
        )
    assert [(fault.path, fault.line) for fault in caught.value.faults] == [("columns[0].top_k", 2)]
    with pytest.raises(ValueError, match="extends: does not apply with vocabulary_of: the words are those of 'x'"):
        context("t", vocabulary_of="x", extends="words.txt")


def test_a_spec_is_read_back():
    spec = make_spec([context("t", vocabulary_of="x"), learned("x", top_k=4, num_oov_buckets=1, reserve=9)])
    assert text.loads(text.dumps(spec)) == spec
    target, sequence = text.loads(text.dumps(spec)).columns
    assert isinstance(target, LearnedVocabulary) and isinstance(sequence, SequenceLearnedVocabulary)
    assert target.vocabulary_name == sequence.vocabulary_name and target.id_count == sequence.id_count == 10


def test_a_job_and_its_later_days(tmp_path: Path):
    """Train alone decides the ids; the graph and `verify`, an append, a transform and an extended vocabulary have the same."""
    for day in range(3):
        lines = (json.dumps(row) for row in rows_of(day))
        (tmp_path / f"day{day}.jsonl").write_text("\n".join(lines))
    columns = tmp_path / "columns.yaml"
    columns.write_text("""
sequence_groups: {sequence: {max_length: 5}}
columns:
  - {type: passthrough_column, key: n, dtype: int64}
  - {type: categorical_column_with_learned_vocabulary, key: t, vocabulary_of: x}
  - {type: sequence_categorical_column_with_learned_vocabulary, key: x, top_k: 6, num_oov_buckets: 2, reserve: 20}
""")
    split = {"train": tmp_path / "day0.jsonl", "test": tmp_path / "day1.jsonl"}
    out, later, longer = (tmp_path / name for name in ("out", "later", "longer"))
    inputs = [part for name, path in split.items() for part in ("--input", f"{name}={path}")]
    assert not call("run", columns, *inputs, "--output", out, "--format", "parquet").exit_code
    ids = by_hand(rows_of(0), 6)

    def wanted(day: int, known: dict[str, int], reserve: int = 20) -> list[int]:
        hashed = tf.strings.to_hash_bucket_fast([row["t"] for row in rows_of(day)], 2).numpy()
        return [known.get(row["t"], reserve + int(h)) for row, h in zip(rows_of(day), hashed, strict=True)]

    for day, name in enumerate(split):
        arrays = arrays_of(read_manifest(str(out)).split(name))
        assert arrays["t"][np.argsort(arrays["n"])].tolist() == wanted(day, ids)
    entries = read_manifest(str(out)).content["vocabularies"]
    assert entries["t"]["sha256"] == entries["x"]["sha256"] and entries["t"]["file"] == entries["x"]["file"]
    assert read_manifest(str(out)).vocabularies["t"].to_ids(["w3"]).tolist() == [ids["w3"]]
    assert not call("verify", out).exit_code
    # What is counted is the sequence: a reader must not take it for the target.
    for column, said in {"t": "the counts are those of column 'x', whose vocabulary this is", "x": ""}.items():
        printed = call("vocabulary", out, column).output
        assert said in printed and ("whose vocabulary" in printed) == bool(said)

    assert not call("run", columns, "--transform", out, "--input", tmp_path / "day2.jsonl", "--output", later).exit_code
    assert read_arrays(later, "n")["t"].tolist() == wanted(2, ids)
    columns.write_text(columns.read_text().replace("top_k: 6", f"top_k: 3, extends: {out}"))
    done(load(columns), tmp_path / "day2.jsonl", longer)
    more = [word for word in by_hand(rows_of(2), 99) if word not in ids][:3]
    known = {**ids, **{word: 6 + k for k, word in enumerate(more)}}
    assert read_arrays(longer, "n")["t"].tolist() == wanted(2, known)
    assert not call("verify", longer).exit_code
