"""The columns that read the files of `tests.fuzz.corpus`: every type, dtype and policy that looks at values."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from transforms import (
    SequenceGroup,
    bucketized_column,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
    weighted_categorical_column,
)
from transforms.columns import Column
from transforms.spec.spec import Spec

CHOICES: Final = 24
"""Specs of some of the columns each, so that every input meets few of them and all inputs meet all."""

GROUPS: Final = {
    "watch": SequenceGroup(max_length=4, truncate="tail"),
    "short": SequenceGroup(max_length=3, truncate="reject"),
    "t": SequenceGroup(max_length=2, padding="pre"),
    "steps": SequenceGroup(max_length=2),
    "many": SequenceGroup(max_length=2),
    "words": SequenceGroup(max_length=3),
    "csv": SequenceGroup(max_length=2),
}


def _lists(between: str | None) -> list[Column]:
    """The columns; with a delimiter where a sequence stands in one text."""
    more: dict[str, Any] = {} if between is None else {"delimiter": between}
    words = {"group": "words", **more}
    return [
        passthrough_column("id", "int64"),
        passthrough_column("name", default_value="nobody"),
        passthrough_column("raw", "bytes", default_value=""),
        sequence_categorical_column_with_identity("ids", 10, group="watch", **more),
        sequence_numeric_column("x", (2,), group="watch", **more),
        sequence_numeric_column("n", dtype="int32", required=True, group="short", **more),
        sequence_categorical_column_with_hash_bucket("words", 7, **words),
        sequence_numeric_column("t", non_finite="fill", observed_mask=True, group="t", **more),
        sequence_numeric_column("csv", dtype="float64", delimiter=";", incomplete_step="pad", group="csv"),
        numeric_column("w", (2,), **more),
        categorical_column_with_identity("label", 3, 0, **more),
        sequence_numeric_column("steps", (2,), group="steps", **more),
        sequence_categorical_column_with_identity("many", 10, max_ids=2, group="many", **more),
    ]


def _others(between: str | None) -> list[Column]:
    """The same features as other columns read them."""
    more: dict[str, Any] = {} if between is None else {"delimiter": between}
    return [
        passthrough_column("id", "float32", default_value=0.5),
        passthrough_column("name", "bytes", default_value=""),
        passthrough_column("raw", default_value=""),
        weighted_categorical_column(
            sequence_categorical_column_with_identity("ids", 10, default_value=0, group="watch", **more), "x"
        ),
        sequence_numeric_column("n", dtype="int8", group="short", **more),
        sequence_categorical_column_with_vocabulary_list("words", ["omar", "", "marlo"], group="words", **more),
        bucketized_column(sequence_numeric_column("t", non_finite="keep", group="t", **more), [0.0, 20.0]),
        passthrough_column("csv", default_value=""),
        bucketized_column(numeric_column("w", (2,), default_value=0.0, **more), [0.0]),
        numeric_column("label", dtype="float16", default_value=0.5, **more),
        sequence_categorical_column_with_hash_bucket("steps", 9, max_ids=4, group="steps", **more),
        sequence_numeric_column("many", (), dtype="bfloat16", non_finite="fill", group="many", **more),
    ]


def _some(columns: list[Column], rng: random.Random) -> Spec:
    chosen = rng.sample(columns, 4)
    groups = {column.sequence_group for column in chosen}
    return make_spec(chosen, {name: group for name, group in GROUPS.items() if name in groups})


def _narrow() -> Spec:
    return make_spec(
        [passthrough_column("id", "int64"), sequence_numeric_column("n", dtype="int32"), numeric_column("w", (2,))],
        SequenceGroup(max_length=3),
    )


def _rejected() -> Spec:
    return make_spec(
        [passthrough_column(name) for name in ("file", "reason", "value")] + [passthrough_column("row", "int64")]
    )


def _commits() -> Spec:
    return make_spec(
        [
            passthrough_column("actor", "int64"),
            passthrough_column("repository"),
            sequence_categorical_column_with_identity("items", 23360, default_value=0),
            sequence_categorical_column_with_hash_bucket("paths", 100),
            sequence_numeric_column("churn", non_finite="fill"),
            categorical_column_with_identity("returned", 2),
        ],
        SequenceGroup(max_length=8, truncate="tail"),
    )


def _vowels() -> Spec:
    columns = [sequence_numeric_column("lpc", (12,)), categorical_column_with_identity("speaker", 9, 0)]
    return make_spec(columns, SequenceGroup(max_length=29))


_FIXED: Final[dict[str, Callable[[], Spec]]] = {
    "narrow": _narrow,
    "rejected": _rejected,
    "commits": _commits,
    "vowels": _vowels,
}


@cache
def spec_of(columns: str, choice: int) -> Spec:
    """Returns what reads a file: `choice`, below `CHOICES`, takes some of the columns."""
    if columns in _FIXED:
        return _FIXED[columns]()
    between = ";" if columns == "texts" else None
    make = _lists if choice % 3 else _others
    return _some(make(between), random.Random(choice))
