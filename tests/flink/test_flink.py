"""The main job on a real Flink cluster, against the local run: the same rows, statistics and ledger, machines lost or not."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from deploy.flink.cluster import TASK_MANAGERS, Cluster, running
from pipeline import read_manifest
from pipeline.columns_file.reader import load
from pipeline.command.demo import make_sample
from pipeline.job.executing import Outcome
from pipeline.verify.verify import verify
from tests.jobs import arrays_of, assert_balanced, done, listing, read_arrays, read_json, read_rejected
from tests.test_events import COMMITS, bits
from tests.test_extended_vocabulary import by_hand, day_of
from tests.test_job_real import HISTORY, LPC, SPEAKER, columns
from transforms import (
    SequenceGroup,
    make_spec,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.spec.spec import Spec
from transforms.splits.rule import Split

pytestmark = [pytest.mark.flink, pytest.mark.timeout(900)]

MOMENTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""When a task manager is killed: as soon as this share of the job's tasks has begun."""

REAL: dict[str, tuple[Spec, str, dict[str, Any]]] = {
    "vowels": (make_spec([LPC, SPEAKER], SequenceGroup(max_length=29)), "vowels/*.parquet", {}),
    "histories": (
        make_spec(columns("reject"), {"history": HISTORY}),
        "commits/histories.parquet",
        {"format": "parquet", "max_rejected": 1.0},
    ),
}


@dataclass(frozen=True)
class Job:
    """A job, what it gives on this machine's own runner, and where that lies."""

    spec: Spec
    inputs: str
    more: dict[str, Any]
    root: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: Any) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("flink")) as made:
        yield made


@pytest.fixture(scope="module")
def demo(tmp_path_factory: Any) -> Job:
    columns_file, inputs, _ = make_sample(str(tmp_path_factory.mktemp("demo") / "sample"))
    return here(load(columns_file), inputs, {}, tmp_path_factory)


@pytest.fixture(scope="module", params=REAL)
def real(request: Any, real_data: Path, tmp_path_factory: Any) -> Job:
    spec, pattern, more = REAL[request.param]
    return here(spec, str(real_data / pattern), more, tmp_path_factory)


@pytest.fixture(scope="module")
def histories(real_data: Path, tmp_path_factory: Any) -> Job:
    spec, pattern, more = REAL["histories"]
    return here(spec, str(real_data / pattern), more, tmp_path_factory)


def here(spec: Spec, inputs: str, more: dict[str, Any], tmp_path_factory: Any) -> Job:
    root = tmp_path_factory.mktemp("here")
    return Job(spec, inputs, more, root, done(spec, inputs, root, **more))


def there(job: Job, cluster: Cluster, root: Path) -> Outcome:
    return done(job.spec, job.inputs, root, beam_args=cluster.options, **job.more)


def assert_same(root: Path, outcome: Outcome, job: Job) -> None:
    """Asserts that a run has written the same rows as the one here, in any order, and counted and found the same."""
    assert_balanced(outcome.ledger)
    assert outcome.ledger == job.outcome.ledger
    assert read_json(root, "statistics.json") == read_json(job.root, "statistics.json")
    ours, theirs = (sorted_rows(read_arrays(path)) for path in (root, job.root))
    assert len(ours) == outcome.ledger["rows"]["written"]
    assert ours == theirs
    if job.outcome.rejected_files:
        names = ["file", "row", "reason", "column", "value", "record", "digest"]
        ours, theirs = (read_rejected(one.rejected_files).select(names) for one in (outcome, job.outcome))
        assert ours.equals(theirs)
    named = {file for file in listing(root) if file.startswith("examples/")}
    assert named == {entry["path"] for entry in read_json(root, "manifest.json")["examples"]["files"]}


