"""A share of the fuzzer's inputs, all of which must end as documented; and proof that it notices when one does not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from pipeline.sources.compression import filled_from
from pipeline.sources.limits import WIDEST
from pipeline.sources.tfrecord.framing import records
from tests.fuzz import run
from tests.fuzz.corpus import entries
from tests.fuzz.mutate import mutated, spoilt_records
from tests.fuzz.parent import Limits
from tests.fuzz.planted import FAULTS
from tests.fuzz.planted_kernel import BEYOND
from tests.fuzz.target import Target
from transforms.kernels import example_values, examples, framing

INPUTS = 3000
QUICK = Limits(seconds=0.5, idle=6.0, memory=1 << 30)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some 20 s on two cores of its own
def test_no_input_ends_otherwise_than_documented():
    report = run.fuzz(range(INPUTS))
    found = "\n".join(f"--seed {one.seed} ({one.name}, {one.at}): {one.summary}" for one in report.findings)
    assert not report.findings, found
    assert report.inputs == INPUTS
    reached = Counter(outcome for (_, outcome), count in report.counts.items() if count)
    assert reached["clean"] > 10 and reached["rejected"] > 5 and reached["failed"] > 10  # formats that got there


@pytest.fixture(scope="module")
def planted() -> run.Report:
    return run.fuzz(range(20), "tests.fuzz.planted:Faulty", 2, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("seed", FAULTS)
def test_planted_faults_are_found(planted, seed):
    (found,) = [finding for finding in planted.findings if finding.seed == seed]
    assert (found.kind, found.name) == (FAULTS[seed][1], "odd")
    assert found.summary.startswith(FAULTS[seed][2])
    assert "planted.py" in found.detail or seed == 11  # _exit says nothing


@pytest.mark.slow
def test_every_input_is_tried_once_whatever_happens_before_it(planted):
    assert planted.inputs == 20 and len(planted.findings) == len(FAULTS)
    assert planted.counts == {
        ("even", "clean"): 10,
        ("odd", "clean"): 10 - len(FAULTS),
        ("odd", "finding"): len(FAULTS),
    }
    assert planted.table().splitlines()[-1].split() == ["all", "20", "13", "0", "0", "7"]


@pytest.mark.slow
def test_findings_of_one_place_are_told_once(planted):
    doubled = run.Report(findings=[*planted.findings, *planted.findings])
    told = list(doubled.distinct())
    assert len(told) == len(FAULTS)
    assert all(len(seeds) == 2 for _, seeds in told)


@pytest.mark.slow
@pytest.mark.parametrize("checked", ["1", "0"])
def test_a_read_out_of_bounds_is_found_where_bounds_are_checked(checked, tmp_path, monkeypatch):
    """By its IndexError; nothing else would have told."""
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", checked)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    report = run.fuzz(range(BEYOND + 2), "tests.fuzz.planted_kernel:Beyond", 1)
    found = [(one.seed, one.kind, one.summary, one.at.split(":")[0]) for one in report.findings]
    finding = BEYOND, "exception", "IndexError: index is out of bounds", "fuzz/planted_kernel.py"
    assert found == ([finding] if checked == "1" else [])
    assert report.inputs == BEYOND + 2
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("-checked") == (checked == "1")


ON_THE_WAY: list[tuple[ModuleType, str]] = [
    (framing, "cut"),
    (examples, "shows_lists"),
    (examples, "scan"),
    (example_values, "run_of"),
    (example_values, "fill"),
]
"""Kernels that reading records passes through."""


@pytest.mark.parametrize(("module", "name"), ON_THE_WAY)
def test_an_index_error_out_of_a_kernel_is_no_documented_end(module, name, monkeypatch):
    """No source takes it for a damaged file, nor a row's for a bad row."""
    monkeypatch.chdir(".")  # where the target goes from
    target = Target()

    def beyond(*arguments: Any) -> None:
        raise IndexError("index is out of bounds")

    monkeypatch.setattr(module, name, beyond)
    monkeypatch.setattr(target, "data", lambda seed: target.entry(seed).packed(target.entry(seed).data))
    for seed in (0, 2, 4):  # tf.Examples, tf.SequenceExamples and both
        assert target.entry(seed).layout == "tfrecord"
        with pytest.raises(IndexError):
            target(seed)


def test_a_target_that_does_not_start_ends_the_run():
    with pytest.raises(RuntimeError, match="the target does not start"):
        run.fuzz(range(3), "tests.fuzz.planted:Unborn", 1, QUICK)


@pytest.mark.parametrize(("first", "code"), [(0, 0), (6, 1)])
def test_the_exit_code_says_whether_something_was_found(first, code, capsys):
    options = ["--inputs", "2", "--first", str(first), "--children", "1"]
    assert run.main(options, "tests.fuzz.planted:Faulty") == code
    said = capsys.readouterr().out
    assert ("exception at fuzz/planted.py" in said) == bool(code)
    assert "--seed 7" in said or not code


def inputs() -> list[str]:
    """Some inputs as digests, made as the target makes them."""
    made = entries()
    return [hashlib.sha256(mutated(made[k % len(made)], made, random.Random(k))).hexdigest() for k in range(300)]


@pytest.mark.slow
def test_an_input_is_the_same_in_every_process():
    """Protobuf writes maps in an order of its own in each process, and Python hashes texts."""
    program = "import json; from tests.test_fuzz import inputs; print(json.dumps(inputs()))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    made = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert json.loads(made.stdout.splitlines()[-1]) == inputs()


def test_mutations_spoil_what_is_behind_checksums():
    """Records are spoilt under checksums that fit: the decoder sees them, and not the reader of the frames alone."""
    (entry, *others) = [entry for entry in entries() if entry.layout == "tfrecord"]
    before = list(records(filled_from([entry.data]), "", WIDEST))
    changed: Counter[Any] = Counter()
    for seed in range(200):
        spoilt = spoilt_records(entry.data, [e.data for e in others], random.Random(seed))
        after = list(records(filled_from([spoilt]), "", WIDEST))
        changed[after != before] += 1
    assert changed[True] > 190
