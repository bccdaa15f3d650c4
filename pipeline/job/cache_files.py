"""The files of the analysis cache: pieces with accumulators, and an index of every part. See `pipeline.job.cache`."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.dataset import layout
from pipeline.inputs.match import InputFile
from transforms.beam import in_global_window
from transforms.problems import path_of
from transforms.rows.tally import Tally, from_list, listed
from transforms.stored.files import naming


@dataclass(frozen=True)
class CachePiece:
    """A file with accumulators of one part for one analyzer."""

    part: int
    key: bytes
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A part in the cache: its files, what was counted in them, the pieces by analyzer, and the path of its index."""

    files: tuple[InputFile, ...]
    tally: Tally
    pieces: Mapping[bytes, tuple[CachePiece, ...]]
    path: str


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _PieceFields(_Strict):
    path: str
    bytes: int
    sha256: str


class _Index(_Strict):
    files: tuple[InputFile, ...]
    tally: list[tuple[tuple[str | int, ...], int]]
    pieces: dict[str, list[_PieceFields]]


def read_index(path: str) -> Entry:
    """Reads an index.

    Raises:
      ValueError: it is damaged (or another exception, whatever the damage leads to).
    """
    outer = layout.read_json(path)
    content = outer["content"]
    if hashlib.sha256(content.encode()).hexdigest() != outer["sha256"]:
        raise ValueError("the checksum of the index is wrong")
    try:
        index = _Index.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path_of(first['loc'])}: {first['msg']}") from None
    pieces = {
        base64.b64decode(key): tuple(CachePiece(0, base64.b64decode(key), p.path, p.bytes, p.sha256) for p in those)
        for key, those in index.pieces.items()
    }
    return Entry(index.files, from_list(index.tally), pieces, path)


def verify(piece: CachePiece) -> None:
    """Reads a piece and compares it with what its index says.

    Raises:
      ValueError: it is damaged. OSError: it is not there.
    """
    made, size = hashlib.sha256(), 0
    with FileSystems.open(piece.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while block := file.read(1 << 20):
            made.update(block)
            size += len(block)
    if (size, made.hexdigest()) != (piece.bytes, piece.sha256):
        raise ValueError(f"{piece.path} is not as it was written")


def read_piece(path: str) -> Iterator[bytes]:
    """Yields the accumulators of a piece."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while head := file.read(8):
            yield file.read(struct.unpack("<Q", head)[0])


class WritePiece(beam.DoFn):
    """Writes accumulators as tf.Transform encodes them, each after its length: one piece a bundle.

    Args:
      folder: where.
      part: number of the part.
      key: the analyzer.
    """

    def __init__(self, folder: str, part: int, key: bytes):
        self._folder, self._part, self._key = folder, part, key

    def start_bundle(self) -> None:
        """Has no file yet: a bundle without accumulators writes none."""
        self._file: Any = None

    def process(self, element: bytes) -> None:
        """Writes one accumulator."""
        if self._file is None:
            layout.make_dirs(self._folder)
            self._path = FileSystems.join(self._folder, f"{secrets.token_hex(12)}.piece")
            self._file = FileSystems.create(self._path, compression_type=CompressionTypes.UNCOMPRESSED)
            self._sha256, self._size = hashlib.sha256(), 0
        with naming(self._path):
            for block in (struct.pack("<Q", len(element)), element):
                self._file.write(block)
                self._sha256.update(block)
                self._size += len(block)

    def finish_bundle(self) -> Iterator[Any]:
        """Yields the piece."""
        if self._file is None:
            return
        with naming(self._path):
            self._file.close()
        yield in_global_window(CachePiece(self._part, self._key, self._path, self._size, self._sha256.hexdigest()))


def write_index(
    folder: str, files: Sequence[InputFile], tally: Tally, pieces: Mapping[bytes, Sequence[CachePiece]]
) -> None:
    """Writes the index of a part, in one rename: from here on it is in the cache."""
    index = {
        "files": [vars(file) for file in files],
        "tally": listed(tally),
        "pieces": {
            base64.b64encode(key).decode(): [
                {"path": piece.path, "bytes": piece.bytes, "sha256": piece.sha256} for piece in those
            ]
            for key, those in pieces.items()
        },
    }
    content = json.dumps(index)
    name = hashlib.sha256(json.dumps(index["files"]).encode()).hexdigest()[:24]
    path = FileSystems.join(folder, f"{name}.json")
    unfinished = f"{path}.{secrets.token_hex(4)}.tmp"
    layout.write_json(unfinished, {"content": content, "sha256": hashlib.sha256(content.encode()).hexdigest()})
    if "://" in path:
        FileSystems.rename([unfinished], [path])
    else:
        os.replace(unfinished, path)
