"""What the embedding layers of Keras and PyTorch have in common for tests: manifests, and the definition of what they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.dataset.embeddings import DescribedEmbedding, of_manifest
from pipeline.dataset.manifest_entries import features_of
from transforms.columns import (
    Column,
    embedding_column,
    sequence_categorical_column_with_identity,
    weighted_categorical_column,
)
from transforms.columns.embedding import embeddings_of
from transforms.spec.make_spec import make_spec

IDS = sequence_categorical_column_with_identity("a", 7)
SEVERAL = sequence_categorical_column_with_identity("b", 7, max_ids=3, padding_id=-5)
WEIGHTED = weighted_categorical_column(sequence_categorical_column_with_identity("c", 7, max_ids=2), "w")


def embeddings(*columns: Column) -> Any:
    """The embeddings of a data set with these columns, by its manifest."""
    outputs = [output for column in columns for output in column.outputs(4)]
    made = embeddings_of(make_spec(list(columns)).columns, {})
    return of_manifest({"examples": {"features": features_of(outputs)}, "embeddings": made})


def embedding(column: Any, dimension: int = 3, **more: Any) -> DescribedEmbedding:
    """The one embedding of a data set."""
    (made,) = embeddings(embedding_column(column, dimension, **more)).values()
    return made


def by_hand(
    table: np.ndarray, ids: np.ndarray, combiner: str, padding_id: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """One vector for each step, float64; ids `[..., M]`."""
    made = np.zeros((*ids.shape[:-1], table.shape[1]))
    for place in np.ndindex(*ids.shape[:-1]):
        pairs = [
            (k, 1.0 if weights is None else weights[(*place, m)]) for m, k in enumerate(ids[place]) if k != padding_id
        ]
        if combiner != "sum":
            pairs = [(k, w) for k, w in pairs if w > 0]
        total = sum((w * table[k] for k, w in pairs), np.zeros(table.shape[1]))
        by = {"sum": 1.0, "mean": sum(w for _, w in pairs), "sqrtn": sum(w * w for _, w in pairs) ** 0.5}[combiner]
        made[place] = total / by if pairs else 0
    return made


def some_ids(rng: np.random.Generator, shape: tuple[int, ...], padding_id: int) -> np.ndarray:
    """Ids below 7, a third of them none."""
    ids = rng.integers(0, 7, shape)
    return np.where(rng.random(shape) < 0.35, padding_id, ids)
