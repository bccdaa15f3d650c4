"""Fingerprint64 of FarmHash, fixed for ever: TensorFlow's `tf.strings.to_hash_bucket_fast`, BigQuery's `FARM_FINGERPRINT`.

BigQuery gives the same bits as a signed number. The algorithm: https://github.com/google/farmhash, `farmhashna::Hash64`. Words
are little-endian, sums and products modulo 2^64.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.kernels.blocks import word_at
from transforms.kernels.compiled import kernel
from transforms.kernels.values import read_only

_K0: Final = np.uint64(0xC3A5C85C97CB3127)
_K1: Final = np.uint64(0xB492B66FBE98F273)
_K2: Final = np.uint64(0x9AE16A3B2F90404F)
_SEED: Final = np.uint64(81)
_LONGEST: Final = 20
"""Characters of the longest integer: of -2^63, and of 2^64 - 1."""
_HALF: Final = np.uint64(0xFFFFFFFF)


def fingerprints(texts: pa.Array) -> np.ndarray:
    """Returns the Fingerprint64 of each value, uint64 `[values]`; that of a null is the one of no bytes.

    >>> (fingerprints(pa.array(["omar", "stringer", "marlo"])) % np.uint64(10)).tolist()
    [6, 4, 1]

    Args:
      texts: strings or binaries, of any Arrow layout that casts to large binaries.
    """
    plain = texts.cast(pa.large_binary())
    made = np.empty(len(plain), np.uint64)
    _, offsets, data = plain.buffers()
    if not len(plain):
        return made
    ends = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    with np.errstate(over="ignore"):  # where the kernels run as Python
        _fingerprints(np.frombuffer(data if data is not None and data.size else b"\0", np.uint8), ends, made)
    return made


def of_integers(numbers: np.ndarray) -> np.ndarray:
    """Returns the Fingerprint64 of the decimal text of each integer, uint64 `[values]`.

    >>> of_integers(np.array([5, -12])).tolist() == fingerprints(pa.array(["5", "-12"])).tolist()
    True

    Args:
      numbers: integers of any width, `[values]`.
    """
    signed = numbers.dtype.kind == "i"
    bits = numbers.astype(np.int64 if signed else np.uint64, copy=False).view(np.uint64)
    made = np.empty(len(bits), np.uint64)
    with np.errstate(over="ignore"):
        _of_integers(read_only(bits), signed, np.empty(_LONGEST, np.uint8), made)
    return made


@kernel
def _of_integers(bits: Any, signed: Any, text: Any, made: Any) -> None:
    """Fills `made`, uint64 `[n]`, with the fingerprints of integers as text.

    Args:
      bits: uint64 `[n]`, the integers.
      signed: whether they are int64.
      text: uint8 `[20]`, room for one of them.
      made: filled.
    """
    end = len(text)
    for k in range(len(made)):
        left, at = bits[np.uintp(k)], end
        negative = signed and left >> np.uint64(63) != 0
        if negative:
            left = ~left + np.uint64(1)
        while left or at == end:
            at -= 1
            text[np.uintp(at)] = np.uint8(48) + np.uint8(left % np.uint64(10))
            left //= np.uint64(10)
        if negative:
            at -= 1
            text[np.uintp(at)] = 45
        made[np.uintp(k)] = fingerprint(text, at, end)


@kernel
def _fingerprints(text: Any, ends: Any, made: Any) -> None:
    """Fills `made`, uint64 `[n]`, with the fingerprints of `text[ends[k]:ends[k + 1]]`; text uint8, ends int64 `[n + 1]`."""
    for k in range(len(made)):
        made[np.uintp(k)] = fingerprint(text, ends[np.uintp(k)], ends[np.uintp(k + 1)])


@kernel
def fingerprint(text: Any, at: Any, end: Any) -> Any:
    """Returns the Fingerprint64 of `text[at:end]`, uint64.

    Args:
      text: uint8.
      at: where the bytes start.
      end: where they end, within the text.
    """
    size = end - at
    if size > 64:
        return _of_many(text, at, end)
    multiplier = _K2 + np.uint64(2 * size)
    if size > 32:
        return _of_33_to_64(text, at, end, multiplier)
    if size > 16:
        a, b = word_at(text, at) * _K1, word_at(text, at + 8)
        c, d = word_at(text, end - 8) * multiplier, word_at(text, end - 16) * _K2
        first = _rotated(a + b, 43) + _rotated(c, 30) + d
        return _of_two(first, a + _rotated(b + _K2, 18) + c, multiplier)
    if size >= 8:
        a, b = word_at(text, at) + _K2, word_at(text, end - 8)
        c, d = _rotated(b, 37) * multiplier + a, (_rotated(a, 25) + b) * multiplier
        return _of_two(c, d, multiplier)
    if size >= 4:
        first = np.uint64(size) + (_half_at(text, at) << np.uint64(3))
        return _of_two(first, _half_at(text, end - 4), multiplier)
    if size > 0:
        y = _byte_at(text, at) + (_byte_at(text, at + (size >> 1)) << np.uint64(8))
        z = np.uint64(size) + (_byte_at(text, end - 1) << np.uint64(2))
        return _mixed(y * _K2 ^ z * _K0) * _K2
    return _K2


@kernel
def _of_33_to_64(text: Any, at: Any, end: Any, multiplier: Any) -> Any:
    a, b = word_at(text, at) * _K2, word_at(text, at + 8)
    c, d = word_at(text, end - 8) * multiplier, word_at(text, end - 16) * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _of_two(y, a + _rotated(b + _K2, 18) + c, multiplier)
    e, f = word_at(text, at + 16) * multiplier, word_at(text, at + 24)
    g, h = (y + word_at(text, end - 32)) * multiplier, (z + word_at(text, end - 24)) * multiplier
    return _of_two(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, multiplier)


@kernel
def _of_many(text: Any, at: Any, end: Any) -> Any:
    """Returns the fingerprint of more than 64 bytes: 64 at a time, then the last 64, which overlap those before."""
    x, y = _SEED, _SEED * _K1 + np.uint64(113)
    z = _mixed(y * _K2 + np.uint64(113)) * _K2
    v1 = v2 = w1 = w2 = np.uint64(0)
    x = x * _K2 + word_at(text, at)
    last = at + (end - at - 1) // 64 * 64
    while at < last:
        x, y, z, v1, v2, w1, w2 = _block(text, at, x, y, z, v1, v2, w1, w2, _K1, np.uint64(1))
        at += 64
    multiplier = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w1 += np.uint64((end - 1 - last) & 63)
    v1 += w1
    w1 += v1
    x, y, z, v1, v2, w1, w2 = _block(text, end - 64, x, y, z, v1, v2, w1, w2, multiplier, np.uint64(9))
    first = _of_two(v1, w1, multiplier) + _mixed(y) * _K0 + z
    return _of_two(first, _of_two(v2, w2, multiplier) + x, multiplier)


@kernel
def _block(
    text: Any, at: Any, x: Any, y: Any, z: Any, v1: Any, v2: Any, w1: Any, w2: Any, multiplier: Any, times: Any
) -> Any:
    """Returns the state with the 64 bytes at `at` in it, x and z swapped."""
    x = _rotated(x + y + v1 + word_at(text, at + 8), 37) * multiplier
    y = _rotated(y + v2 + word_at(text, at + 48), 42) * multiplier
    x ^= w2 * times
    y += v1 * times + word_at(text, at + 40)
    z = _rotated(z + w1, 33) * multiplier
    v1, v2 = _weak(text, at, v2 * multiplier, x + w1)
    w1, w2 = _weak(text, at + 32, z + w2, y + word_at(text, at + 16))
    return z, y, x, v1, v2, w1, w2


@kernel
def _weak(text: Any, at: Any, a: Any, b: Any) -> Any:
    """Returns two words with 32 bytes in them."""
    a += word_at(text, at)
    z = word_at(text, at + 24)
    b = _rotated(b + a + z, 21)
    c = a
    a += word_at(text, at + 8) + word_at(text, at + 16)
    return a + z, b + _rotated(a, 44) + c


@kernel
def _of_two(u: Any, v: Any, multiplier: Any) -> Any:
    a = _mixed((u ^ v) * multiplier)
    return _mixed((v ^ a) * multiplier) * multiplier


@kernel
def _mixed(word: Any) -> Any:
    return word ^ word >> np.uint64(47)


@kernel
def _rotated(word: Any, bits: Any) -> Any:
    return word >> np.uint64(bits) | word << np.uint64(64 - bits)


@kernel
def _byte_at(text: Any, at: Any) -> Any:
    return np.uint64(text[np.uintp(at)])


@kernel
def _half_at(text: Any, at: Any) -> Any:
    """Returns the 4 bytes at `at` as a uint64."""
    made = np.uint64(0)
    for k in range(4):
        made |= _byte_at(text, at + k) << np.uint64(8 * k)
    return made
