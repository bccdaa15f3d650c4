"""The PyTorch module that `DescribedEmbedding.torch_layer` makes. Imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class IdEmbedding(torch.nn.Embedding):
    """An embedding of ids as a data set holds them, padding and steps without an id among them: their vector is zeros.

    `layer(ids)` takes integers `[..., T]` and gives `[..., T, dimension]`; with several ids a step, `[..., T, M]`, and their
    weights `layer(ids, weights)`, one vector for every step. Row k of `weight` is the vector of the id k; there is one row more,
    that of no id (`padding_idx`), which is never trained.

    Args:
      id_count: ids are in `[0, id_count)`.
      dimension: values of a vector.
      padding_id: what stands where there is no id.
      combiner: `"mean"`, `"sum"` or `"sqrtn"`: how the vectors of a step become one.
      several: whether the last dimension is that of the ids in a step.
      **more: those of `torch.nn.Embedding`.
    """

    def __init__(
        self,
        id_count: int,
        dimension: int,
        padding_id: int = -1,
        combiner: str = "mean",
        several: bool = False,
        **more: Any,
    ):
        super().__init__(id_count + 1, dimension, padding_idx=id_count, **more)
        self.id_count, self.padding_id, self.combiner, self.several = id_count, padding_id, combiner, several

    def forward(self, ids: Any, weights: Any = None) -> Any:
        """Returns the vectors."""
        there = ids != self.padding_id
        vectors = super().forward(torch.where(there, ids, self.id_count))
        if not self.several and weights is None:
            return vectors
        factors = there.to(vectors.dtype)
        if weights is not None:
            factors = factors * weights.to(vectors.dtype)
            factors = factors if self.combiner == "sum" else factors.clamp(min=0)
        if not self.several:
            vectors, factors = vectors.unsqueeze(-2), factors.unsqueeze(-1)
        made = (vectors * factors.unsqueeze(-1)).sum(-2)
        if self.combiner == "sum":
            return made
        divisor = (factors.square().sum(-1).sqrt() if self.combiner == "sqrtn" else factors.sum(-1)).unsqueeze(-1)
        return torch.where(divisor > 0, made / divisor.where(divisor > 0, 1.0), 0.0)


def layer(
    facts: dict[str, Any], table: np.ndarray | None, initializer: Callable[[Any], Any] | None, more: dict[str, Any]
) -> IdEmbedding:
    """Returns a module of its own.

    Args:
      facts: what the manifest lists of an embedding column, and `several`.
      table: the first vectors, float32 `[id_count, dimension]`; None for those of the initializer.
      initializer: fills a tensor in place, as those of `torch.nn.init` do.
      more: further arguments of `IdEmbedding`; they come before what the column says.

    Raises:
      ValueError: the column names an initializer, and none is given.
    """
    if table is None and initializer is None and facts["initializer"] is not None:
        raise ValueError(
            f"PyTorch has no initializer {facts['initializer']!r}, which the column names: pass initializer"
        )
    names = ("id_count", "dimension", "padding_id", "combiner", "max_norm", "several")
    made = IdEmbedding(**{name: facts[name] for name in names} | more)
    with torch.no_grad():
        rows = made.weight[: made.id_count]
        if table is not None:
            rows.copy_(torch.tensor(table))
        elif initializer is not None:
            initializer(rows)
        else:  # as TensorFlow's embedding columns, where none is named
            deviation = facts["dimension"] ** -0.5
            torch.nn.init.trunc_normal_(rows, std=deviation, a=-2 * deviation, b=2 * deviation)
    made.weight.requires_grad_(facts["trainable"])
    return made
