"""Limits on the input. Imports nothing heavy, so that help can state them."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Final

LARGEST_BYTES: Final = 2**31 - 1
"""No record can be larger: protobuf takes no more, and Arrow's offsets of the rejected records no more either."""


DEFAULT_MAX_STEPS: Final = 1_000_000
"""Here so that help need not load Arrow; a test holds it to `transforms.parse.step_limit.MAX_STEPS`."""

INSPECTED_ROWS: Final = 5000
"""Rows that `seqcols inspect` looks at, unless somebody asks for another number."""


@dataclass(frozen=True)
class Limits:
    """The limits of an input, so that no file takes more memory than a run has.

    Attributes:
      max_record_bytes: the largest record: a TFRecord's, a line of JSON, a row of CSV or of Parquet (as Arrow data), a block
        of Avro (packed and unpacked). A file with a larger one cannot be read.
      max_steps: the most steps in a sequence; a row with more is rejected.
      max_unpack_ratio: how many times its size a compressed file may unpack to. Checked once 64 MiB are unpacked.
      max_batch_bytes: the most bytes of input in a batch: records as they stand in the (unpacked) file, Arrow data for a
        columnar source. A single record that is larger is a batch of its own.
      max_batch_rows: the most rows in a batch.
    """

    max_record_bytes: int = 256 << 20
    max_steps: int = DEFAULT_MAX_STEPS
    max_unpack_ratio: float = 500.0
    max_batch_bytes: int = 8 << 20
    max_batch_rows: int = 4096

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 1:
                raise ValueError(f"{name}: expected 1 or more, got {value!r}")


DEFAULTS: Final = Limits()

WIDEST: Final = Limits(max_record_bytes=LARGEST_BYTES, max_steps=sys.maxsize, max_unpack_ratio=math.inf)
"""For files that a run has read before: what it has taken is not measured again."""
