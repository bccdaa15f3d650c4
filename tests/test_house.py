"""The map of docs/design.md: every room is on it, data flow one way, and no module imports itself by way of others."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from pathlib import Path

import grimp
import pytest

from tests.test_contributing import ROOT

LAYERS = 10
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
    assert len(text.splitlines()) < 120 and max(map(len, text.splitlines())) <= 200, "a map is read at a glance"


def test_every_room_of_pipeline_is_in_a_layer():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(
        one["layers"] for one in settings["tool"]["importlinter"]["contracts"] if "transforms" in one["layers"]
    )
    listed = {room for layer in layers for room in layer.split(" | ")}
    rooms = {
        path.stem
        for path in Path(ROOT, "pipeline").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {room for room in listed if room.startswith("pipeline.")} == {
        f"pipeline.{room}" for room in rooms - {"__init__"}
    }


@pytest.mark.parametrize("package", ["pipeline", "transforms"])
def test_a_face_re_exports_and_does_nothing(package):
    """Imports, tables, names only for type checking, and what loads a name late; a call is part of a table or completes one."""
    found = []
    for path in Path(ROOT, package).rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_late = isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
            is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            plain = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
            if not (is_text or is_late or is_typing or isinstance(node, plain)):
                found.append(f"{path}:{node.lineno}")
    assert found == []


def test_a_docstring_says_what_a_thing_is():
    files = [path for room in ("pipeline", "transforms", "deploy") for path in Path(ROOT, room).rglob("*.py")]
    opening = re.compile(r'^\s*r?"""What', re.MULTILINE)
    assert [str(path) for path in files if opening.search(path.read_text(encoding="utf-8"))] == []


TWICE = {"IdEmbedding"}
"""One layer, for Keras and for PyTorch."""


def test_a_class_name_stands_for_one_thing():
    places: dict[str, list[str]] = {}
    for room in ("pipeline", "seqcols", "transforms", "deploy"):
        for path in Path(ROOT, room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1 and name not in TWICE} == {}
