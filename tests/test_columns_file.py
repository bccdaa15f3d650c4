"""Reading and writing the columns file: every fault with its line, path and message; nothing else is ever raised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.columns_file.reader import LARGEST, check_functions, dumps, load, loads
from tests.column_strategies import columns_data, specs
from tests.marks import tried
from transforms.columns import TYPES, Column, Numeric, Passthrough, SequenceIdentity, SequenceNumeric, constructor
from transforms.columns.numeric_base import numeric_of
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.errors import SpecError
from transforms.escaping import one_line
from transforms.groups import SequenceGroup
from transforms.normalizers import TYPES as NORMALIZERS
from transforms.normalizers import Chain, Clip, Log1p, Normalizer, ZScore
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec

GOOD = """\
version: 1
sequence_groups:
  history: {max_length: 64, truncate: tail, padding: post}
columns:
  - type: sequence_categorical_column_with_identity
    key: items
    num_buckets: 23360
    group: history
  - type: sequence_numeric_column
    key: churn
    shape: [2]
    normalizer_fn: z_score  # or my_module:my_function, or {type: z_score, per: column}
    group: history
  - {type: passthrough_column, key: id}
"""

NUMERIC = "columns:\n  - type: sequence_numeric_column\n    key: a\n"
IDS = "columns:\n  - type: sequence_categorical_column_with_identity\n    key: a\n"
CONTEXT = "columns:\n  - type: numeric_column\n    key: a\n"
PASSED = "columns:\n  - type: passthrough_column\n    key: a\n"
GROUP = "columns:\n  - {type: sequence_numeric_column, key: a, group: g}\nsequence_groups:\n  g:\n"


KINDS = [repr(name) for name in NORMALIZERS]
NORMALIZER = f"expected {', '.join(KINDS)}, 'module:function' or a list of these, got"


def names(model: type[Column]) -> str:
    return ", ".join(model.model_fields)


def faults(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loads(text, "f.yaml")
    return [str(fault) for fault in caught.value.faults]


FAULTS: list[tuple[str, list[str]]] = [
    # numeric columns
    (NUMERIC + "    shape: [2, 0]\n", ["line 4: columns[0].shape[1]: expected an int >= 1, got 0"]),
    (NUMERIC + "    shape: 0\n", ["line 4: columns[0].shape: expected an int >= 1, got 0"]),
    (NUMERIC + "    shape: [2.0]\n", ["line 4: columns[0].shape[0]: expected an int, got 2.0"]),
    (NUMERIC + "    shape: [true]\n", ["line 4: columns[0].shape[0]: expected an int, got True"]),
    (NUMERIC + '    shape: "[2]"\n', ["line 4: columns[0].shape: expected an int, got '[2]'"]),
    (NUMERIC + "    shape: {x: 2}\n", ["line 4: columns[0].shape: expected an int, got a mapping"]),
    (NUMERIC + "    shape: [[2]]\n", ["line 4: columns[0].shape[0]: expected an int, got [2]"]),
    (
        NUMERIC + "    dtype: int33\n",
        ["line 4: columns[0].dtype: expected an integer or float dtype, got 'int33'; did you mean 'int32'?"],
    ),
    (NUMERIC + "    dtype: string\n", ["line 4: columns[0].dtype: expected an integer or float dtype, got 'string'"]),
    (NUMERIC + "    dtype:\n", ["line 4: columns[0].dtype: expected an integer or float dtype, got None"]),
    (
        NUMERIC + '    dtype: {names: [a], formats: ["f4,(3"]}\n',
        ["line 4: columns[0].dtype: expected an integer or float dtype, got a mapping"],
    ),
    (NUMERIC + "    shap: [2]\n", ["line 4: columns[0].shap: unknown key 'shap'; did you mean 'shape'?"]),
    (
        NUMERIC + "    colour: red\n",
        ["line 4: columns[0].colour: unknown key 'colour', known: " + names(SequenceNumeric)],
    ),
    (NUMERIC + '    default_value: "0"\n', ["line 4: columns[0].default_value: expected a number, got '0'"]),
    (
        NUMERIC + "    dtype: int8\n    default_value: 300\n",
        ["line 5: columns[0].default_value: expected a number that fits int8, got 300"],
    ),
    (
        NUMERIC + "    dtype: int8\n    default_value: 0.5\n",
        ["line 5: columns[0].default_value: expected a number that fits int8, got 0.5"],
    ),
    (
        NUMERIC + "    default_value: 1e39\n",
        ["line 4: columns[0].default_value: expected a number that fits float32, got 1e+39"],
    ),
    (NUMERIC + "    default_value: .nan\n", ["line 4: columns[0].default_value: expected a number, got .nan"]),
    (
        NUMERIC + "    dtype: int32\n    default_value: .inf\n",
        ["line 5: columns[0].default_value: expected a number that fits int32, got inf"],
    ),
    (
        NUMERIC + "    default_value: 1" + "0" * 400 + "\n",
        [
            (
                "line 4: columns[0].default_value: expected a number that fits float32, got "
                "1000000000000000000000000000...00000000000000000000000000000"
            )
        ],
    ),
    (NUMERIC + "    required: yes\n", ["line 4: columns[0].required: expected true or false, got 'yes'"]),
    (NUMERIC + "    observed_mask: on\n", ["line 4: columns[0].observed_mask: expected true or false, got 'on'"]),
    (NUMERIC + "    normalize_padding: 1\n", ["line 4: columns[0].normalize_padding: expected true or false, got 1"]),
    (NUMERIC + '    delimiter: ""\n', ["line 4: columns[0].delimiter: expected 1 or more characters, got ''"]),
    (NUMERIC + "    delimiter: 3\n", ["line 4: columns[0].delimiter: expected a string, got 3"]),
    (
        NUMERIC + "    non_finite: reject_row\n",
        [
            (
                "line 4: columns[0].non_finite: expected 'reject', 'fill', 'keep', 'mean' or 'forward_fill', "
                "got 'reject_row'; did you mean 'reject'?"
            )
        ],
    ),
    (
        NUMERIC + "    dtype: int64\n    non_finite: fill\n",
        ["line 5: columns[0].non_finite: 'fill' does not apply to int64"],
    ),
    (
        NUMERIC + "    incomplete_step: padd\n",
        ["line 4: columns[0].incomplete_step: expected 'reject' or 'pad', got 'padd'; did you mean 'pad'?"],
    ),
    (
        NUMERIC + "    statistics_over: al\n",
        ["line 4: columns[0].statistics_over: expected 'kept' or 'all', got 'al'; did you mean 'all'?"],
    ),
    (
        NUMERIC + "    normalizer_fn: zscore\n",
        [f"line 4: columns[0].normalizer_fn: {NORMALIZER} 'zscore'; did you mean 'z_score'?"],
    ),
    (
        NUMERIC + "    normalizer_fn: 3\n",
        [f"line 4: columns[0].normalizer_fn: {NORMALIZER} 3"],
    ),
    (
        NUMERIC + "    normalizer_fn: {type: z-score}\n",
        [
            f"line 4: columns[0].normalizer_fn.type: expected {', '.join(KINDS[:-1])} or {KINDS[-1]}, got 'z-score'; "
            "did you mean 'z_score'?"
        ],
    ),
    (
        NUMERIC + "    normalizer_fn: {per: column}\n",
        ["line 4: columns[0].normalizer_fn.type: expected a value (this key is required), got nothing"],
    ),
    (
        NUMERIC + "    normalizer_fn: {type: z_score, per: colum}\n",
        [
            "line 4: columns[0].normalizer_fn.per: expected 'dimension', 'column', 'row' or 'key', got 'colum'; "
            "did you mean 'column'?"
        ],
    ),
    (
        NUMERIC + "    normalizer_fn: {type: z_score, pre: column}\n",
        ["line 4: columns[0].normalizer_fn.pre: unknown key 'pre'; did you mean 'per'?"],
    ),
    (
        NUMERIC + '    normalizer_fn: "module:"\n',
        [f"line 4: columns[0].normalizer_fn: {NORMALIZER} 'module:'"],
    ),
    (
        NUMERIC + '    normalizer_fn: "my module:f"\n',
        [f"line 4: columns[0].normalizer_fn: {NORMALIZER} 'my module:f'"],
    ),
    # normalizers
    (NUMERIC + "    normalizer_fn: []\n", ["line 4: columns[0].normalizer_fn: expected 1 or more normalizers, got []"]),
    (
        NUMERIC + "    normalizer_fn: [z_score, 3]\n",
        [f"line 4: columns[0].normalizer_fn[1]: expected {', '.join(KINDS)} or 'module:function', got 3"],
    ),
    (
        NUMERIC
        + "    normalizer_fn:\n      - {type: z_score, pre: row}\n      - {per: row}\n      - {type: max_abs, per: x}\n",
        [
            "line 5: columns[0].normalizer_fn[0].pre: unknown key 'pre'; did you mean 'per'?",
            "line 6: columns[0].normalizer_fn[1].type: expected a value (this key is required), got nothing",
            "line 7: columns[0].normalizer_fn[2].per: expected 'dimension', 'column', 'row' or 'key', got 'x'",
        ],
    ),
    (
        NUMERIC + "    normalizer_fn:\n      - {type: bucketize, num_buckets: 3}\n      - z_score\n",
        ["line 6: columns[0].normalizer_fn[1]: expected nothing after 'bucketize', got 'z_score'"],
    ),
    *[
        (f"{NUMERIC}    normalizer_fn: {given}\n", [f"line 4: columns[0].normalizer_fn{fault}"])
        for given, fault in [
            ("{type: log1p, per: row}", ".per: 'row' does not apply: there are no statistics"),
            ("{type: z_score, per: key}", ".per: 'key' needs a key: the context feature to go by"),
            ("{type: z_score, key: k}", ".key: 'k' does not apply to per 'dimension': only 'key' goes by a feature"),
            (
                "{type: z_score, per: key, key: k}",
                ".key: expected the key of a context column of one word or integer (there is none), got 'k'",
            ),
            (
                "[log1p, {type: z_score, per: key, key: k}]",
                "[1].key: expected the key of a context column of one word or integer (there is none), got 'k'",
            ),
            ("{type: z_score, per: key, key: ''}", ".key: expected 1 or more characters, got ''"),
            ("{type: min_max, feature_range: [0]}", ".feature_range: expected two numbers in ascending order, got [0]"),
            (
                "{type: min_max, feature_range: [1, 1]}",
                ".feature_range: expected two numbers in ascending order, got [1, 1]",
            ),
            ("{type: min_max, feature_range: [0, .inf]}", ".feature_range[1]: expected a finite number, got inf"),
            ("{type: min_max, clip: 1}", ".clip: expected true or false, got 1"),
            ("{type: log1p, signed: 1}", ".signed: expected true or false, got 1"),
            (
                "{type: robust, quantiles: [0.75, 0.25]}",
                ".quantiles: expected two numbers in ascending order, got [0.75, 0.25]",
            ),
            ("{type: robust, quantiles: [0.5, 75]}", ".quantiles[1]: expected a number <= 1.0, got 75"),
            ("{type: robust, quantiles: 0.5}", ".quantiles: expected a list, got 0.5"),
            ("clip", ": expected min, max or quantiles to clip at, got none"),
            ("{type: clip, min: 2, max: 1}", ".min: 2.0 is more than max, 1.0"),
            ("{type: clip, min: true}", ".min: expected a number, got True"),
            ("{type: clip, min: 0, per: column}", ".per: 'column' does not apply: there are no statistics"),
            (
                "{type: clip, min: 0, quantiles: [0, 1]}",
                ".quantiles: do not apply together with min or max: give one or the other",
            ),
            ("bucketize", ": expected boundaries or num_buckets, got neither"),
            ("{type: bucketize, boundaries: []}", ".boundaries: expected 1 or more numbers in ascending order, got []"),
            (
                "{type: bucketize, boundaries: [2, 1]}",
                ".boundaries: expected 1 or more numbers in ascending order, got [2, 1]",
            ),
            ("{type: bucketize, boundaries: [a]}", ".boundaries[0]: expected a number, got 'a'"),
            ("{type: bucketize, num_buckets: 1}", ".num_buckets: expected an int >= 2, got 1"),
            ("{type: bucketize, num_buckets: 2.0}", ".num_buckets: expected an int, got 2.0"),
            (
                "{type: bucketize, num_buckets: 1000000000}",
                ".num_buckets: expected at most 10000 buckets (the sketch of the quantiles resolves no more), got 1000000000",
            ),
            (
                "{type: bucketize, num_buckets: 2, boundaries: [1]}",
                ".num_buckets: does not apply together with boundaries: give one or the other",
            ),
        ]
    ],
    # what every column has
    (
        "columns:\n  - type: sequence_numeric_column\n",
        ["line 2: columns[0].key: expected a value (this key is required), got nothing"],
    ),
    (
        'columns:\n  - type: sequence_numeric_column\n    key: ""\n',
        ["line 3: columns[0].key: expected 1 or more characters, got ''"],
    ),
    ("columns:\n  - type: sequence_numeric_column\n    key: 3\n", ["line 3: columns[0].key: expected a string, got 3"]),
    ("columns:\n  - key: a\n", ["line 2: columns[0].type: expected a value (this key is required), got nothing"]),
    (
        "columns:\n  - key: a\n    type: sequence_numeric_colum\n",
        [
            (
                "line 3: columns[0].type: unknown column type 'sequence_numeric_colum'; did you mean "
                "'sequence_numeric_column'?"
            )
        ],
    ),
    (
        "columns:\n  - key: a\n    type: crossed\n",
        ["line 3: columns[0].type: unknown column type 'crossed', known: " + ", ".join(TYPES)],
    ),
    (
        "columns:\n  - key: a\n    type: 3\n",
        ["line 3: columns[0].type: unknown column type 3, known: " + ", ".join(TYPES)],
    ),
    ("columns:\n  - a\n", ["line 2: columns[0]: expected a column (a mapping with a 'type'), got 'a'"]),
    # ids
    (IDS, ["line 2: columns[0].num_buckets: expected a value (this key is required), got nothing"]),
    (IDS + "    num_buckets: 0\n", ["line 4: columns[0].num_buckets: expected an int >= 1, got 0"]),
    (IDS + "    num_buckets: 1e3\n", ["line 4: columns[0].num_buckets: expected an int, got 1000.0"]),
    (IDS + "    num_buckets: 1_000\n", ["line 4: columns[0].num_buckets: expected an int, got '1_000'"]),
    (
        IDS + "    num_buckets: 9223372036854775808\n",
        ["line 4: columns[0].num_buckets: 9223372036854775808 is more than int64 holds"],
    ),
    (
        IDS + "    num_bucket: 3\n",
        [
            "line 2: columns[0].num_buckets: expected a value (this key is required), got nothing",
            "line 4: columns[0].num_bucket: unknown key 'num_bucket'; did you mean 'num_buckets'?",
        ],
    ),
    (IDS + "    num_buckets: 5\n    default_value: 5\n", ["line 5: columns[0].default_value: 5 is not in [0, 5)"]),
    (
        IDS + "    num_buckets: 5\n    on_out_of_range: fial\n",
        ["line 5: columns[0].on_out_of_range: expected 'reject' or 'fail', got 'fial'; did you mean 'fail'?"],
    ),
    (
        IDS + "    num_buckets: 5\n    padding_id: 9223372036854775808\n",
        ["line 5: columns[0].padding_id: expected an int < 9223372036854775808, got 9223372036854775808"],
    ),
    (
        IDS + "    num_buckets: 5\n    shape: [2]\n",
        ["line 5: columns[0].shape: unknown key 'shape', known: " + names(SequenceIdentity)],
    ),
    # context columns
    (
        CONTEXT + "    shape: [2]\n    default_value: [1, 2, 3]\n",
        ["line 5: columns[0].default_value: has 3 values, the shape [2] 2"],
    ),
    (
        CONTEXT + "    shape: [2]\n    default_value: [1, x]\n",
        ["line 5: columns[0].default_value[1]: expected a number, got 'x'"],
    ),
    (
        CONTEXT + "    default_value: {a: 1}\n",
        ["line 4: columns[0].default_value: expected a number or a list, got a mapping"],
    ),
    (CONTEXT + "    non_finite: fill\n", ["line 4: columns[0].non_finite: 'fill' needs a default_value"]),
    (CONTEXT + "    group: history\n", ["line 4: columns[0].group: unknown key 'group', known: " + names(Numeric)]),
    (
        PASSED + "    dtype: int32\n",
        [
            (
                "line 4: columns[0].dtype: expected string, bytes, int64, uint64, float32 or float64, got 'int32'; did you "
                "mean 'int64'?"
            )
        ],
    ),
    (PASSED + "    default_value: [1]\n", ["line 4: columns[0].default_value: expected a string or a number, got [1]"]),
    # groups
    (GROUP + "    max_length: 0\n", ["line 5: sequence_groups.g.max_length: expected an int >= 1 or 'longest', got 0"]),
    (
        GROUP + "    max_length: longst\n",
        [("line 5: sequence_groups.g.max_length: expected an int or 'longest', got 'longst'; did you mean 'longest'?")],
    ),
    (
        GROUP + "    max_length: 64.0\n",
        ["line 5: sequence_groups.g.max_length: expected an int or 'longest', got 64.0"],
    ),
    (
        GROUP + "    truncate: heda\n",
        [("line 5: sequence_groups.g.truncate: expected 'head', 'tail' or 'reject', got 'heda'; did you mean 'head'?")],
    ),
    (GROUP + "    padding: left\n", ["line 5: sequence_groups.g.padding: expected 'post' or 'pre', got 'left'"]),
    (GROUP + "    mask: no\n", ["line 5: sequence_groups.g.mask: expected true or false, got 'no'"]),
    (
        GROUP + "    max_lenght: 3\n",
        ["line 5: sequence_groups.g.max_lenght: unknown key 'max_lenght'; did you mean 'max_length'?"],
    ),
    (GROUP, ["line 4: sequence_groups.g: expected a mapping, got None"]),
    (
        GROUP + "    truncate: reject\n",
        [("line 5: sequence_groups.g.truncate: truncate: reject needs a max_length that is a number, got 'longest'")],
    ),
    (
        GROUP + "    max_length: 3\n    shorter: drop\n",
        ["line 6: sequence_groups.g.shorter: shorter: drop needs a min_length of 1 or more, got 0"],
    ),
    (
        GROUP + "    max_length: 3\n    min_length: 4\n",
        [("line 6: sequence_groups.g.min_length: expected at most max_length, 3, got 4")],
    ),
    (
        "columns:\n  - {type: sequence_numeric_column, key: a}\nsequence_groups: [g]\n",
        ["line 3: sequence_groups: expected a mapping, got ['g']"],
    ),
    # between columns and groups
    (
        (
            "sequence_groups: {history: {}}\ncolumns:\n  - {type: sequence_numeric_column, key: a, group: "
            "histroy}\n  - {type: sequence_numeric_column, key: b, group: history}\n"
        ),
        [("line 3: columns[0].group: unknown sequence group 'histroy', known: 'history'; did you mean 'history'?")],
    ),
    (
        "columns:\n  - {type: sequence_numeric_column, key: a, group: history}\n",
        ["line 2: columns[0].group: unknown sequence group 'history', known: none is defined"],
    ),
    (
        ("columns:\n  - {type: sequence_numeric_column, key: a}\nsequence_groups:\n  sequence: {}\n  my group: {}\n"),
        ["line 5: sequence_groups['my group']: no column belongs to this group"],
    ),
    (
        "columns:\n  - {type: sequence_numeric_column, key: __a}\n",
        ["line 2: columns[0].key: names that begin with '__' are reserved, got '__a'"],
    ),
    (
        ("columns:\n  - {type: sequence_numeric_column, key: a}\n  - {type: numeric_column, key: a, dtype: int64}\n"),
        [
            "line 3: columns[1].key: 'a' is parsed in another way by columns[0]: a feature has one dtype and form",
            "line 3: columns[1]: two outputs are named 'a': this one and one of columns[0]",
        ],
    ),
    (
        ("columns:\n  - {type: numeric_column, key: sequence_length}\n  - {type: sequence_numeric_column, key: a}\n"),
        [
            "line 2: columns[0]: two outputs are named 'sequence_length': this one and one of the group 'sequence'",
        ],
    ),
    # YAML that says too much
    (
        NUMERIC + "    shape: [2]\n    shape: [3]\n",
        ["line 5: columns[0].shape: duplicate key, it stands on line 4 already"],
    ),
    (
        "columns: []\n" + NUMERIC,
        [
            "line 1: columns: expected 1 or more items, got none",
            "line 2: columns: duplicate key, it stands on line 1 already",
        ],
    ),
    (
        NUMERIC + "    shape: !!python/tuple [2]\n",
        ["line 4: columns[0].shape: expected no tag but !!str and !!binary, got '!!python/tuple'"],
    ),
    (
        NUMERIC + '    key2: !!python/object/apply:os.system ["true"]\n',
        ["line 4: columns[0].key2: expected no tag but !!str and !!binary, got '!!python/object/apply:os.system'"],
    ),
    (NUMERIC + "    shape: *s\n", ["line 4: columns[0].shape: the alias *s names nothing above"]),
    (NUMERIC + "    shape: &s [*s]\n", ["line 4: columns[0].shape[0]: the alias *s stands inside what it names"]),
    (NUMERIC + "    3: 4\n", ["line 4: columns[0]: expected a string as the key, got 3"]),
    (NUMERIC + "    [a]: 4\n", ["line 4: columns[0]: expected a string as the key, got ['a']"]),
    (
        NUMERIC + "    <<: {shape: [2]}\n",
        ["line 4: columns[0]['<<']: unknown key '<<', known: " + names(SequenceNumeric)],
    ),
    # the layout
    ("version: 2\n" + NUMERIC, ["line 1: version: expected 1, got 2"]),
    ('version: "1"\n' + NUMERIC, ["line 1: version: expected 1, got '1'"]),
    ("version: true\n" + NUMERIC, ["line 1: version: expected 1, got True"]),
    ("verison: 1\n" + NUMERIC, ["line 1: verison: unknown key 'verison'; did you mean 'version'?"]),
    ("", ["f.yaml: expected a mapping with 'columns', got an empty file"]),
    ("# nothing\n", ["f.yaml: expected a mapping with 'columns', got an empty file"]),
    ("---\n", ["line 1: f.yaml: expected a mapping with 'columns', got None"]),
    ("columns\n", ["line 1: f.yaml: expected a mapping with 'columns', got 'columns'"]),
    ("- a\n", ["line 1: f.yaml: expected a mapping with 'columns', got ['a']"]),
    ("version: 1\n", ["line 1: columns: expected a value (this key is required), got nothing"]),
    ("columns:\n", ["line 1: columns: expected a list, got None"]),
    ("columns: []\n", ["line 1: columns: expected 1 or more items, got none"]),
    ("columns: {a: b}\n", ["line 1: columns: expected a list, got a mapping"]),
    # no YAML 1.2 document
    ("columns: []\n---\ncolumns: []\n", ["line 2: f.yaml: expected one YAML document, got another one"]),
    ("%YAML 1.1\n---\n" + NUMERIC, ["line 2: f.yaml: expected YAML 1.2, got %YAML 1.1"]),
    ("%YAML 1.3\n---\n" + NUMERIC, ["f.yaml: not YAML: version minor part can only be 2 or 1, got (1, 3)"]),
    (
        "columns:\n\t- a\n",
        [
            (
                "line 2: f.yaml: not YAML: found character '\\t' that cannot start any token while scanning for "
                "the next token"
            )
        ],
    ),
    ("columns: a: b\n", ["line 1: f.yaml: not YAML: mapping values are not allowed here"]),
    (
        NUMERIC + "   shape: [2]\n",
        [
            (
                "line 4: f.yaml: not YAML: expected <block end>, but found '<block mapping start>' while parsing "
                "a block collection; is the indentation right?"
            )
        ],
    ),
    (
        NUMERIC + "    shape: [2\n",
        [("line 5: f.yaml: not YAML: expected ',' or ']', but got '<stream end>' while parsing a flow sequence")],
    ),
    (
        NUMERIC + '    key2: "a\n',
        ["line 5: f.yaml: not YAML: found unexpected end of stream while scanning a quoted scalar"],
    ),
    ("columns:\n  - \x00\n", ["line 2: f.yaml: expected YAML text, got the character U+0000"]),
    ("columns: " + "[" * 60, ["line 1: f.yaml: not YAML: nested deeper than 50 levels"]),
    (
        NUMERIC + "    default_value: " + "9" * 5000 + "\n",
        ["line 4: columns[0].default_value: expected a number of at most 1000 digits, got 5000"],
    ),
    ('columns: "\\UFFFFFFFF"\n', ["f.yaml: not YAML: Python int too large to convert to C int"]),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS, ids=[expected[0][:70] for _, expected in FAULTS])
def test_faults(text: str, expected: list[str]):
    assert faults(text) == expected


def test_a_good_file():
    assert loads(GOOD) == Spec(
        sequence_groups={"history": SequenceGroup(max_length=64, truncate="tail")},
        columns=[
            SequenceIdentity(key="items", num_buckets=23360, group="history"),
            SequenceNumeric(key="churn", shape=(2,), normalizer_fn=ZScore(), group="history"),
            Passthrough(key="id"),
        ],
    )


def test_scalars_are_those_of_yaml_12():
    spec = loads(
        'columns: [{type: numeric_column, key: !!str 12, shape: 0x2, default_value: [0o17, "1"]}]'.replace('"1"', "1e0")
    )
    assert spec.columns == [Numeric(key="12", shape=(2,), default_value=(15, 1.0))]
    assert [
        column.key
        for column in loads("columns: [{type: numeric_column, key: yes}, {type: numeric_column, key: 1_0}]").columns
    ] == ["yes", "1_0"]


def test_aliases_are_followed():
    spec = loads(
        "sequence_groups: {sequence: {max_length: &t 2}}\ncolumns: [{type: sequence_numeric_column, key: a, shape: [*t, *t]}]"
    )
    assert spec.columns[0] == SequenceNumeric(key="a", shape=(2, 2))


def test_aliases_of_aliases_are_limited():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 20))
    assert faults(bomb + NUMERIC)[-1] == "line 6: f.yaml: expected at most 100000 values (aliases expanded), got more"


def test_all_faults_at_once_in_the_order_of_lines():
    assert faults("""\
