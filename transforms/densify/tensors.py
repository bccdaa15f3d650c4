"""Arrays as TensorFlow's tensors and back, without a copy where both lie as the other needs them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from transforms.kernels.buffers import ALIGNMENT, aligned
from transforms.rows.numbers import arrow_of


def shared(array: np.ndarray) -> tf.Tensor:
    """Returns a tensor `[n]` of the numbers that stand in an array `[n]`, in its dtype; they must not change any more.

    A copy where the array begins elsewhere than TensorFlow's kernels can load from; `tf.constant` makes two.

    >>> shared(np.arange(3)).numpy().tolist()
    [0, 1, 2]
    """
    if not array.flags.c_contiguous or array.ctypes.data % ALIGNMENT:
        array = copied(array)
    # NumPy hands on what is read-only only since DLPack 1.0, which TensorFlow 2.21 does not take; Arrow always does.
    return tf.experimental.dlpack.from_dlpack(arrow_of(array).__dlpack__())


def copied(array: np.ndarray) -> np.ndarray:
    """Returns a copy of an array `[n]` that a tensor can share."""
    made = aligned(array.size, array.dtype)
    np.copyto(made, array)
    return made


def array_of(tensor: tf.Tensor) -> np.ndarray:
    """Returns the values of a tensor, read-only where they are numbers, which are not copied."""
    return tensor.numpy() if tensor.dtype == tf.string else np.asarray(memoryview(tensor))
