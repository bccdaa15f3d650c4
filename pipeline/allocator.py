"""Memory that is freed stays in the process, in one heap.

Every batch needs some megabytes here and there, for a moment. glibc asks the kernel for such blocks and hands them back at once,
and every page of theirs costs a fault, for which threads wait for each other: a fifth of the CPU of a job on two. The peak is the
same, since what is kept is what the next batch takes. Arrow, which would keep an allocator of its own, takes what NumPy and
TensorFlow have freed: some 60 MB less at the peak; and 60 MB less of events, since Parquet's pages come from there, too. So do
threads of each other, which glibc else gives a heap each: 60 MB again.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from typing import Any, Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Parameters of `mallopt(3)`, from malloc.h."""


def begin() -> None:
    """Has all threads share one heap, those of libraries too, and Arrow: before these begin. Nothing where it is not glibc's."""
    libc = _libc()
    if libc is not None:
        libc.mallopt(_ARENA_MAX, 1)
        # Parquet's pages come from the default pool, whatever pool Python names.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def begin_pass() -> None:
    """Hands back what the pass before has freed, whose pieces may not fit this one, and keeps what is freed from now on."""
    libc = _libc()
    if libc is not None:
        _keep_freed()
        libc.malloc_trim(0)


@lru_cache(maxsize=1)
def _keep_freed() -> None:
    """Tells the allocators, once a process."""
    import pyarrow as pa

    libc = _libc()
    libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
    libc.mallopt(_TRIM_THRESHOLD, 256 << 20)
    libc.mallopt(_TOP_PAD, 16 << 20)
    pa.set_memory_pool(pa.system_memory_pool())


@lru_cache(maxsize=1)
def _libc() -> Any:
    """Returns the C library; None where it is not glibc."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return libc if hasattr(libc, "mallopt") else None  # musl has none
