"""The ways to pack files: gzip, bz2, xz, zstd and zlib, each with the marks of its files and its decompressor."""

from __future__ import annotations

import bz2
import itertools
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from backports import zstd

WINDOW_LOG: Final = 27
"""zstd data that refer back more than 2**27 bytes take too much memory; its own default (`zstd --long=31` makes such)."""

XZ_BYTES: Final = 192 << 20
"""The memory that xz may take; `xz -9` needs 65 MiB."""

GZIP: Final = 31
"""zlib's `wbits` for a gzip member with its header and trailer."""


class Unpacker(Protocol):
    """A decompressor of one stream, as Python's are."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can be unpacked of what was given."""

    @property
    def unused_data(self) -> bytes:
        """The bytes that were given beyond the end of the stream."""

    def decompress(self, data: Any, max_length: int = -1) -> bytes:
        """Unpacks what it was given so far, at most `max_length` bytes at once."""


class Inflater:
    """zlib's decompressor, which hands back input that it did not get to, with the interface of all the others.

    Args:
      wbits: as of `zlib.decompressobj`: what stands around the data.
    """

    def __init__(self, wbits: int):
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """See `Unpacker`."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        """See `Unpacker`."""
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """See `Unpacker`."""
        return self._zlib.unused_data

    def decompress(self, data: Any, max_length: int = 0) -> bytes:
        """See `Unpacker`; `max_length` 0 is all."""
        tail = self._zlib.unconsumed_tail
        return self._zlib.decompress(tail + data if tail else data, max_length)


@dataclass(frozen=True)
class Packing:
    """A way to pack files.

    Attributes:
      suffix: the end of their names.
      others: other ends of names.
      magics: the first bytes of the files.
      unpacker: creates the decompressor of one stream.
      errors: the exceptions that it raises for damaged data.
      padded: whether null bytes may stand between streams and at the end.
    """

    suffix: str
    magics: tuple[bytes, ...]
    unpacker: Callable[[], Unpacker]
    errors: tuple[type[Exception], ...]
    padded: bool = False
    others: tuple[str, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All ends of names."""
        return (self.suffix, *self.others)


PACKINGS: Final[dict[str, Packing]] = {
    "gzip": Packing(".gz", (b"\x1f\x8b\x08",), lambda: Inflater(GZIP), (zlib.error,)),
    "bz2": Packing(
        ".bz2",
        # After the size of its blocks, which is a digit, the first block or (of an empty stream) the end.
        tuple(b"BZh%d%b" % (k, mark) for k in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90")),
        bz2.BZ2Decompressor,
        (OSError, ValueError),
    ),
    "xz": Packing(
        ".xz",
        (b"\xfd7zXZ\x00",),
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_BYTES),
        (lzma.LZMAError,),
        padded=True,
    ),
    "zstd": Packing(
        ".zst",
        (b"\x28\xb5\x2f\xfd", *(b"%c\x2a\x4d\x18" % (0x50 + k) for k in range(16))),  # also a frame to be skipped
        lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG}),
        (zstd.ZstdError,),
    ),
    "zlib": Packing(  # TensorFlow's ZLIB, Hadoop's DefaultCodec
        ".zz",
        (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"),
        lambda: Inflater(zlib.MAX_WBITS),
        (zlib.error,),
        others=(".zlib", ".deflate"),
    ),
}
"""The packing of each codec."""


def bare_name(path: str) -> str:
    """Returns the name of a file without the suffix of its packing, in lower case.

    >>> bare_name("a/Days.jsonl.GZ"), bare_name("a.csv")
    ('a/days.jsonl', 'a.csv')
    """
    name = path.lower()
    ends = (end for packing in PACKINGS.values() for end in packing.suffixes)
    return next((name.removesuffix(end) for end in ends if name.endswith(end)), name)


def codec_of(path: str, head: bytes) -> str:
    """Returns the codec that a file is packed with, by its first bytes, otherwise by the end of its name; "" for none."""
    by_content = (codec for codec, packing in PACKINGS.items() if head.startswith(packing.magics))
    by_name = (codec for codec, packing in PACKINGS.items() if path.lower().endswith(packing.suffixes))
    return next(itertools.chain(by_content, by_name), "")
