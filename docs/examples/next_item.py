"""Which file is changed next? Histories of different lengths, seqcols, a GRU over the mask, and one model that serves both.

python docs/examples/next_item.py --data DIR --output build/next_item

DIR has histories.parquet: `items`, the numbers of the files that somebody changed, one after another, by rank of frequency.
"""

import argparse
import os

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from one_model import save
from pipeline import Request, run
from pipeline.loaders import tf_dataset
from transforms import (
    SequenceGroup,
    apply,
    make_spec,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

ITEMS = 2000
OTHER = ITEMS  # every rarer item
T = 33  # 32 steps, each with the one after it
EPOCHS = 12
BATCH = 64
SPEC = make_spec(
    [
        sequence_categorical_column_with_identity("items", ITEMS + 1, default_value=OTHER, group="history"),
        sequence_numeric_column("hours", normalizer_fn=["log1p", "z_score"], group="history"),
    ],
    {"history": SequenceGroup(max_length=T, truncate="tail")},
)


def split(table):
    """Returns histories to train on and to test on: all those of a person are in one of them."""
    people = table["actor"].to_numpy().astype(np.uint64)
    chosen = (people * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) % np.uint64(5) == 0
    return table.filter(pa.array(~chosen)), table.filter(pa.array(chosen))


def make_model():
    """Returns a GRU that gives, after every step, a score to each item."""
    items, hours = keras.Input((None,), dtype="int64", name="items"), keras.Input((None, 1), name="hours")
    mask = keras.Input((None,), dtype="bool", name="history_mask")
    known = keras.layers.Embedding(ITEMS + 2, 64)(items + 1)  # padding is -1
    states = keras.layers.GRU(96, return_sequences=True)(keras.layers.Concatenate()([known, hours]), mask=mask)
    scores = keras.layers.Dense(ITEMS)(keras.layers.Dropout(0.2)(states))
    return keras.Model({"items": items, "hours": hours, "history_mask": mask}, scores)


def shifted(batch):
    """Returns every step, the item after it, and 1 where there is one that is known (0: padding, or a rare item)."""
    steps = {name: batch[name][:, :-1] for name in ("items", "hours", "history_mask")}
    after = batch["items"][:, 1:]
    known = (after >= 0) & (after < ITEMS)
    return steps, tf.where(known, after, 0), tf.cast(known, tf.float32)


def train(data_set, seed):
    """Trains on a data set; the same seed gives the same model on the same machine."""
    keras.utils.set_random_seed(seed)
    model = make_model()
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(tf_dataset(data_set, BATCH, shuffle=10_000, seed=seed).map(shifted), epochs=EPOCHS, verbose=0)
    return model


def hits(scores, wanted, best=10):
    """Returns the share of rows, `scores` being `[rows, items]`, whose item is among the best ten."""
    return float(np.mean((np.argsort(-scores, axis=1)[:, :best] == wanted[:, None]).any(axis=1)))


def evaluate(model, data_set, test):
    """Returns how often the last known item of a history of the test split is among ten that are said of those before it.

    Beside the model stands what needs none: the items most frequent in the training split, and those that the history
    has, latest first.
    """
    dense = apply(test, SPEC, transform=f"{data_set}/transform")
    items, rows = dense["items"], np.arange(len(dense["items"]))
    last = dense["history_length"] - 1
    wanted = items[rows, last]
    asked = (last >= 1) & (wanted < ITEMS)
    rows, last, wanted = rows[asked], last[asked], wanted[asked]
    steps = {name: dense[name][asked][:, :-1] for name in ("items", "hours", "history_mask")}
    steps["history_mask"] = np.arange(T - 1) < last[:, None]
    scores = model.predict(steps, verbose=0)[np.arange(len(last)), last - 1]
    seen = np.concatenate([batch["items"].ravel() for batch in tf_dataset(data_set, 512).as_numpy_iterator()])
    often = np.bincount(seen[(seen >= 0) & (seen < ITEMS)], minlength=ITEMS) / len(seen)
    recent = np.tile(often, (len(last), 1))
    before = np.where(steps["history_mask"], steps["items"], -1)
    row, step = np.nonzero((before >= 0) & (before < ITEMS))
    np.maximum.at(recent, (row, before[row, step]), 1.0 + step)
    return {
        "histories": len(last),
        "model": hits(scores, wanted),
        "most frequent": hits(np.tile(often, (len(last), 1)), wanted),
        "latest in the history": hits(recent, wanted),
    }


def next_items(model, features):
    """Returns what is answered to a request: the ten items that are most likely after the last step, the likeliest first."""
    steps = {name: features[name] for name in ("items", "hours", "history_mask")}
    last = tf.maximum(features["history_length"] - 1, 0)
    return tf.math.top_k(tf.gather(model(steps), last, batch_dims=1), 10).indices


def main(data, output, seed):
    os.makedirs(output, exist_ok=True)
    histories, test = split(pq.read_table(os.path.join(data, "histories.parquet")))
    pq.write_table(histories, os.path.join(output, "train.parquet"))

    # The mean and variance of the hours are those of the people to train on.
    data_set = os.path.join(output, "train")
    request = Request(SPEC, [os.path.join(output, "train.parquet")], data_set, format="parquet", overwrite=True)
    outcome = run(request)
    if outcome.status != "done":
        raise SystemExit(outcome.message)
    model = train(data_set, seed)
    found = evaluate(model, data_set, test)
    print(f"seed {seed}: the next item is among ten, in {found['histories']} histories of people not trained on:")
    for name in ("model", "most frequent", "latest in the history"):
        print(f"  {name:22} {found[name]:.3f}")

    served = os.path.join(output, "model")
    save(data_set, lambda features: {"items": next_items(model, features)}, served, model)
    return {**found, "model_trained": model, "data_set": data_set, "served": served, "test": test}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", default="build/next_item")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.data, arguments.output, arguments.seed)
