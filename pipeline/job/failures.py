"""The cause of a failure in one line, from errors that came through a runner, TensorFlow, or a user's own function."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import Final

from transforms.errors import SpecError, SpecFault
from transforms.escaping import one_line

_REASON: Final = "|".join(
    re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EIO)
)
_OF_A_DISK: Final = re.compile(
    rf"\[Errno \d{{1,9}}\] (?P<python>{_REASON})(?:: '(?P<named>[^'\n]+)')?|; (?P<tensorflow>{_REASON})"
)
_LONGEST_PATH: Final = 4096


def of_function(error: Exception) -> SpecError:
    """Returns the fault of columns whose graph could not be traced, which runs the functions that normalise."""
    if isinstance(error, SpecError):
        return error
    line = (str(error).strip().splitlines() or ["no message"])[-1].strip()
    kind = "" if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: "
    return SpecError([SpecFault("columns", kind + line)])


def of_a_disk(error: BaseException, places: Sequence[str] = ()) -> str:
    """Returns the line for a disk that is full, or broken, as Python or TensorFlow says it; an empty string for other errors.

    >>> of_a_disk(RuntimeError("ResourceExhaustedError: {{function_node x}} /a/b; No space left on device [Op:SaveV2]"))
    '/a/b: no space left on device'

    Args:
      error: the exception that was raised, possibly by a runner, which turns it into text.
      places: where the file may lie if the error does not name it.
    """
    found = _OF_A_DISK.search(str(error))
    if not found:
        return ""
    where = found["named"] or " or ".join(filter(None, places)) or "temporary files"
    if found["tensorflow"]:  # which puts the path before it
        # Looked for from there, since a text may be as long as a batch.
        before = re.split(r"[;{}\n]", found.string[max(0, found.start() - _LONGEST_PATH) : found.start()])[-1]
        path = re.search(r"(?:/|\b[a-z][a-z0-9+.-]{0,15}://).*", before)
        where = path[0] if path else where
    return one_line(f"{where}: {(found['python'] or found['tensorflow']).lower()}")


def message_of(error: BaseException, places: Sequence[str] = ()) -> str:
    """Returns the one line that matters of an error that came through a runner, which wraps it in tracebacks as text.

    Args:
      error: the exception that was raised.
      places: see `of_a_disk`.
    """
    text = str(error)
    # tf.Transform 1.21 puts what TensorFlow said before the values of the whole batch.
    inner = re.search(r'trying to apply the transformation: "(.*)"\.\s*Batch instances: ', text, re.DOTALL)
    found = re.findall(r"\b(?:JobError|BrokenFile): (.*)", text)
    if not found and of_a_disk(error):
        return of_a_disk(error, places)
    # TensorFlow ends its messages with the place in the graph: `[Op:...]`, `[[{{node ...}}]]`.
    lines = [one for one in (inner[1] if inner else text).splitlines() if not re.match(r"\s*\[(Op:|\[)|\s*$", one)]
    line = found[-1] if found else (lines or [type(error).__name__])[-1]
    line = re.sub(r"\s*\[while running .*$", "", line).strip()
    said = re.fullmatch(r"assertion failed: \[(.*?)\](?: \[.*)?", line)  # then come the condition and its values
    return one_line(said[1] if said else line)
