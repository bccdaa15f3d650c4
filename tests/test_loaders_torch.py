"""The PyTorch data set, in PyTorch: values, workers and ranks. `make torch-test` runs these; see CONTRIBUTING.md."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.loaders import torch_dataset
from tests import loader_sets
from tests.loader_sets import ROWS, assert_same, expected
from transforms import JobError
from transforms.rows.from_python import batches_of

pytestmark = pytest.mark.torch

ALONE = {"features": ["number"]}


@pytest.fixture(scope="module", params=["parquet", "tfrecord"])
def root(request, tmp_path_factory) -> str:
    return str(loader_sets.make(tmp_path_factory.mktemp("torch"), request.param))


def loaded(dataset: Any, **more: Any) -> list[dict[str, Any]]:
    from torch.utils.data import DataLoader

    return list(DataLoader(dataset, batch_size=None, **more))


def numbers(batches: Iterable[dict[str, Any]]) -> list[int]:
    return [int(n) for batch in batches for n in batch["number"]]


def array(value: Any) -> np.ndarray:
    """A tensor, or the lists of text, as the array that it came from."""
    import ml_dtypes
    import torch

    if isinstance(value, list):
        return np.array(value, object)
    if value.dtype == torch.bfloat16:
        return value.float().numpy().astype(ml_dtypes.bfloat16)
    return value.numpy()


@pytest.mark.parametrize("workers", [0, 1])
def test_tensors_are_what_the_files_hold(root, workers):
    import torch

    made = loaded(torch_dataset(root, 16), num_workers=workers)
    joined = {name: np.concatenate([array(batch[name]) for batch in made]) for name in made[0]}
    assert_same(joined, expected(Path(root)))
    for output in read_manifest(root).outputs:
        if output.dtype not in ("string", "bytes"):
            assert made[0][output.name].dtype == getattr(torch, output.dtype)
            assert made[0][output.name].shape == (16, *output.shape)
    at = int(made[0]["number"][0])
    assert made[0]["name"][0] == f"n{at:03d} ü" and made[0]["raw"][0] == bytes([at, 255, 0])


@pytest.mark.parametrize("shuffle", [0, 20])
@pytest.mark.parametrize(("ranks", "workers"), itertools.product([1, 2, 7], [0, 1, 3]))
def test_every_row_once_over_all_workers_of_all_ranks(root, ranks, workers, shuffle):
    sets = [torch_dataset(root, 8, rank=k, world_size=ranks, shuffle=shuffle, **ALONE) for k in range(ranks)]
    found = [numbers(loaded(dataset, num_workers=workers)) for dataset in sets]
    assert sorted(itertools.chain.from_iterable(found)) == list(range(ROWS))
    assert all(found)


@pytest.mark.parametrize("workers", [0, 2])
def test_even_ranks_give_equally_many_batches(root, workers):
    made = [
        loaded(torch_dataset(root, 5, rank=k, world_size=3, even=True, **ALONE), num_workers=workers) for k in range(3)
    ]
    assert len({len(batches) for batches in made}) == 1
    found = numbers(itertools.chain.from_iterable(made))
    assert len(set(found)) == len(found) >= ROWS - 6


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("more", [{}, {"even": True}, {"drop_remainder": True, "epochs": 2}])
def test_the_length_is_known_where_the_number_of_workers_is(root, workers, more):
    from torch.utils.data import DataLoader

    dataset = torch_dataset(root, 8, num_workers=workers, rank=1, world_size=2, **ALONE, **more)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    assert len(loader) == len(dataset) == len(list(loader)) > 0
    with pytest.raises(UsageError, match=f"num_workers: expected 2, that of the DataLoader, got {workers}"):
        loaded(dataset, num_workers=2)
    with pytest.raises(TypeError, match="depends on num_workers"):
        len(torch_dataset(root, 8))
    with pytest.raises(TypeError, match="the batches have no end: epochs is None"):
        len(torch_dataset(root, 8, num_workers=0, epochs=None))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_that_batches_again_is_warned_of(root, workers):
    from torch.utils.data import DataLoader

    dataset = torch_dataset(root, 4, **ALONE)
    message = (
        r"^torch_dataset gives whole batches, and the DataLoader makes batches of 3 of them: give it batch_size=None$"
    )
    if workers:  # where the warning goes to stderr of that process; the values are PyTorch's all the same
        again = next(iter(DataLoader(dataset, batch_size=3, num_workers=workers)))
    else:
        with pytest.warns(UserWarning, match=message):
            again = next(iter(DataLoader(dataset, batch_size=3)))
    assert again["number"].shape == (3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded(dataset, num_workers=workers)[0]["number"].shape == (4,)


def test_tensors_are_values_of_rows():
    import torch

    values = {
        "x": torch.tensor([1.5, 2.5], requires_grad=True),
        "half": torch.tensor([1.5, 3e38], dtype=torch.bfloat16),
        "pairs": torch.ones(3, 2, dtype=torch.int32),
        "one": torch.tensor(3),
        "list": [torch.tensor(1), torch.tensor(2)],
    }
    (batch,) = batches_of([values])
    made = {name: batch.column(name)[0].as_py() for name in values}
    large = float(torch.tensor(3e38, dtype=torch.bfloat16))
    assert made == {"x": [1.5, 2.5], "half": [1.5, large], "pairs": [[1, 1]] * 3, "one": 3, "list": [1, 2]}


def test_several_data_sets(root, tmp_path):
    other = loader_sets.make(tmp_path, "parquet")
    found = numbers(loaded(torch_dataset([root, str(other)], 8, **ALONE), num_workers=2))
    assert sorted(found) == sorted(2 * list(range(ROWS)))


def test_workers_that_are_spawned(root):
    found = numbers(loaded(torch_dataset(root, 8, **ALONE), num_workers=2, multiprocessing_context="spawn"))
    assert sorted(found) == list(range(ROWS))


@pytest.mark.parametrize("more", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_an_epoch_has_its_order(root, more):
    from torch.utils.data import DataLoader

    dataset = torch_dataset(root, 8, shuffle=ROWS, seed=3, **ALONE)
    loader = DataLoader(dataset, batch_size=None, **more)
    orders = []
    for epoch in (0, 1, 1, 0):
        dataset.set_epoch(epoch)
        orders.append(numbers(loader))
    assert orders[0] == orders[3] != orders[1] == orders[2]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(ROWS))
    with pytest.raises(UsageError, match="epoch: expected an integer of 0 or more, got -1"):
        dataset.set_epoch(-1)


def test_several_epochs_in_one_iteration(root):
    found = numbers(loaded(torch_dataset(root, 8, shuffle=10, epochs=3, **ALONE), num_workers=2))
    assert sorted(found) == sorted(3 * list(range(ROWS)))


def train_together(rank: int, ranks: int, folder: str, root: str) -> None:
    """One of the processes of `test_ranks_of_torch_distributed`: steps in which all of them must take part."""
    import torch
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    try:
        found = []
        for batch in torch_dataset(root, 8, even=True, **ALONE):
            total = torch.ones(1)
            distributed.all_reduce(total)
            assert total.item() == ranks
            found += batch["number"].tolist()
        Path(folder, f"rank{rank}").write_text("\n".join(map(str, found)))
    finally:
        distributed.destroy_process_group()


def test_ranks_of_torch_distributed(root, tmp_path):
    """Rank and world size are torch.distributed's own, and no rank waits for a batch that another has not."""
    import torch.multiprocessing as mp

    mp.spawn(train_together, (2, str(tmp_path), root), nprocs=2)
    found = [[int(n) for n in Path(tmp_path, f"rank{k}").read_text().split()] for k in range(2)]
    assert len(set(found[0] + found[1])) == len(found[0] + found[1]) >= ROWS - 1
    assert abs(len(found[0]) - len(found[1])) <= 1


def test_what_is_refused(root, tmp_path):
    with pytest.raises(JobError, match="holds no finished data set"):
        torch_dataset(str(tmp_path), 8)
    with pytest.raises(UsageError, match="rank, world_size: expected both or neither, got rank=1, world_size=None"):
        torch_dataset(root, 8, rank=1)
    with pytest.raises(UsageError, match="num_workers: expected an integer of 0 or more, got -1"):
        torch_dataset(root, 8, num_workers=-1)
    with pytest.raises(UsageError, match=r"features: 'lable' .*; did you mean 'label'\?"):
        torch_dataset(root, 8, features=["lable"])


def test_a_damaged_file_is_named_by_the_worker_that_reads_it(root, tmp_path):
    import shutil

    copy = shutil.copytree(root, tmp_path / "set")
    path = Path(read_manifest(str(copy)).files[0])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(JobError, match=path.name):
        loaded(torch_dataset(str(copy), 8), num_workers=1)
    with pytest.raises(JobError, match=path.name):
        torch_dataset(str(copy), 8, verify=True)
