"""The manifest: the one file that says what a data set is. Readers follow it, never a listing of the directory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import embeddings, manifest_entries, vocabularies
from pipeline.dataset.embeddings import DescribedEmbedding
from pipeline.dataset.layout import EXAMPLES, MANIFEST, REJECTED, SEQUENCES, SHARDED, exists, json_bytes, read_bytes
from pipeline.dataset.manifest_fields import DIGEST, FORMAT_VERSION, damage, last_lines, version_for
from pipeline.dataset.splits import NO_SPLITS, Splits, unknown_split
from pipeline.dataset.vocabularies import ByColumn, DataSetVocabulary
from transforms.columns import Output
from transforms.densify.length_buckets import outputs_in
from transforms.errors import JobError
from transforms.reprs import table
from transforms.splits.rule import Split
from transforms.stored.files import plain_path

__all__ = ["FORMAT_VERSION", "Manifest", "named_files", "parsed", "read", "sealed"]


@dataclass(frozen=True, repr=False)
class Manifest:
    """A published data set.

    Attributes:
      root: its directory.
      content: the content of `manifest.json`.
    """

    root: str
    content: Mapping[str, Any]

    def __repr__(self) -> str:
        """The directory, and how much is in it."""
        count = len(self.outputs)
        files, splits = len(self._entries), f", splits {', '.join(self.splits)}" if self.splits else ""
        return (
            f"Manifest({self.root!r}: {self.rows:,} rows, {count:,} features, {files:,} files of {self.format}{splits})"
        )

    def _repr_html_(self) -> str:
        """A table for notebooks: the features of an example."""
        features = [(o.name, o.dtype, o.shape, o.kind, o.source) for o in self.outputs]
        return table(("feature", "dtype", "shape", "kind", "of"), features, repr(self))

    @property
    def rows(self) -> int:
        """Examples in the data set."""
        return int(self.content["examples"]["rows"])

    @property
    def format(self) -> str:
        """Name of the sink that wrote it."""
        return str(self.content["format"])

    @property
    def files(self) -> list[str]:
        """Paths of the files with examples, in the order to read them in.

        Raises:
          ValueError: the data set has splits, which should not all be trained on: see `split`.
        """
        self._refuse_splits()
        return [self.path(entry["path"]) for entry in self._entries]

    @property
    def _entries(self) -> list[Mapping[str, Any]]:
        return list(self.content["examples"]["files"])

    @property
    def splits(self) -> list[str]:
        """Names of the splits, train first; empty if the data set has no splits, or is a split itself."""
        return list(self.content.get("splits", {}).get("rows", {}))

    @property
    def statistics_split(self) -> str:
        """The split that statistics, vocabularies and a T that the data decide come from; empty if there are no splits."""
        return str(self.content.get("splits", {}).get("statistics", ""))

    def split(self, name: str) -> Manifest:
        """Returns one split as a data set of its own, with its files, rows and rejected rows.

        Args:
          name: the name of the split.

        Raises:
          ValueError: there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"split: {unknown_split(name, self.splits)}")
        files = [entry for entry in self._entries if entry["split"] == name]
        examples = {**self.content["examples"], "rows": sum(entry["rows"] for entry in files), "files": files}
        content = {key: value for key, value in self.content.items() if key != "splits"}
        return replace(self, content={**content, "examples": examples, "split": name})

    def divided_by(self, rule: Split | None) -> Splits:
        """Returns the splits of the data set, divided by `rule` of its columns unless each input file has its own."""
        if not self.splits:
            return NO_SPLITS
        by_input = self.content["splits"]["by"] == "input"
        inputs = self.content["inputs"] if by_input else ()
        files = {file.get("name", file["path"]): file["split"] for file in inputs}
        return Splits(tuple(self.splits), self.statistics_split, None if by_input else rule, files)

    def _refuse_splits(self) -> None:
        if self.splits:
            raise ValueError(
                f"this data set has splits: ask split(NAME) of the manifest, NAME one of {', '.join(self.splits)}"
            )

    @property
    def bucket_lengths(self) -> list[int]:
        """T of every length bucket, ascending; none where the data set has no buckets (`bucket_by_length`)."""
        return list(self._buckets.get("T", []))

    @property
    def _buckets(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self.content["examples"].get("length_buckets")
        return found or {}

    def bucket(self, length: int) -> Manifest:
        """Returns one length bucket as a data set by itself: its files, its rows, and the features with its T.

        Args:
          length: T of the bucket.

        Raises:
          ValueError: there is no such bucket.
        """
        if length not in self.bucket_lengths:
            raise ValueError(f"expected T of a length bucket, one of {self.bucket_lengths}, got {length!r}")
        files = [entry for entry in self._entries if entry["T"] == length]
        features = manifest_entries.features_of(self._outputs_in(length))
        examples = {"rows": sum(entry["rows"] for entry in files), "features": features, "files": files}
        return replace(self, content={**self.content, "examples": examples})

    def outputs_of(self, entry: Mapping[str, Any]) -> list[Output]:
        """Returns the features of a row in one of the files, as `examples.files` lists it."""
        return self._outputs_in(entry["T"]) if self._buckets else self.outputs

    def _outputs_in(self, length: int) -> list[Output]:
        return outputs_in(self.outputs, self._buckets["features"], length)

    @property
    def rejected_files(self) -> list[str]:
        """Paths of the files with rejected rows (Parquet)."""
        return [self.path(entry["path"]) for entry in self.content["rejected"]["files"]]

    @property
    def sequences(self) -> Mapping[str, Any]:
        """The manifest's entry of the sequences that come from events: their files, fields and rejected events."""
        found: Mapping[str, Any] | None = self.content.get(SEQUENCES)
        return found or {}

    @property
    def sequence_files(self) -> list[str]:
        """Paths of the files of sequences (Parquet), which the examples were made of."""
        return [self.path(entry["path"]) for entry in self.sequences.get("files", ())]

    @property
    def rejected_event_files(self) -> list[str]:
        """Paths of the files with rejected events (Parquet), of which no sequence was made."""
        return [self.path(entry["path"]) for entry in self.sequences.get(REJECTED, {}).get("files", ())]

    @property
    def outputs(self) -> list[Output]:
        """The features of an example; with length buckets T is that of the last, which serving gives too."""
        features = self.content["examples"]["features"]
        return [
            Output(name, f["dtype"], tuple(f["shape"]), f["kind"], f["source"], f.get("sequence", False))
            for name, f in features.items()
        ]

    @cached_property
    def vocabularies(self) -> ByColumn[DataSetVocabulary]:
        """The vocabularies by column: words to ids and back (see `pipeline.dataset.vocabularies.DataSetVocabulary`).

        Those of columns with a learned vocabulary, a list or a file, and of columns made of them. An empty data set has none.
        """
        transform = self.content["transform"]
        return vocabularies.of_manifest(self.content, self.path(transform)) if transform else ByColumn()

    @cached_property
    def embeddings(self) -> ByColumn[DescribedEmbedding]:
        """The embedding columns by name: what makes their layers (see `pipeline.dataset.embeddings.DescribedEmbedding`)."""
        return embeddings.of_manifest(self.content)

    def path(self, relative: str) -> str:
        """Returns the whole path of something that the manifest names."""
        return str(FileSystems.join(self.root, *relative.split("/")))

    def feature_spec(self) -> dict[str, Any]:
        """Returns what `tf.io.parse_example` takes to read the TFRecords back (cast afterwards to `outputs`' dtypes).

        Raises:
          ValueError: the data set has length buckets, so that T differs from file to file: see `bucket`.
        """
        from transforms.spec.parse_specs import feature_spec

        return feature_spec(self._one_shape())

    def sequence_feature_spec(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the context and sequence features that `tf.io.parse_sequence_example` takes, for `sequence_example`.

        Raises:
          ValueError: see `feature_spec`.
        """
        from transforms.spec.parse_specs import sequence_spec

        return sequence_spec(self._one_shape())

    def _one_shape(self) -> list[Output]:
        self._refuse_splits()
        if self._buckets:
            raise ValueError(
                f"T differs from file to file: ask bucket(T) of the manifest, T one of {self.bucket_lengths}"
            )
        return self.outputs


def read(root: str) -> Manifest:
    """Reads the manifest of a data set.

    Raises:
      JobError: there is none (the directory holds no finished data set), it is damaged, or it is of a later format.
    """
    root = plain_path(root)
    path = FileSystems.join(root, MANIFEST)
    if not exists(path):
        raise JobError(f"{root!r} holds no finished data set: there is no {MANIFEST}")
    try:
        data = read_bytes(path)
    except OSError as error:
        raise JobError(f"{path!r}: cannot be read: {error}") from error
    return Manifest(root, parsed(data, path))


def read_examples(root: str) -> Manifest:
    """Reads the manifest of a data set that has examples, or could have.

    Raises:
      JobError: as `read`; or it holds nothing but sequences.
    """
    found = read(root)
    if found.format == SEQUENCES:
        raise JobError(f"{root!r} holds sequences of events and no examples: seqcols run reads them as --input")
    return found


def parsed(data: bytes, path: str) -> dict[str, Any]:
    """Returns what a manifest holds.

    Args:
      data: its bytes.
      path: its path, for messages.

    Raises:
      JobError: it is damaged, or of a later format.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise JobError(f"{path!r}: damaged, no JSON: {error}") from error
    why = damage(content, data)
    if why:
        raise JobError(f"{path!r}: {why}")
    return dict(content)


def sealed(content: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a manifest: what it is to hold, in the version of today, and a digest of all lines before."""
    own = {"format_version": version_for(content)}
    lines = json_bytes({**own, **{name: value for name, value in content.items() if name not in (*own, DIGEST)}})
    lines = lines.removesuffix(b"\n}\n") + b",\n"
    return lines + last_lines(lines)


def created_now() -> str:
    """Returns the time, as manifests hold it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def is_own(part: str, path: Any) -> bool:
    """Returns whether a path in a manifest is one that a run writes. A manifest is only a file: anything may stand there.

    >>> is_own("examples", "examples/a.parquet"), is_own("statistics", "statistics.json"), is_own("statistics", "../a")
    (True, True, False)

    Args:
      part: the part that it is in: `examples`, `rejected`, or the name of a field.
      path: the path in the manifest.
    """
    shape = rf"{part}/\w[\w.-]*" if part in SHARDED else rf"{part}(-[\w-]+)?(\.json|\.html)?"
    return isinstance(path, str) and re.fullmatch(shape, path, re.ASCII) is not None


def named_files(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the relative path of every file and folder that a manifest names, as far as they are of its directory."""
    made = content.get(SEQUENCES) or {}
    listed = {EXAMPLES: content[EXAMPLES], REJECTED: content[REJECTED], SEQUENCES: made}
    for part, held in (*listed.items(), (REJECTED, made.get(REJECTED, {}))):
        yield from (entry["path"] for entry in held.get("files", ()) if is_own(part, entry["path"]))
    for name in ("transform", "serving", "statistics", "ledger", "distributions", "report"):
        if is_own(name, content.get(name)):
            yield content[name]
