"""Values as people read them, on one line."""

from __future__ import annotations

from typing import Any, Final

from transforms import escaping

MOST_VALUES: Final = 8
"""Values of a list that are shown."""


def as_text(value: Any) -> str:
    """Returns a value as Python shows it, of lists the first values, and bytes as text.

    >>> as_text({"a": [b"x", 1.5], "b": None, "c": list(range(40))})
    "{'a': ['x', 1.5], 'b': None, 'c': [0, 1, 2, 3, 4, 5, 6, 7, ...]}"
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {as_text(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_text, value[:MOST_VALUES]))}{', ...' if len(value) > MOST_VALUES else ''}]"
    if isinstance(value, float):
        return f"{value:.7g}"  # a float32 has no more
    return repr(escaping.of_bytes(value) if isinstance(value, bytes) else value)
