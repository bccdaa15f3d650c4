"""The parts of a local Flink cluster, fetched once, checked, and kept outside the repository: `python -m deploy.flink.parts`.

Flink's jars come with the source package `apache-flink-libraries`, by pip; those of Beam's job server with mvn. Both clients are
asked as they are configured on this machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

FLINK: Final = "1.20.5"
FLINK_SHA256: Final = "e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8"

HERE: Final = Path(__file__).parent
POM: Final = HERE / "pom.xml"
"""The Maven project that lists the parts of the job server."""

SUMS: Final = HERE / "job_server.sha256"
"""Its jars with their checksums, as `sha256sum` writes and checks them."""


class Missing(Exception):
    """A part cannot be had, or is not what it should be: one line."""


def folder() -> Path:
    """Returns where the parts are kept: `SEQCOLS_FLINK`, or the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqcols" / "flink"
    return Path(os.environ.get("SEQCOLS_FLINK") or default)


def libraries() -> Path:
    """Returns the folder of Flink's jars, `lib` and `bin`."""
    return folder() / f"flink-{FLINK}"


def job_server() -> Path:
    """Returns the folder of the jars of Beam's job server."""
    return folder() / f"job-server-{hashlib.sha256(SUMS.read_bytes()).hexdigest()[:16]}"


def fetch() -> None:
    """Fetches what is not there yet.

    Raises:
      Missing: a client or a part is not to be had, or has another checksum.
    """
    folder().mkdir(parents=True, exist_ok=True)
    for part, get in ((libraries(), _flink), (job_server(), _job_server)):
        if not part.exists():
            with tempfile.TemporaryDirectory(dir=folder()) as scratch:
                get(Path(scratch))


def _flink(scratch: Path) -> None:
    print(f"fetching Flink {FLINK} (230 MB)", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(scratch), f"apache-flink-libraries=={FLINK}"])
    archive = scratch / f"apache_flink_libraries-{FLINK}.tar.gz"
    _check(archive, FLINK_SHA256)
    with tarfile.open(archive) as tar:
        top = archive.name.removesuffix(".tar.gz")
        wanted = [m for m in tar.getmembers() if m.name.startswith((f"{top}/deps/lib/", f"{top}/deps/bin/"))]
        tar.extractall(scratch, wanted, filter="data")
    (scratch / top / "deps").rename(libraries())


def _job_server(scratch: Path) -> None:
    print("fetching Beam's job server for Flink (95 MB)", file=sys.stderr)
    if shutil.which("mvn") is None:
        raise Missing("mvn is not installed; it fetches Beam's job server")
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
    jars = scratch / "jars"
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
    _run(["mvn", "--quiet", "--batch-mode", "--file", str(POM), copy, *options])
    expected = {name: digest for digest, name in (line.split() for line in SUMS.read_text().splitlines())}
    for name, digest in expected.items():
        _check(jars / name, digest)
    if more := sorted({path.name for path in jars.iterdir()} - expected.keys()):
        raise Missing(f"{more[0]} is not among the jars of {SUMS.name}")
    jars.rename(job_server())


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise Missing(f"{Path(command[0]).name} failed: {lines[0] if lines else done.returncode}")


def _check(path: Path, expected: str) -> None:
    if not path.exists():
        raise Missing(f"{path.name} was not fetched")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise Missing(f"{path.name}: expected the SHA-256 {expected}, got {found}")


if __name__ == "__main__":
    try:
        fetch()
    except Missing as error:
        sys.exit(f"flink: {error}")
