"""A column's results: the faults and counts of a batch by its rules, and the features that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from transforms import dtypes
from transforms.rows.rejection import Fault


@dataclass(frozen=True)
class Checked:
    """The result of checking a batch against a column's rules.

    Attributes:
      faults: rows to reject.
      steps: int64 `[rows]`, the sequence length in steps; None for a context column.
      completed: int64 `[rows]`, the number of values that the row does not hold and that are filled in; None for none.
      empty_places: bool, as long as the values: where the marker for no value stands (`form.NO_ID`, `form.NO_WORD`);
        None for nowhere.
      flags: figure of the ledger to the values that it counts, bool and as long as the values.
    """

    faults: list[Fault]
    steps: np.ndarray | None = None
    completed: np.ndarray | None = None
    empty_places: np.ndarray | None = None
    flags: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """One feature of the dense data.

    Attributes:
      name: feature name.
      dtype: name of the dtype that the parse spec casts to; stored as its carrier, except for float64 in Parquet.
      shape: shape of one example; None stands for a T that the data decide.
      kind: `values`, `ids`, `weights`, `length`, `mask`, `observed` or `concatenation`.
      source: column or sequence group that it comes from.
      sequence: whether the first dimension is T.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    kind: str
    source: str
    sequence: bool = False

    def settled(self, width: int, carrier: str) -> Output:
        """Returns the output as it really came out.

        Args:
          width: values in one example, which determines T if the shape leaves it open.
          carrier: `int64`, `float32`, `float64` or another dtype of the actual values. If a normalizer returned another kind of
            number than the declared dtype, this becomes the dtype.
        """
        known = int(np.prod([n for n in self.shape if n is not None], dtype=np.int64))
        shape = tuple(width // known if n is None else n for n in self.shape)
        numbers = carrier in ("int64", "float32", "float64") and self.kind == "values"
        kept = not numbers or dtypes.parsed(self.dtype) == carrier
        return replace(self, dtype=self.dtype if kept else carrier, shape=shape)
