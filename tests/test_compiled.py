"""How kernels are compiled and kept: in processes of their own, for Numba reads its settings once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transforms.kernels import compiled
from transforms.kernels.compiled import key_of

KERNEL = """
import json
import numpy as np
from transforms.kernels import compiled

@compiled.kernel
def last(values, k):
    return values[k]

def outcome(k):
    try:
        return int(last(np.arange(3), k))
    except IndexError:
        return "IndexError"

if __name__ == "__main__":
    note = compiled.note()
    found = outcome(2)
    hits = sum(last.stats.cache_hits.values()) if hasattr(last, "stats") else None
    print(json.dumps({"value": found, "beyond": outcome(3), "hits": hits, "folder": str(compiled.FOLDER), "note": note}))
"""


def run(tmp_path: Path, **variables: str) -> dict[str, Any]:
    script = tmp_path / "a_kernel.py"
    script.write_text(KERNEL)
    roots = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    own = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": roots, **variables}
    done = subprocess.run([sys.executable, str(script)], env={**os.environ, **own}, capture_output=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_a_second_process_takes_the_code_that_the_first_one_kept(tmp_path):
    first, second = run(tmp_path), run(tmp_path)
    assert (first["value"], first["hits"]) == (2, 0) and first["note"].startswith("compiling the kernels")
    assert (second["value"], second["hits"], second["folder"], second["note"]) == (2, 1, first["folder"], "")
    assert Path(first["folder"]).is_relative_to(tmp_path)


def test_checked_code_is_kept_apart_and_finds_a_read_out_of_bounds(tmp_path):
    unchecked, checked = run(tmp_path), run(tmp_path, NUMBA_BOUNDSCHECK="1")
    assert unchecked["beyond"] != "IndexError"
    assert (checked["value"], checked["beyond"]) == (2, "IndexError")
    assert checked["folder"] == unchecked["folder"] + "-checked"


def test_kernels_run_as_python(tmp_path):
    found = run(tmp_path, NUMBA_DISABLE_JIT="1")
    assert (found["value"], found["beyond"], found["hits"], found["note"]) == (2, "IndexError", None, "")


def test_without_a_folder_code_is_compiled_in_memory_and_a_note_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    found = run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "file" / "cache"))
    assert (found["value"], found["folder"]) == (2, "None")
    assert "cannot be written (NUMBA_CACHE_DIR" in found["note"]


def test_what_the_code_depends_on_is_in_the_name_of_its_folder(tmp_path, monkeypatch):
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in paths:
        path.write_text("1")
    before = key_of(paths, False)
    assert key_of(reversed(paths), False) == before != key_of(paths, True)
    paths[1].write_text("2")
    assert key_of(paths, False) != before
    paths[1].write_text("1")
    assert key_of(paths, False) == before
    monkeypatch.setattr("numba.__version__", "0")
    assert key_of(paths, False) != before


@pytest.mark.skipif(compiled.FOLDER is None, reason="no folder can be written")
def test_other_users_of_numba_keep_their_own_folder():
    import numba

    before = numba.config.CACHE_DIR
    compiled.kernel(key_of)
    assert before == numba.config.CACHE_DIR


JOBS = """
import importlib, json, pkgutil, shutil, sys
from pathlib import Path
from pipeline.compile_kernels import compile_all
from pipeline.command.tf_examples import write_examples
from tests.jobs import done
from transforms import SequenceGroup, kernels, make_spec, numeric_column, passthrough_column, sequence_numeric_column
from transforms import sequence_categorical_column_with_identity, sequence_categorical_column_with_learned_vocabulary

def compiled():
    modules = [importlib.import_module(f"transforms.kernels.{one.name}") for one in pkgutil.iter_modules(kernels.__path__)]
    found = {value for module in modules for value in vars(module).values() if hasattr(value, "signatures")}
    return {f"{one.__module__}.{one.__name__} {types}" for one in found for types in one.signatures}

compile_all()
before = compiled()
folder = Path(sys.argv[1])
rows = [{"x": [1.0, k], "ids": [k], "word": ["a", "b"], "time": [1.5], "name": b"n", "at": k} for k in range(9)]
write_examples(str(folder / "in.tfrecord"), rows)
spec = make_spec(
    [
        sequence_numeric_column("x", normalizer_fn="z_score"),
        sequence_numeric_column("time", dtype="float64", normalizer_fn="z_score", group="others"),
        sequence_categorical_column_with_identity("ids", 9, group="third"),
        sequence_categorical_column_with_learned_vocabulary("word", group="fourth", top_k=2),
        numeric_column("at", dtype="int64", normalizer_fn={"type": "z_score", "per": "key", "key": "name"}),
        passthrough_column("name", "bytes"),
    ],
    {name: SequenceGroup(max_length=3) for name in ("sequence", "others", "third", "fourth")},
)
done(spec, folder / "in.tfrecord", folder / "lists", format="sequence_example")
for path in (folder / "lists" / "examples").iterdir():
    shutil.copy(path, folder / f"again-{path.name}")
columns = [numeric_column("at"), sequence_numeric_column("x", normalizer_fn="z_score")]
done(make_spec(columns, SequenceGroup(max_length=2)), folder / "again-*", folder / "flat", format="tfrecord.gz")
print(json.dumps([len(before), sorted(compiled() - before)]))
"""


@pytest.mark.slow
def test_jobs_compile_nothing_that_was_not_compiled_beforehand(tmp_path):
    """Which is what `make env` does, so that nobody has to wait."""
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", JOBS, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, more = json.loads(done.stdout.splitlines()[-1])
    assert count >= 10 and more == []
