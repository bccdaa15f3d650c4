"""Seeded random cases against TensorFlow, for every column and wrapper that it has: none may differ.

`make test-parity` runs 10,000 of them, `make test` a sample; `SEQCOLS_PARITY_CASES` says how many. A case that fails is named by
its kind and seed, and `SEQCOLS_PARITY_SEED` begins elsewhere.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.marks import tried
from tests.parity import KINDS, compare

CASES = int(os.environ.get("SEQCOLS_PARITY_CASES", tried(450)))
FIRST = int(os.environ.get("SEQCOLS_PARITY_SEED", "0"))
CHUNK = 50
CHUNKS = -(-CASES // len(KINDS) // CHUNK)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", KINDS)
def test_none_differs(kind, chunk):
    whole, left = divmod(CASES, len(KINDS))
    mine = whole + (list(KINDS).index(kind) < left)
    for number in range(chunk * CHUNK, min((chunk + 1) * CHUNK, mine)):
        seed = FIRST + number
        rng = np.random.default_rng([seed, *kind.encode()])
        try:
            compare(KINDS[kind](rng))
        except Exception as error:
            raise AssertionError(f"{kind} case of seed {seed}: {type(error).__name__}: {error}") from error


def test_the_cases_are_as_many_as_asked_for():
    whole, left = divmod(CASES, len(KINDS))
    shares = [whole + (k < left) for k in range(len(KINDS))]
    assert sum(shares) == CASES
    assert max(shares) <= CHUNKS * CHUNK
