"""YAML as plain data with lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.columns_file import yaml_lines
from pipeline.columns_file.yaml_lines import DEEPEST, read_yaml, resolve
from transforms.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("nULL", "nULL"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("on", "on"), ("n", "n"),
        ("12", 12), ("-012", -12), ("+1", 1), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("0b1", "0b1"), ("1:30", "1:30"),
        ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-1", -0.15), ("-.inf", float("-inf")), ("inf", "inf"), (".", "."),
        ("2001-01-01", "2001-01-01"), ("<<", "<<"), ("=", "="), ("١٢", "١٢"), ("-0x1", "-0x1"), ("12\n", "12\n"),
    ],
)  # fmt: skip
def test_resolve(text: str, value: Any):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_lines():
    document = read_yaml(
        "# comment\na:\n  - b: 1\n    c:\n      [x,\n       y]\n  -\n    d: |\n      long\n      text\n'e f': {g: 2}\n",
        "f",
    )
    assert document.data == {"a": [{"b": 1, "c": ["x", "y"]}, {"d": "long\ntext\n"}], "e f": {"g": 2}}
    assert document.lines == {
        "a": 2, "a[0]": 3, "a[0].b": 3, "a[0].c": 4, "a[0].c[0]": 5, "a[0].c[1]": 6, "a[1]": 8, "a[1].d": 8,
        "['e f']": 11, "['e f'].g": 11,
    }  # fmt: skip
    assert [document.line(path) for path in ("a[0].z", "a[0].c[7].k", "['e f'].h", "b", "")] == [3, 4, 11, 0, 0]


def test_what_cannot_be_used_leaves_no_lines():
    document = read_yaml("? [k]\n: {a: 1}\na: 2\na: {b: 3}\n3: {c: 4}\nc: 5\n", "f")
    assert document.data == {"a": 2, "c": 5}
    assert (document.line("a"), document.line("c")) == (3, 6)
    assert list(map(str, document.faults)) == [
        "line 1: f: expected a string as the key, got ['k']",
        "line 4: a: duplicate key, it stands on line 3 already",
        "line 5: f: expected a string as the key, got 3",
    ]


def test_aliases():
    document = read_yaml("a: &x {b: [1]}\nc: [*x, *x]\n&k d: *k\n", "f")
    assert (document.data, document.faults) == ({"a": {"b": [1]}, "c": [{"b": [1]}, {"b": [1]}], "d": "d"}, [])


def test_bytes():
    document = read_yaml('a: [!!binary /w==, !!binary "YQ\\\n  ==", b]\n', "f")
    assert document.data == {"a": [b"\xff", b"a", "b"]} and not document.faults
    document = read_yaml("a: !!binary ä\nb: !!binary a\nc: !!binary [x]\n", "f")
    assert [(fault.path, fault.line) for fault in document.faults] == [("a", 1), ("b", 2), ("c", 3)]
    assert "expected base64 after !!binary, got 'ä'" in document.faults[0].message


def test_limits(monkeypatch: pytest.MonkeyPatch):
    assert read_yaml("[" * DEEPEST + "]" * DEEPEST, "f").faults == []
    for text in ("[" * 10**5, "- " * 10**5, "{a: " * 10**4, "? " * 10**4):
        with pytest.raises(SpecError, match=f"nested deeper than {DEEPEST} levels"):
            read_yaml(text, "f")
    monkeypatch.setattr(yaml_lines, "MOST_VALUES", 10)
    assert read_yaml("[a, &x [b, c], d, *x]", "f").data == ["a", ["b", "c"], "d", ["b", "c"]]
    for text in ("[" + "a," * 10 + "]", "[a, &x [b, c], d, *x, *x]"):
        with pytest.raises(SpecError, match="expected at most 10 values"):
            read_yaml(text, "f")


def test_surrogates():
    """JSON is YAML; it writes characters beyond 16 bits as two escapes."""
    assert read_yaml(json.dumps({"😀": "a😀"}), "f").data == {"😀": "a😀"}
    assert [str(fault) for fault in read_yaml('a: "\\ud800"', "f").faults] == [
        "line 1: a: expected text, got half of a surrogate pair in '\\ud800'"
    ]


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
trees = st.recursive(
    scalars, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=4), one, max_size=3), max_leaves=8
)


@given(st.dictionaries(st.text(max_size=4), trees, max_size=4))
def test_json_is_read_as_json_reads_it(data: dict[str, Any]):
    text = json.dumps(data, indent=1)
    document = read_yaml(text, "f")
    assert (document.data, document.faults) == (data, [])


@given(st.text(alphabet="ab:,-[]{}#&*!|>'\"%? \n\t01~.", max_size=40))
def test_what_ruamel_reads_is_read_alike(text: str):
    """ruamel's own loader is the oracle, for what has neither tags, merges, odd keys, nor scalars of its own invention."""
    try:
        document = read_yaml(text, "f")
    except SpecError:
        return
    if document.faults or any(sign in text for sign in ("!", "?", "*", "-0", "-1", "_", ":0", ":1", "00", "01")):
        return
    expected = YAML(typ="safe", pure=True).load(text)
    assert document.data == expected
