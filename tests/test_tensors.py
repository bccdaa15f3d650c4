"""Arrays as tensors and back: the same values, the same memory where that is promised."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from transforms.densify import graph, tensors
from transforms.kernels.buffers import ALIGNMENT

DTYPES = [np.float32, np.float64, np.int64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 1000])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_shared_array_is_a_tensor_wherever_it_begins(dtype, count, first):
    array = tensors.copied(np.arange(count + first).astype(dtype))[first:]
    array.flags.writeable = False
    made = tensors.shared(array)
    assert made.dtype == tf.as_dtype(dtype) and made.shape == [count]
    np.testing.assert_array_equal(tf.add(made, 1), array + 1)
    back = tensors.array_of(made)
    assert back.ctypes.data % ALIGNMENT == 0 and not back.flags.writeable
    assert not count or (back.ctypes.data == array.ctypes.data) == (first * array.itemsize % ALIGNMENT == 0)


def test_every_other_number():
    assert tensors.shared(np.arange(10)[::2]).numpy().tolist() == [0, 2, 4, 6, 8]


def test_a_tensor_keeps_the_memory_that_it_shares():
    made = tensors.shared(pa.array(np.arange(1_000_000)).cast(pa.float32()).to_numpy())
    back = tensors.array_of(made)
    del made
    gc.collect()
    others = [np.full(1_000_000, -1, np.float32) for _ in range(4)]
    assert back.sum(dtype=np.float64) == 999_999 * 500_000 and len(others) == 4


def test_no_operation_writes_over_what_is_shared():
    array = tensors.copied(np.ones(1000, np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None])], autograph=False)
    def twice(values: tf.Tensor) -> tf.Tensor:
        return tf.exp(values * 2 + 1)

    twice.get_concrete_function()(tensors.shared(array))
    assert (array == 1).all()


@pytest.mark.parametrize("lists", [pa.large_list, pa.list_])
@pytest.mark.parametrize("absent", [None, []])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int64(), pa.large_binary(), pa.large_string()])
def test_columns_as_ragged_tensors(kind, absent, lists):
    text = pa.types.is_large_binary(kind) or pa.types.is_large_string(kind)
    rows = [["a", "b"], [], absent, ["c"]] if text else [[1, 2], [], absent, [3]]
    column = pa.array(rows, lists(kind))
    for first, last in itertools.combinations_with_replacement(range(len(rows) + 1), 2):
        made = graph.ragged_tensor(column.slice(first, last - first))
        expected = [[str(value).encode() if text else value for value in row or []] for row in rows[first:last]]
        assert made.to_list() == expected
        assert made.row_splits.dtype == tf.int64


def test_text_and_booleans_as_arrays():
    assert tensors.array_of(tf.constant(["a"])).tolist() == [b"a"]
    assert tensors.array_of(tf.constant([[True], [False]])).tolist() == [[True], [False]]
    assert tensors.array_of(tf.zeros([0, 3])).shape == (0, 3)
