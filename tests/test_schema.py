"""The JSON Schema: published as it is, valid, and of one mind with the loader."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Final

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from pipeline.columns_file.reader import loads
from pipeline.columns_file.schema import PUBLISHED, attributes, json_schema, text
from tests.column_strategies import GOOD, columns_data
from tests.marks import tried
from transforms.columns import TYPES, SequenceNumeric
from transforms.errors import SpecError

SCHEMA: Final = json_schema()


def accepts(schema: Any, value: Any) -> bool:
    return bool(Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).is_valid(value))


def loader_accepts(document: Any) -> bool:
    try:
        loads(json.dumps(document).replace("Infinity", ".inf").replace("NaN", ".nan"))
    except SpecError:
        return False
    return True


def one(kind: str, **more: Any) -> dict[str, Any]:
    return {"columns": [{"type": kind, "key": "a", **more}]}


def numeric(**more: Any) -> dict[str, Any]:
    return one("sequence_numeric_column", **more)


def ids(**more: Any) -> dict[str, Any]:
    return one("sequence_categorical_column_with_identity", **more)


def group(**policy: Any) -> dict[str, Any]:
    return {**numeric(group="g"), "sequence_groups": {"g": policy}}


def made_of(kind: str, inner: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    field = "source_column" if kind == "bucketized_column" else "categorical_column"
    (column,) = (inner or one("categorical_column_with_identity", num_buckets=3))["columns"]
    return {"columns": [{"type": kind, field: column, **more}]}


ACCEPTED: Final[list[Any]] = [
    made_of("indicator_column"),
    made_of("indicator_column", made_of("weighted_categorical_column", weight_feature_key="w", dtype="int64")),
    made_of("indicator_column", made_of("bucketized_column", numeric(shape=2), boundaries=[0, 0.5])),
    made_of("bucketized_column", one("numeric_column"), num_quantiles=2),
    made_of("embedding_column", ids(num_buckets=3), dimension=4, combiner="sum", max_norm=0.5, initializer="zeros"),
    made_of(
        "embedding_column", dimension=4, trainable=False, table=None, max_norm=None, use_safe_embedding_lookup=False
    ),
    made_of("shared_embedding_column", dimension=4, shared_embedding_collection_name="films", max_norm=1),
    GOOD,
    numeric(),
    {"version": 1, **numeric()},
    {"sequence_groups": {}, **numeric()},
    numeric(shape=[2, 3]),
    numeric(shape=[]),
    numeric(shape=3),
    numeric(dtype="bfloat16"),
    numeric(default_value=-1),
    numeric(default_value=0.5),
    numeric(normalizer_fn=None),
    numeric(normalizer_fn="z_score"),
    numeric(normalizer_fn={"type": "z_score"}),
    numeric(normalizer_fn={"type": "z_score", "per": "column"}),
    numeric(normalizer_fn={"type": "z_score", "per": "row"}),
    numeric(normalizer_fn="my.module:Class.function"),
    numeric(normalizer_fn=["log1p", {"type": "clip", "quantiles": [0.01, 0.99]}, "m:f", "z_score"]),
    numeric(normalizer_fn=["robust"]),
    numeric(normalizer_fn={"type": "min_max", "feature_range": [-1, 1.5], "clip": True}),
    numeric(normalizer_fn={"type": "clip", "min": 0, "max": None}),
    numeric(normalizer_fn={"type": "bucketize", "boundaries": [0, 0.5]}),
    numeric(normalizer_fn=[{"type": "bucketize", "num_buckets": 10, "per": "column"}]),
    numeric(required=True, delimiter=",", observed_mask=True, non_finite="fill"),
    numeric(delimiter=None, incomplete_step="pad", statistics_over="all", normalize_padding=True),
    ids(num_buckets=1),
    ids(num_buckets=2**63 - 1, padding_id=-(2**63), on_out_of_range="fail"),
    ids(num_buckets=5, default_value=None),
    one("numeric_column", shape=[2], default_value=[1, 2.5]),
    one("numeric_column", default_value=None),
    numeric(default_value=None),
    one("categorical_column_with_identity", num_buckets=2),
    one("passthrough_column", dtype="bytes", default_value="x"),
    one("passthrough_column", dtype="int64", default_value=3),
    group(),
    group(max_length=64, truncate="reject", padding="pre", mask=False),
    group(max_length="longest", truncate="tail"),
]

REFUSED: Final[list[Any]] = [
    None,
    3,
    "columns",
    [],
    {},
    {"columns": None},
    {"columns": []},
    {"columns": {}},
    {"columns": [None]},
    {"columns": ["a"]},
    {"columns": [{}]},
    {"columns": [{"key": "a"}]},
    {"columns": [{"key": "a", "num_buckets": 3, "group": "sequence"}]},
    {"columns": [{"type": "sequence_numeric_column"}]},
    {"version": 2, **numeric()},
    {"version": "1", **numeric()},
    {"version": True, **numeric()},
    {"verison": 1, **numeric()},
    {"sequence_groups": None, **numeric()},
    {"sequence_groups": [], **numeric()},
    one("sequence_numeric"),
    one("embedding_column"),
    made_of("indicator_column", numeric()),
    made_of("indicator_column", {"columns": [3]}),
    made_of("indicator_column", ids(num_buckets=0)),
    made_of("indicator_column", made_of("indicator_column")),
    made_of("weighted_categorical_column"),
    made_of("weighted_categorical_column", weight_feature_key="w", dtype="string"),
    made_of("bucketized_column", ids(num_buckets=3), boundaries=[0]),
    made_of("bucketized_column", numeric(), boundaries=[]),
    made_of("bucketized_column", numeric(), boundaries=["a"]),
    made_of("bucketized_column", numeric(), num_quantiles=1),
    made_of("embedding_column"),
    made_of("embedding_column", dimension=0),
    made_of("embedding_column", dimension=2, combiner="max"),
    made_of("embedding_column", dimension=2, max_norm=0),
    made_of("embedding_column", dimension=2, table=3),
    made_of("embedding_column", dimension=2, table=[[1, 2]]),
    made_of("embedding_column", dimension=2, initializer=3),
    made_of("shared_embedding_column", dimension=2),
    {"columns": [{"type": None, "key": "a"}]},
    {"columns": [{"type": "numeric_column", "key": ""}]},
    {"columns": [{"type": "numeric_column", "key": 3}]},
    numeric(shap=[2]),
    numeric(group=""),
    numeric(group=3),
    numeric(shape=0),
    numeric(shape=[0]),
    numeric(shape=[2.5]),
    numeric(shape=["2"]),
    numeric(shape=None),
    numeric(shape=True),
    numeric(dtype="int33"),
    numeric(dtype="string"),
    numeric(dtype=None),
    numeric(dtype=["f4"]),
    numeric(default_value="0"),
    numeric(default_value=True),
    numeric(normalizer_fn="zscore"),
    numeric(normalizer_fn="module:"),
    numeric(normalizer_fn="my module:f"),
    numeric(normalizer_fn=3),
    numeric(normalizer_fn={}),
    numeric(normalizer_fn={"per": "column"}),
    numeric(normalizer_fn={"type": "z_score", "per": "step"}),
    numeric(normalizer_fn={"type": "z_score", "pre": "column"}),
    numeric(normalizer_fn="clip"),
    numeric(normalizer_fn="min-max"),
    numeric(normalizer_fn=[]),
    numeric(normalizer_fn=[["z_score"]]),
    numeric(normalizer_fn=["z_score", None]),
    numeric(normalizer_fn=["bucketize"]),
    numeric(normalizer_fn=[{"type": "min_max", "clip": 1}]),
    numeric(normalizer_fn={"type": "min_max", "feature_range": [1]}),
    numeric(normalizer_fn={"type": "min_max", "feature_range": [1, 2, 3]}),
    numeric(normalizer_fn={"type": "robust", "quantiles": [25, 75]}),
    numeric(normalizer_fn={"type": "clip", "min": "0"}),
    numeric(normalizer_fn={"type": "bucketize", "boundaries": []}),
    numeric(normalizer_fn={"type": "bucketize", "num_buckets": 1}),
    numeric(required="yes"),
    numeric(required=1),
    numeric(delimiter=""),
    numeric(non_finite="ignore"),
    numeric(num_buckets=3),
    ids(),
    ids(num_buckets=0),
    ids(num_buckets="5"),
    ids(num_buckets=5, default_value=0.5),
    ids(num_buckets=5, padding_id=2**63),
    ids(num_buckets=5, shape=[2]),
    one("numeric_column", group="g"),
    one("numeric_column", default_value=["x"]),
    one("passthrough_column", dtype="int32"),
    one("passthrough_column", default_value=[1]),
    one("passthrough_column", default_value=True),
    group(max_length=0),
    group(max_length="longst"),
    group(max_length=None),
    group(truncate="heda"),
    group(padding="left"),
    group(mask=1),
    group(max_lenght=3),
    {**numeric(group="g"), "sequence_groups": {"g": None}},
]

# What JSON Schema cannot say, or cannot tell from what is right: only the loader refuses it.
ONLY_THE_LOADER_REFUSES: Final[dict[str, Any]] = {
    "an integer written as a float": numeric(shape=[2.0]),
    "a version written as a float": {"version": 1.0, **numeric()},
    "NaN": numeric(default_value=float("nan")),
    "infinity": numeric(default_value=float("inf")),
    "a default, and stopping without one": ids(num_buckets=5, default_value=0, on_out_of_range="fail"),
    "a default of another kind": one("passthrough_column", default_value=3),
    "several values passed through": one("passthrough_column", delimiter=","),
    "a default beyond the dtype": numeric(dtype="int8", default_value=300),
    "a fraction as an integer's default": numeric(dtype="int8", default_value=0.5),
    "an option that does not apply to the dtype": numeric(dtype="int64", non_finite="fill"),
    "a default that is no id": ids(num_buckets=5, default_value=5),
    "more ids than int64 holds": ids(num_buckets=2**63),
    "as many defaults as values": one("numeric_column", shape=[2], default_value=[1, 2, 3]),
    "filling without a default": one("numeric_column", non_finite="fill"),
    "statistics by a key that is not said": numeric(normalizer_fn={"type": "z_score", "per": "key"}),
    "statistics by a key that no column reads": numeric(normalizer_fn={"type": "z_score", "per": "key", "key": "k"}),
    "statistics of what has none": numeric(normalizer_fn={"type": "log1p", "per": "row"}),
    "quantiles in descending order": numeric(normalizer_fn={"type": "robust", "quantiles": [0.75, 0.25]}),
    "clipping at nothing": numeric(normalizer_fn={"type": "clip"}),
    "numbers of buckets as numbers": numeric(normalizer_fn=[{"type": "bucketize", "num_buckets": 2}, "z_score"]),
    "boundaries that do not ascend": made_of("bucketized_column", numeric(), boundaries=[1, 0]),
    "neither boundaries nor quantiles": made_of("bucketized_column", numeric()),
    "buckets of several dimensions": made_of("bucketized_column", numeric(shape=[2, 2]), boundaries=[0]),
    "weights that are the ids": made_of("weighted_categorical_column", weight_feature_key="a"),
    "a table that is not there": made_of("embedding_column", dimension=2, table="none.npy"),
    "half of a checkpoint": made_of("embedding_column", dimension=2, ckpt_to_load_from="a"),
    "an unknown group": {**numeric(group="h"), "sequence_groups": {"g": {}}},
    "an unused group": {**numeric(), "sequence_groups": {"sequence": {}, "g": {}}},
    "rejecting what is too long for no length": group(truncate="reject"),
    "a reserved name": {"columns": [{"type": "numeric_column", "key": "__a"}]},
    "two outputs of one name": {"columns": [numeric()["columns"][0]] * 2},
    "a feature parsed in two ways": {"columns": [*numeric()["columns"], *ids(num_buckets=3)["columns"]]},
}


@pytest.mark.parametrize("document", ACCEPTED)
def test_both_accept(document: Any):
    assert (accepts(SCHEMA, document), loader_accepts(document)) == (True, True)


@pytest.mark.parametrize("document", REFUSED)
def test_both_refuse(document: Any):
    assert (accepts(SCHEMA, document), loader_accepts(document)) == (False, False)


@pytest.mark.parametrize("document", ONLY_THE_LOADER_REFUSES.values(), ids=ONLY_THE_LOADER_REFUSES)
def test_only_the_loader_refuses(document: Any):
    assert (accepts(SCHEMA, document), loader_accepts(document)) == (True, False)


@settings(max_examples=tried(300))
@given(columns_data())
def test_an_editor_never_marks_what_the_loader_accepts(document: Any):
    if loader_accepts(document):
        assert accepts(SCHEMA, document)


def test_the_published_copy_is_up_to_date():
    assert PUBLISHED.read_text(encoding="utf-8") == text(), (
        "run: python -m pipeline.columns_file.schema > pipeline/columns.schema.json"
    )


def parts(schema: Any) -> list[dict[str, Any]]:
    """Every schema inside a schema, itself included."""
    inside = [*schema.get("$defs", {}).values(), *schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inside += [*schema.get("oneOf", []), *(schema[key] for key in ("items", "additionalProperties") if schema.get(key))]
    return [schema, *(found for part in inside for found in parts(part))]


def test_it_is_a_valid_schema():
    """By the draft's own schema; references lead somewhere, patterns are such, defaults fit."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"]
    for part in parts(SCHEMA):
        assert part.get("$ref", "#/$defs/ZScore").removeprefix("#/$defs/") in SCHEMA["$defs"]
        re.compile(part.get("pattern", ""))
        if part.get("type") == "object":
            assert "additionalProperties" in part
            assert set(part.get("required", [])) <= set(part.get("properties", part.get("required", [])))
        if "default" in part:
            rest = {key: value for key, value in part.items() if key != "default"}
            assert accepts(rest, part["default"])


def test_every_column_and_argument_is_described():
    for model in TYPES.values():
        definition = SCHEMA["$defs"][model.__name__]
        assert set(definition["properties"]) == set(model.model_fields)
        first = [name for name in ("key", "categorical_column", "source_column") if name in model.model_fields]
        assert definition["required"][:2] == ["type", *first]
    described = [SCHEMA, *SCHEMA["$defs"].values()]
    for definition in described:
        assert len(definition["description"]) > 20
        for name, part in definition["properties"].items():
            assert len(part["description"]) > 10, name
            assert "Attributes:" not in part["description"]


def test_attributes_are_read_from_docstrings():
    found = attributes(SequenceNumeric)
    assert found["normalize_padding"] == "Also normalise the padding."
    assert found["key"] == "Name of the feature in the source."
    assert found["incomplete_step"].endswith('`"pad"` completes the step with `default_value`.')


def test_the_schema_is_made_anew_each_time():
    first = json_schema()
    before = copy.deepcopy(first)
    first["$defs"].clear()
    assert json_schema() == before
