"""Blocks in files of this machine, where no engine shuffles them: written one after the other, read partition by partition."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.shuffle.blocks import Block, unpacked
from transforms.errors import JobError

FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""A file of blocks is new, whoever writes it."""


@dataclass(frozen=True)
class BlockFile:
    """A file of blocks.

    Attributes:
      path: where it is.
      partitions: int32 `[blocks]`, the partition of each.
      ends: int64 `[blocks]`, where each ends, the next one beginning there.
    """

    path: str
    partitions: np.ndarray
    ends: np.ndarray

    def blocks(self, partition: int) -> Iterator[Block]:
        """Reads the blocks of a partition.

        Raises:
          JobError: the file cannot be read.
        """
        own = np.flatnonzero(self.partitions == partition)
        if not len(own):
            return
        try:
            with open(self.path, "rb") as file:
                for k in own.tolist():
                    begin = int(self.ends[k - 1]) if k else 0
                    file.seek(begin)
                    yield unpacked(file.read(int(self.ends[k]) - begin))
        except OSError as error:
            raise JobError(f"{self.path}: cannot be read ({error.strerror or error})") from error


class BlockWriter:
    """Writes blocks to a file of their own in a folder, which is made with the first of them."""

    def __init__(self, folder: str):
        self._folder = folder
        self._path = os.path.join(folder, f"{secrets.token_hex(8)}.blocks")
        self._partitions: list[int] = []
        self._ends: list[int] = []
        self._file = -1

    def write(self, found: Iterable[tuple[int, Block]]) -> None:
        """Appends blocks, each with its partition.

        Raises:
          JobError: the file cannot be written.
        """
        for partition, block in found:
            data = memoryview(block.packed())
            self._partitions.append(partition)
            self._ends.append((self._ends[-1] if self._ends else 0) + len(data))
            try:
                if self._file < 0:
                    os.makedirs(self._folder, exist_ok=True)
                    self._file = os.open(self._path, FLAGS, 0o600)
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError as error:
                raise JobError(f"{self._path}: cannot be written ({error.strerror or error})") from error

    def close(self) -> BlockFile | None:
        """Closes the file and returns it; None where nothing was written."""
        if self._file < 0:
            return None
        self.abandon()
        return BlockFile(self._path, np.array(self._partitions, np.int32), np.array(self._ends, np.int64))

    def abandon(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
