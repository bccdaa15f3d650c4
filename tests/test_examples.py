"""The examples of docs/examples: what they reach, and that the served model says what the trained one does."""

from __future__ import annotations

import csv
import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import read_manifest
from pipeline.loaders import numpy_batches, tf_dataset
from tests.jobs import read_json
from transforms import apply, sequences

EXAMPLES = Path(__file__).resolve().parent.parent / "docs/examples"

# Minutes, where the machine does other things beside: each fixture trains a model.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def example(name: str) -> Any:
    """Returns an example as its directory sees it, which is where Python looks when it runs one."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))


def serve(directory: str, records: list[bytes]) -> dict[str, np.ndarray]:
    answers = tf.saved_model.load(directory).signatures["serving_default"](examples=tf.constant(records))
    return {name: tensor.numpy() for name, tensor in answers.items()}


# Vowels


@pytest.fixture(scope="module")
def vowels(real_data, tmp_path_factory) -> dict[str, Any]:
    return example("vowels").main(str(real_data / "vowels"), str(tmp_path_factory.mktemp("vowels")), seed=0)


def test_speakers_are_told_apart(vowels):
    assert vowels["accuracy"] >= 0.95


def test_statistics_are_those_of_the_training_split(vowels, real_data):
    def steps(split: str) -> np.ndarray:
        lpc = pq.read_table(real_data / f"vowels/{split}.parquet")["lpc"].combine_chunks()
        return lpc.flatten().to_numpy().astype(np.float64).reshape(-1, 12)

    found = read_json(vowels["data_set"], "statistics.json")["columns"]["lpc"]
    np.testing.assert_allclose(found["mean"], steps("train").mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found["variance"], steps("train").var(axis=0), rtol=1e-9)
    both = np.concatenate([steps("train"), steps("test")])
    assert np.abs(np.array(found["mean"]) - both.mean(axis=0)).min() > 1e-4


def test_the_served_model_says_what_the_model_says_of_the_published_data(vowels):
    fed, numbers = [], []
    for batch in tf_dataset(vowels["data_set"], 64, split="train"):
        fed.append(vowels["model"]({"lpc": batch["lpc"], "sequence_mask": batch["sequence_mask"]}).numpy())
        numbers += batch["utterance"].numpy().tolist()
    assert sorted(numbers) == list(range(270))
    answers = serve(vowels["served"], [vowels["records"]["train"][k] for k in numbers])
    np.testing.assert_allclose(answers["speakers"], np.concatenate(fed), rtol=1e-5, atol=1e-6)
    assert answers["valid"].all()


def test_the_served_model_is_as_good_on_raw_records(vowels, real_data):
    speakers = pq.read_table(real_data / "vowels/test.parquet")["speaker"].to_numpy()
    answers = serve(vowels["served"], vowels["records"]["test"])
    assert np.mean(answers["speakers"].argmax(axis=1) + 1 == speakers) == vowels["accuracy"]


def test_a_request_needs_no_label_and_a_bad_one_is_marked(vowels):
    record = tf.train.Example.FromString(vowels["records"]["test"][0])
    whole = serve(vowels["served"], [record.SerializeToString()])
    for name in ("speaker", "utterance"):
        del record.features.feature[name]
    bare = record.SerializeToString()
    record.features.feature["lpc"].float_list.value.append(1.0)  # an incomplete step
    answers = serve(vowels["served"], [bare, record.SerializeToString()])
    assert answers["valid"].tolist() == [True, False]
    np.testing.assert_allclose(answers["speakers"][0], whole["speakers"][0], rtol=1e-5, atol=1e-6)


# Next items

BORDERS = {"validation": "2023-01-01", "test": "2024-01-01"}
SECONDS = {name: int(datetime.fromisoformat(f"{day}T00:00+00:00").timestamp()) for name, day in BORDERS.items()}


@pytest.fixture(scope="module")
def next_files(real_data, tmp_path_factory) -> dict[str, Any]:
    return example("next_item").main(str(real_data / "commits"), str(tmp_path_factory.mktemp("next")), seed=0)


@pytest.fixture(scope="module")
def commits(real_data) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted((real_data / "commits").glob("events-*.parquet"))])


def windows(rows: Iterable[Any], before: float = float("inf")) -> Iterator[list[Any]]:
    """Yields the windows of the example by plain Python: up to 32 of a key's rows in order, and the one after them.

    Args:
      rows: `(key, time, what)`.
      before: only rows before this time are known.
    """
    histories: dict[Any, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row[1:]):
        if row[1] < before:
            histories.setdefault(row[0], []).append(row)
    for history in histories.values():
        first, steps = 0, len(history) - 1
        while steps:
            yield history[first : min(first + 32, steps) + 1]
            if first + 32 >= steps:
                break
            first += 16


def changes(commits: pa.Table) -> list[tuple[Any, int, str]]:
    columns = [commits[name].to_pylist() for name in ("actor", "repository", "time", "path")]
    return [((actor, repository), time, path) for actor, repository, time, path in zip(*columns, strict=True)]


def test_the_next_file_is_found_more_often_than_without_a_model(next_files):
    others = [next_files[name] for name in ("most often after the last one", "latest in the window", "most frequent")]
    assert next_files["model"] > max(others) + 0.03 and min(others) > 0.05
    assert next_files["asked"] == 393


def test_items_and_statistics_are_those_of_what_was_before_the_first_border(next_files, commits):
    """Counted by plain Python over what was known then, as if nothing had come after it."""
    known = list(windows(changes(commits), before=SECONDS["validation"]))
    counts = Counter(path for window in known for _, _, path in window[:-1])
    found = read_manifest(next_files["data_set"])
    words = found.vocabularies["paths"]
    wanted = sorted(counts, key=lambda path: (-counts[path], path.encode()))[:2000]
    assert words.counts is not None
    assert words.words.tolist() == wanted and words.counts.tolist() == [counts[path] for path in wanted]
    assert found.split("train").rows == len(known)
    statistics = read_json(next_files["data_set"], "statistics.json")["columns"]["hours"]
    assert statistics["count"] == [sum(len(window) - 1 for window in known)]


def test_what_is_asked_is_what_came_after_the_last_border(next_files, commits):
    asked = Counter(window[-1][2] for window in windows(changes(commits)) if window[-1][1] >= SECONDS["test"])
    rows = read_manifest(next_files["data_set"]).split("test").rows
    (test,) = numpy_batches(next_files["data_set"], rows, split="test")
    words = read_manifest(next_files["data_set"]).vocabularies["paths"]
    ids = Counter(int(number) for path, count in asked.items() for number in words.to_ids([path]).repeat(count))
    assert Counter(test["target_path"].tolist()) == ids and next_files["windows"] == asked.total()


def test_a_request_with_the_events_so_far_gets_what_the_published_window_gives(next_files, commits):
    module, data_set = example("next_item"), next_files["data_set"]
    found = sequences(commits, module.SPEC.events, borders=BORDERS)
    rows = np.flatnonzero(found.table["split"].to_numpy() == "test")[::10]
    dense = apply(found.table.take(rows), module.SPEC, transform=f"{data_set}/transform")
    (test,) = numpy_batches(data_set, next_files["windows"], split="test")
    published = set(zip(map(bytes, test["paths"]), map(bytes, test["hours"]), strict=True))
    assert all(
        (bytes(paths), bytes(hours)) in published for paths, hours in zip(dense["paths"], dense["hours"], strict=True)
    )
    features = {name: tf.constant(dense[name]) for name in (*module.INPUTS, "history_length")}
    wanted = module.next_items(next_files["model_trained"], features).numpy()
    draw, records = np.random.default_rng(0), []
    for row in rows:
        steps = found.positions[found.splits[row] : found.splits[row + 1]]
        so_far = sequences(commits.take(draw.permutation(steps)), module.OF_REQUESTS).table
        records += example("one_model").as_records(so_far, ("paths", "hours"))
    answers = serve(next_files["served"], records)
    assert len(records) == len(rows) > 100 and answers["valid"].all()
    assert (answers["items"] == wanted).mean() > 0.999  # two scores may be equal but for the last bit


# Ratings


@pytest.fixture(scope="module")
def rated(tmp_path_factory) -> dict[str, Any]:
    return example("ratings").main(None, str(tmp_path_factory.mktemp("ratings")), seed=0)


def test_the_next_film_is_found_more_often_than_without_a_model(rated):
    assert rated["windows"] > 500
    assert rated["model"] > rated["most often after the last film"] + 0.1 > rated["most frequent"] + 0.1
    # By the ratings: those made up decide what is watched next.
    module = example("ratings")
    steps, wanted = module.read(rated["data_set"], "test")
    blind = module.hits(rated["model_trained"].predict({**steps, "ratings": 0 * steps["ratings"]}, verbose=0), wanted)
    assert rated["model"] > blind + 0.1


def test_who_likes_a_film_is_told_its_next_part_and_who_does_not_the_next_series(rated):
    module = example("ratings")
    films = read_manifest(rated["data_set"]).vocabularies["movies"]
    served = tf.saved_model.load(rated["served"])
    seen = [(100 * (series + 1), part) for series in range(module.SERIES) for part in range(2)]
    for rating, wanted in (
        (5.0, [first + part + 1 for first, part in seen]),
        (1.0, [100 * (first // 100 % module.SERIES + 1) for first, _ in seen]),
    ):
        now = [
            {
                "userId": first + last,
                "movieId": str(first + part),
                "rating": rating if part == last else 4.5,
                "timestamp": 1_700_000_000 + 86_400 * part,
            }
            for first, last in seen
            for part in range(last + 1)
        ]
        told = module.recommend(served, films, now[::-1])
        named = [told[first + last][0] == str(film) for (first, last), film in zip(seen, wanted, strict=True)]
        assert len(told) == len(seen) and np.mean(named) > 0.9


def test_ratings_of_a_person_not_trained_on_get_what_the_published_window_gives(rated):
    """The last window of a person in ratings.csv, in the order of the file, without its target."""
    module, data_set = example("ratings"), rated["data_set"]
    films = read_manifest(data_set).vocabularies["movies"]
    steps, wanted = module.read(data_set, "test")
    best = np.argsort(-rated["model_trained"].predict(steps, verbose=0), axis=1)[:, :5]
    published = {
        (steps["movies"][k].tobytes(), steps["days"][k].tobytes(), int(wanted[k])): films.to_words(best[k]).tolist()
        for k in range(len(best))
    }
    people: dict[str, list[dict[str, Any]]] = {}
    with open(rated["ratings"], newline="") as file:
        for row in csv.DictReader(file):
            people.setdefault(row["userId"], []).append({**row, "rating": float(row["rating"])})
    served, same = tf.saved_model.load(rated["served"]), 0
    for user, ratings in people.items():
        latest = max(ratings, key=lambda row: (int(row["timestamp"]), row["movieId"].encode()))
        if (len(ratings) - 1) % 5 or len(ratings) < 11:  # the last window is a whole one
            continue
        so_far = [row for row in ratings if row is not latest]
        dense = apply(sequences(so_far, module.OF_REQUESTS).table, module.SPEC, transform=f"{data_set}/transform")
        named = published.get(
            (dense["movies"][0].tobytes(), dense["days"][0].tobytes(), int(films.to_ids([latest["movieId"]])[0]))
        )
        if named is not None:
            same += 1
            assert module.recommend(served, films, so_far)[user] == named
    assert same > 10
