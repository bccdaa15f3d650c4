"""Hypothesis strategies: specs that are right, and columns files that are wrong somewhere."""

from __future__ import annotations

import copy
from typing import Any, Literal

from hypothesis import strategies as st

from transforms import dtypes
from transforms.columns import (
    Categorical,
    Column,
    NumericBase,
    bucketized_column,
    embedding_column,
    shared_embedding_column,
    weighted_categorical_column,
)
from transforms.columns.categorical import KeyedCategorical
from transforms.columns.identity import Identity, SequenceIdentity
from transforms.columns.numeric import Numeric
from transforms.columns.passthrough import Passthrough
from transforms.columns.sequence_numeric import SequenceNumeric
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.normalizers import TYPES as NORMALIZERS
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec

GOOD: dict[str, Any] = {
    "version": 1,
    "sequence_groups": {"history": {"max_length": 64, "truncate": "tail", "padding": "post", "mask": True}},
    "columns": [
        {
            "type": "sequence_categorical_column_with_identity",
            "key": "items",
            "num_buckets": 23360,
            "default_value": 0,
            "on_out_of_range": "reject",
            "padding_id": -1,
            "group": "history",
        },
        {
            "type": "sequence_numeric_column",
            "key": "churn",
            "shape": [2, 3],
            "dtype": "float32",
            "default_value": 0.5,
            "normalizer_fn": {"type": "z_score", "per": "column"},
            "non_finite": "fill",
            "observed_mask": True,
            "group": "history",
        },
        {"type": "numeric_column", "key": "x", "shape": 2, "default_value": [1, 2.5], "normalizer_fn": "math:sqrt"},
        {"type": "categorical_column_with_identity", "key": "y", "num_buckets": 3, "required": True, "delimiter": ","},
        {"type": "passthrough_column", "key": "id", "dtype": "int64", "default_value": 3},
        {
            "type": "embedding_column",
            "dimension": 4,
            "max_norm": 2.5,
            "categorical_column": {
                "type": "weighted_categorical_column",
                "weight_feature_key": "w",
                "categorical_column": {"type": "categorical_column_with_identity", "key": "z", "num_buckets": 3},
            },
        },
        {
            "type": "indicator_column",
            "categorical_column": {
                "type": "bucketized_column",
                "boundaries": [0, 1.5],
                "source_column": {"type": "numeric_column", "key": "v", "normalizer_fn": "z_score"},
            },
        },
    ],
}

WORDS = ["z_score", "history", "longest", "reject", "float32", "int8", "sequence", "numeric_column", "items", "__a", ""]
NAMES = [
    "type",
    "key",
    "shape",
    "group",
    "dtype",
    "default_value",
    "mask",
    "per",
    "num_buckets",
    "names",
    "formats",
    "3",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**63, 10**30, 1e300, -0.0, float("inf"), float("nan")])
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=4)
)
values = st.recursive(
    scalars,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(NAMES), one, max_size=3),
    max_leaves=6,
)


@st.composite
def columns_data(draw: st.DrawFn) -> Any:
    """A columns file's data with some values replaced, keys added, removed, renamed, or columns repeated."""
    data = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        holder, part = draw(st.sampled_from(_places(data)))
        kind = draw(st.sampled_from(["replace", "remove", "repeat", "rename"]))
        if kind == "replace":
            holder[part] = draw(values)
        elif kind == "remove":
            del holder[part]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[part]))
        else:
            holder[draw(st.sampled_from(NAMES) | st.text(max_size=3))] = copy.deepcopy(holder[part])
            if kind == "rename":
                holder.pop(part, None)
        if not data:
            break
    return data


def _places(data: Any) -> list[tuple[Any, Any]]:
    places = []
    for part in list(data) if isinstance(data, dict) else range(len(data)):
        places.append((data, part))
        if isinstance(data[part], dict | list):
            places += _places(data[part])
    return places


texts = st.text(min_size=1, max_size=6) | st.sampled_from(
    ["yes", "null", "~", "1", "1e3", "0x1", ".inf", "a: b", "- a", "<<", "é", "😀", " a", "#", "\n", "\x85"]
)
keys = texts.filter(lambda text: not text.startswith("__"))


finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)


@st.composite
def _normalizer(draw: st.DrawFn, name: str) -> Any:
    """One normalizer, as a file names it or as Python builds it."""
    options: dict[str, Any] = {}
    if name in ("z_score", "min_max", "max_abs", "robust"):
        options["per"] = draw(st.sampled_from(["dimension", "column", "row"]))
    if name == "min_max":
        options |= {"feature_range": draw(_ascending(2, 2, finite)), "clip": draw(st.booleans())}
    elif name == "log1p":
        options["signed"] = draw(st.booleans())
    elif name == "robust" or (name == "clip" and draw(st.booleans())):
        options["quantiles"] = draw(_ascending(2, 2, st.floats(0, 1)))
    elif name == "clip":
        options |= dict(zip(("min", "max"), draw(_ascending(1, 2, finite)), strict=False))
    elif name == "bucketize" and draw(st.booleans()):
        options["num_buckets"] = draw(st.integers(2, 9))
    elif name == "bucketize":
        options["boundaries"] = draw(_ascending(1, 4, finite))
    kind = NORMALIZERS.get(name)
    return name if kind is None else draw(st.sampled_from([{"type": name, **options}, kind(**options)]))