version: 2
sequence_groups:
  history: {max_length: 64, truncate: heda, paddding: post}
  other: {truncate: reject}
  unused: {}
columns:
  - {type: sequence_categorical_column_with_identity, key: items, num_buckets: 1e3, group: histroy}
  - type: sequence_numeric_column
    key: churn
    shape: [2, 0]
    shape: [2]
    group: history
    group: other
  - {type: numeric_column, key: y, group: other}
  - {type: numeric_column, key: z}
  - {type: numeric_column, key: z}
  - {type: sequence_numeric_column, key: __w, group: other}
""") == [
        "line 1: version: expected 1, got 2",
        "line 3: sequence_groups.history.truncate: expected 'head', 'tail' or 'reject', got 'heda'; did you mean 'head'?",
        "line 3: sequence_groups.history.paddding: unknown key 'paddding'; did you mean 'padding'?",
        "line 4: sequence_groups.other.truncate: truncate: reject needs a max_length that is a number, got 'longest'",
        "line 7: columns[0].num_buckets: expected an int, got 1000.0",
        "line 7: columns[0].group: unknown sequence group 'histroy', known: 'history', 'other', 'unused'; "
        "did you mean 'history'?",
        "line 10: columns[1].shape[1]: expected an int >= 1, got 0",
        "line 11: columns[1].shape: duplicate key, it stands on line 10 already",
        "line 13: columns[1].group: duplicate key, it stands on line 12 already",
        f"line 14: columns[2].group: unknown key 'group', known: {names(Numeric)}",
        "line 16: columns[4]: two outputs are named 'z': this one and one of columns[3]",
        "line 17: columns[5].key: names that begin with '__' are reserved, got '__w'",
    ]


@pytest.mark.parametrize(
    "column",
    [
        "{type: sequence_numeric_column, key: a, gruop: g}",
        "{type: sequence_numeric_column, key: a, group: 3}",
        "{type: sequence_numeric_column, key: a, group: g, shap: 1}",
        "{type: sequence_numric_column, key: a, group: g}",
        "{type: sequence_numric_column, key: a}",
        "{type: numeric_column, key: a, group: g}",
        "{key: a, group: g}",
        "3",
    ],
)
def test_a_faulty_column_makes_no_other_faults(column: str):
    """Its group is not unused, its name is not taken twice, and no other column's index moves."""
    found = faults(f"columns:\n  - {column}\n  - {{type: numeric_column, key: a}}\nsequence_groups: {{g: {{}}}}")
    assert len(found) == 1
    assert "columns[0]" in found[0]
    found = faults(f"columns:\n  - {column}\n  - {{type: numeric_column, key: __a}}\nsequence_groups: {{g: {{}}}}")
    assert len(found) == 2
    assert found[1].startswith("line 3: columns[1].key: ")


