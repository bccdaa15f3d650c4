"""Which file is changed next? Events in no order, seqcols, a GRU over the mask, and one model that serves both.

python docs/examples/next_item.py --data DIR --output build/next_item

DIR has events-*.parquet, a row for each file that somebody changed: `actor`, `time`, `repository`, `path`. next_item.yaml says
how they become sequences. The model is trained on what was changed before 2023, and asked what was changed from 2024 on.
"""

import argparse
import os

import keras
import numpy as np
import tensorflow as tf

from one_model import save
from seqcols import Request, load, make_events, numpy_batches, read_manifest, run

SPEC = load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "next_item.yaml"))
T = SPEC.sequence_groups["history"].max_length
INPUTS = ("paths", "hours", "history_mask")

# A request holds the events so far: the last window of them, and nothing yet that comes after it.
OF_REQUESTS = make_events({**dict(SPEC.events), "windows": {"last": T}, "target": None})


def read(data_set, split):
    """Returns the windows of a split, and after each of their steps the item that came next: after the last one, the target."""
    rows = read_manifest(data_set).split(split).rows
    (windows,) = numpy_batches(data_set, rows, split=split)
    after = np.append(windows["paths"][:, 1:], np.full((rows, 1), -1), axis=1)
    after[np.arange(rows), windows["history_length"] - 1] = windows["target_path"]
    return windows, after


def make_model(items):
    """Returns a GRU that gives, after every step, a score to each item."""
    paths, hours = keras.Input((T,), dtype="int64", name="paths"), keras.Input((T, 1), name="hours")
    mask = keras.Input((T,), dtype="bool", name="history_mask")
    known = keras.layers.Embedding(items + 2, 64)(paths + 1)  # padding is -1, and every rarer item the last one
    states = keras.layers.GRU(96, return_sequences=True)(keras.layers.Concatenate()([known, hours]), mask=mask)
    scores = keras.layers.Dense(items)(keras.layers.Dropout(0.2)(states))
    return keras.Model({"paths": paths, "hours": hours, "history_mask": mask}, scores)


def examples(data_set, split, items):
    """Returns what Keras takes: windows, the items after their steps, and which of these count.

    In training those after every step count. The windows of other splits look back to steps that were trained on, so that of
    these only the target counts.
    """
    windows, after = read(data_set, split)
    counted = (after >= 0) & (after < items)
    if split != "train":
        counted &= np.arange(T) == windows["history_length"][:, None] - 1
    return {name: windows[name] for name in INPUTS}, np.where(counted, after, 0), counted.astype(np.float32)


def train(data_set, seed):
    """Trains until the validation split gets no better; the same seed gives the same model on the same machine."""
    keras.utils.set_random_seed(seed)
    items = len(read_manifest(data_set).vocabularies["paths"])
    model = make_model(items)
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    steps, after, counted = examples(data_set, "train", items)
    held_out = examples(data_set, "validation", items)
    model.fit(steps, after, 64, sample_weight=counted, validation_data=held_out, epochs=8, callbacks=[stop], verbose=0)
    return model


def hits(scores, wanted, best=10):
    """Returns the share of rows, `scores` being `[rows, items]`, whose item is among the best ten."""
    return float(np.mean((np.argsort(-scores, axis=1)[:, :best] == wanted[:, None]).any(axis=1)))


def evaluate(model, data_set):
    """Returns how often the target of a window of the test split is among ten that are named.

    Beside the model stands what needs none: the items most frequent in the training split, those that the window has, latest
    first, and those that came most often after its last one. Targets that are none of the model's items, which are files that
    were rare or did not exist before 2023, are left out: most of them, since repositories grow.
    """
    windows, after = read(data_set, "test")
    words = read_manifest(data_set).vocabularies["paths"]
    items, last = len(words), windows["history_length"] - 1
    wanted = after[np.arange(len(after)), last]
    asked = np.flatnonzero((wanted >= 0) & (wanted < items))
    last, wanted, steps = last[asked], wanted[asked], {name: windows[name][asked] for name in INPUTS}
    scores = model.predict(steps, verbose=0)[np.arange(len(last)), last]
    often = words.counts / words.counts.sum()
    recent = np.tile(often, (len(last), 1))
    row, step = np.nonzero((steps["paths"] >= 0) & (steps["paths"] < items))
    np.maximum.at(recent, (row, steps["paths"][row, step]), 1.0 + step)
    return {
        "windows": len(after),
        "asked": len(last),
        "model": hits(scores, wanted),
        "most frequent": hits(np.tile(often, (len(last), 1)), wanted),
        "latest in the window": hits(recent, wanted),
        "most often after the last one": hits(
            followers(data_set, items)[steps["paths"][np.arange(len(last)), last]] + often, wanted
        ),
    }


def followers(data_set, items):
    """Returns how often each item came after each in the training split, `[items + 1, items]`."""
    windows, after = read(data_set, "train")
    at = (windows["paths"] >= 0) & (after >= 0) & (after < items)
    counts = np.zeros((items + 1, items), np.float32)
    np.add.at(counts, (windows["paths"][at], after[at]), 1)
    return counts


def next_items(model, features):
    """Returns what is answered to a request: the ten items that are most likely after the last step, the likeliest first."""
    last = tf.maximum(features["history_length"] - 1, 0)
    scores = model({name: features[name] for name in INPUTS})
    return tf.math.top_k(tf.gather(scores, last, batch_dims=1), 10).indices


def main(data, output, seed):
    data_set = os.path.join(output, "data")
    outcome = run(Request(SPEC, [os.path.join(data, "events-*.parquet")], data_set, format="parquet", overwrite=True))
    if outcome.status != "done":
        raise SystemExit(outcome.message)
    model = train(data_set, seed)
    found = evaluate(model, data_set)
    print(
        f"seed {seed}: the next file is among ten, in {found['asked']} of {found['windows']} windows that end in 2024 or later:"
    )
    for name in ("model", "most often after the last one", "latest in the window", "most frequent"):
        print(f"  {name:30} {found[name]:.3f}")

    served = os.path.join(output, "model")
    save(data_set, lambda features: {"items": next_items(model, features)}, served, model)
    return {**found, "model_trained": model, "data_set": data_set, "served": served}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", default="build/next_item")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.data, arguments.output, arguments.seed)
