"""Bytes of a text moved and read several at once.

Indices are unsigned: Numba looks at each signed one whether it counts from the end, and the loop is not vectorised then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from transforms.kernels.compiled import kernel


@kernel
def word_at(text: Any, at: Any) -> Any:
    """Returns the 8 bytes of a uint8 text that start at a position as a uint64, the first of them the lowest."""
    found = np.uint64(0)
    for k in range(8):
        found |= np.uint64(text[np.uintp(at + k)]) << np.uint64(8 * k)
    return found


@intrinsic
def _leading_zeros(_: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), code


@kernel
def bits_by_instruction(word: Any) -> Any:
    """Does what `bits_of` does."""
    return np.uint64(64) - _leading_zeros(word)


def bits_of(word: Any) -> Any:
    """Returns how many bits a uint64 takes, 0 to 64."""
    return np.uint64(int(word).bit_length())


bits = bits_of if config.DISABLE_JIT else bits_by_instruction


@kernel
def copied_bytes(text: Any, at: Any, size: Any, out: Any, place: Any) -> Any:
    """Copies bytes from a position of a uint8 text to a place in another, or to one before it in the same."""
    for k in range(size):
        out[np.uintp(place + k)] = text[np.uintp(at + k)]


@intrinsic
def _memmove(_: Any, text: Any, at: Any, size: Any, out: Any, place: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 3))
        ends = builder.gep(target, [arguments[4]]), builder.gep(source, [arguments[1]])
        cgutils.raw_memmove(builder, *ends, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(text, types.int64, types.int64, out, types.int64), code


@kernel
def memmove(text: Any, at: Any, size: Any, out: Any, place: Any) -> Any:
    """Does what `copied_bytes` does, in a third of the time, and whatever the bounds are."""
    _memmove(text, at, size, out, place)


copied = copied_bytes if config.DISABLE_JIT or config.BOUNDSCHECK else memmove