def _ascending(least: int, most: int, numbers: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(numbers.map(float), min_size=least, max_size=most, unique=True).map(sorted)


@st.composite
def normalizers(draw: st.DrawFn) -> Any:
    """What a column may be given as `normalizer_fn`: nothing, one, or a list in which `bucketize` comes last."""
    names = [*NORMALIZERS, "math:sqrt", "y:n"]
    before = st.lists(st.sampled_from([name for name in names if name != "bucketize"]), max_size=3)
    chosen = [*draw(before), draw(st.sampled_from(names))]
    made = [draw(_normalizer(name)) for name in chosen]
    return draw(st.sampled_from([made, made[-1], None]))


KINDS: list[type[Column]] = [SequenceNumeric, SequenceIdentity, Numeric, Identity, Passthrough]


@st.composite
def _column(draw: st.DrawFn, key: str, groups: list[str]) -> Column:
    kind = draw(st.sampled_from(KINDS))
    made: dict[str, Any] = {"key": key, "required": draw(st.booleans()), "delimiter": draw(st.none() | texts)}
    if kind in (SequenceNumeric, SequenceIdentity) and groups:
        made["group"] = draw(st.sampled_from(groups))
    if kind in (SequenceNumeric, Numeric):
        made["shape"] = draw(st.lists(st.integers(1, 3), max_size=3))
        made["dtype"] = draw(st.sampled_from(dtypes.INTEGERS + dtypes.FLOATS))
        made["normalizer_fn"] = draw(normalizers())
        made["default_value"] = draw(st.integers(0, 9) | st.just(-0.0) | st.just(3.0))
        made["observed_mask"] = draw(st.booleans())
        if made["dtype"] == "float32":
            made["non_finite"] = draw(st.sampled_from(["reject", "fill", "keep"]))
            floats = st.floats(width=32, allow_nan=False, allow_infinity=made["non_finite"] == "keep")
            made["default_value"] = draw(floats | st.integers(-(2**64), 2**64))
    if kind in (SequenceIdentity, Identity):
        made["num_buckets"] = draw(st.integers(1, 2**63 - 1))
        made["default_value"] = draw(st.none() | st.integers(0, made["num_buckets"] - 1))
        made["padding_id"] = draw(st.integers(-(2**63), 2**63 - 1))
    if kind is Passthrough:
        made |= {"default_value": draw(st.none() | texts), "delimiter": None}
    elif made["delimiter"] is None:
        made["time_unit"] = draw(st.none() | st.sampled_from(["s", "us", "d"]))
    return kind.make(**made)


lengths: st.SearchStrategy[int | Literal["longest"]] = st.one_of(st.just("longest"), st.integers(1, 100))


@st.composite
def _wrapped(draw: st.DrawFn, column: Column) -> Column:
    """The column, or one that is made of it."""
    if isinstance(column, NumericBase) and len(column.shape) < 2 and not column.observed_mask and draw(st.booleans()):
        column = bucketized_column(column, draw(st.sampled_from([[0], [-1.5, 0, 3]])))
    elif isinstance(column, KeyedCategorical) and draw(st.booleans()):
        column = weighted_categorical_column(column, f"{column.key} weight")
    if isinstance(column, Categorical):
        embedding = shared_embedding_column(column, 3, draw(texts), max_norm=draw(st.none() | st.floats(0.5, 2)))
        column = draw(st.sampled_from([column, embedding, embedding_column(column, 2, "sum", initializer="zeros")]))
    return column


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Specs that are right."""
    groups = draw(st.lists(texts, max_size=2, unique=True))
    columns = [
        draw(_wrapped(draw(_column(key, groups)))) for key in draw(st.lists(keys, min_size=1, max_size=4, unique=True))
    ]
    used = {column.sequence_group for column in columns}
    policies = {
        name: SequenceGroup(
            max_length=draw(lengths),
            truncate=draw(st.sampled_from(["head", "tail"])),
            padding=draw(st.sampled_from(["post", "pre"])),
            mask=draw(st.booleans()),
        )
        for name in groups
        if name in used
    }
    try:
        return make_spec(columns, policies)
    except SpecError:  # "a_length" beside a group "a"
        return make_spec([Passthrough(key="id")])
