"""CRC-32C: by the processor's own instruction where it has one, else by tables.

The polynomial is Castagnoli's, reflected: 0x82F63B78 (https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4).

Checksums are linear: that of two texts, one behind the other, is that of the second, begun with 0, and what as many zeros would
make of that of the first. So three lanes of a text go side by side, where each step else waits for the one before.
"""

from __future__ import annotations

from typing import Any, Final

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from transforms.kernels.blocks import word_at
from transforms.kernels.compiled import kernel

_ALL: Final = np.uint64(0xFFFFFFFF)


def _tables() -> np.ndarray:
    """Returns what each byte adds to a checksum when k bytes follow it, uint64 `[8, 256]`."""
    found = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        found = np.where(found & 1, found >> 1 ^ 0x82F63B78, found >> 1).astype(np.uint64)
    tables = [found]
    for _ in range(7):
        tables.append(found[tables[-1] & 0xFF] ^ tables[-1] >> 8)
    return np.stack(tables)


_TABLES: Final = _tables()

LANE: Final = 128
"""The bytes of a lane."""


def _of_lanes() -> np.ndarray:
    """Returns what each byte of a checksum becomes when a lane of zeros follows, the lowest first, uint64 `[4, 256]`."""
    found = np.arange(256, dtype=np.uint64) << (8 * np.arange(4, dtype=np.uint64))[:, np.newaxis]
    for _ in range(LANE):
        found = _TABLES[0][found & 0xFF] ^ found >> 8
    return found


_LANES: Final = _of_lanes()


@intrinsic
def _step_of_sse42(_: Any, crc: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(64)])
        instruction = builder.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", fnty=kind)
        return builder.call(instruction, arguments)

    return types.uint64(types.uint64, types.uint64), code


@kernel
def step_of_sse42(crc: Any, word: Any) -> Any:
    """Returns a checksum, uint64, with 8 more bytes in it, which are a uint64. By an instruction of x86 processors."""
    return _step_of_sse42(crc, word)


@kernel
def step_of_tables(crc: Any, word: Any) -> Any:
    """Does what `step_of_sse42` does, by tables."""
    word ^= crc
    found = np.uint64(0)
    for k in range(8):
        found ^= _TABLES[7 - k, np.int64(word >> np.uint64(8 * k) & np.uint64(0xFF))]
    return found


def has_instruction() -> bool:
    """Tells whether code may hold the instruction: LLVM ends the process where it compiles it for a processor without."""
    if config.DISABLE_JIT or not (config.CPU_NAME in (None, "", "host") or config.CPU_NAME.startswith("x86-64-v")):
        return False
    return bool(llvmlite.binding.get_host_cpu_features().get("sse4.2"))


_step: Final = step_of_sse42 if has_instruction() else step_of_tables


@kernel
def _behind(crc: Any) -> Any:
    """Returns what a lane of zeros makes of a checksum."""
    found = np.uint64(0)
    for k in range(4):
        found ^= _LANES[k, np.int64(crc >> np.uint64(8 * k) & np.uint64(0xFF))]
    return found


@kernel
def crc32c(text: Any, at: Any, end: Any) -> Any:
    """Returns the CRC-32C of `text[at:end]`, uint64.

    Args:
      text: uint8.
      at: where the bytes start.
      end: where they end, within the text.
    """
    crc = _ALL
    while at + 3 * LANE <= end:
        second = third = np.uint64(0)
        for k in range(at, at + LANE, 8):
            crc = _step(crc, word_at(text, k))
            second = _step(second, word_at(text, k + LANE))
            third = _step(third, word_at(text, k + 2 * LANE))
        crc = _behind(_behind(crc) ^ second) ^ third
        at += 3 * LANE
    while at + 8 <= end:
        crc = _step(crc, word_at(text, at))
        at += 8
    while at < end:
        crc = _TABLES[0, np.int64((crc ^ np.uint64(text[np.uintp(at)])) & np.uint64(0xFF))] ^ crc >> np.uint64(8)
        at += 1
    return crc ^ _ALL
