"""`seqcols`, the one name for users: it has what the faces of the packages have, and says which file hides one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import assert_type

import pytest

import pipeline
import pipeline.inspect
import pipeline.loaders
import seqcols
import transforms

ROOT = Path(__file__).resolve().parent.parent
FACES = (pipeline, pipeline.inspect, pipeline.loaders, transforms)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a folder that it finds modules in before those of seqcols, as it finds those beside a script."""
    paths = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_names_are_those_of_the_faces():
    assert seqcols.__all__ == sorted(name for face in FACES for name in face.__all__)  # each in one of them
    assert set(seqcols.__all__) < set(dir(seqcols))
    with pytest.raises(AttributeError, match="module 'seqcols' has no attribute 'escaping'"):
        _ = seqcols.escaping


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_each_name_is_the_same_object(face):
    for name in face.__all__:
        assert getattr(seqcols, name) is getattr(face, name), name


def test_nothing_slow_is_imported(tmp_path):
    program = "import sys, seqcols; seqcols.numeric_column('x'); print({'apache_beam', 'tensorflow'} & {*sys.modules})"
    assert python(tmp_path, "-c", program).stdout == "set()\n"


def as_type_checkers_see_them(request: pipeline.Request, events: list[dict[str, int]]) -> None:
    """Not called: mypy refuses it where it sees less of a name than its type."""
    assert_type(seqcols.run(request), pipeline.Outcome)
    assert_type(seqcols.numpy_batches("out", 8), pipeline.loaders.Batches)
    assert_type(seqcols.sequences(events, {}), transforms.Grouped)
    assert_type(seqcols.inspect(events), pipeline.inspect.Inspected)


@pytest.mark.parametrize("other", ["transforms.py", "pipeline.py", "pipeline/__init__.py"])
def test_a_file_that_hides_a_package_is_named(tmp_path, other):
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("raise SystemExit('imported')")
    name = other.removesuffix("/__init__.py")
    own = ROOT / name.removesuffix(".py")
    line = f"{tmp_path / name} hides {own}, a package of seqcols: rename it, or start from another directory"
    done = python(tmp_path, "-c", "import seqcols")
    assert done.returncode == 1 and done.stderr.endswith(f"\nImportError: {line}\n")
    done = python(tmp_path, "-m", "seqcols", "schema")
    assert (done.returncode, done.stderr) == (2, f"seqcols: error: {line}\n")


def test_a_folder_that_is_no_package_hides_nothing(tmp_path):
    (tmp_path / "pipeline").mkdir()
    done = python(tmp_path, "-m", "seqcols", "--version")
    assert (done.returncode, done.stdout) == (0, f"seqcols, version {metadata.version('seqcols')}\n")
