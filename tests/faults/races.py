"""Two runs publish into one directory at once, while renames and writes take their time: one wins whole, the other is refused.

`python -m tests.faults.races [TRIALS]`: on a disk, and in an object store without renames that can be relied on.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pipeline.dataset import layout, leftovers, manifest, publish, stores
from pipeline.dataset.layout import Layout
from pipeline.dataset.stores import store_of
from pipeline.job import cleaning
from tests.faults.figures import note
from tests.object_store import SCHEME, Objects, ObjectsStore
from transforms.errors import JobError

OLD, ONE, TWO = (layout.new_run_id() for _ in range(3))


def prepared(output: str, run: str, shards: int) -> Callable[[str | None], Any]:
    """Writes what a run has before it publishes; returns what publishes it, given the run that it replaces."""
    place = Layout(output, run)
    files = []
    for k in range(shards):
        name = f"examples/{run}-{k:012x}.tfrecord"
        layout.write_bytes(place.at(*name.split("/")), f"{run} {k}".encode())
        files.append({"path": name, "rows": k, "bytes": len(f"{run} {k}"), "sha256": ""})
    graph = place.staged("graph")
    layout.make_dirs(graph)
    layout.write_bytes(f"{graph}/saved_model.pb", run.encode())
    content = {
        "run": run,
        "columns": "",
        "inputs": [],
        "format": "tfrecord",
        "examples": {"rows": shards, "features": {}, "files": files},
        "rejected": {"rows": 0, "files": []},
    }
    return lambda replaces: publish.publish(place, content, {"run": run}, {"run": run}, graph, replaces, graph)


def whole(output: str) -> str:
    """Follows the manifest to everything that it names; returns the run that all of it is of."""
    found = manifest.read(output)
    run = str(found.content["run"])
    read = store_of(output).read
    for k, entry in enumerate(found.content["examples"]["files"]):
        assert read(found.path(entry["path"]))[0] == f"{run} {k}".encode(), entry["path"]
    for name in ("statistics", "ledger"):
        assert layout.read_json(found.path(found.content[name])) == {"run": run}, name
    for name in ("transform", "serving"):
        assert read(found.path(found.content[name]) + "/saved_model.pb")[0] == run.encode(), name
    return run


def trial(output: str, old: bool, pause: float) -> None:
    """Two runs of which each began while the other had not published: exactly one of them does."""
    if old:
        with leftovers.living(Layout(output, OLD)):
            prepared(output, OLD, 3)(None)
        cleaning.clean(Layout(output, OLD), done=True)
    replaces = OLD if old else None
    barrier = threading.Barrier(2)

    def work(run: str) -> bool:
        place = Layout(output, run)
        with leftovers.living(place):
            leftovers.sweep(place)
            finish = prepared(output, run, 2 if run == ONE else 4)
            barrier.wait()
            time.sleep(random.random() * pause)
            try:
                assert finish(replaces) == []
                published = True
            except JobError as error:
                assert "another run" in str(error), error
                published = False
            cleaning.clean(place, published)
        return published

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(work, (ONE, TWO)))
    assert won.count(True) == 1, won
    winner, loser = (ONE, TWO) if won[0] else (TWO, ONE)
    assert whole(output) == winner
    left = [name for name in leftovers.listing(output) if loser in name or OLD in name]
    assert [name for name in left if not name.endswith(layout.DECIDED)] == []


@contextmanager
def slow_renames(pause: float) -> Iterator[None]:
    """Lets every rename and link on a disk wait before it is done."""
    replace, link = os.replace, os.link

    def wait(call: Callable[..., None]) -> Callable[..., None]:
        def later(*arguments: Any) -> None:
            time.sleep(random.random() * pause)
            call(*arguments)

        return later

    os.replace, os.link = wait(replace), wait(link)  # type: ignore[assignment]
    try:
        yield
    finally:
        os.replace, os.link = replace, link


def main(trials: int, pause: float = 0.01) -> None:
    """Tries both kinds of place, over nothing and over a data set."""
    random.seed(0)
    for k in range(trials):
        with tempfile.TemporaryDirectory() as folder, slow_renames(pause):
            trial(f"{folder}/out", bool(k % 2), pause)
    note("two runs, disk", trials=trials, mixed=0)
    stores.STORES[SCHEME] = ObjectsStore()
    Objects.pause = pause / 4
    for k in range(trials):
        Objects.held.clear()
        trial(f"{SCHEME}://bucket/out", bool(k % 2), pause)
    note("two runs, object store", trials=trials, mixed=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
