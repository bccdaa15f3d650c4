"""How an input can end."""

from __future__ import annotations

from typing import Final

CLEAN: Final = "clean"
REJECTED: Final = "rejected"
"""Some of its rows were rejected."""

FAILED: Final = "failed"
"""With an exception that is documented."""


class Broken(AssertionError):
    """Something that must hold does not."""
