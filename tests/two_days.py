"""Two data sets that are compared: a day, and another on which something has changed, of every kind of column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.command.tf_examples import write_examples
from tests.jobs import done
from transforms import (
    SequenceGroup,
    categorical_column_with_hash_bucket,
    categorical_column_with_learned_vocabulary,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.spec.spec import Spec

WORDS = ["red", "green", "blue"]


def spec_of(second: bool) -> Spec:
    """The columns of either day: the second has another T, other words, more hash buckets, and a column in place of another."""
    columns: list[Any] = [
        passthrough_column("id", "int64"),
        sequence_numeric_column("pressure", normalizer_fn="z_score"),
        sequence_numeric_column("pair", shape=(2,), normalizer_fn="z_score", non_finite="fill"),
        sequence_categorical_column_with_identity("item", 500),
        categorical_column_with_vocabulary_list("colour", WORDS[second:] + ["cyan"] * second, num_oov_buckets=1),
        categorical_column_with_learned_vocabulary("shop", num_oov_buckets=1),
        categorical_column_with_hash_bucket("hashed", 20 if second else 10),
        numeric_column("age", dtype="int64", default_value=-1),
        numeric_column("new" if second else "old", default_value=0.0),
    ]
    return make_spec(columns, SequenceGroup(max_length=12 if second else 10))


def rows_of(second: bool, count: int = 400) -> list[dict[str, Any]]:
    """Rows of either day: on the second pressure is higher, an item rises, colours go (one unknown), sequences are longer."""
    generator = np.random.default_rng(5 + second)
    made: list[dict[str, Any]] = []
    for k in range(count):
        steps = int(generator.integers(1, 14 if second else 9))
        item = generator.integers(0, 100, steps)
        row = {
            "id": k,
            "pressure": generator.normal(1018 if second else 1013, 4, steps).tolist(),
            "pair": generator.normal([0, 100], [1, 5], (steps, 2)).reshape(-1).tolist(),
            "item": np.where(generator.random(steps) < 0.3 * second, 7, item).tolist(),
            "colour": str(generator.choice(WORDS[second:] + ["cyan"] * second)),
            "shop": f"shop {generator.zipf(2.0) % 40}",
            "hashed": f"{k % 7}",
            "age": int(generator.integers(18, 90)),
            "new" if second else "old": float(generator.normal()),
        }
        if k % 50 == 1 + second:
            row["item"] = [500 + k]
            row["pressure"] = [1013.0]
            row["pair"] = [0.0, 0.0]
        if k % 20 == 7 and not second:
            row["colour"] = "mauve"
        if k % 10 == 3 and second:
            del row["age"]
        made.append(row)
    return made


def make(folder: Path, second: bool) -> str:
    """Makes the data set of either day; returns its directory."""
    name = "tuesday" if second else "monday"
    path = folder / f"{name}.tfrecord"
    write_examples(str(path), rows_of(second))
    output = folder / name
    assert done(spec_of(second), path, output, max_rejected=0.1).status == "done"
    return str(output)
