"""Writes TFRecords with TensorFlow, tfx-bsl and Beam: `python tensorflow_.py FOLDER`. Needs apache-beam, tfx-bsl."""

import sys
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

ROWS = [(1, [12, 7], [1.5, 2.5], ["ann, ü"]), (2, [], [], [])]


def example(row: tuple) -> tf.train.Example:
    """Returns a row as a tf.Example; what is empty is a feature without a kind, as TFX leaves it."""
    number, items, scores, names = row
    feature = {
        "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
        "items": tf.train.Feature(int64_list=tf.train.Int64List(value=items)),
        "scores": tf.train.Feature(float_list=tf.train.FloatList(value=scores)),
        "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[n.encode() for n in names])),
    }
    if not items:
        feature = {name: feature[name] if name == "id" else tf.train.Feature() for name in feature}
    return tf.train.Example(features=tf.train.Features(feature=feature))


def sequence_example(row: tuple) -> tf.train.SequenceExample:
    """Returns a row as a tf.SequenceExample, a step an item."""
    number, items, scores, names = row
    made = tf.train.SequenceExample()
    made.context.feature["id"].int64_list.value.append(number)
    made.context.feature["name"].bytes_list.value.extend(n.encode() for n in names)
    for item, score in zip(items, scores, strict=True):
        made.feature_lists.feature_list["items"].feature.add().int64_list.value.append(item)
        made.feature_lists.feature_list["scores"].feature.add().float_list.value.append(score)
    return made


def main(to: Path) -> None:
    """Writes everything."""
    records = [example(row).SerializeToString() for row in ROWS]
    for name, packing in {"plain.tfrecord": "", "packed.tfrecord": "GZIP", "zlib.tfrecord": "ZLIB"}.items():
        with tf.io.TFRecordWriter(str(to / name), tf.io.TFRecordOptions(compression_type=packing)) as writer:
            for record in records:
                writer.write(record)
    with tf.io.TFRecordWriter(str(to / "sequences.tfrecord")) as writer:
        for row in ROWS:
            writer.write(sequence_example(row).SerializeToString())
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([[1], [2]], pa.list_(pa.int64())),
            "items": pa.array([[12, 7], []], pa.list_(pa.int64())),
            "scores": pa.array([[1.5, 2.5], None], pa.list_(pa.float32())),
            "name": pa.array([["ann, ü".encode()], None], pa.list_(pa.binary())),
        }
    )
    made = RecordBatchToExamplesEncoder().encode(batch)
    with tf.io.TFRecordWriter(str(to / "tfx_bsl.tfrecord")) as writer:
        for record in made:
            writer.write(record)
    with beam.Pipeline() as pipeline:
        # As TFX's ExampleGen does it (tfx/components/example_gen/write_split.py).
        split = str(to / "Split-train" / "data_tfrecord")
        _ = pipeline | beam.Create(records) | beam.io.WriteToTFRecord(split, file_name_suffix=".gz", num_shards=1)
    data = tf.data.Dataset.from_tensor_slices({"id": [1, 2], "score": [1.5, 2.5]})
    data.save(str(to / "saved"), compression="GZIP")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
