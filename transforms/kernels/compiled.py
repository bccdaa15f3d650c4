"""Compilation of kernels: by Numba, without the GIL, once for every machine, cached in a folder.

A kernel is a pure function on arrays, short enough to read at once, whose docstring gives shapes, dtypes and the format's source.
It checks everything that it reads off bytes against the end of the buffer: compiled code does not. Numba's own variables hold:

- `NUMBA_DISABLE_JIT=1` runs kernels as the Python that they are, to debug them.
- `NUMBA_BOUNDSCHECK=1` makes an index out of bounds an IndexError.
- `NUMBA_CACHE_DIR` is where compiled code is kept. Else that is the `__pycache__` of this folder, or the user's own cache.

https://numba.readthedocs.io/en/stable/reference/envvars.html
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import llvmlite
import numba
from numba import config

_HERE: Final = Path(__file__).parent
_Function = TypeVar("_Function", bound=Callable[..., Any])


def key_of(sources: Iterable[Path], bounds_checked: bool) -> str:
    """Returns the name of the folder that code compiled of these sources is kept in.

    Numba 0.68 looks for changes only in the file of a kernel, not in kernels that it calls, and takes code compiled without
    checks of bounds where it was asked for them. So the name stands for all that the code depends on.
    """
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for path in sorted(sources):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return f"kernels-{digest.hexdigest()[:16]}{'-checked' if bounds_checked else ''}"


def _writable(folders: Iterable[Path]) -> Path | None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def _places() -> list[Path]:
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR)]
    own = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [_HERE / "__pycache__", Path(own) / "seqcols"]


FOLDER: Final = _writable(place / key_of(_HERE.glob("*.py"), bool(config.BOUNDSCHECK)) for place in _places())
"""The folder that compiled code is cached in; None if no folder can be written."""


def note() -> str:
    """Returns what a run says of its kernels before it reads; empty where there is nothing to say."""
    if config.DISABLE_JIT:
        return ""
    if FOLDER is None:
        which = f"{_places()[-1]} cannot be written (NUMBA_CACHE_DIR names another folder)"
        return f"every process compiles the kernels anew, which takes some seconds: {which}"
    return "" if any(FOLDER.rglob("*.nbi")) else "compiling the kernels for this machine, once (about twenty seconds)"


def kernel(function: _Function) -> _Function:
    """Compiles a function for the types that it is called with, when it is. It makes no arrays: those come from the caller.

    So nothing counts references, which else costs more than what a kernel does: Numba counts atomically, at every array taken
    out of a tuple. One that makes an array is refused when it is compiled.

    >>> @kernel
    ... def total(values):
    ...     found = 0.0
    ...     for k in range(len(values)):
    ...         found += values[k]
    ...     return found
    """
    return _compiled(function, counts_references=False)


def kernel_with_arrays(function: _Function) -> _Function:
    """Compiles a function that makes arrays for itself."""
    return _compiled(function, counts_references=True)


def _compiled(function: _Function, counts_references: bool) -> _Function:
    compiled = numba.njit(nogil=True, cache=False, error_model="numpy", _nrt=counts_references)(function)
    if FOLDER is None or config.DISABLE_JIT:
        return compiled
    # Numba takes the folder from its configuration, once, and other users of it have theirs.
    others, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)
    try:
        compiled.enable_caching()
    finally:
        config.CACHE_DIR = others
    return compiled
