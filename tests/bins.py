"""The bins of numbers, by NumPy: what the kernel is compared with, and what made-up distributions are of."""

from __future__ import annotations

import numpy as np

from transforms.distributions.histograms import BIN_SHIFT


def bins_of(values: np.ndarray) -> np.ndarray:
    """Returns the bin of each value, uint32; integers and float64 are counted as the nearest float32, which may be infinite.

    >>> bins_of(np.array([0.0, 1.0, 1.06, 1.07, -1.0], np.float32)).tolist()
    [0, 2032, 2032, 2033, 6128]
    """
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return bits >> BIN_SHIFT
