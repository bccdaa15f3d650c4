"""Files, wiring and people: the main job and what it leaves. Beam and TensorFlow load only when they are needed."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it: `typing` takes milliseconds in which a signal would find no handler
if TYPE_CHECKING:
    from typing import Any

    from pipeline.columns_file.reader import dumps, load
    from pipeline.compare.comparison import compare_data_sets
    from pipeline.dataset.exported import ExportedModel, export_model
    from pipeline.dataset.manifest import Manifest
    from pipeline.dataset.manifest import read as read_manifest
    from pipeline.errors import UsageError
    from pipeline.job.executing import Outcome
    from pipeline.job.request import Request
    from pipeline.job.running import check, run
    from pipeline.job.sequences import sequences as run_sequences
    from pipeline.planning.plan import plan
    from pipeline.shuffle.group_events import GroupEvents

_LATE = {
    "ExportedModel": ("pipeline.dataset.exported", "ExportedModel"),
    "GroupEvents": ("pipeline.shuffle.group_events", "GroupEvents"),
    "Manifest": ("pipeline.dataset.manifest", "Manifest"),
    "Outcome": ("pipeline.job.executing", "Outcome"),
    "Request": ("pipeline.job.request", "Request"),
    "UsageError": ("pipeline.errors", "UsageError"),
    "check": ("pipeline.job.running", "check"),
    "compare_data_sets": ("pipeline.compare.comparison", "compare_data_sets"),
    "dumps": ("pipeline.columns_file.reader", "dumps"),
    "export_model": ("pipeline.dataset.exported", "export_model"),
    "load": ("pipeline.columns_file.reader", "load"),
    "plan": ("pipeline.planning.plan", "plan"),
    "read_manifest": ("pipeline.dataset.manifest", "read"),
    "run": ("pipeline.job.running", "run"),
    "run_sequences": ("pipeline.job.sequences", "sequences"),
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        import importlib

        module, attribute = _LATE[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


__all__ = [
    "ExportedModel",
    "GroupEvents",
    "Manifest",
    "Outcome",
    "Request",
    "UsageError",
    "check",
    "compare_data_sets",
    "dumps",
    "export_model",
    "load",
    "plan",
    "read_manifest",
    "run",
    "run_sequences",
]
