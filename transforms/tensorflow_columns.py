"""Columns made with TensorFlow's own constructors, as ours: `tf.feature_column` objects are accepted as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from transforms import dtypes
from transforms.columns import Column, constructor


def is_tensorflow(column: Any) -> bool:
    """Returns whether an object is a column of `tf.feature_column`."""
    return hasattr(column, "_fields") and type(column).__module__.startswith("tensorflow.")


def converted(column: Any, **more: Any) -> Column:
    """Returns our column for one of TensorFlow's; one of ours is returned as it is.

    TensorFlow's arguments become ours by the same names. Sequences come into the default sequence group, with one id a step;
    `more` says otherwise.

    Args:
      column: a column of `tf.feature_column`, a sequence or a context one, a wrapper included.
      **more: arguments that TensorFlow's columns lack (`group`, `max_ids`, `required`, ...), for the column of the feature itself.

    Raises:
      TypeError: it is no column.
      ValueError: it is a kind that has no counterpart, or has an argument that means nothing at rest.
    """
    if isinstance(column, Column):
        return column
    convert = _CONVERTERS.get(type(column).__name__)
    if type(column).__name__ == "CrossedColumn":
        raise ValueError("crossed_column has no counterpart: cross the features before, or in the model")
    if convert is None or not is_tensorflow(column):
        known = ", ".join(_CONVERTERS)
        raise TypeError(
            f"expected a column, of ours or one of tf.feature_column ({known}), got {type(column).__name__}"
        )
    return convert(column, more)


class OnSparse:
    """A `normalizer_fn` of a TensorFlow sequence column, which is given a SparseTensor there.

    It is called with one here, too, whose rows are the present steps; where it takes none (the documented
    `lambda x: (x - 3.0) / 4.2` raises a TypeError in TensorFlow) with the dense steps.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function

    def __call__(self, values: Any) -> Any:
        """Normalises steps `[n, *shape]`."""
        import tensorflow as tf

        flat = tf.reshape(values, [tf.shape(values)[0], -1])
        size = tf.shape(flat, tf.int64)
        places = tf.stack(tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing="ij"), axis=-1)
        sparse = tf.SparseTensor(tf.reshape(places, [-1, 2]), tf.reshape(flat, [-1]), size)
        try:
            result = self.function(sparse)
        except (TypeError, ValueError, AttributeError):
            return self.function(values)
        result = result.values if isinstance(result, tf.SparseTensor) else result
        result = tf.reshape(result, tf.shape(values))
        result.set_shape(values.shape)
        return result


def _dtype(column: Any) -> str:
    name = dtypes.dtype_name(column.dtype)
    return name if name != "string" else "bytes"  # as TensorFlow, which takes any bytes


def _build(name: str, sequence: bool, more: dict[str, Any], **arguments: Any) -> Column:
    made: Column = constructor(("sequence_" if sequence else "") + name)(**{**arguments, **more})
    return made


def _numeric(column: Any, more: dict[str, Any]) -> Column:
    return _build(
        "numeric_column",
        False,
        more,
        key=column.key,
        shape=column.shape,
        default_value=column.default_value,
        dtype=dtypes.dtype_name(column.dtype),
        normalizer_fn=column.normalizer_fn,
    )


def _sequence_numeric(column: Any, more: dict[str, Any]) -> Column:
    return _build(
        "numeric_column",
        True,
        more,
        key=column.key,
        shape=column.shape,
        default_value=column.default_value,
        dtype=dtypes.dtype_name(column.dtype),
        normalizer_fn=OnSparse(column.normalizer_fn) if column.normalizer_fn is not None else None,
    )


def _categorical(column: Any, more: dict[str, Any], sequence: bool = False) -> Column:
    arguments: dict[str, Any] = {"key": column.key}
    kind = type(column).__name__
    if kind == "IdentityCategoricalColumn":
        name = "categorical_column_with_identity"
        arguments |= {"num_buckets": column.number_buckets, "default_value": column.default_value}
    elif kind == "HashedCategoricalColumn":
        name = "categorical_column_with_hash_bucket"
        arguments |= {"hash_bucket_size": column.hash_bucket_size, "dtype": _dtype(column)}
    else:
        oov = column.num_oov_buckets or 0
        default = -1 if oov or column.default_value is None else column.default_value
        arguments |= {"num_oov_buckets": oov, "default_value": default, "dtype": _dtype(column)}
        name = "categorical_column_with_vocabulary_list"
        if kind == "VocabularyFileCategoricalColumn":
            name = "categorical_column_with_vocabulary_file"
            if (column.file_format or "text") != "text":
                raise ValueError(f"column {column.key!r}: file_format: expected 'text', got {column.file_format!r}")
            arguments |= {"vocabulary_file": column.vocabulary_file, "vocabulary_size": column.vocabulary_size}
        else:
            arguments["vocabulary_list"] = column.vocabulary_list
    return _build(name, sequence, more, **arguments)


def _sequence_categorical(column: Any, more: dict[str, Any]) -> Column:
    return _categorical(column.categorical_column, more, sequence=True)


def _weighted(column: Any, more: dict[str, Any]) -> Column:
    made: Column = constructor("weighted_categorical_column")(
        converted(column.categorical_column, **more), column.weight_feature_key, dtypes.dtype_name(column.dtype)
    )
    return made


def _bucketized(column: Any, more: dict[str, Any]) -> Column:
    source = converted(column.source_column, **more)
    made: Column = constructor("bucketized_column")(source, boundaries=list(column.boundaries))
    return made


def _indicator(column: Any, more: dict[str, Any]) -> Column:
    made: Column = constructor("indicator_column")(converted(column.categorical_column, **more))
    return made


def _embedding(column: Any, more: dict[str, Any]) -> Column:
    names = ("dimension", "combiner", "max_norm", "trainable", "use_safe_embedding_lookup")
    arguments = {name: getattr(column, name) for name in (*names, "ckpt_to_load_from", "tensor_name_in_ckpt")}
    made: Column = constructor("embedding_column")(
        converted(column.categorical_column, **more), initializer=_initializer(column.initializer), **arguments
    )
    return made


def _shared_embedding(column: Any, more: dict[str, Any]) -> Column:
    creator = column.shared_embedding_column_creator
    made: Column = constructor("shared_embedding_column")(
        converted(column.categorical_column, **more),
        creator.dimension,
        combiner=column.combiner,
        max_norm=column.max_norm,
        shared_embedding_collection_name=creator.name,
        initializer=_initializer(creator._initializer),
    )
    return made


def _initializer(initializer: Any) -> str | None:
    """Returns the name of an initializer: metadata, since weights belong to training."""
    return None if initializer is None else type(initializer).__name__


_CONVERTERS: Final[dict[str, Callable[[Any, dict[str, Any]], Column]]] = {
    "NumericColumn": _numeric,
    "SequenceNumericColumn": _sequence_numeric,
    "SequenceCategoricalColumn": _sequence_categorical,
    "IdentityCategoricalColumn": _categorical,
    "HashedCategoricalColumn": _categorical,
    "VocabularyListCategoricalColumn": _categorical,
    "VocabularyFileCategoricalColumn": _categorical,
    "WeightedCategoricalColumn": _weighted,
    "BucketizedColumn": _bucketized,
    "IndicatorColumn": _indicator,
    "EmbeddingColumn": _embedding,
    "SharedEmbeddingColumn": _shared_embedding,
}
