"""Loaders: a finished data set as batches for training, in the shapes and dtypes that its manifest says.

Thin adapters over one reader (`numpy_batches`), which decides what is read, in which order and by which shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.loaders.arrays import Batches, numpy_batches

if TYPE_CHECKING:
    from pipeline.loaders.tf_data import tf_dataset
    from pipeline.loaders.torch_data import torch_dataset


def __getattr__(name: str) -> Any:
    if name == "tf_dataset":
        from pipeline.loaders.tf_data import tf_dataset

        return tf_dataset
    if name == "torch_dataset":
        from pipeline.loaders.torch_data import torch_dataset

        return torch_dataset
    raise AttributeError(f"module 'pipeline.loaders' has no attribute {name!r}")


__all__ = ["Batches", "numpy_batches", "tf_dataset", "torch_dataset"]