@pytest.mark.parametrize(
    "groups", ["{g: 3}", "{g: {mask: 3}}", "{g: {max_length: longest, truncate: rejct}}", "3", "[g]"]
)
def test_a_faulty_group_makes_no_other_faults(groups: str):
    text = f"sequence_groups: {groups}\ncolumns:\n  - {{type: sequence_numeric_column, key: a, group: g}}\n"
    assert len(faults(text + "  - {type: numeric_column, key: g_mask}\n")) == 1
    assert len(faults(text + "  - {type: numeric_column, key: a}\n")) == 3


# Files


def fault_of_file(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(path)
    return str(caught.value).replace(one_line(str(path)), "f.yaml")


def test_load(tmp_path: Path):
    path = tmp_path / "columns.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path) == load(str(path)) == loads(GOOD)


def test_files_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "columns.yaml"
    assert fault_of_file(path) == "f.yaml: cannot read the columns file: no such file or directory"
    assert fault_of_file(tmp_path) == "f.yaml: cannot read the columns file: expected a file, got a directory"
    assert fault_of_file(tmp_path / "a\0b") == "f.yaml: cannot read the columns file: embedded null byte"
    os.mkfifo(path)
    assert (
        fault_of_file(path) == "f.yaml: cannot read the columns file: expected a file, got neither file nor directory"
    )


def test_bytes_that_are_no_text(tmp_path: Path):
    path = tmp_path / "columns.yaml"
    path.write_bytes(GOOD.encode("utf-16"))
    assert fault_of_file(path) == "line 1: f.yaml: expected UTF-8 text, got the byte 0xff"
    path.write_bytes(b"columns:\n  - key: \xe9t\xe9\n")
    assert fault_of_file(path) == "line 2: f.yaml: expected UTF-8 text, got the byte 0xe9"
    path.write_bytes(b"#" * (LARGEST + 1))
    assert (
        fault_of_file(path)
        == "f.yaml: expected at most 256 KiB, got a larger file; a long vocabulary can be a vocabulary_file"
    )


def test_a_fault_needs_neither_tensorflow_nor_beam_nor_time(tmp_path: Path):
    path = tmp_path / "columns.yaml"
    path.write_text(GOOD.replace("tail", "tial"))
    code = (
        "import sys, time\n"
        "from pipeline.columns_file.reader import load\n"
        "from transforms.errors import SpecError\n"
        "try: load(sys.argv[1])\n"
        "except SpecError as error: print(error)\n"
        "print(sorted({'tensorflow', 'apache_beam', 'tensorflow_transform'} & set(sys.modules)))\n"
        "print(time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    fault, modules, seconds = done.stdout.splitlines()
    assert fault.startswith("line 3: sequence_groups.history.truncate: ")
    assert modules == "[]"
    assert float(seconds) < 3  # 0.7 on an idle machine; not its whole, for a busy one


# Nothing but SpecError

SNIPPETS = [
    *"\n\t :-[]{},#&*!|>'\"%@`?~0\0\x85\ufeff",
    "  ",
    "- ",
    ": ",
    "&a ",
    "*a",
    "!!int ",
    "null",
    ".nan",
    "1e999",
    "---\n",
    "z_score",
    "type",
    "key",
]


@settings(max_examples=tried(300), deadline=None)
@given(st.data())
def test_mutated_text_raises_nothing_but_spec_errors(data: st.DataObject):
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(len(text), begin + 20)))
        text = text[:begin] + data.draw(st.sampled_from(SNIPPETS) | st.text(max_size=3)) + text[end:]
    only_spec_errors(text)


