"""Packed files, unpacked as a stream of bounded blocks whose end is checked.

Beam reads a gzip or bz2 file that was cut short as a shorter file, without a word. Here a stream must end as its format says, and
its checksums are verified where it has them. Several streams that stand one after the other (gzip members, zstd
frames) are one file; one that was cut exactly between two of them looks like a whole one.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, cast

from pipeline.sources.base import broken, open_input
from pipeline.sources.limits import Limits
from pipeline.sources.packings import PACKINGS, codec_of

BLOCK_BYTES: Final = 4 << 20
"""About how much is read, or unpacked, at once."""

PIECE_BYTES: Final = 64 << 10
"""The number of packed bytes to unpack at once, so that data that unpacks to far more is noticed early."""

PART_BYTES: Final = 512 << 10
"""The number of bytes that it may unpack to at once: a block may be larger than `BLOCK_BYTES` by that much."""

HEAD_BYTES: Final = 256
"""The number of bytes at the start of a file that tell what it is."""

MEASURED_BYTES: Final = 64 << 20
"""The number of bytes to unpack before the ratio of unpacked to packed bytes is checked."""


class Blocks:
    """A file in blocks, closed at its end.

    Attributes:
      consumed: bytes read so far.
    """

    def __init__(self, handle: BinaryIO, path: str, size: int = 0):
        self._handle = handle
        self._path = path
        self._size = size or BLOCK_BYTES
        self.consumed = 0

    def __iter__(self) -> Iterator[bytes]:
        """Reads the rest of the file."""
        with self._handle as handle:
            while block := self._read(handle):
                self.consumed += len(block)
                yield block

    def _read(self, handle: BinaryIO) -> bytes:
        with self._named():
            return handle.read(self._size)

    def readinto(self, room: memoryview) -> int:
        """Reads the next bytes to where they are wanted, and returns how many; 0 at the end, which closes the file."""
        if self._handle.closed:
            return 0
        with self._named():
            size = cast(io.BufferedIOBase, self._handle).readinto(room)
        self.consumed += size
        if not size:
            self._handle.close()
        return size

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise broken(self._path, f"cannot be read at byte {self.consumed}", error) from error


class Content:
    """The content of a file, unpacked, in blocks; the file is closed at its end.

    Args:
      path: the file, of any Beam file system.
      limits: how much it may unpack to.
      is_plain: whether a file with these first bytes is not packed, whatever its name says and they look like.
      block_bytes: about how much is read, or unpacked, at once; 0 for `BLOCK_BYTES`.

    Attributes:
      unit: the unit of offsets: "byte", or "uncompressed byte" in a packed file.

    Raises:
      JobError: the file cannot be opened or read; while its blocks are read, also where it is damaged or ends early.
    """

    def __init__(
        self,
        path: str,
        limits: Limits,
        is_plain: Callable[[bytes], bool] = lambda head: False,
        block_bytes: int = 0,
    ):
        self._file = Blocks(open_input(path), path, block_bytes)
        blocks = iter(self._file)
        first: list[bytes] = []
        while sum(len(block) for block in first) < HEAD_BYTES and (block := next(blocks, b"")):
            first.append(block)
        head = b"".join(first)
        codec = "" if is_plain(head) else codec_of(path, head)
        whole = itertools.chain([head], blocks) if head else blocks
        self._blocks = unpacked(whole, codec, path, limits.max_unpack_ratio, block_bytes) if codec else whole
        self._fill, self._plain = filled_from(itertools.islice(self._blocks, None if codec else 1)), not codec
        self.unit = "uncompressed byte" if codec else "byte"

    @property
    def consumed(self) -> int:
        """Bytes of the file that were read so far."""
        return self._file.consumed

    def __iter__(self) -> Iterator[bytes]:
        """Returns the rest of the blocks, none of them empty."""
        return self._blocks

    def fill(self, room: memoryview) -> int:
        """Is a `Fill`, for whoever takes no blocks: a plain file is read to where its bytes are wanted, without a copy."""
        return self._fill(room) or (self._file.readinto(room) if self._plain else 0)


Fill = Callable[[memoryview], int]
"""Puts what comes next of a content at the beginning of some bytes, and returns how many: at least one, but at its end."""


def filled_from(blocks: Iterable[bytes]) -> Fill:
    """Returns what fills with blocks, one after the other."""
    left, rest = iter(blocks), memoryview(b"")

    def fill(room: memoryview) -> int:
        nonlocal rest
        if not rest:
            rest = memoryview(next(left, b""))
        size = min(len(rest), len(room))
        room[:size] = rest[:size]
        rest = rest[size:]
        return size

    return fill


def unpacked(blocks: Iterable[bytes], codec: str, path: str, max_ratio: float, block_bytes: int = 0) -> Iterator[bytes]:
    """Unpacks one or several streams in blocks of about the same size, however well they are packed.

    Args:
      blocks: the packed data.
      codec: one of `PACKINGS`.
      path: the file, for errors.
      max_ratio: how many times its size the data may unpack to.
      block_bytes: the size of a block, which may be larger by `PART_BYTES`; 0 for `BLOCK_BYTES`.

    Raises:
      JobError: the data are damaged, end early, or unpack to too much.
    """
    held = io.BytesIO()
    for part in _parts(blocks, codec, path, Meter(path, max_ratio)):
        held.write(part)
        if held.tell() >= (block_bytes or BLOCK_BYTES):
            block, held = held.getvalue(), io.BytesIO()
            yield block
    if held.tell():
        yield held.getvalue()


def _parts(blocks: Iterable[bytes], codec: str, path: str, meter: Meter) -> Iterator[bytes]:
    packing = PACKINGS[codec]
    unpacker, within = packing.unpacker(), True
    for piece in _pieces(blocks):
        at = meter.packed
        meter.add(len(piece), 0)
        left, done = piece, False
        while left or not done:
            if not within:
                left = left.lstrip(b"\0") if packing.padded else left
                if not left:
                    break
                unpacker, within = packing.unpacker(), True
            try:
                data = unpacker.decompress(left, PART_BYTES)
            except packing.errors as error:
                raise broken(path, f"damaged {codec} data at byte {at} or after", error) from error
            left, done = b"", unpacker.needs_input
            if unpacker.eof:
                left, done, within = unpacker.unused_data, True, False
            if data:
                meter.add(0, len(data))
                yield data
    if within:
        raise broken(path, f"cut short: the {codec} stream ended early, after byte {meter.packed}")


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for at in range(0, len(block), PIECE_BYTES):
            yield block[at : at + PIECE_BYTES]


class Meter:
    """Compares how much was unpacked of a file with how much it was packed in.

    Attributes:
      packed: bytes packed, so far.
      unpacked: bytes unpacked, so far.
    """

    def __init__(self, path: str, max_ratio: float):
        self._path, self._max_ratio = path, max_ratio
        self.packed = self.unpacked = 0

    def add(self, packed: int, unpacked: int) -> None:
        """Counts.

        Raises:
          JobError: it is more than `max_ratio` times as much, and more than `MEASURED_BYTES`.
        """
        self.packed += packed
        self.unpacked += unpacked
        if self.unpacked > MEASURED_BYTES and self.unpacked > self._max_ratio * self.packed:
            ratio = f"{self.unpacked / self.packed:,.0f} times its size ({self.unpacked} bytes so far)"
            allowed = f"at most {self._max_ratio:g} times is allowed (--max-unpack-ratio)"
            raise broken(self._path, f"unpacks to {ratio}, {allowed}")
