"""The PyTorch `IterableDataset` of whole batches that `torch_dataset` returns. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.loaders.arrays import Batches
from pipeline.loaders.reading import Arrays


class TorchBatches(IterableDataset):
    """Batches of a data set; created by `torch_dataset`.

    Args:
      batches: the batches to read, with the rank as their shard.

    Attributes:
      batches: the same.
    """

    def __init__(self, batches: Batches):
        super().__init__()
        self.batches = batches
        # Shared memory: workers that are kept from epoch to epoch (persistent_workers) see it, too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the next iteration begins with, as of a `DistributedSampler`: another one, another order.

        Raises:
          UsageError: it is no integer of 0 or more.
        """
        self._epoch.fill_(replace(self.batches, epoch=epoch).epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Begins an epoch, or the number of epochs that `epochs` says; in a worker of a DataLoader, the rows of that worker.

        Raises:
          JobError: while it is iterated: a file is gone, is damaged, or does not hold what the manifest says.
        """
        worker, ranks = get_worker_info(), self.batches
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        own = replace(
            ranks,
            shards=ranks.shards * workers,
            shard=ranks.shard * workers + number,
            epoch=int(self._epoch.item()),
        )
        return map(tensors, own)


def tensors(batch: Arrays) -> dict[str, Any]:
    """Returns arrays as tensors that share their memory; text as nested lists."""
    return {name: _tensor(array) for name, array in batch.items()}


def _tensor(array: np.ndarray) -> Any:
    if array.dtype == object:
        return array.tolist()
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which torch does not know
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)
