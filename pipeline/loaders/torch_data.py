"""A data set as a PyTorch `IterableDataset` of whole batches, divided among ranks and the workers of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "torch_dataset needs PyTorch, which is not installed: pip install 'seqcols[torch]'", name="torch"
    ) from None

from pipeline.loaders.arrays import Batches, numpy_batches
from pipeline.loaders.reading import Arrays
from pipeline.request import UsageError


class TorchBatches(IterableDataset):
    """Batches of a data set; made by `torch_dataset`.

    Args:
      batches: what is read, with the rank as its shard.

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
        """Begins an epoch, or as many as `epochs` says; in a worker of a DataLoader, the rows of that worker.

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


def torch_dataset(
    root: str, batch_size: int, *, rank: int | None = None, world_size: int | None = None, **more: Any
) -> TorchBatches:
    """Opens a finished data set for a `DataLoader(dataset, batch_size=None, num_workers=...)`.

    It gives whole batches, so the loader must not batch them again: `batch_size=None`. The rows are divided among all workers of
    all ranks, every row to one of them; all ranks must have the same number of workers.

    Args:
      root: directory of the data set.
      batch_size: rows in a batch. Each worker makes its own batches, and may have a last one with fewer rows.
      rank: number of this process among those that train together; None asks `torch.distributed`, and is 0 where that is not in
        use.
      world_size: how many these are; None likewise, or 1.
      **more: `features`, `shuffle`, `seed`, `epochs`, `drop_remainder`, `even` and `verify`, as `numpy_batches` takes them. With
        `even` every worker of every rank gives equally many batches: what `DistributedDataParallel` needs.

    Returns:
      An iterable data set of dicts from feature name to a tensor `[batch_size, *shape]` in the manifest's dtype; text and bytes
      are nested lists of str and bytes, as torch has no such tensors. Every iteration has the order of the same epoch until
      `set_epoch` sets another one.

    Raises:
      JobError: there is no finished data set, or, with `verify`, it is not as it was published.
      UsageError: an argument has a value that is not allowed.
    """
    if (rank is None) != (world_size is None):
        raise UsageError(f"rank, world_size: expected both or neither, got rank={rank!r}, world_size={world_size!r}")
    if rank is None or world_size is None:
        rank, world_size = _of_torch()
    return TorchBatches(numpy_batches(root, batch_size, shards=world_size, shard=rank, **more))


def _of_torch() -> tuple[int, int]:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def tensors(batch: Arrays) -> dict[str, Any]:
    """Returns arrays as tensors that share their memory; text as nested lists."""
    return {name: _tensor(array) for name, array in batch.items()}


def _tensor(array: np.ndarray) -> Any:
    if array.dtype == object:
        return array.tolist()
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which torch does not know
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)
