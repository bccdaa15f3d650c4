"""Messages for wrong arguments: exact text, one line, exception types as TensorFlow's."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.column_strategies import columns_data
from tests.marks import tried
from transforms.columns import (
    TYPES,
    Column,
    Numeric,
    Passthrough,
    SequenceIdentity,
    SequenceNumeric,
    sequence_numeric_column,
)
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.normalizers import TYPES as NORMALIZERS
from transforms.problems import path_of, problems, shown
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec

NAMES = ", ".join(SequenceNumeric.model_fields)
KINDS = [repr(name) for name in NORMALIZERS]
FUNCTION = f"expected {', '.join(KINDS)}, 'module:function', a callable or a list of these, got"

# column type, arguments beside `key="a"`, exception, message
CALLS: list[tuple[type[Column], dict[str, Any], type[Exception], str]] = [
    (SequenceNumeric, {"key": 3}, TypeError, "key: expected a string, got 3"),
    (SequenceNumeric, {"key": ""}, ValueError, "key: expected 1 or more characters, got ''"),
    (SequenceNumeric, {"shap": 2}, TypeError, "shap: unknown argument 'shap'; did you mean 'shape'?"),
    (SequenceNumeric, {"colour": 2}, TypeError, f"colour: unknown argument 'colour', known: {NAMES}"),
    (SequenceNumeric, {"shape": 0}, ValueError, "shape: expected an int >= 1, got 0"),
    (SequenceNumeric, {"shape": (2, -1)}, ValueError, "shape[1]: expected an int >= 1, got -1"),
    (SequenceNumeric, {"shape": [2.0]}, TypeError, "shape[0]: expected an int, got 2.0"),
    (SequenceNumeric, {"shape": None}, TypeError, "shape: expected an int, got None"),
    (
        SequenceNumeric,
        {"dtype": "int33"},
        ValueError,
        "dtype: expected an integer or float dtype, got 'int33'; did you mean 'int32'?",
    ),
    (SequenceNumeric, {"dtype": str}, ValueError, "dtype: expected an integer or float dtype, got <class 'str'>"),
    (SequenceNumeric, {"dtype": None}, ValueError, "dtype: expected an integer or float dtype, got None"),
    (
        SequenceNumeric,
        {"dtype": [("a", "f4")]},
        ValueError,
        "dtype: expected an integer or float dtype, got [('a', 'f4')]",
    ),
    (SequenceNumeric, {"default_value": "x"}, TypeError, "default_value: expected a number, got 'x'"),
    (
        SequenceNumeric,
        {"default_value": 1e300},
        ValueError,
        "default_value: expected a number that fits float32, got 1e+300",
    ),
    (
        SequenceNumeric,
        {"default_value": 300, "dtype": "int8"},
        ValueError,
        "default_value: expected a number that fits int8, got 300",
    ),
    (
        SequenceNumeric,
        {"normalizer_fn": "zscore"},
        TypeError,
        f"normalizer_fn: {FUNCTION} 'zscore'; did you mean 'z_score'?",
    ),
    (SequenceNumeric, {"normalizer_fn": 3.0}, TypeError, f"normalizer_fn: {FUNCTION} 3.0"),
    (
        SequenceNumeric,
        {"normalizer_fn": {"type": "softmax"}},
        TypeError,
        f"normalizer_fn.type: expected {', '.join(KINDS[:-1])} or {KINDS[-1]}, got 'softmax'",
    ),
    (
        SequenceNumeric,
        {"normalizer_fn": {}},
        TypeError,
        "normalizer_fn.type: expected a value (this argument is required), got nothing",
    ),
    (
        SequenceNumeric,
        {"normalizer_fn": {"type": "z_score", "pre": 1}},
        TypeError,
        "normalizer_fn.pre: unknown argument 'pre'; did you mean 'per'?",
    ),
    (
        SequenceNumeric,
        {"normalizer_fn": {"type": "z_score", "per": "step"}},
        ValueError,
        "normalizer_fn.per: expected 'dimension', 'column', 'row' or 'key', got 'step'",
    ),
    (SequenceNumeric, {"normalizer_fn": []}, TypeError, "normalizer_fn: expected 1 or more normalizers, got []"),
    (
        SequenceNumeric,
        {"normalizer_fn": [len, {"type": "clip", "mni": 0}, None]},
        TypeError,
        "normalizer_fn[1].mni: unknown argument 'mni'; did you mean 'min'?; "
        f"normalizer_fn[2]: expected {', '.join(KINDS)}, 'module:function' or a callable, got None",
    ),
    (SequenceNumeric, {"required": 1}, TypeError, "required: expected true or false, got 1"),
    (SequenceNumeric, {"delimiter": 3}, TypeError, "delimiter: expected a string, got 3"),
    (
        SequenceNumeric,
        {"non_finite": "fil"},
        ValueError,
        "non_finite: expected 'reject', 'fill', 'keep', 'mean' or 'forward_fill', got 'fil'; did you mean 'fill'?",
    ),
    (
        SequenceNumeric,
        {"non_finite": "fill", "dtype": "int64"},
        ValueError,
        "non_finite: 'fill' does not apply to int64",
    ),
    (
        SequenceNumeric,
        {"type": "numeric_column"},
        ValueError,
        "type: expected 'sequence_numeric_column', got 'numeric_column'; did you mean 'sequence_numeric_column'?",
    ),
    (
        SequenceNumeric,
        {"shape": 0, "dtype": "x"},
        ValueError,
        "shape: expected an int >= 1, got 0; dtype: expected an integer or float dtype, got 'x'",
    ),
    (SequenceIdentity, {}, TypeError, "num_buckets: expected a value (this argument is required), got nothing"),
    (SequenceIdentity, {"num_buckets": 0}, ValueError, "num_buckets: expected an int >= 1, got 0"),
    (SequenceIdentity, {"num_buckets": True}, TypeError, "num_buckets: expected an int, got True"),
    (SequenceIdentity, {"num_buckets": 5, "default_value": 5}, ValueError, "default_value: 5 is not in [0, 5)"),
    (
        SequenceIdentity,
        {"num_buckets": 5, "padding_id": 2**63},
        ValueError,
        f"padding_id: expected an int < {2**63}, got {2**63}",
    ),
    (Numeric, {"default_value": [1, "x"]}, TypeError, "default_value[1]: expected a number, got 'x'"),
    (Numeric, {"default_value": {}}, TypeError, "default_value: expected a number or a list, got an empty mapping"),
    (Numeric, {"default_value": [1, 2]}, ValueError, "default_value: has 2 values, the shape [1] 1"),
    (Numeric, {"non_finite": "fill"}, ValueError, "non_finite: 'fill' needs a default_value"),
    (
        Passthrough,
        {"dtype": "int32"},
        ValueError,
        "dtype: expected string, bytes, int64, uint64, float32 or float64, got 'int32'; did you mean 'int64'?",
    ),
    (Passthrough, {"default_value": True}, TypeError, "default_value: expected a string or a number, got True"),
]


@pytest.mark.parametrize(("kind", "arguments", "exception", "message"), CALLS)
def test_make(kind: type[Column], arguments: dict[str, Any], exception: type[Exception], message: str):
    with pytest.raises(exception) as caught:
        kind.make(**{"key": "a", **arguments})
    assert type(caught.value) is exception
    assert str(caught.value) == message


def test_make_without_a_key():
    with pytest.raises(TypeError, match=r"^key: expected a value \(this argument is required\), got nothing$"):
        SequenceNumeric.make()


class Tagged:
    type = "crossed"

    def __repr__(self) -> str:
        return "<tagged>"


SPECS: list[tuple[list[Any], Any, str]] = [
    ([], None, "columns: expected 1 or more items, got none"),
    (["a"], None, "columns[0]: expected a column (a mapping with a 'type'), got 'a'"),
    ([{"type": "numeric_column"}], None, "columns[0].key: expected a value (this argument is required), got nothing"),
    ([{"key": "a"}], None, "columns[0].type: expected a value (this argument is required), got nothing"),
    ([Tagged()], None, f"columns[0]: unknown column type 'crossed', known: {', '.join(TYPES)}"),
    (
        [{"type": "numeric_colum", "key": "a"}],
        None,
        "columns[0].type: unknown column type 'numeric_colum'; did you mean 'numeric_column'?",
    ),
    (
        [{"type": "numeric_column", "key": "a", "shap": 1}],
        None,
        "columns[0].shap: unknown argument 'shap'; did you mean 'shape'?",
    ),
    (
        [{"type": "numeric_column", "key": "a"}],
        {"g": {"padding": "pst"}},
        "sequence_groups.g.padding: expected 'post' or 'pre', got 'pst'; did you mean 'post'?",
    ),
    (
        [{"type": "numeric_column", "key": "a"}],
        {"my g": {"max_length": 0}},
        "sequence_groups['my g'].max_length: expected an int >= 1 or 'longest', got 0",
    ),
    (
        [{"type": "numeric_column", "key": "a"}],
        {"g": {"pading": "post"}},
        "sequence_groups.g.pading: unknown argument 'pading'; did you mean 'padding'?",
    ),
    ([{"type": "numeric_column", "key": "a"}], {"g": 3}, "sequence_groups.g: expected a mapping, got 3"),
    ([{"type": "numeric_column", "key": "a"}], {3: SequenceGroup()}, "sequence_groups[3]: expected a string, got 3"),
    ([{"type": "numeric_column", "key": "a"}], [1], "sequence_groups: expected a mapping, got [1]"),
]


@pytest.mark.parametrize(("columns", "groups", "message"), SPECS)
def test_make_spec(columns: list[Any], groups: Any, message: str):
    with pytest.raises(SpecError) as caught:
        make_spec(columns, groups)
    assert str(caught.value) == message


def test_a_good_column_beside_a_bad_one():
    with pytest.raises(SpecError) as caught:
        make_spec([sequence_numeric_column("a"), 3, sequence_numeric_column("b"), None])  # type: ignore[list-item]
    assert [fault.path for fault in caught.value.faults] == ["columns[1]", "columns[3]"]


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Lines:
    def __repr__(self) -> str:
        return "two\n  lines"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (None, "None"),
        ("he\nda", "'he\\nda'"),
        ({"a": 1}, "a mapping"),
        ({}, "an empty mapping"),
        ([{"a": 1}], "[{'a': 1}]"),
        (Lines(), "two lines"),
    ],
)
def test_shown(value: Any, text: str):
    assert shown(value) == text


def test_a_repr_may_fail():
    assert shown(Broken()).startswith("<Broken instance at ")


def test_python_itself_does_not_show_an_int_of_5000_digits():
    assert shown(10**5000) == "<int>"


def test_what_is_shown_is_short():
    for value in ("x" * 10**6, list(range(10**5)), 10**4000, b"y" * 999, [["z" * 50] * 50] * 50, Lines):
        assert len(shown(value)) <= 60


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), "columns"),
        (("columns", 3, "shape", 0), "columns[3].shape[0]"),
        (("sequence_groups", "my group"), "sequence_groups['my group']"),
        (("a\nb",), "['a\\nb']"),
        (("x-1", ""), "x-1['']"),
    ],
)
def test_path_of(location: tuple[str | int, ...], path: str):
    assert path_of(location) == path


class Bounds(BaseModel):
    model_config = ConfigDict(strict=True)

    low: Annotated[float, Field(gt=0, le=1)] = 1.0
    high: Annotated[int, Field(lt=5)] = 1
    url: complex = 0j


def test_errors_that_no_column_raises_yet():
    data = {"low": 2.0, "high": 5, "url": "x"}
    with pytest.raises(ValidationError) as caught:
        Bounds.model_validate(data)
    assert [f"{problem.path}: {problem.message}" for problem in problems(caught.value, Bounds, data)] == [
        "low: expected a number <= 1.0, got 2.0",
        "high: expected an int < 5, got 5",
        "url: expected an instance of complex, got 'x'",
    ]


@settings(max_examples=tried(300))
@given(columns_data())
def test_one_short_line_for_each_place(data: Any):
    try:
        Spec.model_validate(data)
    except ValidationError as error:
        found = problems(error, Spec, data, "key")
        assert found
        assert len({problem.location for problem in found}) == len(found)
        for problem in found:
            line = f"{problem.path}: {problem.message}"
            assert len(line.splitlines()) == 1
            assert len(line) < 800  # the names of all column types
            assert not any(noise in line for noise in ("Input", "Value error", "pydantic", "tuple[", "constrained"))


@given(st.text(max_size=3), st.text(max_size=3))
def test_paths_are_one_line(first: str, second: str):
    assert len(path_of((first, second)).splitlines()) == 1
