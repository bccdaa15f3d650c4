"""A target with a known fault in compiled code: of one number it reads a byte behind the end, which checked bounds alone show."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tests.fuzz.outcome import CLEAN
from transforms.kernels.compiled import kernel

BEYOND: Final = 7
"""The number."""


@kernel
def total(text: Any, size: Any) -> Any:
    """Adds up so many bytes of a text, whether it has them or not."""
    found = 0
    for k in range(size):
        found += text[np.uintp(k)]
    return found


class Beyond:
    """Adds up as many bytes as there are, but once; behind them stand others, so that the process lives on."""

    def __init__(self) -> None:
        self._memory = np.ones(16, np.uint8)
        total(self._memory, 1)  # compiled before there is a clock

    def name(self, seed: int) -> str:
        """Returns what all inputs count for."""
        return "bytes"

    def __call__(self, seed: int) -> str:
        """Tries an input."""
        assert total(self._memory[:8], 9 if seed == BEYOND else 8) in (8, 9)
        return CLEAN