def sorted_rows(arrays: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """The rows of a data set, bit for bit."""
    columns = [
        array.tolist() if array.dtype == object else [row.tobytes() for row in array] for array in arrays.values()
    ]
    return sorted(zip(*columns, strict=True))


def test_two_task_managers(cluster):
    assert cluster.get("/overview")["taskmanagers"] == TASK_MANAGERS


def test_the_demo_is_the_same_as_here(cluster, demo, tmp_path):
    assert_same(tmp_path / "out", there(demo, cluster, tmp_path / "out"), demo)


def test_real_data_are_the_same_as_here(cluster, real, tmp_path):
    assert_same(tmp_path / "out", there(real, cluster, tmp_path / "out"), real)


def test_an_extended_vocabulary_is_the_same_as_here(cluster, real_data, tmp_path, tmp_path_factory):
    """Words, ids and counts, ties among them: most paths stand there once."""
    group = {"history": HISTORY}
    paths = {"key": "paths", "group": "history", "reserve": 5_000, "num_oov_buckets": 100}
    pattern = str(real_data / "commits/histories.parquet")
    first = make_spec([sequence_categorical_column_with_learned_vocabulary(**paths, top_k=1_000)], group)
    done(first, pattern, tmp_path / "first")
    extending = sequence_categorical_column_with_learned_vocabulary(**paths, extends=str(tmp_path / "first"))
    job = here(make_spec([extending], group), pattern, {}, tmp_path_factory)
    outcome = there(job, cluster, tmp_path / "out")
    assert_same(tmp_path / "out", outcome, job)
    before, ours, theirs = (
        read_json(root, "manifest.json") for root in (tmp_path / "first", tmp_path / "out", job.root)
    )
    assert ours["vocabularies"] == theirs["vocabularies"] and ours["vocabularies"]["paths"]["left_out"] > 0
    words = [
        read_manifest(str(root)).vocabularies["paths"] for root in (tmp_path / "first", tmp_path / "out", job.root)
    ]
    assert words[1].texts == words[2].texts and words[1].texts[:1_000] == words[0].texts
    np.testing.assert_array_equal(words[1].counts, words[2].counts)
    assert before["vocabularies"]["paths"]["first_bucket"] == ours["vocabularies"]["paths"]["first_bucket"] == 5_000


def test_five_days_of_words_are_what_they_are_by_hand(cluster, tmp_path):
    """Each day extends the one before; and day five by one run over all five, which extends the first."""
    group, known, first, every = SequenceGroup(max_length=12), list[bytes](), list[bytes](), Counter[bytes]()
    more = {"key": "w", "reserve": 40, "num_oov_buckets": 5, "frequency_threshold": 12}

    def words_of(files: Path, name: str, **before: str) -> Sequence[bytes]:
        spec = make_spec([sequence_categorical_column_with_learned_vocabulary(**more, **before)], group)
        done(spec, files, tmp_path / name, beam_args=cluster.options)
        return read_manifest(str(tmp_path / name)).vocabularies["w"].texts

    for number in range(5):
        files, counts = day_of(tmp_path, number)
        before = {"extends": str(tmp_path / f"out{number - 1}")} if number else {}
        known, _ = by_hand(counts, known, None, 12, 40)
        assert words_of(files, f"out{number}", **before) == known
        first, every = first or known, every + counts
    found = words_of(tmp_path / "day*.parquet", "all", extends=str(tmp_path / "out0"))
    assert found == by_hand(every, first, None, 12, 40)[0]


EVENTS = make_spec(
    [sequence_numeric_column("hours", normalizer_fn="z_score")], SequenceGroup(max_length=64), events=COMMITS
)


@pytest.fixture(scope="module")
def events(real_data: Path, tmp_path_factory: Any) -> Job:
    more = {"format": "parquet", "partitions": 16}
    return here(EVENTS, str(real_data / "commits/events-*.parquet"), more, tmp_path_factory)


def made_sequences(root: Path) -> list[str]:
    """The sequences of a data set, bit for bit."""
    return sorted(row for path in read_manifest(str(root)).sequence_files for row in bits(pq.read_table(path)))


def assert_same_events(root: Path, outcome: Outcome, job: Job) -> None:
    """Asserts that a run on events has made the same sequences and rows, and accounted for the same events."""
    assert outcome.ledger["events"] == job.outcome.ledger["events"]
    assert made_sequences(root) == made_sequences(job.root)
    assert sorted_rows(read_arrays(root)) == sorted_rows(read_arrays(job.root))
    assert read_json(root, "statistics.json") == read_json(job.root, "statistics.json")


def test_events_are_shuffled_to_the_same_sequences(cluster, events, tmp_path):
    assert_same_events(tmp_path / "out", there(events, cluster, tmp_path / "out"), events)


@pytest.mark.parametrize("moment", (0.3, 0.6))
def test_a_task_manager_is_lost_in_mid_shuffle(moment, cluster, events, tmp_path):
    """The first job of the run is the one that shuffles."""
    killer = Killer(cluster, moment)
    killer.start()
    outcome = there(events, cluster, tmp_path / "out")
    killer.join(60)
    assert killer.killed, "the job was done before its time had come"
    assert_same_events(tmp_path / "out", outcome, events)
    assert killer.restarts(), "the job has not noticed"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_task_manager_is_lost(moment, cluster, histories, tmp_path):
    killer = Killer(cluster, moment)
    killer.start()
    outcome = there(histories, cluster, tmp_path / "out")
    killer.join(60)
    assert killer.killed, "the job was done before its time had come"
    assert_same(tmp_path / "out", outcome, histories)
    assert killer.restarts(), "the job has not noticed"
    print(f"at {moment:.0%} of the tasks: {killer.killed} killed, {killer.restarts()} restarts, the same rows")


def test_splits_and_shards_are_the_same_as_here(cluster, real_data, tmp_path):
    """Histories divided by actor, three files for each split: the rows of each split, its ledger, the figures of train."""
    rule = Split(by="key", key="actor", fractions={"train": 0.7, "validation": 0.2, "test": 0.1})
    spec = make_spec(columns("reject"), {"history": HISTORY}, split=rule)
    job = here_of(spec, str(real_data / "commits/histories.parquet"), tmp_path / "here")
    outcome = there(job, cluster, tmp_path / "out")
    assert_balanced(outcome.ledger)
    assert outcome.ledger == job.outcome.ledger
    assert read_json(tmp_path / "out", "statistics.json") == read_json(job.root, "statistics.json")
    ours, theirs = (read_manifest(str(root)) for root in (tmp_path / "out", job.root))
    assert ours.splits == theirs.splits == ["train", "validation", "test"]
    for name in ours.splits:
        one, two = ours.split(name), theirs.split(name)
        assert len(one.files) == len(two.files) == 3
        assert sorted_rows(arrays_of(one)) == sorted_rows(arrays_of(two))
    named = {file for file in listing(tmp_path / "out") if file.startswith("examples/")}
    assert named == {entry["path"] for entry in ours.content["examples"]["files"]}
    assert not verify(str(tmp_path / "out")).faults


def test_transform_and_append_are_the_same_as_here(cluster, real_data, tmp_path):
    """Test's utterances by train's transform, as a data set of their own and added to train's."""
    spec = make_spec([LPC, SPEAKER], SequenceGroup(max_length=29))
    train, test = (str(real_data / f"vowels/{name}.parquet") for name in ("train", "test"))
    roots = {name: tmp_path / name for name in ("here", "there", "made_here", "made_there")}
    for name in ("here", "there"):
        done(spec, train, roots[name])
    far = {"beam_args": cluster.options}
    ours = done(spec, test, roots["made_there"], transform=str(roots["there"]), **far)
    theirs = done(spec, test, roots["made_here"], transform=str(roots["here"]))
    assert ours.ledger == theirs.ledger
    assert sorted_rows(read_arrays(roots["made_there"])) == sorted_rows(read_arrays(roots["made_here"]))
    assert done(spec, test, roots["there"], append=True, **far).ledger == ours.ledger
    done(spec, test, roots["here"], append=True)
    assert sorted_rows(read_arrays(roots["there"])) == sorted_rows(read_arrays(roots["here"]))
    assert read_json(roots["there"], "ledger.json") == read_json(roots["here"], "ledger.json")
    for root in roots.values():
        assert not verify(str(root)).faults


def here_of(spec: Spec, inputs: str, root: Path) -> Job:
    more = {"format": "parquet", "max_rejected": 1.0, "shards": 3}
    return Job(spec, inputs, more, root, done(spec, inputs, root, **more))


class Killer(threading.Thread):
    """Kills a task manager when the next job has come so far, and starts another one."""

    def __init__(self, cluster: Cluster, moment: float):
        super().__init__(daemon=True)
        self._cluster, self._moment = cluster, moment
        self._before = {job["jid"] for job in self._jobs()}
        self._job = ""
        self.killed = ""

    def run(self) -> None:
        """Waits for the moment."""
        while not self.killed:
            time.sleep(0.05)
            new = [job for job in self._jobs() if job["jid"] not in self._before]
            if not new:
                continue
            self._job = new[-1]["jid"]
            tasks = new[-1]["tasks"]
            begun = tasks["finished"] + tasks["running"]
            if new[-1]["state"] not in ("RUNNING", "CREATED", "INITIALIZING"):
                return
            if begun >= self._moment * tasks["total"] and tasks["finished"] < tasks["total"]:
                self.killed = self._cluster.kill_task_manager()
                self._cluster.add_task_manager()

    def restarts(self) -> int:
        """How often the job was begun again."""
        found = self._cluster.get(f"/jobs/{self._job}/metrics?get=numRestarts") or []
        exceptions = self._cluster.get(f"/jobs/{self._job}/exceptions") or {}
        return (
            int(float(found[0]["value"])) if found else len(exceptions.get("exceptionHistory", {}).get("entries", []))
        )

    def _jobs(self) -> list[dict[str, Any]]:
        found = self._cluster.get("/jobs/overview")
        return found["jobs"] if found else []
