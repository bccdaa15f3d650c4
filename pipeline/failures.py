"""What failed, in one line: of errors that came through a runner, TensorFlow, or a person's own function."""

from __future__ import annotations

import re

from transforms.errors import SpecError, SpecFault
from transforms.escaping import one_line


def of_function(error: Exception) -> SpecError:
    """Returns the fault of columns whose graph could not be traced, which runs the functions that normalise."""
    if isinstance(error, SpecError):
        return error
    line = (str(error).strip().splitlines() or ["no message"])[-1].strip()
    kind = "" if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: "
    return SpecError([SpecFault("columns", kind + line)])


def message_of(error: BaseException) -> str:
    """Returns the one line that matters of an error that came through a runner, which wraps it in tracebacks as text."""
    text = str(error)
    # tf.Transform 1.21 puts what TensorFlow said before the values of the whole batch.
    inner = re.search(r'trying to apply the transformation: "(.*)"\.\s*Batch instances: ', text, re.DOTALL)
    found = re.findall(r"\b(?:JobError|BrokenFile): (.*)", text)
    # TensorFlow ends its messages with the place in the graph: `[Op:...]`, `[[{{node ...}}]]`.
    lines = [one for one in (inner[1] if inner else text).splitlines() if not re.match(r"\s*\[(Op:|\[)|\s*$", one)]
    line = found[-1] if found else (lines or [type(error).__name__])[-1]
    line = re.sub(r"\s*\[while running .*$", "", line).strip()
    said = re.fullmatch(r"assertion failed: \[(.*?)\](?: \[.*)?", line)  # then come the condition and its values
    return one_line(said[1] if said else line)
