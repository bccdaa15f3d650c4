"""Normalizers by name. A new one is one file and one line in `TYPES`."""

from __future__ import annotations

from typing import Final

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.bucketize import Bucketize
from transforms.normalizers.chain import Chain, places
from transforms.normalizers.clip import Clip
from transforms.normalizers.function import Function
from transforms.normalizers.log1p import Log1p
from transforms.normalizers.max_abs import MaxAbs
from transforms.normalizers.min_max import MinMax
from transforms.normalizers.robust import Robust
from transforms.normalizers.z_score import ZScore

TYPES: Final[dict[str, type[Normalizer]]] = {
    "z_score": ZScore,
    "min_max": MinMax,
    "max_abs": MaxAbs,
    "robust": Robust,
    "log1p": Log1p,
    "clip": Clip,
    "bucketize": Bucketize,
}

NORMALIZERS: Final = {kind.__name__: kind for kind in TYPES.values()}

__all__ = [
    "TYPES",
    "Bucketize",
    "Chain",
    "Clip",
    "Function",
    "Log1p",
    "MaxAbs",
    "MinMax",
    "Normalizer",
    "Robust",
    "Statistics",
    "ZScore",
    "places",
]
