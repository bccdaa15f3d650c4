"""Partitions of rows by key: the bytes of keys of several fields, and rows sorted by the remainder of a hash."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.blocks import copied_bytes
from transforms.kernels.compiled import kernel

_COLON, _ZERO = 58, 48


@kernel
def joined_offsets(before: Any, part: Any, offsets: Any) -> None:
    """Computes where texts begin and end after another text is appended, with its length and a colon before it.

    Args:
      before: int64 `[n + 1]`, where the texts begin and end.
      part: int64 `[n + 1]`, where the appended texts do.
      offsets: int64 `[n + 1]`, filled.
    """
    offsets[0] = 0
    for k in range(len(offsets) - 1):
        size = part[k + 1] - part[k]
        offsets[k + 1] = offsets[k] + before[k + 1] - before[k] + _digits(size) + 1 + size


@kernel
def _digits(number: Any) -> Any:
    count = 1
    while number > 9:
        number //= 10
        count += 1
    return count


@kernel
def join(before: Any, before_text: Any, part: Any, part_text: Any, offsets: Any, text: Any) -> None:
    """Writes texts with another text appended, with its length and a colon before it.

    Args:
      before: int64 `[n + 1]`, where the texts begin and end.
      before_text: uint8, their bytes.
      part: int64 `[n + 1]`, where the appended texts do.
      part_text: uint8, their bytes.
      offsets: int64 `[n + 1]`, of `joined_offsets`.
      text: uint8, with the number of bytes that they give, filled.
    """
    for k in range(len(offsets) - 1):
        size, place = part[k + 1] - part[k], offsets[k + 1]
        place -= size
        copied_bytes(part_text, part[k], size, text, place)
        place -= 1
        text[place] = _COLON
        while place > offsets[k] + before[k + 1] - before[k]:
            place -= 1
            text[place] = _ZERO + size % 10
            size //= 10
        copied_bytes(before_text, before[k], before[k + 1] - before[k], text, offsets[k])


@kernel
def partition(found: Any, count: Any, begins: Any, order: Any) -> None:
    """Sorts rows by the remainder of their fingerprints; those of one partition stay in their order.

    Args:
      found: uint64 `[n]`, the fingerprints.
      count: the number of partitions.
      begins: int64 `[count + 1]`, zeros; filled with where each partition begins in `order`, and where the last one ends.
      order: int64 `[n]`, filled with rows.
    """
    many = np.uint64(count)
    for k in range(len(found)):
        begins[np.int64(found[k] % many) + 1] += 1
    for part in range(count):
        begins[part + 1] += begins[part]
    for k in range(len(found) - 1, -1, -1):  # from the end, so that each count down stops where its partition begins
        place = np.int64(found[k] % many) + 1
        begins[place] -= 1
        order[begins[place]] = k
    for part in range(count):
        begins[part] = begins[part + 1]
    begins[count] = len(found)


@kernel
def count_runs(order: Any, begins: Any, ends: Any, starts: Any, runs: Any, counts: Any) -> None:
    """Counts the rows of each run that are in each partition, where there are any.

    Args:
      order: int64 `[n]`, rows by partition, ascending in each.
      begins: int64 `[partitions + 1]`, where each partition begins in `order`, and where the last one ends.
      ends: int64 `[runs]`, where each run of rows ends, the next one beginning there.
      starts: int64 `[partitions + 1]`, filled with where each partition's counts begin, and where the last one's end.
      runs: uint32, room for `n` numbers of runs, filled.
      counts: uint32, the same room, filled with how many rows of each of these runs.
    """
    place = np.int64(0)
    for part in range(len(begins) - 1):
        starts[part] = place
        run, count = np.int64(0), np.int64(0)
        for at in range(begins[part], begins[part + 1]):
            if order[at] >= ends[run] and count > 0:
                runs[place], counts[place] = run, count
                place += 1
                count = np.int64(0)
            while order[at] >= ends[run]:
                run += 1
            count += 1
        if count > 0:
            runs[place], counts[place] = run, count
            place += 1
    starts[len(begins) - 1] = place


@kernel
def summed(ends: Any, kinds: Any, numbers: Any, counts: Any, sums: Any) -> None:
    """Counts the rows of each run by kind, and adds numbers of theirs up likewise, modulo 2^64.

    Args:
      ends: int64 `[runs]`, where each run of rows ends, the next one beginning there.
      kinds: int8 `[n]`, from 0.
      numbers: uint64 `[n]`.
      counts: int64 `[runs, kinds]`, zeros; filled.
      sums: uint64 `[runs, kinds]`, zeros; filled.
    """
    begin = np.int64(0)
    for run in range(len(ends)):
        for k in range(begin, ends[run]):
            counts[run, kinds[k]] += 1
            sums[run, kinds[k]] += numbers[k]
        begin = ends[run]
