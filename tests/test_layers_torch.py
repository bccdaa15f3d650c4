"""Embedding layers of PyTorch that a manifest describes; `make torch-test` runs these. See tests/test_layers.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers import IDS, SEVERAL, WEIGHTED, by_hand, embedding, some_ids

pytestmark = pytest.mark.torch


def test_vectors_of_single_ids():
    import torch

    layer = embedding(IDS).torch_layer()
    ids = some_ids(np.random.default_rng(1), (5, 4), -1)
    made, table = layer(torch.tensor(ids)).detach().numpy(), layer.weight.detach().numpy()
    assert table.shape == (8, 3) and layer.padding_idx == 7 and abs(table[:7].std() - 3**-0.5) < 0.3
    np.testing.assert_array_equal(made, np.where(ids[..., None] < 0, np.float32(0), table[ids]))


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
@pytest.mark.parametrize("column", [SEVERAL, WEIGHTED], ids=["several", "weighted"])
def test_vectors_of_several_ids(column, combiner):
    import torch

    found, rng = embedding(column, combiner=combiner), np.random.default_rng(2)
    padding = found.facts["padding_id"]
    ids = some_ids(rng, (6, 4, column.ids_per_step), padding)
    weights = rng.normal(size=ids.shape).astype(np.float32) if column.weighted else None
    layer = found.torch_layer()
    made = layer(torch.tensor(ids), *([] if weights is None else [torch.tensor(weights)])).detach().numpy()
    expected = by_hand(layer.weight.detach().numpy(), ids, combiner, padding, weights)
    np.testing.assert_allclose(made, expected, rtol=2e-5, atol=1e-6)


def test_what_the_column_says_is_in_the_layer():
    import torch

    vectors = np.arange(21, dtype=np.float32).reshape(7, 3)
    layer = embedding(IDS, trainable=False).torch_layer(table=vectors)
    assert not layer.weight.requires_grad
    np.testing.assert_array_equal(layer(torch.tensor([6, -1])).numpy(), [vectors[6], [0, 0, 0]])
    short = embedding(IDS, max_norm=2.0).torch_layer(table=vectors)
    assert abs(float(short(torch.tensor([6])).detach().norm()) - 2) < 1e-5
    with pytest.raises(ValueError, match="PyTorch has no initializer 'glorot_uniform', which the column names"):
        embedding(IDS, initializer="glorot_uniform").torch_layer()
    ones = embedding(IDS, initializer="glorot_uniform").torch_layer(initializer=torch.nn.init.ones_)
    assert ones.weight.detach().sum() == 21


def test_what_has_no_id_is_never_trained():
    import torch

    for column, ids in ((IDS, [[1, -1, 2]]), (SEVERAL, [[[1, 2, -5], [-5, -5, -5]]])):
        layer = embedding(column).torch_layer()
        layer(torch.tensor(ids)).square().sum().backward()
        grad = layer.weight.grad
        assert torch.isfinite(grad).all() and grad.abs().sum(1).nonzero().flatten().tolist() == [1, 2]
