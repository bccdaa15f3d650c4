"""What `make wheel` builds, installed where no checkout is: it has all that it needs, and runs. Also as Beam's workers get it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability import stager

from tests.pythons import job
from tests.test_contributing import ROOT

PACKAGES = ("pipeline", "seqcols", "transforms")
BESIDE = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist and the wheel, built from a copy of what they are made of, and of a module of the tests."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*BESIDE, "tests/test_package.py"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return dist


def only(folder: Path, pattern: str) -> Path:
    """Returns the one file of a folder."""
    (path,) = folder.glob(pattern)
    return path


def of_the_packages() -> set[str]:
    """Returns every file of the packages, relative to the checkout."""
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_of_the_packages_and_no_other(built):
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == of_the_packages()


def test_the_sdist_has_what_the_wheel_is_made_of_and_no_tests(built):
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames() if sdist.getmember(name).isfile()}
    made = {name for name in names if name.startswith("seqcols.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert names - made == of_the_packages() | set(BESIDE)


def environment(folder: Path) -> Path:
    """Makes an environment that sees the libraries of this one, but no seqcols, and returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    paths = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-I", "-c", paths], capture_output=True, text=True, check=True).stdout.strip()
    # Only paths are taken from it, no .pth files: the editable install of this checkout is one.
    Path(own, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def installed(python: Path, package: Path) -> None:
    """Installs a package as a worker does what was staged, but from no index: a worker may have one, a test has not."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run([*command, "--no-build-isolation", package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def outside(python: Path, *arguments: str | Path, cwd: Path) -> str:
    """Runs a Python with nothing of this checkout, and returns what it printed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


WHERE = """
import importlib.metadata, pathlib, sys
import pipeline, seqcols, transforms
root = pathlib.Path(sys.prefix)
assert all(root in pathlib.Path(one.__file__).parents for one in (pipeline, seqcols, transforms)), pipeline.__file__
print(importlib.metadata.version("seqcols"))
"""


def test_the_wheel_runs_where_no_checkout_is(built, tmp_path):
    """Jobs, reports, requests and `verify`, which between them read all that is no Python in the package."""
    python = environment(tmp_path / "env")
    installed(python, only(built, "*.whl"))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    assert outside(python, "-I", "-c", WHERE, cwd=folder) == version("seqcols") + "\n"
    outside(python, "-I", job.__file__, folder, cwd=folder)
    assert "<html" in (folder / "demo/output/report.html").read_text()
    drafted = outside(python, "-I", "-m", "seqcols", "schema", cwd=folder)
    assert drafted.strip() == (ROOT / "pipeline/columns.schema.json").read_text().strip()


def test_beam_stages_what_a_worker_can_install(built, tmp_path, monkeypatch):
    """`--setup_file`: what Beam's stager builds of the unpacked sdist, installed as a worker's start-up installs it."""
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    setup = only(tmp_path, "seqcols-*") / "setup.py"
    monkeypatch.chdir(tmp_path)
    options = PipelineOptions([f"--setup_file={setup}"])
    resources = stager.Stager.create_job_resources(options, str(tmp_path))
    staged = {name: path for path, name, _ in stager.Stager.extract_staging_tuple_iter(resources)}
    assert [*staged] == ["workflow.tar.gz", "submission_environment_dependencies.txt"]
    python = environment(tmp_path / "env")
    installed(python, Path(staged["workflow.tar.gz"]))
    outside(python, "-I", "-c", WHERE, cwd=tmp_path)
    outside(python, "-I", "-m", "seqcols", "demo", "demo", cwd=tmp_path)
    outside(python, "-I", "-m", "seqcols", "verify", "demo/output", cwd=tmp_path)