@settings(max_examples=tried(300), deadline=None)
@given(columns_data())
def test_mutated_data_raise_nothing_but_spec_errors(data: Any):
    only_spec_errors(json.dumps(data))


def only_spec_errors(text: str) -> None:
    try:
        spec = loads(text, "f.yaml")
    except SpecError as error:
        assert error.faults
        assert all(len(str(fault).splitlines()) == 1 for fault in error.faults)
        assert "Input should" not in str(error)
        assert "Value error" not in str(error)
    else:
        assert loads(dumps(spec)) == spec


# Functions


def test_check_functions(tmp_path: Path):
    (tmp_path / "my_steps.py").write_text(
        "import my_helper\n\nclass Both:\n    half = staticmethod(lambda x: x / 2)\n\nrate = 2\n"
    )
    (tmp_path / "my_helper.py").write_text("")
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('two\\nlines')")
    (tmp_path / "my_exit.py").write_text("raise SystemExit(3)")
    (tmp_path / "my_needs.py").write_text("import my_absent")
    named = [
        "my_steps:Both.half",
        "my_steps:Both.hafl",
        "my_step:half",
        "my_steps:rate",
        "my_broken:f",
        "my_exit:f",
        "my_needs:f",
        "a..b:f",
        "z_score",
        "json:dumps",
    ]
    path = tmp_path / "columns.yaml"
    path.write_text(
        "columns:\n"
        + "".join(f"  - {{type: numeric_column, key: k{k}, normalizer_fn: '{f}'}}\n" for k, f in enumerate(named))
    )
    before = list(sys.path)
    assert list(map(str, check_functions(load(path), path))) == [
        "line 3: columns[1].normalizer_fn: expected a function of my_steps, got 'Both.hafl'; did you mean 'half'?",
        "line 4: columns[2].normalizer_fn: expected a module that can be imported, got 'my_step'; did you mean 'my_steps'?",
        "line 5: columns[3].normalizer_fn: expected a function, got 'my_steps:rate', which is 2",
        "line 6: columns[4].normalizer_fn: importing 'my_broken' failed: RuntimeError: two lines",
        "line 7: columns[5].normalizer_fn: importing 'my_exit' failed: SystemExit: 3",
        "line 8: columns[6].normalizer_fn: importing 'my_needs' failed: ModuleNotFoundError: No module named 'my_absent'",
        "line 9: columns[7].normalizer_fn: expected a module that can be imported, got 'a..b'",
    ]
    assert sys.path == before


