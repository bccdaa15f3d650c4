"""The walks of docs/decisions.md: the files that they list are entered, in that order, and no room is left out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.columns_file.reader import load
from pipeline.job.reading import _Read, parts_of
from pipeline.job.writing import WriteShards
from pipeline.sources.limits import DEFAULTS
from tests.test_contributing import ROOT
from transforms.densify.graph import fitted_graph
from transforms.memory import apply
from transforms.spec.spec import Spec
from transforms.stage_functions import densify_stage

COLUMNS = """
sequence_groups: {sequence: {max_length: 3}}
columns:
  - {type: sequence_numeric_column, key: x, normalizer_fn: z_score}
"""
PLAIN = COLUMNS.replace(", normalizer_fn: z_score", "")
ROWS = [{"x": [1.0, 2.0]}, {"x": [3.0]}]

BASICS = {"transforms", "pipeline"}
"""Modules of no room, which are imported everywhere, need not be listed."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("columns.yaml").write_text(COLUMNS)
    Path("plain.yaml").write_text(PLAIN)
    Path("rows.jsonl").write_text('{"x": [1, 2]}\n{"x": [3]}\n{"x": ["a"]}\n')


def listed(heading: str) -> list[str]:
    """Returns the modules that a section names, in its order."""
    text = (ROOT / "docs/decisions.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"`((?:pipeline|transforms)/[\w/]+)`", text)


def entered(walk: Callable[[], Any]) -> list[str]:
    """Returns the modules whose functions are entered, each when it is for the first time."""
    found: dict[str, None] = {}

    def note(frame: Any, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith((f"{ROOT}/pipeline/", f"{ROOT}/transforms/")):
            found.setdefault(name.removeprefix(f"{ROOT}/").removesuffix(".py"))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(before)
    return list(found)


def room_of(module: str) -> str:
    return module.rpartition("/")[0]


def check(heading: str, walk: Callable[[], Any]) -> None:
    walk()  # what is kept for the next time, and modules that are loaded late
    found, told = entered(walk), listed(heading)
    assert [module for module in found if module in told] == told
    assert {room_of(module) for module in found} - {room_of(module) for module in told} <= BASICS


def test_the_walk_of_a_column():
    fitted = apply(ROWS, load("columns.yaml")).fitted
    assert fitted is not None

    def walk() -> None:
        assert load("columns.yaml") == fitted.spec
        fitted_graph(fitted)

    check("The walk of one column, from YAML to the graph", walk)


def test_the_walk_of_a_batch():
    spec: Spec = load("plain.yaml")
    densify = densify_stage(spec, None)

    def walk() -> None:
        read = _Read(spec, DEFAULTS, "", 1)
        read.start_bundle()
        stages = [
            stage for split in parts_of("rows.jsonl", DEFAULTS) for b in read.process(split) for stage in densify(b)
        ]
        assert sum(stage.rejected.num_rows for stage in stages if stage.rejected) == 1
        dense = [stage.batch for stage in stages if stage.batch.num_rows]
        write = WriteShards(".", "run", "tfrecord", spec)
        write.start_bundle()
        shards = [*(shard for batch in dense for shard in write.process(batch)), *write.finish_bundle()]
        assert sum(getattr(shard.value, "rows", 0) for shard in shards) == 2

    check("The walk of one batch, from file to shard", walk)
