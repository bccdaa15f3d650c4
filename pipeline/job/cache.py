"""The analysis cache: the analysis of a file is kept, so that the file is not read again for the statistics.

Beside the accumulators of tf.Transform's analyzers (for moments exact sums, for a vocabulary its counted words) stands what was
counted. A folder holds one subfolder for every set of columns (`spec.text.digest`), and in it
- `<part>.json`, an index: the files of a part, each with all that its file system tells its state by, the tally, and the pieces
  with SHA-256;
- `<part>-<n>.piece`: accumulators as tf.Transform encodes them, each after its length.
An index is written last and in one rename. What no index names does not count; what is damaged is read again. What a file system
cannot tell, the pass that writes does: it reads the files anyway, and an index that is wrong about one of them is dropped.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from tensorflow_transform.beam import analysis_graph_builder
from tensorflow_transform.beam.analyzer_cache import DatasetCache, DatasetKey

from pipeline.dataset import layout
from pipeline.inputs.match import InputFile
from pipeline.job.cache_files import CachePiece, Entry, WritePiece, read_index, read_piece, verify, write_index
from transforms.errors import JobError
from transforms.escaping import first_of, one_line
from transforms.fit import fit, preprocessing_fn
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows.tally import Tally, add, without_times
from transforms.spec import text as spec_text
from transforms.spec.spec import Spec
from transforms.stored import trees

FORMAT_VERSION: Final = 7
MAX_PARTS: Final = 16
"""Parts that one run adds to a cache. Each is a branch of the graph, about 1 s of CPU and 30 MB; 48 took 50 s and 2.3 GB."""

OLD: Final = DatasetKey("old", is_cached=False)
"""All that is in the cache is one part to tf.Transform, however many files it stands for."""


@dataclass(frozen=True)
class Analysis:
    """The files that count toward the statistics, and those of them that have to be read for it.

    Attributes:
      files: all files that count.
      folder: where the statistics are cached; an empty string for nowhere.
      parts: the files to read. The statistics of each part are cached.
      entries: the cache's entries for the other files.
      keys: the key of each part in the cache, as tf.Transform names it.
      notes: remarks for the reader, one line each.
    """

    files: tuple[InputFile, ...]
    folder: str = ""
    parts: tuple[tuple[InputFile, ...], ...] = ()
    entries: tuple[Entry, ...] = ()
    keys: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[InputFile, ...]:
        """The files that are read."""
        return tuple(file for part in self.parts for file in part)

    def apart(self, inputs: Sequence[InputFile]) -> bool:
        """Returns whether the statistics are of more than what this run reads to write it, or were found by earlier runs."""
        return bool(self.folder) or {file.path for file in self.files} > {file.path for file in inputs}

    def described(self) -> dict[str, Any]:
        """Returns what the statistics are of, for `statistics.json`."""
        from_cache = sum(len(entry.files) for entry in self.entries)
        return {"files": [file.path for file in self.files], "from_cache": from_cache}

    def cached_tally(self) -> Tally:
        """Returns what was counted in the files that are not read."""
        made: Tally = Counter()
        for entry in self.entries:
            add(made, entry.tally)
        return made


def plan(root: str, spec: Spec, files: Sequence[InputFile], max_steps: int = MAX_STEPS, split: str = "") -> Analysis:
    """Looks into the cache and decides which files are read.

    Args:
      root: the cache; an empty string for none.
      spec: the columns.
      files: all files that count.
      max_steps: most steps of a sequence: what is found depends on it.
      split: the split whose rows count, if a rule of the spec divides them.
    """
    files = tuple(files)
    whole = Analysis(files, parts=(files,))
    if not root:
        return whole
    keys = _keys(spec)
    if not keys:
        return whole
    if OLD in _needed(spec, keys):
        note = "--cache does not apply: a chain of normalizers fits statistics to what earlier ones made, all files are read"
        return Analysis(files, parts=(files,), notes=(note,))
    folder = FileSystems.join(
        root, spec_text.digest(spec, version("seqcols"), str(FORMAT_VERSION), str(max_steps), split)
    )
    files = tuple(file.with_version() for file in files)
    entries, notes = _usable(folder, files, keys)
    covered = {file for entry in entries for file in entry.files}
    parts = _grouped([file for file in files if file not in covered])
    return Analysis(files, folder, parts, entries, keys, notes)


def _keys(spec: Spec) -> tuple[bytes, ...]:
    """Returns the names of all that is cached of a part; nothing where no statistics are needed."""
    preprocess, specs = preprocessing_fn.preprocessing_fn(spec, "", analyze=True), fit.graph_specs(spec)
    return tuple(sorted(analysis_graph_builder.get_analysis_cache_entry_keys(preprocess, specs, {_new(0)}, False)))


def _needed(spec: Spec, keys: Sequence[bytes]) -> set[DatasetKey]:
    """Returns the parts that must be read although the cache has them: those that statistics of a second level are of."""
    preprocess, specs = preprocessing_fn.preprocessing_fn(spec, "", analyze=True), fit.graph_specs(spec)
    cache = {OLD: DatasetCache(dict.fromkeys(keys, True), None)}
    found = analysis_graph_builder.get_analysis_dataset_keys(preprocess, specs, {OLD, _new(0)}, cache, False)
    return set(found)


def _new(number: int) -> DatasetKey:
    return DatasetKey(f"new-{number}")


def _grouped(files: Sequence[InputFile]) -> tuple[tuple[InputFile, ...], ...]:
    """Returns parts of files: one each, or, where they are too many, neighbours of one directory together.

    Only where the directories are too many share several a part: most often each is a day, and days come and go as a whole.
    """
    if len(files) <= MAX_PARTS:
        return tuple((file,) for file in files)
    folders = [list(group) for _, group in itertools.groupby(files, key=lambda file: os.path.dirname(file.path))]
    if len(folders) > MAX_PARTS:
        return tuple(tuple(itertools.chain(*part)) for part in _cut(folders, MAX_PARTS))
    return tuple(tuple(part) for folder in folders for part in _cut(folder, MAX_PARTS // len(folders)))


def _cut(items: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    size = -(-len(items) // parts)
    return [items[k : k + size] for k in range(0, len(items), size)]


def _usable(
    folder: str, files: Sequence[InputFile], keys: Sequence[bytes]
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Returns the parts in the cache all of whose files are wanted, as they are now; large ones first."""
    wanted, entries, notes = set(files), [], []
    found: list[tuple[str, Entry]] = []
    with contextlib.suppress(Exception):  # a store may raise for a folder that is not there
        for path in (path for path in trees.files_below(folder) if path.endswith(".json")):
            try:
                found.append((path, read_index(path)))
            except Exception as error:  # whatever a damaged file leads to
                notes.append(_damaged(path, error))
    for path, entry in sorted(found, key=lambda pair: (-len(pair[1].files), pair[0])):
        if not wanted.issuperset(entry.files) or set(entry.pieces) != set(keys):
            continue
        try:
            for piece in (piece for pieces in entry.pieces.values() for piece in pieces):
                verify(piece)
        except Exception as error:
            notes.append(_damaged(path, error))
            continue
        wanted -= set(entry.files)
        entries.append(entry)
    return tuple(entries), tuple(notes)


