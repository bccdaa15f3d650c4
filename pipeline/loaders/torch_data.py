"""A data set as a PyTorch `IterableDataset` of whole batches, divided among ranks and the workers of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.loaders.arrays import numpy_batches
from pipeline.loaders.opening import Roots

if TYPE_CHECKING:
    from pipeline.loaders.torch_batches import TorchBatches


def torch_dataset(
    root: Roots,
    batch_size: int,
    *,
    rank: int | None = None,
    world_size: int | None = None,
    num_workers: int | None = None,
    features: Sequence[str] | None = None,
    shuffle: int = 0,
    seed: int = 0,
    epochs: int | None = 1,
    drop_remainder: bool = False,
    even: bool = False,
    bucket: int | None = None,
    verify: bool = False,
    split: str | None = None,
) -> TorchBatches:
    """Opens a finished data set for a `DataLoader(dataset, batch_size=None, num_workers=...)`.

    It gives whole batches, so the loader must not batch them again: `batch_size=None`. (If it does, there is a warning.) The rows
    are divided among all workers of all ranks, every row to one of them; all ranks must have the same number of workers.

    Args:
      root: directory of the data set, or of several with the same transform, as `numpy_batches` takes them.
      batch_size: rows in a batch. Each worker makes its own batches, and may have a last one with fewer rows.
      rank: number of this process among those that train together; None asks `torch.distributed`, and is 0 where that is not in
        use.
      world_size: the number of ranks; None likewise, or 1.
      num_workers: the number of workers of the `DataLoader`, 0 for none. It is needed for `len` only, as each worker makes its
        own batches; None gives no length.
      features: the features to read, in this order; None for all.
      shuffle: size in rows of the pool that rows are shuffled through; 0 for the order of the manifest.
      seed: decides the order.
      epochs: how many epochs one iteration goes through, each in a different order; None for no end.
      drop_remainder: whether rows that do not fill a last batch are left out.
      even: whether every worker of every rank gives equally many batches, which `DistributedDataParallel` needs.
      bucket: T of the length bucket to read.
      verify: whether all files are read and compared with the manifest first.
      split: the split to read. Of all these, `numpy_batches` says more.

    Returns:
      An iterable data set, with a length where `num_workers` is given, of dicts from feature name to a tensor
      `[batch_size, *shape]` in the manifest's dtype; text and bytes are nested lists of str and bytes, as torch has no such
      tensors. Every iteration has the order of the same epoch until `set_epoch` sets another one.

    Raises:
      JobError: there is no finished data set, or, with `verify`, it is not as it was published.
      UsageError: an argument has a value that is not allowed.
      ModuleNotFoundError: PyTorch is not installed, which is an extra: `seqcols[torch]`.
    """
    try:
        from pipeline.loaders.torch_batches import TorchBatches
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        why = "torch_dataset needs PyTorch, which is not installed: pip install 'seqcols[torch]'"
        raise ModuleNotFoundError(why, name="torch") from None
    if (rank is None) != (world_size is None):
        raise UsageError(f"rank, world_size: expected both or neither, got rank={rank!r}, world_size={world_size!r}")
    if rank is None or world_size is None:
        rank, world_size = _of_torch()
    batches = numpy_batches(
        root,
        batch_size,
        features=features,
        shuffle=shuffle,
        seed=seed,
        epochs=epochs,
        shards=world_size,
        shard=rank,
        drop_remainder=drop_remainder,
        even=even,
        bucket=bucket,
        verify=verify,
        split=split,
    )
    return TorchBatches(batches, num_workers)


def _of_torch() -> tuple[int, int]:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
