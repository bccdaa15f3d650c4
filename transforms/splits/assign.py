"""The split of each row of a batch, by a rule that looks only at the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.fingerprints import fingerprints
from transforms.parse import carriers
from transforms.parse.times import is_time, times_of
from transforms.rows import keys, paths, rejection
from transforms.rows.fields import is_text, plain
from transforms.rows.ragged import Ragged, is_list
from transforms.rows.rejection import Fault
from transforms.splits.rule import Split

NO_SPLIT: Final = "no_split"


def parts(batch: pa.RecordBatch, rule: Split) -> tuple[list[tuple[str, pa.RecordBatch]], pa.RecordBatch | None]:
    """Divides a batch by its rows' splits.

    Args:
      batch: rows as a source yields them, with their origin (see `transforms.rows.origin`).
      rule: any rule but `by: input`.

    Returns:
      The name and the rows, in order, of every split that has rows; and the rows without a split, in `rejection.SCHEMA`
      (None if there are none).
    """
    codes, faults = assigned(batch, rule)
    good, rejected = rejection.split(batch, faults)
    if rejected is not None:
        batch, codes = batch.filter(pa.array(good)), codes[good]
    found = [(name, codes == k) for k, name in enumerate(rule.split_names)]
    return [(name, _chosen(batch, own)) for name, own in found if own.any()], rejected


def _chosen(batch: pa.RecordBatch, own: np.ndarray) -> pa.RecordBatch:
    return batch if own.all() else batch.filter(pa.array(own))


def assigned(batch: pa.RecordBatch, rule: Split) -> tuple[np.ndarray, list[Fault]]:
    """Returns the number of each row's split, among `rule.split_names`, int64 `[rows]`; and the rows that have none.

    >>> rule = Split(by="key", key="user", fractions={"train": 0.5, "test": 0.5})
    >>> assigned(pa.RecordBatch.from_pydict({"user": ["ann", "bob", "cid"]}), rule)[0].tolist()
    [0, 0, 1]
    """
    return {"key": _by_key, "feature": _by_feature, "time": _by_time}[rule.by](batch, rule)


def key_bytes(batch: pa.RecordBatch, names: tuple[str, ...], seed: int) -> pa.Array:
    """Returns what is hashed for each row, large binary; null where a key is missing.

    The seed as decimal text, `:`, and the key's bytes (see `transforms.rows.keys.texts`).

    >>> key_bytes(pa.RecordBatch.from_pydict({"a": [5, 5], "b": ["x", None]}), ("a", "b"), 0).to_pylist()
    [b'0:1:51:x', None]
    """
    found = [_text_or_integers(_one_value(batch, name)) for name in names]
    good = np.logical_and.reduce([own for _, own in found])
    there = pa.array(good)
    texts = keys.texts([values.filter(there) for values, _ in found])
    seeded = pc.binary_join_element_wise(pa.scalar(f"{seed}:".encode(), texts.type), texts, pa.scalar(b"", texts.type))
    return keys.spread(seeded, good)


def _by_key(batch: pa.RecordBatch, rule: Split) -> tuple[np.ndarray, list[Fault]]:
    hashed = key_bytes(batch, rule.keys, rule.seed)
    ends = np.array([min(end, 2**64 - 1) for end in rule.thresholds], np.uint64)
    found = np.searchsorted(ends, fingerprints(hashed), side="right")
    order = np.array([rule.split_names.index(name) for name in rule.fractions or ()], np.int64)
    # 2^64 - 1 is below the last end, which is 2^64 and no uint64: `searchsorted` puts it past all of them.
    codes = order[np.minimum(found, _last_with_a_share(rule))]
    message = f"expected one integer or text as the key of a split in {' and '.join(map(repr, rule.keys))}"
    return codes, list(_missing(batch, rule, pc.is_null(hashed), message))


def _last_with_a_share(rule: Split) -> int:
    shares = list((rule.fractions or {}).values())
    return max(k for k, share in enumerate(shares) if share)


def _by_feature(batch: pa.RecordBatch, rule: Split) -> tuple[np.ndarray, list[Fault]]:
    held = _texts(_one_value(batch, rule.keys[0]))
    words = rule.words
    at = pc.index_in(held, pa.array([word.encode() for word in words], pa.large_binary()))
    codes = np.array([rule.split_names.index(name) for name in words.values()], np.int64)
    known = pc.is_valid(at)
    found = codes[pc.fill_null(at, 0).to_numpy(zero_copy_only=False)]
    return found, list(_missing(batch, rule, pc.invert(known), f"expected one of {', '.join(map(repr, words))}"))


def _by_time(batch: pa.RecordBatch, rule: Split) -> tuple[np.ndarray, list[Fault]]:
    borders = rule.ordered_borders
    found = _places(_one_value(batch, rule.keys[0], last=True), [at for _, at in borders], rule)
    order = np.array([rule.split_names.index(name) for name in ("train", *(name for name, _ in borders))], np.int64)
    message = f"expected a timestamp, a date, a number ({rule.unit}) or a time in ISO 8601"
    return order[np.maximum(found, 0)], list(_missing(batch, rule, pa.array(found < 0), message))


def _places(values: pa.Array, borders: Sequence[int], rule: Split) -> np.ndarray:
    """Returns how many borders (nanoseconds since 1970, ascending) each time has reached, int64; -1 for what is no time."""
    if is_text(values.type):
        values = pc.ascii_trim_whitespace(values.cast(pa.large_binary()).cast(pa.large_string(), safe=False))
    if not is_time(values.type):
        return np.full(len(values), -1, np.int64)
    found = times_of(values, rule.unit, rule.timezone)
    firsts = [min(max(-(-at // found.tick), -(2**63)), 2**63 - 1) for at in borders]
    reached = np.searchsorted(np.array(firsts, np.int64), found.values, side="right")
    if pa.types.is_floating(values.type) or values.type == pa.uint64():  # beyond what 64 bits count
        numbers = pc.fill_null(values, 0).to_numpy().astype(np.float64)
        beyond = np.where(np.isfinite(numbers), np.where(numbers > 0, len(borders), 0), -1)
        return np.where(found.good, reached, np.where(found.missing, -1, beyond))
    return np.where(found.good, reached, -1)


def _missing(batch: pa.RecordBatch, rule: Split, missing: pa.Array, message: str) -> Iterator[Fault]:
    """Yields one fault for the rows without a split, if there are any, under the names of all keys."""
    rows = np.flatnonzero(missing.to_numpy(zero_copy_only=False))
    if not len(rows):
        return
    shown = [_shown(batch, key, rows) for key in rule.keys]
    names = ", ".join(rule.keys)
    yield Fault(NO_SPLIT, names, rows, [", ".join(values) for values in zip(*shown, strict=True)], message)


def _shown(batch: pa.RecordBatch, key: str, rows: np.ndarray) -> list[str]:
    held = paths.column(batch, key)
    return ["null"] * len(rows) if held is None else carriers.texts(held, rows)


def _one_value(batch: pa.RecordBatch, key: str, last: bool = False) -> pa.Array:
    """Returns the value of each row, null if it has none; for a list its only value, or its last."""
    held = paths.column(batch, key)
    if held is None:
        return pa.nulls(batch.num_rows)
    array = plain(held)
    while is_list(array.type):
        lists = Ragged.of(array)
        has = lists.lengths > 0 if last else lists.lengths == 1
        array = plain(lists.values.take(pa.array(np.where(has, lists.splits[1:] - 1, 0), mask=~has)))
    return array


def _text_or_integers(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Returns text and integers as `keys.texts` takes them, and where there is one, bool `[rows]`."""
    kind = values.type
    good = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind):  # JSON and pandas know integers as floats
        whole = carriers.convert(values, "int64")
        good = good.copy()
        for fault in whole.faults:
            good[fault.positions] = False
        return pa.array(whole.values, pa.int64(), mask=~good), good
    if not (pa.types.is_integer(kind) or is_text(kind)):
        return pa.nulls(len(values), pa.large_binary()), np.zeros(len(values), bool)
    return values, good


def _texts(values: pa.Array) -> pa.Array:
    """Returns integers as their decimal text, and text, as large binaries; null for what is neither."""
    values, good = _text_or_integers(values)
    return keys.spread(keys.texts([values.filter(pa.array(good))]), good)
