"""Random columns that work together, and the features that they read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from transforms import SequenceGroup, make_spec, passthrough_column
from transforms.columns import Column, constructor
from transforms.errors import SpecError
from transforms.spec.spec import Spec

Rng = random.Random

BETWEEN: Final = ";"
"""Separates the values of a sequence where it is one text."""

WORDS: Final = ("omar", "stringer", "marlo", "é", "a b", "7", "x" * 40)


@dataclass(frozen=True)
class Feature:
    """What rows hold under a name.

    Attributes:
      carrier: `int`, `float` or `word`.
      size: integers are below it.
      group: the sequence group whose length it has; None for context.
      width: values in a step (or in a row, for context).
      most: ids that a step may have, where their number may differ; 0 where it may not.
      nested: whether a sequence is written as a list of steps.
    """

    key: str
    carrier: str
    size: int = 10
    group: str | None = None
    width: int = 1
    most: int = 0
    nested: bool = False


Made = tuple[Column, list[Feature]]
Options = dict[str, Any]


def _numeric(rng: Rng, key: str, group: str | None, more: Options, fits: bool) -> Made:
    shape = rng.choice([(), (1,), (2,), (2, 2)])
    dtype = rng.choice(["float32", "float32", "float64", "float16", "int64", "int32", "int8"])
    options: Options = {"shape": shape, "dtype": dtype, **more}
    fitted = ["z_score", "min_max", {"type": "max_abs", "per": "column"}, ["log1p", "z_score"]] if fits else []
    if dtype.startswith("float"):
        options["non_finite"] = rng.choice(["reject", "reject", "fill", "forward_fill", "keep"])
        options["observed_mask"] = rng.random() < 0.3
        plain: list[Any] = [
            None,
            None,
            "log1p",
            {"type": "log1p", "signed": True},
            {"type": "clip", "min": -1.0, "max": 5.0},
        ]
        options["normalizer_fn"] = rng.choice([*plain, {"type": "z_score", "per": "row"}, *fitted])
    if group is None and rng.random() < 0.5:
        options["default_value"] = 3
    if group is not None:
        options |= {"group": group, "incomplete_step": rng.choice(["reject", "pad"])}
    column = constructor("numeric_column" if group is None else "sequence_numeric_column")(key, **options)
    carrier = "float" if dtype.startswith("float") else "int"
    return column, [Feature(key, carrier, 100, group, int(np.prod(shape)))]


def _bucketized(rng: Rng, key: str, group: str | None, more: Options, fits: bool) -> Made:
    options = {**more, **({} if group is None else {"group": group})}
    source = constructor("numeric_column" if group is None else "sequence_numeric_column")(key, **options)
    return constructor("bucketized_column")(source, [-1.0, 0.0, 50.0]), [Feature(key, "float", 100, group)]


def _categorical(rng: Rng, key: str, group: str | None, more: Options, fits: bool) -> Made:
    learned = ["learned_vocabulary"] if fits else []
    name = rng.choice(["identity", "identity", "hash_bucket", "vocabulary_list", *learned])
    options: Options = {**more, **({} if group is None else {"group": group})}
    if rng.random() < 0.3:
        options["max_ids"] = 3
    if name == "identity":
        options |= {"num_buckets": 10, "default_value": rng.choice([None, 0])}
    elif name == "hash_bucket":
        options |= {"hash_bucket_size": 7, "dtype": rng.choice(["string", "bytes", "int64"])}
    elif name == "learned_vocabulary":
        options |= {"num_oov_buckets": 2, **rng.choice([{}, {"top_k": 2}])}
    else:
        options |= {
            "vocabulary_list": list(WORDS[:4]),
            **rng.choice([{}, {"num_oov_buckets": 2}, {"default_value": 1}]),
        }
    column = constructor(("" if group is None else "sequence_") + f"categorical_column_with_{name}")(key, **options)
    carrier = "int" if name == "identity" or options.get("dtype") == "int64" else "word"
    feature = Feature(key, carrier, 10, group, most=options.get("max_ids", 0))
    return _wrapped(rng, column, feature)


def _wrapped(rng: Rng, column: Column, feature: Feature) -> Made:
    features = [feature]
    if not feature.most and rng.random() < 0.2:
        weights = f"{feature.key}_weight"
        column = constructor("weighted_categorical_column")(column, weights)
        features.append(Feature(weights, "float", 3, feature.group))
    wrapper = rng.choice(["", "", "", "indicator_column", "embedding_column"])
    if wrapper == "indicator_column":
        column = constructor(wrapper)(column)
    elif wrapper:
        column = constructor(wrapper)(column, dimension=3)
    return column, features


FAMILIES: Final[Sequence[Callable[..., Made]]] = (_numeric, _numeric, _categorical, _categorical, _bucketized)


def random_columns(rng: Rng, format: str, fits: bool) -> tuple[Spec, tuple[Feature, ...]]:
    """Returns columns that work together, the id of a row first.

    Args:
      rng: draws.
      format: of the files that they read.
      fits: whether they may need statistics of all rows, or the longest.
    """
    while True:
        groups = rng.sample(["a", "b", "c"], rng.randint(1, 2))
        made: list[Made] = []
        for number in range(rng.randint(2, 5)):
            more: Options = {"delimiter": BETWEEN} if format == "csv" else {}
            group = rng.choice([*groups, *groups, None])
            if rng.random() < 0.2:
                more["required"] = True
            try:
                made.append(rng.choice(FAMILIES)(rng, f"f{number}", group, more, fits))
            except (SpecError, ValueError, TypeError):  # arguments that do not go together
                continue
        features = [feature for _, own in made for feature in own]
        used = {feature.group for feature in features if feature.group}
        policies = {name: _policy(rng, fits) for name in groups if name in used}
        columns = [passthrough_column("id", "int64"), *(column for column, _ in made)]
        try:
            spec = make_spec(columns, policies)
        except SpecError:
            continue
        if used and spec.graph_inputs and spec.needs_analysis <= fits:
            nests = format not in ("csv", "example")
            chosen = (
                Feature(**{**vars(f), "nested": nests and f.group is not None and rng.random() < 0.5}) for f in features
            )
            return spec, (Feature("id", "int"), *chosen)


def _policy(rng: Rng, fits: bool) -> SequenceGroup:
    return SequenceGroup(
        max_length=rng.choice([1, 3, 5, "longest"] if fits else [1, 3, 5]),
        truncate=rng.choice(["head", "tail", "tail", "reject"]),
        **rng.choice([{}, {}, {}, {"min_length": 1}, {"min_length": 1, "shorter": "drop"}]),
        padding=rng.choice(["post", "pre"]),
        concatenate=rng.random() < 0.2,
        mask=rng.random() < 0.8,
    )
