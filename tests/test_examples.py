"""The examples of docs/examples on the real data: what they reach, and that the served model says what the trained one does."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.command.tf_examples import encode
from pipeline.loaders import tf_dataset
from tests.jobs import read_json
from transforms import apply

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


@pytest.fixture(scope="module")
def histories(real_data, tmp_path_factory) -> dict[str, Any]:
    return example("next_item").main(str(real_data / "commits"), str(tmp_path_factory.mktemp("next")), seed=0)


def test_the_next_item_is_found_more_often_than_without_a_model(histories):
    assert histories["histories"] == 414
    assert histories["model"] > histories["latest in the history"] > histories["most frequent"] > 0.1


def test_nobody_is_in_both_splits(real_data):
    table = pq.read_table(real_data / "commits/histories.parquet")
    people = [set(part["actor"].to_pylist()) for part in example("next_item").split(table)]
    assert not people[0] & people[1] and len(people[0] | people[1]) == 3527
    assert all(len(own) > 500 for own in people)


def test_statistics_are_those_of_the_people_to_train_on(histories, real_data):
    table = pq.read_table(real_data / "commits/histories.parquet")
    train, _ = example("next_item").split(table)
    kept = np.concatenate([np.array(hours[-33:], np.float64) for hours in train["hours"].to_pylist()])
    found = read_json(histories["data_set"], "statistics.json")["columns"]["hours"]
    assert found["count"] == [len(kept)]


def test_the_served_model_gives_the_same_items(histories):
    module = example("next_item")
    test = histories["test"].slice(0, 200)
    dense = apply(test, module.SPEC, transform=f"{histories['data_set']}/transform")
    features = {name: tf.constant(dense[name]) for name in ("items", "hours", "history_mask", "history_length")}
    wanted = module.next_items(histories["model_trained"], features).numpy()
    answers = serve(histories["served"], [encode(row) for row in test.to_pylist()])
    assert answers["valid"].all() and answers["items"].shape == (200, 10)
    assert (answers["items"] == wanted).mean() > 0.999  # two scores may be equal but for the last bit
