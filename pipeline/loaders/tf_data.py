"""A data set as a `tf.data.Dataset` of whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import tensorflow as tf

from pipeline.loaders.arrays import Batches, numpy_batches
from pipeline.loaders.opening import Roots
from pipeline.sinks.formats import SINKS
from transforms.columns import Output
from transforms.spec.parse_specs import feature_spec, known_shape, sequence_spec

BLOCK_ROWS: Final = 4096
"""About how many rows Python hands to TensorFlow at once: each time costs about a millisecond."""

MOST_AT_ONCE: Final = 4
"""Files that are read side by side where the order does not matter."""


def tf_dataset(
    root: Roots,
    batch_size: int,
    *,
    features: Sequence[str] | None = None,
    shuffle: int = 0,
    seed: int = 0,
    epochs: int | None = 1,
    shards: int = 1,
    shard: int = 0,
    drop_remainder: bool = False,
    even: bool = False,
    bucket: int | None = None,
    verify: bool = False,
    split: str | None = None,
) -> tf.data.Dataset:
    """Opens a finished data set as a `tf.data.Dataset`, of any format and on any Beam file system; `numpy_batches` says more.

    TFRecords are read and parsed by TensorFlow itself, where it knows the file system; all else through `numpy_batches`.

    Args:
      root: directory of the data set, or of several with the same transform, as `numpy_batches` takes them.
      batch_size: rows in a batch.
      features: the features to read, in this order; None for all.
      shuffle: size in rows of the pool that rows are shuffled through; 0 for the order of the manifest.
      seed: decides the order.
      epochs: how many epochs one iteration goes through, each in a different order; None for no end.
      shards: the number of trainers that the rows are divided among. For `tf.distribute`, give each input pipeline its own
        shard (`distribute_datasets_from_function`): TensorFlow's sharding is turned off, as the rows are divided already.
      shard: the number of this shard, from 0.
      drop_remainder: whether rows that do not fill a last batch are left out.
      even: whether every shard gives equally many batches.
      bucket: T of the length bucket to read.
      verify: whether all files are read and compared with the manifest first.
      split: the split to read.

    Returns:
      A data set of dicts from feature name to a tensor `[batch_size, *shape]` in the manifest's dtype. Shapes are static, that
      of the batch with `drop_remainder`, and the cardinality is known. Batches do not reach over the end of an epoch. The same
      seed gives the same order; a further iteration has another one, as `tf.data.Dataset.shuffle` does it.

    Raises:
      JobError: there is no finished data set, or, with `verify`, it is not as it was published. What is wrong with a file shows
        while it is iterated, as an error of TensorFlow: fewer or more rows than the manifest says, too.
      UsageError: an argument has a value that is not allowed.
    """
    batches = numpy_batches(
        root,
        batch_size,
        features=features,
        shuffle=shuffle,
        seed=seed,
        epochs=epochs,
        shards=shards,
        shard=shard,
        drop_remainder=drop_remainder,
        even=even,
        bucket=bucket,
        verify=verify,
        split=split,
    )
    made = _of_records(batches) if _reads(batches) else _of_blocks(batches)
    made = made.take(len(batches)).apply(tf.data.experimental.assert_cardinality(len(batches)))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.repeat(epochs).with_options(options).prefetch(tf.data.AUTOTUNE)


def _reads(batches: Batches) -> bool:
    """Returns whether TensorFlow itself reads the files: TFRecords, of one kind, where it knows the file systems."""
    sinks = {SINKS[manifest.format] for manifest in batches.manifests}
    first = [manifest.files[0] for manifest in batches.manifests if manifest.files]
    return len(sinks) == 1 and sinks.pop().compression_type is not None and all(map(_is_known, first))


def _of_records(batches: Batches) -> tf.data.Dataset:
    """An epoch of batches, read and parsed in TensorFlow."""
    packed = SINKS[batches.manifests[0].format].compression_type

    def read(path: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, rows: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, compression_type=packed)
        # Counted to the end of the file where that is read: one that is cut between two records looks whole else.
        records = records.take(tf.where(stop == rows, tf.int64.max, stop)).skip(start)
        return records.apply(tf.data.experimental.assert_cardinality(stop - start))

    files = batches.files
    own = [(files[p.file].path, p.start, p.stop, files[p.file].rows) for p in batches.pieces]
    if not own:
        return (
            tf.data.Dataset.from_tensor_slices(tf.zeros([0], tf.string)).batch(batches.batch_size).map(_parser(batches))
        )
    columns = zip(("string", "int64", "int64", "int64"), zip(*own, strict=True), strict=True)
    made = tf.data.Dataset.from_tensor_slices(tuple(tf.constant(column, kind) for kind, column in columns))
    if batches.shuffle:
        made = made.shuffle(len(own), batches.seed_of_shard).interleave(
            read, cycle_length=min(MOST_AT_ONCE, len(own)), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        made = made.shuffle(batches.shuffle, batches.seed_of_shard)
    else:
        made = made.flat_map(read)
    made = made.batch(batches.batch_size, batches.drop_remainder)
    return made.map(_parser(batches), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _parser(batches: Batches) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns what parses a batch of records, as docs/outputs.md says it, into the declared dtypes."""
    outputs = batches.outputs
    is_sequence = SINKS[batches.manifests[0].format].has_lists
    context, sequences = sequence_spec(outputs) if is_sequence else (feature_spec(outputs), {})

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        if is_sequence:
            found, lists, _ = tf.io.parse_sequence_example(records, context, sequences)
            found = {**found, **lists}
        else:
            found = tf.io.parse_example(records, context)
        shapes = {output.name: [records.shape[0], *known_shape(output)] for output in outputs}
        return {o.name: tf.ensure_shape(_cast(found[o.name], o), shapes[o.name]) for o in outputs}

    return parse


def _of_blocks(batches: Batches) -> tf.data.Dataset:
    """An epoch of batches, read by Python in blocks of several."""
    size = batches.batch_size * max(1, BLOCK_ROWS // batches.batch_size)
    larger = replace(batches, batch_size=size, epochs=1, drop_remainder=False)
    signature = {o.name: tf.TensorSpec([None, *known_shape(o)], _dtype(o)) for o in batches.outputs}
    made = tf.data.Dataset.from_generator(lambda: iter(larger), output_signature=signature)
    return made.rebatch(batches.batch_size, batches.drop_remainder)


def _is_known(path: str) -> bool:
    """Returns whether TensorFlow knows the file system of a path; Beam knows others."""
    try:
        return bool(tf.io.gfile.exists(path))
    except tf.errors.UnimplementedError:
        return False


def _cast(tensor: tf.Tensor, output: Output) -> tf.Tensor:
    return tensor if output.dtype in ("string", "bytes") else tf.cast(tensor, output.dtype)


def _dtype(output: Output) -> tf.DType:
    return tf.as_dtype("string" if output.dtype == "bytes" else output.dtype)
