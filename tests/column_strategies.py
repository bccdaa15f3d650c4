"""Hypothesis strategies: specs that are right, and columns files that are wrong somewhere."""

from __future__ import annotations

import copy
from typing import Any, Literal

from hypothesis import strategies as st

from transforms import dtypes
from transforms.columns import Column
from transforms.columns.identity import Identity, SequenceIdentity
from transforms.columns.numeric import Numeric
from transforms.columns.passthrough import Passthrough
from transforms.columns.sequence_numeric import SequenceNumeric
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.normalizers import ZScore
from transforms.spec import Spec, make_spec

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
        made["normalizer_fn"] = draw(st.sampled_from([None, "z_score", ZScore(per="column"), "math:sqrt", "y:n"]))
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
    return kind.make(**made)


lengths: st.SearchStrategy[int | Literal["longest"]] = st.one_of(st.just("longest"), st.integers(1, 100))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Specs that are right."""
    groups = draw(st.lists(texts, max_size=2, unique=True))
    columns = [draw(_column(key, groups)) for key in draw(st.lists(keys, min_size=1, max_size=4, unique=True))]
    used = {getattr(column, "group", None) for column in columns}
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
