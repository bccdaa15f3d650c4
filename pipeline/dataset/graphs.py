"""The graphs of a data set on disk: builds the serving model, and takes a digest of each graph to notice later changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import layout
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import Manifest
from transforms.columns.learned_vocabulary import learners
from transforms.errors import JobError
from transforms.spec.spec import Spec
from transforms.stored import trees, word_files

BLOCK_BYTES = 1 << 20

_FIGURES = ("statistics", "ledger", "distributions")

STATISTICS = "statistics"
"""Folder in that of a saved graph with the statistics that it was built from."""


def save_serving(spec: Spec, place: Layout) -> str:
    """Makes the serving model of the transform that a run has staged; returns its staged directory."""
    from transforms.serve import model as serving

    target: str = place.staged(layout.SERVING)
    serving.save(spec, place.staged(layout.TRANSFORM), target)
    return target


def keep_statistics(spec: Spec, place: Layout) -> None:
    """Copies the files of statistics and learned words into the transform that a run has staged: `seqcols repair` needs them."""
    from transforms.statistics.saved import statistics_files  # which imports TensorFlow

    kept = [(STATISTICS, name) for name in statistics_files(spec)]
    kept += [(word_files.FOLDER, word_files.file_of(name)) for name in learners(spec.columns)]
    for part, name in kept:
        folder = FileSystems.join(place.staged(layout.TRANSFORM), part)
        layout.make_dirs(folder)
        layout.write_bytes(FileSystems.join(folder, name), layout.read_bytes(place.staged(name)))


def digest(path: str) -> str:
    """Returns the SHA-256 of a tree: of the line `<SHA-256 of the file> <relative path>` of every file, in order of the paths.

    >>> digest("/nowhere")[:8]  # a tree without files
    'e3b0c442'
    """
    root = path.rstrip("/") + "/"
    lines = [f"{file_digest(file)} {file.removeprefix(root)}\n" for file in trees.files_below(path.rstrip("/"))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def json_digests(**contents: Mapping[str, Any]) -> dict[str, str]:
    """Returns the SHA-256 of the JSON file that each content becomes, as hexadecimal text."""
    return {name: hashlib.sha256(layout.json_bytes(content)).hexdigest() for name, content in contents.items()}


def refuse_changed(before: Manifest, *trees_too: str) -> None:
    """Refuses a data set whose figures are not what was published, for a run that would publish them once more, with new digests.

    Distributions may be missing, as after a copy without them: they are only left out.

    Args:
      before: the data set.
      *trees_too: graphs to look at as well, by their names in a manifest.

    Raises:
      JobError: naming the first file, or graph, that is another one or is not there.
    """
    expected = {**before.content.get("json_sha256", {}), **before.content.get("graph_sha256", {})}
    for name in (*_FIGURES, *trees_too):
        relative = before.content.get(name) if name in expected else None
        path = before.path(relative) if relative else ""
        if not path or (name == "distributions" and not layout.exists(path)):
            continue
        try:
            same = (digest if name in trees_too else file_digest)(path) == expected[name]
        except OSError as error:
            raise JobError(f"{path}: cannot be read ({error.strerror or error}): seqcols verify says more") from error
        if not same:
            raise JobError(f"{path}: is not what was published: seqcols verify says more")


def file_digest(path: str) -> str:
    """Returns the SHA-256 of a file, as hexadecimal text."""
    made = hashlib.sha256()
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while block := file.read(BLOCK_BYTES):
            made.update(block)
    return made.hexdigest()