def test_check_functions_of_a_chain(tmp_path: Path):
    path = tmp_path / "columns.yaml"
    path.write_text(NUMERIC + "    normalizer_fn:\n      - log1p\n      - math:sqrd\n      - math:sqrt\n")
    assert list(map(str, check_functions(load(path), path))) == [
        "line 6: columns[0].normalizer_fn[1]: expected a function of math, got 'sqrd'; did you mean 'sqrt'?"
    ]


def test_check_functions_without_a_file():
    columns = [
        SequenceNumeric.make(key="a", normalizer_fn="math:sqrd"),
        SequenceNumeric.make(key="b", normalizer_fn=abs),
    ]
    assert list(map(str, check_functions(make_spec(columns)))) == [
        "columns[0].normalizer_fn: expected a function of math, got 'sqrd'; did you mean 'sqrt'?"
    ]


# Writing


def test_dumps_writes_what_is_no_default():
    assert dumps(loads(GOOD)) == (
        "version: 1\n"
        "sequence_groups:\n"
        "  history: {max_length: 64, truncate: tail}\n"
        "columns:\n"
        "  - type: sequence_categorical_column_with_identity\n"
        "    key: items\n"
        "    num_buckets: 23360\n"
        "    group: history\n"
        "  - type: sequence_numeric_column\n"
        "    key: churn\n"
        "    shape: [2]\n"
        "    normalizer_fn: z_score\n"
        "    group: history\n"
        "  - type: passthrough_column\n"
        "    key: id\n"
    )


