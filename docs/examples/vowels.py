"""Who speaks? Utterances of different lengths, seqcols, a GRU over the mask, and one model that serves both.

python docs/examples/vowels.py --data DIR --output build/vowels

DIR has the Japanese Vowels (UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47) as train.parquet and test.parquet:
`lpc`, 12 numbers a step one after another, and `speaker`, 1 to 9.
"""

import argparse
import os

import keras
import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from one_model import save
from seqcols import (
    Request,
    SequenceGroup,
    make_spec,
    numpy_batches,
    passthrough_column,
    run,
    sequence_numeric_column,
    tf_dataset,
)

SPEAKERS = 9
EPOCHS = 60
BATCH = 16

# The speaker passes through: a request has none. T is a little more than the longest utterance of the training split.
SPEC = make_spec(
    [
        sequence_numeric_column("lpc", shape=(12,), normalizer_fn="z_score"),
        passthrough_column("speaker", "int64"),
        passthrough_column("utterance", "int64"),
    ],
    SequenceGroup(max_length=32),
)


def write_records(table, path):
    """Writes a split as serialized tf.Examples, which is what requests are, too; returns them."""
    records = []
    for number, (lpc, speaker) in enumerate(zip(table["lpc"].to_pylist(), table["speaker"].to_pylist(), strict=True)):
        feature = {
            "lpc": tf.train.Feature(float_list=tf.train.FloatList(value=lpc)),
            "speaker": tf.train.Feature(int64_list=tf.train.Int64List(value=[speaker])),
            "utterance": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
        }
        records.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    return records


def make_model():
    """Returns a GRU in both directions that is told by the mask which steps there are."""
    lpc = keras.Input((32, 12), name="lpc")
    mask = keras.Input((32,), dtype="bool", name="sequence_mask")
    # Noise instead of more speakers' utterances, of which there are 30 each.
    steps = keras.layers.GaussianNoise(0.3)(lpc)
    states = keras.layers.Bidirectional(keras.layers.GRU(64, return_sequences=True))(steps, mask=mask)
    states = keras.layers.GlobalAveragePooling1D()(states, mask=mask)
    states = keras.layers.Dropout(0.5)(states)
    return keras.Model({"lpc": lpc, "sequence_mask": mask}, keras.layers.Dense(SPEAKERS, activation="softmax")(states))


def train(data_set, seed):
    """Trains on a data set; the same seed gives the same model on the same machine."""
    keras.utils.set_random_seed(seed)
    model = make_model()
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    batches = tf_dataset(data_set, BATCH, split="train", shuffle=1000, seed=seed)
    model.fit(batches.map(lambda batch: (inputs(batch), batch["speaker"] - 1)), epochs=EPOCHS, verbose=0)
    return model


def inputs(features):
    return {name: features[name] for name in ("lpc", "sequence_mask")}


def main(data, output, seed):
    os.makedirs(output, exist_ok=True)
    splits = {name: pq.read_table(os.path.join(data, f"{name}.parquet")) for name in ("train", "test")}
    records = {name: write_records(table, os.path.join(output, f"{name}.tfrecord")) for name, table in splits.items()}

    # One data set with both splits. Mean and variance are those of the training split, which is named `train`.
    data_set = os.path.join(output, "data")
    inputs_of_splits = [f"{name}={output}/{name}.tfrecord" for name in records]
    outcome = run(Request(SPEC, inputs_of_splits, data_set, overwrite=True))
    if outcome.status != "done":
        raise SystemExit(outcome.message)
    model = train(data_set, seed)

    (test,) = numpy_batches(data_set, len(records["test"]), split="test")
    predicted = model.predict(inputs(test), verbose=0)
    accuracy = float(np.mean(predicted.argmax(axis=1) + 1 == test["speaker"]))
    print(f"seed {seed}: {accuracy:.4f} of {len(predicted)} test utterances are given to their speaker")

    served = os.path.join(output, "model")
    save(data_set, lambda features: {"speakers": model(inputs(features))}, served, model)
    raw = tf.constant([records["test"][number] for number in test["utterance"]])
    answers = tf.saved_model.load(served).signatures["serving_default"](examples=raw)
    print(
        "the saved model, on raw records:",
        float(np.mean(answers["speakers"].numpy().argmax(axis=1) + 1 == test["speaker"])),
    )
    return {"accuracy": accuracy, "model": model, "data_set": data_set, "served": served, "records": records}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", default="build/vowels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.data, arguments.output, arguments.seed)
