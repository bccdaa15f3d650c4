"""Learned vocabularies as the manifest lists them: where they are, and how many words they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.columns.learned_vocabulary import learners
from transforms.columns.vocabulary_lookup import NO_WORDS
from transforms.spec.spec import Spec


def described(spec: Spec, transform: str) -> Mapping[str, Any]:
    """Returns the learned vocabularies by column.

    Args:
      spec: the columns.
      transform: directory of the saved graph; an empty string where there is none.

    Returns:
      `file`, the path of a text file under the directory of the graph, one word a line, whose first line has the id 0; and
      `words`, how many there are. A vocabulary of no words has none, and in its file the one line that tf.Transform puts there.
    """
    from transforms.statistics.saved import ASSETS  # which imports TensorFlow

    made = {}
    for column in spec.columns if transform else ():
        for name in learners([column]):
            with FileSystems.open(
                FileSystems.join(transform, *ASSETS.split("/"), name), compression_type=CompressionTypes.UNCOMPRESSED
            ) as file:
                content = file.read()
            words = 0 if content.rstrip(b"\n") == NO_WORDS else content.count(b"\n")
            made[column.name] = {"file": f"{ASSETS}/{name}", "words": words}
    return made
