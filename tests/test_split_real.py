"""Splits of real data: utterances by file, against NumPy and a run without test; histories by actor, in 20 arrangements."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.dataset.manifest import read as read_manifest
from pipeline.loaders import numpy_batches
from pipeline.verify import verify
from tests.jobs import Arrays, arrays_of, assert_balanced, done, read_json
from tests.marks import slow_but
from tests.test_job_real import LPC, SPEAKER, columns
from tests.test_job_real import vowels as utterances_of
from transforms import SequenceGroup, make_spec
from transforms.splits.rule import Split

# Utterances: train and test are files

LONGEST = SequenceGroup(max_length="longest", truncate="tail")
VOWELS = make_spec([LPC, SPEAKER], LONGEST)
FIGURES = ("count", "mean", "variance", "min", "max", "over", "normalizer", "type")


@pytest.fixture(scope="module", params=slow_but(["tfrecord", "parquet"], "tfrecord"))
def vowels(request, real_data, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("vowels")
    inputs = [f"{name}={real_data}/vowels/{name}.parquet" for name in ("train", "test")]
    outcome = done(VOWELS, inputs, root, format=request.param)
    assert_balanced(outcome.ledger)
    assert {n: own["rows"]["written"] for n, own in outcome.ledger["splits"].items()} == {"train": 270, "test": 370}
    return root


def test_test_is_normalised_by_the_figures_of_train(vowels, real_data):
    """As float32 holds what NumPy computes in float64. T is that of train, 26; one utterance of test is longer."""
    _, raw, _ = utterances_of(real_data, "train")
    mean, deviation = raw.mean(axis=0), raw.std(axis=0)
    for name, longer in (("train", 0), ("test", 1)):
        table, steps, splits = utterances_of(real_data, name)
        made = arrays_of(read_manifest(str(vowels)).split(name))
        assert made["lpc"].shape == (len(table), 26, 12)
        np.testing.assert_array_equal(made["sequence_length"], np.minimum(np.diff(splits), 26))
        np.testing.assert_array_equal(made["speaker"][:, 0], table["speaker"].to_numpy())
        normal = (steps - mean) / deviation
        kept = [normal[a:b][-26:] for a, b in itertools.pairwise(splits)]
        assert sum(b - a > 26 for a, b in itertools.pairwise(splits)) == longer
        np.testing.assert_allclose(made["lpc"][made["sequence_mask"]], np.concatenate(kept), rtol=1e-6, atol=1e-7)
        assert not made["lpc"][~made["sequence_mask"]].any()


def test_the_figures_of_train_are_those_without_test(vowels, real_data, tmp_path):
    done(VOWELS, real_data / "vowels/train.parquet", tmp_path / "alone", format=read_manifest(str(vowels)).format)
    both, alone = (read_json(root, "statistics.json") for root in (vowels, tmp_path / "alone"))
    for column, found in alone["columns"].items():
        own = both["columns"][column]
        assert {n: own[n] for n in FIGURES if n in found} == {n: found[n] for n in FIGURES if n in found}
    assert "variance" in alone["columns"]["lpc"] and both["groups"] == alone["groups"]
    assert (both["split"], both["rows"]) == ("train", 270)
    one, two = arrays_of(read_manifest(str(vowels)).split("train")), arrays_of(read_manifest(str(tmp_path / "alone")))
    assert one.keys() == two.keys() and all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_it_is_verified_and_loaded_by_split(vowels):
    found = verify.files(str(vowels))
    verify.compare(found, (), 10**4, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows >= 300
    for name, count in (("train", 270), ("test", 370)):
        (batch,) = numpy_batches(str(vowels), 1000, split=name)
        assert len(batch["lpc"]) == count


# Histories: an actor is in one split, whatever else

FRACTIONS = {"train": 0.7, "validation": 0.2, "test": 0.1}
RULE = Split(by="key", key="actor", fractions=FRACTIONS, seed=11)
HISTORIES = make_spec(columns("fill"), {"history": SequenceGroup(max_length=16, truncate="tail")}, split=RULE)
READ = ("actor", "repository", "items", "churn", "hours", "returned")


@pytest.fixture(scope="module")
def histories(real_data) -> pa.Table:
    return pq.read_table(real_data / "commits/histories.parquet", columns=list(READ))


def splits_by_tensorflow(actors: np.ndarray) -> list[str]:
    """The split of each actor, by TensorFlow's own Fingerprint64."""
    keys = [f"11:{actor}" for actor in actors.tolist()]
    marks = tf.fingerprint(tf.constant(keys)).numpy().reshape(-1, 8).copy().view("<u8")[:, 0]
    ends = np.cumsum(list(FRACTIONS.values()))
    return [list(FRACTIONS)[int(np.searchsorted(ends, mark / 2**64, side="right"))] for mark in marks]


