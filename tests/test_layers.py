"""Embedding layers of Keras that a manifest describes: ids as they are written, against the definition in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.layers import IDS, SEVERAL, WEIGHTED, by_hand, embedding, embeddings, some_ids
from transforms.columns import sequence_categorical_column_with_learned_vocabulary, shared_embeddings


def test_vectors_of_single_ids():
    found = embedding(IDS)
    layer = found.keras_layer()
    ids = some_ids(np.random.default_rng(1), (5, 4), -1)
    made = np.asarray(layer(ids))
    table = layer.get_weights()[0]
    assert table.shape == (8, 3) and (found.ids, found.weights, found.collection) == (
        "a_embedding",
        None,
        "a_embedding",
    )
    np.testing.assert_array_equal(made, np.where(ids[..., None] < 0, np.float32(0), table[ids]))
    assert abs(table.std() - 3**-0.5) < 0.3 and repr(found) == "DescribedEmbedding('a_embedding': 7 ids, dimension 3)"


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
@pytest.mark.parametrize("column", [SEVERAL, WEIGHTED], ids=["several", "weighted"])
def test_vectors_of_several_ids(column, combiner):
    found, rng = embedding(column, combiner=combiner), np.random.default_rng(2)
    padding = found.facts["padding_id"]
    ids = some_ids(rng, (6, 4, column.ids_per_step), padding)
    weights = rng.normal(size=ids.shape).astype(np.float32) if column.weighted else None
    layer = found.keras_layer()
    made = np.asarray(layer(ids) if weights is None else layer(ids, weights))
    assert found.several and (found.weights is not None) == column.weighted
    np.testing.assert_allclose(
        made, by_hand(layer.get_weights()[0], ids, combiner, padding, weights), rtol=2e-5, atol=1e-6
    )


def test_the_weight_of_a_single_id():
    layer = embedding(IDS, combiner="sum").keras_layer(table=np.eye(7, 3))
    ids, weights = np.array([[0, 2, -1]]), np.array([[2.0, 0.5, 9.0]], np.float32)
    assert np.asarray(layer(ids, weights)).tolist() == [[[2, 0, 0], [0, 0, 0.5], [0, 0, 0]]]


def test_what_the_column_says_is_in_the_layer(tmp_path):
    vectors = np.arange(21).reshape(7, 3)
    np.save(tmp_path / "t.npy", vectors)
    found = embedding(IDS, table=str(tmp_path / "t.npy"), trainable=False, max_norm=2.0)
    layer = found.keras_layer(name="mine")
    np.testing.assert_array_equal(np.asarray(layer(np.array([6, -1]))), [vectors[6], [0, 0, 0]])
    assert found.ids is None and layer.name == "mine" and not layer.trainable_weights
    assert layer.embeddings_constraint.max_value == 2.0 and layer.embeddings_constraint.axis == 1
    assert (
        embedding(IDS, initializer="glorot_uniform").keras_layer().embeddings_initializer.__class__.__name__
        == "GlorotUniform"
    )
    np.save(tmp_path / "t.npy", vectors + 1)
    with pytest.raises(ValueError, match=r"^column 'a_embedding': table '.*t.npy' has changed since"):
        found.keras_layer()
    with pytest.raises(ValueError, match=r"^column 'a_embedding': table was given as an array: pass table"):
        embedding(IDS, table=vectors.astype(float)).keras_layer()
    with pytest.raises(ValueError, match=r"^column 'a_embedding': table expected the shape \[7, 3\]"):
        found.keras_layer(table=vectors[:6])
    with pytest.raises(ValueError, match=r"initializer that Keras knows by name, got 'Constant\(value=0.5\)'"):
        embedding(IDS, initializer=keras.initializers.Constant(0.5)).keras_layer()
    with pytest.raises(ValueError, match="nobody knows how many ids there are"):
        embedding(sequence_categorical_column_with_learned_vocabulary("l")).keras_layer()


def test_what_has_no_id_is_never_trained():
    layer = embedding(IDS).keras_layer()
    ids = np.array([[1, -1, 2, -1]])
    model = keras.Sequential([keras.Input([4], dtype="int64"), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    before = layer.get_weights()[0]
    model.compile("sgd", "mse")
    model.fit(ids, np.ones([1, 1]), epochs=3, verbose=0)
    changed = (layer.get_weights()[0] != before).any(axis=1)
    assert changed.tolist() == [False, True, True, False, False, False, False, False]


def test_a_model_is_saved_and_loaded(tmp_path):
    ids = keras.Input([4, 2], dtype="int64")
    weights = keras.Input([4, 2])
    layer = embedding(WEIGHTED, combiner="sqrtn").keras_layer(mask_padding=True)
    model = keras.Model([ids, weights], keras.layers.GlobalAveragePooling1D()(layer(ids, weights)))
    model.save(tmp_path / "m.keras")
    given = [np.array([[[1, 2], [3, -1], [-1, -1], [0, 6]]]), np.ones([1, 4, 2], np.float32)]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(given, verbose=0), model.predict(given, verbose=0))
    # The step without an id is left out of the average.
    steps = np.asarray(layer(*given))[0, [0, 1, 3]]
    np.testing.assert_allclose(model.predict(given, verbose=0)[0], steps.mean(axis=0), rtol=1e-5)
    assert embedding(IDS).keras_layer().compute_mask(given[0]) is None
    single = embedding(IDS).keras_layer(mask_padding=True).compute_mask(np.array([[1, -1]]))
    assert np.asarray(single).tolist() == [[True, False]]


def test_shared_embeddings_and_unknown_columns():
    found = embeddings(*shared_embeddings([IDS, SEVERAL], 2, shared_embedding_collection_name="films"))
    assert {one.collection for one in found.values()} == {"films"} and [one.several for one in found.values()] == [
        False,
        True,
    ]
    with pytest.raises(KeyError, match="no column 'a_shared_embeding'; did you mean 'a_shared_embedding'"):
        found["a_shared_embeding"]
