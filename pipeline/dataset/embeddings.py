"""The embedding columns of a data set, and the layers that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset.vocabularies import ByColumn
from transforms.stored.embedding_tables import read_table, table_of


@dataclass(frozen=True, repr=False)
class DescribedEmbedding:
    """An embedding column of a data set.

    Attributes:
      column: name of the column.
      facts: what the manifest lists of it: `id_count`, `dimension`, `combiner`, `max_norm`, `padding_id`, `trainable`,
        `initializer`, `table`; `collection`; `ids` and `weights`, the features to feed the layer, or `vectors`, that with vectors
        in their place.
      several: whether a step has several ids, so that the last dimension of the feature is theirs.
    """

    column: str
    facts: Mapping[str, Any]
    several: bool = False

    def __repr__(self) -> str:
        """Which, and its size."""
        count = "some" if self.facts["id_count"] is None else f"{self.facts['id_count']:,}"
        return f"{type(self).__name__}({self.column!r}: {count} ids, dimension {self.facts['dimension']})"

    @property
    def collection(self) -> str:
        """The name of the weights: columns of one collection share a layer. That of an `embedding_column` is its own name."""
        return str(self.facts["collection"])

    @property
    def ids(self) -> str | None:
        """The feature with the ids; None where their vectors were written (`table`)."""
        return self.facts.get("ids")

    @property
    def weights(self) -> str | None:
        """The feature with the weights of the ids; None where they have none."""
        return self.facts.get("weights")

    def keras_layer(self, table: Any = None, **more: Any) -> Any:
        """Returns a Keras layer that takes the ids as they are written (see `pipeline.layers.keras_layers.IdEmbedding`).

        Each call makes a layer with weights of its own: columns of one `collection` share one. `max_norm` becomes the constraint
        of that name, which is applied after each step of the training.

        Args:
          table: the first vectors, `[id_count, dimension]`; those of the column's `table`, if it has one, else of the
            initializer.
          **more: arguments of `IdEmbedding` and `keras.layers.Embedding`.

        Raises:
          ValueError: the table has another shape, cannot be read or has changed; the initializer is none that Keras knows by
            name.
        """
        from pipeline.layers import keras_layers

        return keras_layers.layer(self._known(), self._first(table), more)

    def torch_layer(self, table: Any = None, initializer: Callable[[Any], Any] | None = None, **more: Any) -> Any:
        """Returns a PyTorch module that takes the ids as they are written (see `pipeline.layers.torch_layers.IdEmbedding`).

        Each call makes a module with weights of its own: columns of one `collection` share one. `max_norm` becomes the argument
        of that name, by which PyTorch shortens the vectors that it looks up, for good.

        Args:
          table: see `keras_layer`.
          initializer: fills a tensor in place, as those of `torch.nn.init`.
          **more: arguments of `IdEmbedding` and `torch.nn.Embedding`.

        Raises:
          ValueError: the table has another shape, cannot be read or has changed; the column names an initializer, and none is
            given.
        """
        from pipeline.layers import torch_layers

        return torch_layers.layer(self._known(), self._first(table), initializer, more)

    def _known(self) -> dict[str, Any]:
        if self.facts["id_count"] is None:
            raise ValueError(f"column {self.column!r}: nobody knows how many ids there are: the data set has no rows")
        return {**self.facts, "several": self.several}

    def _first(self, table: Any) -> np.ndarray | None:
        """Returns the vectors that a layer begins with; None for those of its initializer."""
        size, own = (self.facts["id_count"], self.facts["dimension"]), self.facts["table"]
        try:
            if table is not None:
                return table_of(table).checked(*size).values
            if own is None:
                return None
            if not own["path"]:
                raise ValueError("was given as an array: pass table")
            found = read_table(own["path"])
            if found.digest != own["digest"]:
                raise ValueError(f"{own['path']!r} has changed since the data set was written")
        except ValueError as error:
            raise ValueError(f"column {self.column!r}: table {error}") from None
        return found.values


def of_manifest(content: Mapping[str, Any]) -> ByColumn[DescribedEmbedding]:
    """Returns the embedding columns of a data set by name.

    Args:
      content: its manifest.
    """
    made, features = ByColumn[DescribedEmbedding](), content["examples"]["features"]
    for name, facts in content.get("embeddings", {}).items():
        feature = features.get(facts.get("ids"))
        several = feature is not None and len(feature["shape"]) > int(feature.get("sequence", False))
        made[name] = DescribedEmbedding(name, facts, several)
    return made
