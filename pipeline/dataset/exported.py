"""The serving model of a data set once more, for a server: with a signature for JSON, fewer columns, words beside ids."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.columns import spec_of
from pipeline.dataset.manifest import read
from pipeline.dataset.target import checked_directory, refuse_inside
from pipeline.errors import UsageError
from transforms.errors import JobError


@dataclass(frozen=True)
class ExportedModel:
    """A serving model that was written.

    Attributes:
      path: its directory.
      takes: the inputs of its signature `padded`, by name: dtype and shape, None where any size will do.
      gives: its outputs, in the same way.
    """

    path: str
    takes: dict[str, tuple[str, tuple[int | None, ...]]]
    gives: dict[str, tuple[str, tuple[int | None, ...]]]


def export_model(
    directory: str | os.PathLike[str],
    model: str | os.PathLike[str],
    words: bool = False,
    without: Sequence[str] | str = (),
) -> ExportedModel:
    """Writes the serving model of a data set to a directory of its own. It appears there in one step, whole.

    Args:
      directory: the data set.
      model: a new directory of this machine. A server watches the one above it, and takes numbers for versions: `models/watch/1`.
      words: whether the model also gives the words of the ids of vocabularies.
      without: columns that requests do not have, such as a label, or the one: the model neither takes nor gives them.

    Raises:
      JobError: there is no such data set, or its graph or its words cannot be read.
      UsageError: there is a file or a directory already, or it were in a folder of a data set; or a column cannot be left out.
    """
    directory, model = os.fspath(directory), os.fspath(model)
    path = _checked(model)
    found = read(directory.rstrip("/") or "/")
    spec, graph = spec_of(found), found.content.get("transform")
    if not graph:
        raise JobError(f"{directory!r}: has no graph, because it has no rows")
    given = {name: own.texts for name, own in found.vocabularies.items()} if words else {}
    without = [without] if isinstance(without, str) else without
    import tensorflow as tf  # takes seconds

    from transforms.serve import left_out
    from transforms.serve import model as serving

    try:
        left_out.spec_without(spec, without)
    except ValueError as error:  # before there is a directory
        raise UsageError(f"{directory!r}: {error}") from error
    above = os.path.dirname(path)
    os.makedirs(above, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".seqcols-", dir=above) as folder:
        made = os.path.join(folder, "model")
        try:
            padded = serving.save(spec, found.path(graph), made, given, without, padded=True)[serving.PADDED]
        except (OSError, tf.errors.OpError) as error:
            raise JobError(f"{directory!r}: cannot be exported ({' '.join(str(error).split())[:300]})") from error
        _checked(model)
        shutil.move(made, path)
    return ExportedModel(path, _described(padded.structured_input_signature[1]), _described(padded.structured_outputs))


def _checked(model: str) -> str:
    """Returns the path of a new directory of this machine."""
    path = checked_directory("MODEL", model)
    if "://" in path:
        raise UsageError(f"MODEL {model!r}: expected a directory of this machine")
    if os.path.lexists(path):
        raise UsageError(
            f"MODEL {model!r}: is there already; a server takes a new version from a directory with a higher number"
        )
    refuse_inside(f"MODEL {model!r}", path)
    return path


def _described(tensors: Any) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    return {name: (tensor.dtype.name, tuple(tensor.shape.as_list())) for name, tensor in tensors.items()}
