"""Memory that is freed stays in the process.

Every batch needs some megabytes here and there, for a moment. glibc asks the kernel for such blocks and hands them back at once,
and every page of theirs costs a fault, for which threads wait for each other: a fifth of the CPU of a job on two. The peak is the
same, since what is kept is what the next batch takes. Arrow, which would keep an allocator of its own, takes what NumPy and
TensorFlow have freed: some 60 MB less at the peak.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Final

import pyarrow as pa

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
"""Parameters of `mallopt(3)`, from malloc.h."""


@lru_cache(maxsize=1)
def keep_freed() -> None:
    """Tells the allocator, once a process; does nothing where it is not glibc's."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return
    mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
    mallopt(_TRIM_THRESHOLD, 256 << 20)
    mallopt(_TOP_PAD, 16 << 20)
    pa.set_memory_pool(pa.system_memory_pool())
