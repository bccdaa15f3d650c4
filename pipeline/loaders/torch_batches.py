"""The PyTorch `IterableDataset` of whole batches that `torch_dataset` returns. Imports PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.collate import collate, default_collate_fn_map

from pipeline.errors import UsageError
from pipeline.loaders.arrays import Batches, check_count
from pipeline.loaders.reading import Arrays


class TorchBatches(IterableDataset):
    """Batches of a data set; created by `torch_dataset`.

    Args:
      batches: the batches to read, with the rank as their shard.
      num_workers: the number of workers of the DataLoader, 0 for none; None if it is not known.

    Attributes:
      batches: the same.
      num_workers: the same.

    Raises:
      UsageError: the number of workers is no integer of 0 or more.
    """

    def __init__(self, batches: Batches, num_workers: int | None = None):
        super().__init__()
        if num_workers is not None:
            check_count("num_workers", num_workers, 0)
        self.batches, self.num_workers = batches, num_workers
        # Shared memory: workers that are kept from epoch to epoch (persistent_workers) see it, too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the next iteration begins with, as of a `DistributedSampler`: another one, another order.

        Raises:
          UsageError: it is no integer of 0 or more.
        """
        self._epoch.fill_(replace(self.batches, epoch=epoch).epoch)

    def __len__(self) -> int:
        """Batches of all workers of this rank in one iteration, of `epochs` epochs.

        Raises:
          TypeError: there is no last batch, or the number of workers is not known. `len` of a DataLoader then raises it, too.
        """
        if self.batches.epochs is None:
            raise TypeError("the batches have no end: epochs is None")
        if self.num_workers is None:
            raise TypeError(
                "the number of batches depends on num_workers, as given to the DataLoader: pass it to torch_dataset, too"
            )
        workers = self.num_workers or 1
        return self.batches.epochs * sum(len(self._own(workers, number)) for number in range(workers))

    def _own(self, workers: int, number: int) -> Batches:
        ranks = self.batches
        return replace(
            ranks,
            shards=ranks.shards * workers,
            shard=ranks.shard * workers + number,
            epoch=int(self._epoch.item()),
        )

    def __iter__(self) -> Iterator[TorchBatch]:
        """Begins an epoch, or the number of epochs that `epochs` says; in a worker of a DataLoader, the rows of that worker.

        Raises:
          JobError: while it is iterated: a file is gone, is damaged, or does not hold what the manifest says.
          UsageError: the DataLoader has another number of workers than `num_workers`.
        """
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (0, 0)
        if self.num_workers not in (None, workers):
            raise UsageError(f"num_workers: expected {workers}, that of the DataLoader, got {self.num_workers}")
        return map(tensors, self._own(workers or 1, number))


class TorchBatch(dict[str, Any]):
    """A batch: a dict that a `DataLoader` notices when it batches it again."""


def tensors(batch: Arrays) -> TorchBatch:
    """Returns arrays as tensors that share their memory; text as nested lists."""
    return TorchBatch({name: _tensor(array) for name, array in batch.items()})


def _batched_again(batches: Sequence[TorchBatch], *, collate_fn_map: Any = None) -> Any:
    """A batch of batches, as PyTorch makes it, with a warning: only a DataLoader with a batch size of its own asks for it."""
    again = f"the DataLoader makes batches of {len(batches)} of them"
    warnings.warn(f"torch_dataset gives whole batches, and {again}: give it batch_size=None", stacklevel=2)
    return collate([dict(batch) for batch in batches], collate_fn_map=collate_fn_map)


default_collate_fn_map[TorchBatch] = _batched_again  # as PyTorch's `default_collate` says to do for types of one's own


def _tensor(array: np.ndarray) -> Any:
    if array.dtype == object:
        return array.tolist()
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which torch does not know
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)