def _damaged(path: str, error: Exception) -> str:
    why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return one_line(f"--cache: {path} is damaged ({why}); its files are read again")


def datasets(root: beam.Pipeline, analysis: Analysis, parts: Sequence[beam.PCollection]) -> fit.Datasets:
    """Returns the parts as tf.Transform's analysis takes them: batches of those that are read, the cache of the others."""
    batches: dict[DatasetKey, beam.PCollection | None] = {_new(k): part for k, part in enumerate(parts)}
    if not analysis.entries:
        return fit.Datasets(batches)
    cached = {}
    for k, key in enumerate(analysis.keys):
        paths = [piece.path for entry in analysis.entries for piece in entry.pieces[key]]
        named = root | f"CachedPieces{k}" >> beam.Create(paths, reshuffle=False)
        cached[key] = named | f"ReadCached{k}" >> beam.FlatMap(read_piece).with_output_types(bytes)
    return fit.Datasets({OLD: None, **batches}, {OLD: DatasetCache(cached, None)})


def keep(analysis: Analysis, found: Mapping[DatasetKey, DatasetCache]) -> list[beam.PCollection]:
    """Writes the analysis of the parts that were read, as pieces that no index names yet."""
    made = []
    for k in range(len(analysis.parts)):
        for n, (key, accumulators) in enumerate(found[_new(k)].cache_dict.items()):
            write = WritePiece(analysis.folder, k, key)
            made.append(accumulators | f"KeepPart{k}Analyzer{n}" >> beam.ParDo(write).with_output_types(CachePiece))
    return made


def commit(analysis: Analysis, pieces: Sequence[CachePiece], tallies: Mapping[int, Tally]) -> list[str]:
    """Writes the index of every part that was read.

    Args:
      analysis: the planned analysis.
      pieces: the written pieces.
      tallies: the counts, by number of the part.

    Returns:
      Why a part could not be kept, for people: the run has published, and a part that is not kept is read again.
    """
    notes = []
    for k, files in enumerate(analysis.parts if analysis.folder else ()):
        own = {key: [piece for piece in pieces if (piece.part, piece.key) == (k, key)] for key in analysis.keys}
        try:
            write_index(analysis.folder, files, without_times(tallies.get(k, Counter())), own)
        except Exception as error:  # the clients of object stores raise what they like
            discard([piece for piece in pieces if piece.part == k])
            notes.append(f"--cache: {' '.join(str(error).split())}; published, but these statistics are not kept")
    return notes[:1]  # as many parts fail for one disk that is full


def discard(pieces: Sequence[CachePiece]) -> None:
    """Removes what a run wrote that has failed."""
    for piece in pieces:
        layout.delete(piece.path)


def dropped(files: Sequence[str]) -> str:
    """Returns what a person should know of a cache that was wrong about files."""
    which = first_of(files, "file")
    return f"--cache: {which} changed after it was analysed, unnoticed by its size and time; its entry was dropped"


def drop(analysis: Analysis, wrong: Collection[str]) -> list[str]:
    """Drops what the cache has of files that hold something else by now. Pieces stay: another run may be reading them.

    Args:
      analysis: the planned analysis.
      wrong: files that were read otherwise than the cache has them, and maybe others.

    Returns:
      Those of them that the cache was wrong about.

    Raises:
      JobError: an index cannot be removed.
    """
    dropped = []
    for entry in analysis.entries:
        found = [file.path for file in entry.files if file.path in wrong]
        if not found:
            continue
        with contextlib.suppress(OSError):
            layout.delete(entry.path)
        if layout.exists(entry.path):  # deleting says nothing of what it cannot do
            raise JobError(f"--cache: {entry.path}: is wrong about {found[0]} and cannot be removed")
        dropped += found
    return dropped
