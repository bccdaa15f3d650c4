"""Files whose names are patterns, each beside decoys that the pattern would match: a path is the file of that name, and no other.

`python -m tests.faults.literal_names [NAMES]`: so many names, 500 unless said.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.inputs.match import match
from pipeline.inputs.patterns import expression
from tests.faults.figures import note
from tests.object_store import SCHEME, Objects
from transforms import JobError
from transforms.stored import trees

CHARACTERS: Final = "ab1-!^.]"
PIECES: Final = ["*", "**", "?", "[12]", "[!a]", "[a-b]", "[]]", "[", "]", "[!]", "{a,b}", *CHARACTERS]
WILD: Final = re.compile(r"\[(!?)(\]?[^\]]*)\]|\*+|\?")


def name(rng: random.Random) -> str:
    """Returns a name with something that matches more than itself in it."""
    parts = [rng.choice(PIECES) for _ in range(rng.randrange(4))]
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(["*", "?", "[12]", "[a-b]", "[!a]"]))
    return "".join(parts)


def decoy(given: str) -> str:
    """Returns another name that the pattern matches.

    >>> decoy("run[12]"), decoy("a*?"), decoy("[!ab]")
    ('run1', 'axyx', 'z')
    """
    made = WILD.sub(_instance, given)
    return made if made != given else given + "x"


def _instance(found: re.Match[str]) -> str:
    if found[0][0] != "[":
        return "xy" if found[0][0] == "*" else "x"
    return next(letter for letter in "zyxw10" if letter not in found[2]) if found[1] else found[2][:1]


def is_matched(pattern: str, path: str) -> bool:
    """Returns whether Beam's own matcher would take the pattern for the path."""
    try:
        return expression(pattern).match(path) is not None
    except re.error:
        return False


def try_names(root: Path, folder: str, file: str) -> tuple[int, int, list[str]]:
    """Makes a file, its decoys in the same folder and in another, and asks for it in every way.

    Returns:
      How many ways there were; how many decoys Beam's matcher would take; the ways in which something else was found.
    """
    mine, others = f"{folder}/{file}", {f"{a}/{b}" for a in (folder, decoy(folder)) for b in (file, decoy(file))}
    others.discard(mine)
    for path in (mine, *others):
        Objects.put(f"{SCHEME}://bucket/{path}", b"mine" if path == mine else b"another's")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(Objects.held[f"{SCHEME}://bucket/{path}"][0])
    whole = str(root / mine)
    beside = root / decoy(folder)
    ways = [(root, whole), (root, mine), (root, f"./{folder}/../{mine}"), (root / folder, file), (beside, f"../{mine}")]
    wrong = []
    for where, given in ways:
        with contextlib.chdir(where):
            wrong += [] if _found(given) == [whole] else [f"{given!r} in {where}"]
    url = f"{SCHEME}://bucket/{mine}"
    wrong += [] if _found(url) == [url] else [url]
    every = ".*" if file.startswith(".") else "*"  # such names are no data unless they are asked for
    for pattern in (f"{root}/{folder}/{every}", f"{SCHEME}://bucket/{folder}/{every}"):
        found = {os.path.dirname(path) for path in _found(pattern)}
        wrong += [] if found == {os.path.dirname(pattern)} else [pattern]
    below = trees.files_below(f"{SCHEME}://bucket/{folder}")
    wrong += [] if {os.path.dirname(path) for path in below} == {f"{SCHEME}://bucket/{folder}"} else [f"below {folder}"]
    return len(ways) + 4, sum(is_matched(mine, path) for path in others), wrong


def _found(given: str) -> list[str]:
    try:
        return [one.path for one in match([given]).files]
    except JobError:
        return []


def attempt(count: int, seed: int = 1) -> dict[str, int]:
    """Tries so many names; returns how many there were and what was found."""
    rng, found = random.Random(seed), {"trials": 0, "ways": 0, "decoys": 0, "others": 0}
    for _ in range(count):
        with sandbox() as root:
            ways, decoys, wrong = try_names(root, name(rng), name(rng))
        for key, more in (("trials", 1), ("ways", ways), ("decoys", decoys), ("others", len(wrong))):
            found[key] += more
        for line in wrong:
            print(f"found something else: {line}", file=sys.stderr)
    note("literal name", **found)
    return found


@contextlib.contextmanager
def sandbox() -> Iterator[Path]:
    """Yields an empty folder, and empties the store in memory."""
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="seqcols-names-", dir=quick) as folder:
        try:
            yield Path(os.path.realpath(folder))
        finally:
            Objects.held.clear()


if __name__ == "__main__":
    raise SystemExit(attempt(int(sys.argv[1]) if len(sys.argv) > 1 else 500)["others"] > 0)