@settings(max_examples=tried(300), deadline=None)
@given(specs())
def test_dumps_and_loads(spec: Spec):
    text = dumps(spec)
    assert loads(text) == spec
    assert dumps(loads(text)) == text


def module_level(x: Any) -> Any:
    return x


class Own(Normalizer):
    def apply(self, values: Any, moments: Any) -> Any:
        return values


def test_chains_are_written_as_lists():
    chain = ["log1p", {"type": "clip", "quantiles": [0.01, 0.99]}, module_level, "z_score"]
    spec = make_spec([SequenceNumeric.make(key="a", normalizer_fn=chain)])
    name = "tests.test_columns_file:module_level"
    assert f"normalizer_fn: [log1p, {{type: clip, quantiles: [0.01, 0.99]}}, {name}, z_score]\n" in dumps(spec)


def test_a_chain_of_one_is_that_one_and_chains_are_flat():
    one = loads(NUMERIC + "    normalizer_fn: [{type: z_score, per: row}]\n").columns[0]
    assert one == SequenceNumeric(key="a", normalizer_fn=ZScore(per="row"))
    inner = Chain(members=(Clip(min=0), ZScore()))
    column = SequenceNumeric.make(key="a", normalizer_fn=(Log1p(), inner))
    assert column.links == (Log1p(), Clip(min=0), ZScore())
    again = numeric_of(loads(dumps(make_spec([column]))).columns[0])
    assert again is not None
    assert again.links == column.links


