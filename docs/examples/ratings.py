"""What is watched next? Ratings in CSV, seqcols, a small GRU, and recommendations from the ratings that a request holds.

python docs/examples/ratings.py --ratings ml-latest-small/ratings.csv --output build/ratings

ratings.csv has the columns of MovieLens (https://grouplens.org/datasets/movielens/): userId, movieId, rating, timestamp (seconds
since 1970). Without --ratings they are made up. ratings.yaml says how they become sequences.
"""

import argparse
import csv
import os
import random

import keras
import numpy as np
import tensorflow as tf

from one_model import as_records, save
from seqcols import Request, load, make_events, numpy_batches, read_manifest, run, sequences

SPEC = load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ratings.yaml"))
T = SPEC.sequence_groups["seen"].max_length
INPUTS = ("movies", "ratings", "days", "seen_mask")

# A request holds somebody's ratings so far: the last window of them, and nothing yet that comes after it.
OF_REQUESTS = make_events({**dict(SPEC.events), "windows": {"last": T}, "target": None, "min_events": 1})

SERIES, PARTS = 20, 5


def make_up(path):
    """Writes the ratings of 600 made-up people.

    Whoever likes a film (4 and more) sees its next part, and the others begin the next series; one time in five it is any series.
    """
    draw, rows = random.Random(7), []
    for user in range(1, 601):
        time, series, part = draw.randrange(1_600_000_000, 1_700_000_000), draw.randrange(SERIES), 0
        for _ in range(draw.randrange(5, 60)):
            rating = draw.choice([1.0, 2.0, 3.0, 4.0, 4.5, 5.0])
            rows.append((user, 100 * (series + 1) + part, rating, time))
            time += round(draw.expovariate(1 / 86400))
            series, part = (series, part + 1) if rating >= 4 and part < PARTS - 1 else ((series + 1) % SERIES, 0)
            series, part = (series, part) if draw.random() < 0.8 else (draw.randrange(SERIES), 0)
    draw.shuffle(rows)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("userId", "movieId", "rating", "timestamp"), *rows])


def read(data_set, split):
    """Returns the windows of a split, and the number of the film after each."""
    (windows,) = numpy_batches(data_set, read_manifest(data_set).split(split).rows, split=split)
    return {name: windows[name] for name in INPUTS}, windows["target_movieId"]


def make_model(films):
    """Returns a GRU that gives, after the last film of a window, a score to each."""
    movies = keras.Input((T,), dtype="int64", name="movies")
    ratings, days = keras.Input((T, 1), name="ratings"), keras.Input((T, 1), name="days")
    mask = keras.Input((T,), dtype="bool", name="seen_mask")
    known = keras.layers.Embedding(films + 2, 32)(movies + 1)  # padding is -1, and every rarer film the last one
    state = keras.layers.GRU(64)(keras.layers.Concatenate()([known, ratings, days]), mask=mask)
    return keras.Model(dict(zip(INPUTS, (movies, ratings, days, mask), strict=True)), keras.layers.Dense(films)(state))


def train(data_set, seed):
    """Trains on a data set; the same seed gives the same model on the same machine."""
    keras.utils.set_random_seed(seed)
    steps, wanted = read(data_set, "train")
    films = len(read_manifest(data_set).vocabularies["movies"])
    model = make_model(films)
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    known = wanted < films
    model.fit({name: array[known] for name, array in steps.items()}, wanted[known], epochs=30, verbose=0)
    return model


def hits(scores, wanted):
    """Returns the share of rows, `scores` being `[rows, films]`, whose film has the highest one."""
    return float(np.mean(np.argmax(scores, axis=1) == wanted))


def evaluate(model, data_set):
    """Returns how often the film after a window is the one that is named first, by the model, and without one.

    Without one: the films that the windows of the training split have most often, and those that most often come after the last
    film. A film that the training split does not have is named by none.
    """
    films = read_manifest(data_set).vocabularies["movies"]
    before, after = read(data_set, "train")
    steps, wanted = read(data_set, "test")
    followed = np.zeros((len(films) + 1, len(films) + 1))
    np.add.at(followed, (last_of(before), after), 1)
    often = films.counts / films.counts.sum()
    return {
        "windows": len(wanted),
        "model": hits(model.predict(steps, verbose=0), wanted),
        "most often after the last film": hits(followed[last_of(steps), :-1] + often, wanted),
        "most frequent": hits(np.tile(often, (len(wanted), 1)), wanted),
    }


def last_of(steps):
    """Returns the last film of each window."""
    return steps["movies"][np.arange(len(steps["movies"])), steps["seen_mask"].sum(axis=1) - 1]


def next_films(model, features):
    """Returns what is answered to a request: the five films that are most likely after the last one, the likeliest first."""
    return tf.math.top_k(model({name: features[name] for name in INPUTS}), 5).indices


def recommend(served, films, ratings):
    """Returns the five films that people are likely to watch next, the likeliest first, by person.

    Args:
      served: the saved model.
      films: the vocabulary of films.
      ratings: those of some people so far, in any order: dicts as the rows of ratings.csv, the film as text, the rating a number.
    """
    rows = sequences(ratings, OF_REQUESTS).table
    records = as_records(rows, ("movies", "ratings", "days"))
    answers = served.signatures["serving_default"](examples=tf.constant(records))
    return dict(zip(rows["userId"].to_pylist(), films.to_words(answers["films"].numpy()).tolist(), strict=True))


def main(ratings, output, seed):
    os.makedirs(output, exist_ok=True)
    if ratings is None:
        ratings = os.path.join(output, "ratings.csv")
        make_up(ratings)
    data_set = os.path.join(output, "data")
    outcome = run(Request(SPEC, [ratings], data_set, format="parquet", overwrite=True))
    if outcome.status != "done":
        raise SystemExit(outcome.message)
    model = train(data_set, seed)
    found = evaluate(model, data_set)
    print(
        f"seed {seed}: the next film is the first one named, after {found['windows']} windows of people not trained on:"
    )
    for name in ("model", "most often after the last film", "most frequent"):
        print(f"  {name:30} {found[name]:.3f}")

    served = os.path.join(output, "model")
    save(data_set, lambda features: {"films": next_films(model, features)}, served, model)
    films = read_manifest(data_set).vocabularies["movies"]
    latest = {"userId": 1, "movieId": str(films.words[0]), "rating": 5.0, "timestamp": 1_700_000_000}
    print(
        f"who has just given {latest['movieId']} a 5 may watch",
        recommend(tf.saved_model.load(served), films, [latest])[1],
    )
    return {**found, "model_trained": model, "data_set": data_set, "served": served, "ratings": ratings}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ratings")
    parser.add_argument("--output", default="build/ratings")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.ratings, arguments.output, arguments.seed)
