"""Files, wiring and people: the main job and what it leaves. Beam and TensorFlow load only when they are needed."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it: `typing` takes milliseconds in which a signal would find no handler
if TYPE_CHECKING:
    from typing import Any

    from pipeline.columns_file import load
    from pipeline.executing import Outcome
    from pipeline.manifest import Manifest
    from pipeline.manifest import read as read_manifest
    from pipeline.planning import plan
    from pipeline.request import Request, UsageError
    from pipeline.running import check, run

_LATE = {
    "Manifest": ("pipeline.manifest", "Manifest"),
    "Outcome": ("pipeline.executing", "Outcome"),
    "Request": ("pipeline.request", "Request"),
    "UsageError": ("pipeline.request", "UsageError"),
    "check": ("pipeline.running", "check"),
    "load": ("pipeline.columns_file", "load"),
    "plan": ("pipeline.planning", "plan"),
    "read_manifest": ("pipeline.manifest", "read"),
    "run": ("pipeline.running", "run"),
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        import importlib

        module, attribute = _LATE[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


__all__ = ["Manifest", "Outcome", "Request", "UsageError", "check", "load", "plan", "read_manifest", "run"]
