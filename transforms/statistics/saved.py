"""Statistics and vocabularies as files, which a run leaves in the folder of its graph, and reads again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from apache_beam.io.filesystems import FileSystems

from transforms.columns.learned_vocabulary import learners
from transforms.spec.spec import Spec
from transforms.statistics import moments
from transforms.statistics.fitted import table_width
from transforms.stored.word_files import ASSETS

LearnedWords = Mapping[str, Sequence[bytes]]
"""Learned vocabularies by `LearnedVocabularyBase.vocabulary_name`."""


@dataclass(frozen=True)
class Level:
    """The statistics of one level from an earlier pass (see `Spec.levels`).

    Attributes:
      table: float64 `[5, dimensions]`, its moments; None for none.
      details: its other figures, as `analyze_details` gives them; None for none.
    """

    table: np.ndarray | None
    details: tuple[bytes, ...] | None


def moments_file(level: int) -> str:
    """Returns the name of the file that a level's table of moments is written down in."""
    return "moments.json" if level == 0 else f"moments-{level}.json"


def details_file(level: int) -> str:
    """Returns the name of the file that a level's quantiles and figures by key are written down in."""
    return f"details-{level}.json"


def joined(folder: str, name: str) -> str:
    """Returns a path in a folder of any of Beam's file systems."""
    return str(FileSystems.join(folder, name)) if folder else name


def statistics_files(spec: Spec) -> list[str]:
    """Returns the names of all files that the statistics of a data set are written down in, those of vocabularies aside."""
    made = []
    for level in range(spec.levels):
        if table_width(spec, level):
            made.append(moments_file(level))
        if any(ask.level == level and not ask.packed for ask in spec.asks):
            made += [details_file(level), outcome_file(details_file(level))]
    return made


def read_words(spec: Spec, folder: str) -> dict[str, tuple[bytes, ...]]:
    """Returns the learned vocabularies by name, as tf.Transform has written them into the folder of a saved graph."""
    made = {}
    for name in learners(spec.columns):
        with FileSystems.open(joined(joined(folder, ASSETS), name)) as file:
            made[name] = tuple(file.read().removesuffix(b"\n").split(b"\n"))
    return made


def read_level(spec: Spec, folder: str, level: int) -> Level:
    """Returns the statistics of one level that a pass wrote to a folder."""
    table = details = None
    if table_width(spec, level):
        with FileSystems.open(joined(folder, moments_file(level))) as file:
            table = moments.loads(file.read())
    if any(ask.level == level and not ask.packed for ask in spec.asks):
        details = read_outcome(joined(folder, details_file(level)))
    return Level(table, details)


def outcome_file(path: str) -> str:
    """Returns the file beside the readable one that holds what the analyzer gave, for `read_outcome`."""
    return path.removesuffix(".json") + "-outcome.json"


def read_outcome(path: str) -> tuple[bytes, ...]:
    """Returns what the analyzer gave, as it was written down beside its readable form."""
    with FileSystems.open(outcome_file(path)) as file:
        return tuple(base64.b64decode(part) for part in json.loads(file.read())["outcome"])
