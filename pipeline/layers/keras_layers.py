"""The Keras layer that `DescribedEmbedding.keras_layer` makes. Imports Keras; to load a saved model that has one, import this."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("seqcols")
class IdEmbedding(keras.layers.Embedding):
    """An embedding of ids as a data set holds them, padding and steps without an id among them: their vector is zeros.

    `layer(ids)` takes integers `[..., T]` and gives `[..., T, dimension]`; with several ids a step, `[..., T, M]`, and their
    weights `layer(ids, weights)`, one vector for every step. Row k of the weights is the vector of the id k; there is one row
    more, that of no id, which is never trained.

    Args:
      id_count: ids are in `[0, id_count)`.
      dimension: values of a vector.
      padding_id: what stands where there is no id.
      combiner: `"mean"`, `"sum"` or `"sqrtn"`: how the vectors of a step become one.
      several: whether the last dimension is that of the ids in a step.
      mask_padding: whether layers that take a mask are told to skip what has no id. A `sequence_mask` of the data set knows
        better: a word that is unknown and has no id is a step all the same.
      **more: those of `keras.layers.Embedding`.
    """

    def __init__(
        self,
        id_count: int,
        dimension: int,
        padding_id: int = -1,
        combiner: str = "mean",
        several: bool = False,
        mask_padding: bool = False,
        **more: Any,
    ):
        super().__init__(id_count + 1, dimension, **more)
        self.id_count, self.padding_id, self.combiner = id_count, padding_id, combiner
        self.several, self.mask_padding, self.supports_masking = several, mask_padding, mask_padding

    def call(self, ids: Any, weights: Any = None) -> Any:
        """Returns the vectors."""
        there = ops.not_equal(ids, self.padding_id)
        vectors = super().call(ops.where(there, ids, self.id_count))
        factors = ops.cast(there, vectors.dtype)
        if not self.several and weights is None:
            return vectors * factors[..., None]
        if weights is not None:
            factors = factors * ops.cast(weights, vectors.dtype)
            factors = factors if self.combiner == "sum" else ops.maximum(factors, 0)
        if not self.several:
            vectors, factors = vectors[..., None, :], factors[..., None]
        made = ops.sum(vectors * factors[..., None], axis=-2)
        if self.combiner == "sum":
            return made
        squares = ops.sqrt(ops.sum(factors**2, axis=-1)) if self.combiner == "sqrtn" else ops.sum(factors, axis=-1)
        return ops.divide_no_nan(made, squares[..., None])

    def compute_mask(self, ids: Any, mask: Any = None) -> Any:
        """Returns where there is an id, bool `[..., T]`; None unless `mask_padding`."""
        there = ops.not_equal(ids, self.padding_id)
        return (ops.any(there, axis=-1) if self.several else there) if self.mask_padding else None

    def compute_output_shape(self, shape: Any, weights_shape: Any = None) -> Any:
        """Returns the shape of the vectors."""
        return (*(shape[:-1] if self.several else shape), self.output_dim)

    def compute_output_spec(self, ids: Any, weights: Any = None) -> Any:
        """Returns the shape and dtype of the vectors."""
        return keras.KerasTensor(self.compute_output_shape(ids.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = super().get_config()
        own = {"id_count": self.id_count, "dimension": self.output_dim, "padding_id": self.padding_id}
        own |= {"combiner": self.combiner, "several": self.several, "mask_padding": self.mask_padding}
        return {name: value for name, value in config.items() if name not in ("input_dim", "output_dim")} | own


def layer(facts: dict[str, Any], table: np.ndarray | None, more: dict[str, Any]) -> IdEmbedding:
    """Returns a layer of its own.

    Args:
      facts: what the manifest lists of an embedding column, and `several`.
      table: the first vectors, float32 `[id_count, dimension]`; None for those of the initializer.
      more: further arguments of `IdEmbedding`; they come before what the column says.

    Raises:
      ValueError: Keras does not know the column's initializer.
    """
    given: dict[str, Any] = {"trainable": facts["trainable"], "several": facts["several"]}
    if facts["max_norm"] is not None:
        given["embeddings_constraint"] = keras.constraints.MaxNorm(facts["max_norm"], axis=1)
    if table is not None:
        given["weights"] = [np.concatenate([table, np.zeros([1, table.shape[1]], np.float32)])]
    elif "embeddings_initializer" not in more:
        given["embeddings_initializer"] = _initializer(facts["initializer"], facts["dimension"])
    names = ("id_count", "dimension", "padding_id", "combiner")
    return IdEmbedding(**{name: facts[name] for name in names} | given | more)


def _initializer(name: str | None, dimension: int) -> Any:
    """Returns the initializer of a name; TensorFlow's embedding columns have this one where none is named."""
    if name is None:
        return keras.initializers.TruncatedNormal(stddev=dimension**-0.5)
    try:
        return keras.initializers.get(name)
    except ValueError:
        raise ValueError(
            f"expected an initializer that Keras knows by name, got {name!r}; pass embeddings_initializer"
        ) from None