def test_functions_are_written_by_name():
    spec = make_spec([SequenceNumeric.make(key="a", normalizer_fn=module_level)])
    assert "normalizer_fn: tests.test_columns_file:module_level\n" in dumps(spec)


def test_what_a_file_cannot_hold():
    def inner(x: Any) -> Any:
        return x

    inner_name = "'test_what_a_file_cannot_hold.<locals>.inner'"
    main = type(
        "Main", (), {"__call__": lambda self, x: x, "__module__": "__main__", "__repr__": lambda self: "<main>"}
    )()
    values: list[dict[str, Any]] = [
        {"normalizer_fn": lambda x: x},
        {"normalizer_fn": inner},
        {"normalizer_fn": main},
        {"normalizer_fn": Own()},
        {"normalizer_fn": ["log1p", lambda x: x]},
        {"default_value": float("nan"), "non_finite": "keep"},
    ]
    columns = [SequenceNumeric.make(key=f"k{k}", **arguments) for k, arguments in enumerate(values)]
    with pytest.raises(SpecError) as caught:
        dumps(make_spec(columns))
    named = "expected a function that a file can name as 'module:function', got"
    assert list(map(str, caught.value.faults)) == [
        f"columns[0].normalizer_fn: {named} a lambda",
        f"columns[1].normalizer_fn: {named} {inner_name}, a function inside another one",
        f"columns[2].normalizer_fn: {named} <main>",
        f"columns[3].normalizer_fn: expected a function or one of {', '.join(KINDS)}, got Own()",
        f"columns[4].normalizer_fn[1]: {named} a lambda",
        "columns[5].default_value: expected a number (a columns file holds no NaN), got nan",
    ]


def test_words_that_are_no_text_are_written_and_read_back():
    column = constructor("sequence_categorical_column_with_vocabulary_list")
    spec = make_spec([column("x", [b"a", b"\xff", "ä".encode()], dtype="bytes")])
    before, after = (vocabulary_of(one.columns[0]) for one in (spec, loads(dumps(spec))))
    assert before and after and before.listed == after.listed
    assert "!!binary" in dumps(spec)
