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
from apache_beam.runners.portability import local_job_service

from pipeline.command.demo import make_sample
from tests.pythons import job
from tests.test_contributing import ROOT

PACKAGES = ("pipeline", "seqcols", "transforms")
BESIDE = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


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
    # Among the libraries pip sees the editable install of this checkout, and must leave it where it is.
    command += ["--no-build-isolation", "--ignore-installed", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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


def test_beam_brings_it_to_workers(built, tmp_path):
    """`--setup_file` of a job with its workers here; then what came to the job service, installed as a container does it."""
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    setup = only(tmp_path, "seqcols-*") / "setup.py"
    columns, pattern, _ = make_sample(str(tmp_path / "demo"))
    job_service = local_job_service.LocalJobServicer(str(tmp_path / "staging"))
    port = job_service.start_grpc_server()
    try:
        command = [sys.executable, "-m", "seqcols", "run", columns, "--input", pattern, "--output", tmp_path / "out"]
        command += ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK"]
        done = subprocess.run([*command, f"--setup_file={setup}"], capture_output=True, text=True, check=False)
    finally:
        job_service.stop()
    assert done.returncode == 0, done.stderr[-3000:]
    package = tmp_path / "workflow.tar.gz"
    only(tmp_path / "staging", "*/*-workflow.tar.gz").rename(package)
    python = environment(tmp_path / "env")
    installed(python, package)
    outside(python, "-I", "-c", WHERE, cwd=tmp_path)
    assert "all equal" in outside(python, "-I", "-m", "seqcols", "verify", tmp_path / "out", cwd=tmp_path)
