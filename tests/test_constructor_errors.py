"""Every argument of every constructor against TensorFlow's, with many wrong values: the same type of error.

Where TensorFlow raises a TypeError or a ValueError, so do we, the same one. Where it takes what cannot work (it fails later, at
run time or never) or trips over it (AttributeError, AssertionError), we refuse it at once. `DIFFERENT` is all that is left.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import transforms
from pipeline.columns_file.reader import loads
from tests.oracle import sequence_features
from transforms import SequenceGroup, SpecError, normalizers
from transforms.models import Model

fc = tf.feature_column

WRONG: list[Any] = [
    *(None, "x", "", b"x", 3, 0, -1, 2.5, True, float("nan"), 10**20, np.int64(3), np.int64(-3), abs, {}, []),
    *([1], ["a", "a"], ["a", 1], [1.5], [2, 1], [1, 2], (2, 0), (2, "a"), (2, -1), "mean", "median"),
    *(tf.string, tf.int64, tf.float32, tf.bool, "float32", np.float32, float, int),
]


def base(name: str, module: Any, folder: Path) -> dict[str, Any]:
    """Arguments that are right, for TensorFlow's constructor or for ours."""
    ids = module.categorical_column_with_identity("i", 5)
    words = folder / "words.txt"
    words.write_text("a\nb\nc\n")
    found: dict[str, dict[str, Any]] = {
        "numeric_column": {"key": "x"},
        "identity": {"key": "x", "num_buckets": 5},
        "hash_bucket": {"key": "x", "hash_bucket_size": 5},
        "vocabulary_list": {"key": "x", "vocabulary_list": ["a", "b"]},
        "vocabulary_file": {"key": "x", "vocabulary_file": str(words)},
        "indicator_column": {"categorical_column": ids},
        "embedding_column": {"categorical_column": ids, "dimension": 2},
        "shared_embeddings": {"categorical_columns": [ids], "dimension": 2},
        "weighted_categorical_column": {"categorical_column": ids, "weight_feature_key": "w"},
        "bucketized_column": {"source_column": module.numeric_column("n"), "boundaries": [0, 1]},
    }
    return found[next(end for end in found if name.endswith(end))]


CONSTRUCTORS: dict[str, tuple[str, ...]] = {
    "numeric_column": ("key", "shape", "default_value", "dtype", "normalizer_fn"),
    "sequence_numeric_column": ("key", "shape", "default_value", "dtype", "normalizer_fn"),
    "categorical_column_with_identity": ("key", "num_buckets", "default_value"),
    "categorical_column_with_hash_bucket": ("key", "hash_bucket_size", "dtype"),
    "categorical_column_with_vocabulary_list": ("key", "vocabulary_list", "dtype", "default_value", "num_oov_buckets"),
    "categorical_column_with_vocabulary_file": (
        *("key", "vocabulary_file", "vocabulary_size", "dtype", "default_value", "num_oov_buckets", "file_format"),
    ),
    "indicator_column": ("categorical_column",),
    "embedding_column": (
        *("categorical_column", "dimension", "combiner", "initializer", "max_norm", "trainable"),
        *("ckpt_to_load_from", "tensor_name_in_ckpt", "use_safe_embedding_lookup"),
    ),
    "shared_embeddings": (
        *(
            "categorical_columns",
            "dimension",
            "combiner",
            "initializer",
            "shared_embedding_collection_name",
            "max_norm",
        ),
        *("trainable", "ckpt_to_load_from", "tensor_name_in_ckpt", "use_safe_embedding_lookup"),
    ),
    "weighted_categorical_column": ("categorical_column", "weight_feature_key", "dtype"),
    "bucketized_column": ("source_column", "boundaries"),
}
CONSTRUCTORS |= {
    f"sequence_{name}": tuple(arg for arg in args if arg != "file_format")
    for name, args in CONSTRUCTORS.items()
    if name.startswith("categorical_column")
}

DIFFERENT: dict[tuple[str, str], str] = {
    ("numeric_column", "default_value"): "TensorFlow looks at the shape of a default before its type",
    ("embedding_column", "initializer"): "the name of one is accepted: at rest it is metadata",
    ("shared_embeddings", "initializer"): "as for embedding_column",
    ("bucketized_column", "boundaries"): "TensorFlow sorts a list before it looks at the types in it",
}
"""Constructor and argument for which the types of errors differ, and why."""


def outcome(module: Any, name: str, arguments: dict[str, Any]) -> str:
    try:
        with tf.Graph().as_default():  # TensorFlow makes shared embeddings in a graph only
            getattr(module, name)(**arguments)
    except Exception as error:
        return type(error).__name__
    return "accepted"


@pytest.mark.parametrize(("name", "argument"), [(name, arg) for name, args in CONSTRUCTORS.items() for arg in args])
def test_errors_are_of_tensorflows_type(name, argument, tmp_path):
    different = []
    for value in WRONG:
        theirs = outcome(fc, name, {**base(name, fc, tmp_path), argument: value})
        ours = outcome(transforms, name, {**base(name, transforms, tmp_path), argument: value})
        if theirs in ("TypeError", "ValueError") and ours != theirs:
            different.append((value, theirs, ours))
        assert ours in ("accepted", "TypeError", "ValueError"), (value, ours)
    if (name, argument) in DIFFERENT:
        assert different, "no longer different: take it out of the table"
    else:
        assert not different