def arranged(table: pa.Table, folder: Path, seed: int) -> tuple[list[Path], dict[str, Any]]:
    """Writes the rows in some order into one to five files; returns these, and the options of a run."""
    rng = random.Random(seed)
    order = rng.sample(range(len(table)), len(table))
    cuts = [0, *sorted(rng.sample(range(1, len(table)), rng.randrange(5))), len(table)]
    files = []
    for k, (first, last) in enumerate(itertools.pairwise(cuts)):
        files.append(folder / f"{rng.randrange(1000):03}-{k}.parquet")
        part = table.take(pa.array(order[first:last]))
        pq.write_table(part, files[-1], row_group_size=rng.choice([100, 1000, 10_000]))
    rng.shuffle(files)
    options: dict[str, Any] = {"workers": rng.randint(1, 4), "max_batch_bytes": rng.choice([50_000, 500_000, 8 << 20])}
    return files, {**options, "shards": rng.choice([None, 3]), "format": rng.choice(["parquet", "tfrecord"])}


def by_split(root: Path) -> dict[str, Arrays]:
    """The rows of each split in the order of their keys."""
    made, manifest = {}, read_manifest(str(root))
    for name in manifest.splits:
        arrays = arrays_of(manifest.split(name))
        text = [v.decode() if isinstance(v, bytes) else v for v in arrays.pop("repository")]
        order = sorted(range(len(text)), key=lambda k: (arrays["actor"][k], text[k]))
        made[name] = {key: array[order] for key, array in arrays.items()}
    return made


def test_each_actor_is_in_the_split_that_tensorflow_says(histories, tmp_path):
    outcome = done(HISTORIES, arranged(histories, tmp_path, 0)[0], tmp_path / "out", max_rejected=0.0)
    assert_balanced(outcome.ledger)
    actors = histories["actor"].to_numpy()
    wanted = np.array(splits_by_tensorflow(actors))
    found = by_split(tmp_path / "out")
    for name, arrays in found.items():
        assert arrays["actor"].tolist() == sorted(actors[wanted == name].tolist())
    sizes = {name: len(arrays["actor"]) / len(actors) for name, arrays in found.items()}
    assert all(abs(sizes[name] - share) < 0.05 for name, share in FRACTIONS.items())


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a whole job for each arrangement
def test_no_arrangement_shows(histories, tmp_path):
    """The same rows to the last bit in the same splits, no actor in two of them, and the same figures."""
    first: dict[str, Arrays] = {}
    figures: dict[str, Any] = {}
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        files, options = arranged(histories, tmp_path / str(seed), seed)
        done(HISTORIES, files, tmp_path / str(seed) / "out", max_rejected=0.0, **options)
        found = by_split(tmp_path / str(seed) / "out")
        actors = [set(arrays["actor"].tolist()) for arrays in found.values()]
        assert len(set.union(*actors)) == sum(map(len, actors)) == len(set(histories["actor"].to_pylist()))
        statistics = read_json(tmp_path / str(seed) / "out", "statistics.json")["columns"]
        first, figures = first or found, figures or statistics
        assert statistics == figures, seed
        for name, arrays in first.items():
            for key, array in arrays.items():
                assert found[name][key].tobytes() == array.tobytes(), (seed, name, key)
    assert list(first) == list(FRACTIONS)
