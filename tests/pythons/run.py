"""The same jobs on every Python that this machine has, from the lock and the wheel, and whether all gave the same bits.

    python -m tests.pythons.run [--only 3.12] [--wheel dist/seqcols-*.whl] [--uv uv]

An environment for each in build/pythons, made of requirements.lock (3 GB, once), outside of which nothing is imported: the wheel
is installed into it, and `job.py` runs there. A Python is on the path (`python3.12`), or is one of pyenv's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements.lock"
VERSIONS: Final = ("3.11", "3.12", "3.13")

DROPPED: Final = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
"""Variables that a step does not get. Without byte code every process would import TensorFlow in 20 s instead of 4."""

Digests = dict[str, list[str]]


class Failed(Exception):
    """A step of a Python ended otherwise than it must; the message is what it said."""


def places(version: str) -> Iterator[Path]:
    """Yields where a Python may be: on the path, then among pyenv's, whose shims on the path run only those that are set."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    own = pyenv.glob(f"versions/{version}.*/bin/python{version}")
    yield from sorted(own, key=lambda path: (len(str(path)), path), reverse=True)  # 3.12.10 is newer than 3.12.9


def found(version: str) -> Path | None:
    """Returns a Python of a version (`3.12`) that runs; None if this machine has none."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    for place in places(version):
        done = subprocess.run([place, "-c", asked], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.startswith(f"{version}\n"):
            return Path(done.stdout.splitlines()[1])
    return None


def carried_out(command: list[str | Path], step: str) -> str:
    """Runs a command, away from this checkout, and returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in DROPPED}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{step} ended with {done.returncode}: {(done.stderr or done.stdout)[-3000:].strip()}")
    return done.stdout


def environment_of(version: str, python: Path, uv: str) -> Path:
    """Returns the Python of an environment that has what the lock names, which is made where there is none."""
    folder = ROOT / "build" / "pythons" / version
    own, stamp = folder / "bin" / "python", folder / "locked"
    if not (stamp.exists() and stamp.read_bytes() == LOCK.read_bytes()):
        carried_out([uv, "venv", "--quiet", "--no-config", "--clear", "--python", python, folder], "uv venv")
        install = [uv, "pip", "install", "--quiet", "--no-config", "--python", own, "--no-deps", "--require-hashes"]
        carried_out([*install, "-r", LOCK], "installing the lock")
        carried_out([uv, "pip", "check", "--quiet", "--no-config", "--python", own], "uv pip check")
        stamp.write_bytes(LOCK.read_bytes())
    return own


def digests_of(version: str, python: Path, wheel: Path, uv: str) -> Digests:
    """Makes the environment, installs the wheel, and returns what `job.py` says of its jobs.

    Raises:
      Failed: a step failed; the message has its last words.
    """
    own = environment_of(version, python, uv)
    install = [uv, "pip", "install", "--quiet", "--no-config", "--python", own, "--no-deps", "--reinstall", wheel]
    carried_out(install, "installing the wheel")
    folder = ROOT / "build" / "pythons" / "jobs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made: Digests = json.loads(carried_out([own, "-I", ROOT / "tests/pythons/job.py", folder], "the jobs"))
    return made


def differences(made: dict[str, Digests]) -> list[str]:
    """Returns a line for everything that some Python made otherwise than the first did."""
    first, *others = made
    return [
        f"{name}: other bits on {other} than on {first}"
        for other in others
        for name in sorted(made[first].keys() | made[other].keys())
        if made[first].get(name) != made[other].get(name)
    ]


def main() -> int:
    """Tries every Python that is there; the exit status is 1 if one failed, or differs from the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=VERSIONS, action="append", help="this version; may be repeated")
    parser.add_argument("--wheel", type=Path, help="the wheel to install; by default the one in dist")
    parser.add_argument("--uv", default="uv", help="uv's command")
    args = parser.parse_args()
    wheels = [args.wheel] if args.wheel else sorted((ROOT / "dist").glob("seqcols-*.whl"))
    if len(wheels) != 1:
        parser.error(f"expected one wheel in dist, got {len(wheels)}: make wheel")
    made: dict[str, Digests] = {}
    failed = False
    for version in args.only or VERSIONS:
        python = found(version)
        if python is None:
            print(f"Python {version}: not on this machine, not tried", flush=True)
            continue
        begun = time.monotonic()
        try:
            made[version] = digests_of(version, python, wheels[0].resolve(), args.uv)
            print(
                f"Python {version}: installed, ran, verified and served ({time.monotonic() - begun:.0f} s)", flush=True
            )
        except Failed as error:
            failed = True
            print(f"Python {version}: {error}", file=sys.stderr, flush=True)
    if not made and not failed:
        print(f"no Python of {', '.join(VERSIONS)} on this machine", file=sys.stderr)
        return 1
    lines = differences(made) if made else []
    for line in lines:
        print(line, file=sys.stderr)
    if len(made) > 1 and not lines:
        print(f"the same bits on {', '.join(made)}: {sum(map(len, made[next(iter(made))].values()))} files and answers")
    return 1 if failed or lines else 0


if __name__ == "__main__":
    sys.exit(main())