@pytest.mark.parametrize("name", [*CONSTRUCTORS, "make_parse_example_spec"])
def test_arguments_have_tensorflows_order_names_and_defaults(name):
    theirs, ours = (list(inspect.signature(getattr(module, name)).parameters.values()) for module in (fc, transforms))
    if name in CONSTRUCTORS:
        assert set(CONSTRUCTORS[name]) == {one.name for one in theirs}
    assert [one.name for one in ours[: len(theirs)]] == [one.name for one in theirs]
    for one, other in zip(ours, theirs, strict=False):
        same = one.default == (other.default.name if isinstance(other.default, tf.DType) else other.default)
        assert same or one.name == "boundaries", one  # ours may be learned, too: num_quantiles


def test_no_constructor_of_tensorflows_is_left_out():
    public = {name for name in dir(fc) if not name.startswith("_")} - {"make_parse_example_spec", "crossed_column"}
    assert set(CONSTRUCTORS) == public


def models(base: Any = Model) -> Iterator[Any]:
    for kind in base.__subclasses__():
        if not inspect.isabstract(kind):
            yield kind
        yield from models(kind)


def test_what_people_build_by_name_says_what_is_wrong_as_the_constructors_do():
    """Classes that are called by themselves: sequence groups, normalizers, columns, specs."""
    for call, error, says in [
        (
            lambda: SequenceGroup(mask_length=2),
            TypeError,
            "mask_length: unknown argument 'mask_length'; did you mean 'max_length'?",
        ),
        (lambda: SequenceGroup(max_length=0), ValueError, "max_length: expected an int >= 1 or 'longest', got 0"),
        (lambda: SequenceGroup(max_length=2.5), TypeError, "max_length: expected an int or 'longest', got 2.5"),
        (lambda: normalizers.Bucketize(num_buckets=1), ValueError, "num_buckets: expected an int >= 2, got 1"),
        (lambda: normalizers.Clip(minn=1), TypeError, "minn: unknown argument 'minn'; did you mean 'min'?"),
        (normalizers.Clip, ValueError, "expected min, max or quantiles to clip at, got none"),
        (lambda: transforms.Numeric(key=3), ValueError, "key: expected a string, got 3"),
        (lambda: transforms.Spec(columns=[]), ValueError, "columns: expected 1 or more items, got none"),
    ]:
        with pytest.raises(error) as caught:
            call()
        assert (type(caught.value), str(caught.value)) == (error, says)
    kinds = [kind for kind in models() if kind.__module__.startswith("transforms.")]
    assert len(kinds) > 30
    for kind in kinds:
        with pytest.raises(TypeError, match="unknown argument 'no such'"):
            kind(**{"no such": 1})


def test_a_default_value_of_none_is_0_as_in_tensorflow():
    rows = [{"x": [1.5, 2.5]}, {"x": [3.5]}, {"x": None}]
    for default in ({}, {"default_value": None}):
        theirs = fc.sequence_numeric_column("x", **default)
        expected, _ = sequence_features(rows, [theirs], {"x": "float32"})
        for column in (theirs, transforms.sequence_numeric_column("x", **default)):
            made = transforms.apply(rows, column)
            np.testing.assert_array_equal(made["x"], np.asarray(expected))
    assert transforms.sequence_numeric_column("x", default_value=None) == transforms.sequence_numeric_column("x")
    [column] = loads("columns: [{type: sequence_numeric_column, key: x, default_value: null}]").columns
    assert column == transforms.sequence_numeric_column("x")


@pytest.mark.parametrize("default", [(1.0, 2.0), [1.0], np.array([1.0, 2.0])])
def test_a_default_value_of_several_numbers_is_a_value_error(default):
    """TensorFlow fails for it as soon as there are rows."""
    with pytest.raises(ValueError, match="default_value: expected one number, got"):
        transforms.sequence_numeric_column("x", shape=2, default_value=default)


def test_no_columns_read_nothing():
    for none in ([], (), iter([])):
        assert transforms.make_parse_example_spec(none) == fc.make_parse_example_spec([]) == {}
    columns = [fc.numeric_column("x"), fc.numeric_column("y")]
    ours = [transforms.make_parse_example_spec(given) for given in (iter(columns), transforms.numeric_column("x"))]
    for made, theirs in zip(ours, [columns, columns[:1]], strict=True):
        shaped = {key: feature._replace(shape=tuple(feature.shape)) for key, feature in made.items()}
        assert shaped == fc.make_parse_example_spec(theirs)
    with pytest.raises(SpecError):  # which a job needs
        transforms.make_spec([])


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_arguments_are_tensorflows(name, tmp_path):
    """Left out, misspelt and surplus arguments; and what is right is accepted by both."""
    right = base(name, fc, tmp_path)
    assert outcome(fc, name, right) == "accepted"
    assert outcome(transforms, name, base(name, transforms, tmp_path)) == "accepted"
    for argument in right:
        arguments = {key: value for key, value in base(name, transforms, tmp_path).items() if key != argument}
        if argument != "boundaries":  # ours learns them, too: num_quantiles
            assert outcome(transforms, name, arguments) == "TypeError", argument
    assert outcome(transforms, name, {**base(name, transforms, tmp_path), "keyy": "x"}) == "TypeError"
