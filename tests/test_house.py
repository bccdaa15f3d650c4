"""The map of docs/design.md: every room is on it, data flow one way, and no module imports itself by way of others."""

from __future__ import annotations

import graphlib
import re
from pathlib import Path

import grimp
import pytest

from tests.test_contributing import ROOT

LAYERS = 11
"""Seen from the top, with `transforms` as one room."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Modules to those that they import, also inside functions and for type checking."""
    graph = grimp.build_graph("pipeline", "seqcols", "transforms", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def ranks(graph: dict[str, set[str]]) -> dict[str, int]:
    """Returns how many layers lie from each node down; a circle is a `graphlib.CycleError` that names it."""
    made: dict[str, int] = {}
    for node in graphlib.TopologicalSorter(graph).static_order():
        made[node] = 1 + max((made[below] for below in graph.get(node, ())), default=0)
    return made


def room_of(module: str) -> str:
    """Returns the room of a module as one sees it from the top."""
    return ".".join(module.split(".")[:2]) if module.startswith("pipeline.") else module.split(".", maxsplit=1)[0]


def test_no_module_imports_itself_by_way_of_others(imports):
    assert len(ranks(imports)) > 200


def test_the_rooms_lie_in_few_layers(imports):
    rooms: dict[str, set[str]] = {}
    for module, imported in imports.items():
        rooms.setdefault(room_of(module), set()).update(map(room_of, imported))
    rooms = {room: below - {room} for room, below in rooms.items()}
    assert rooms["transforms"] == set()
    assert max(ranks(rooms).values()) <= LAYERS


def test_every_room_is_on_the_map():
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)/?`", text))
    rooms = {
        path.stem
        for name in ("pipeline", "seqcols", "transforms")
        for path in Path(ROOT, name).iterdir()
        if path.suffix in (".py", "")
    }
    assert rooms - named <= {"__init__", "__main__", "__pycache__", "py"}
