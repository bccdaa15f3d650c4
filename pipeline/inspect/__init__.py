"""`seqcols inspect`: a sample of the rows, what its features hold, and a draft of a columns file for them."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `pipeline`
if TYPE_CHECKING:
    from typing import Any

    from pipeline.inspect.inspection import Inspected, inspect


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("pipeline.inspect.inspection"), name)
    raise AttributeError(f"module 'pipeline.inspect' has no attribute {name!r}")


__all__ = ["Inspected", "inspect"]
