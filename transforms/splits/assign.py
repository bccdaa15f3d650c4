"""The split of each row of a batch, by a rule that looks only at the row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.fingerprints import fingerprints
from transforms.parse import carriers
from transforms.rows import rejection
from transforms.rows.ragged import Ragged, is_list, unwrapped
from transforms.rows.rejection import Fault
from transforms.splits import times
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


def key_bytes(batch: pa.RecordBatch, keys: tuple[str, ...], seed: int) -> pa.Array:
    """Returns the bytes to hash for each row, large binary; null if a key is missing.

    The seed as decimal text, `:`, and the key; several keys each with its length in bytes and `:` before it, so that no two
    lists of keys give the same bytes. Integers are their decimal text.

    >>> key_bytes(pa.RecordBatch.from_pydict({"a": [5, 5], "b": ["x", None]}), ("a", "b"), 0).to_pylist()
    [b'0:1:51:x', None]
    """
    texts = [_texts(_one_value(batch, key)) for key in keys]
    if len(keys) > 1:
        sizes = (pc.binary_length(text).cast(pa.string()).cast(pa.large_binary()) for text in texts)
        texts = [_joined(size, b":", text) for size, text in zip(sizes, texts, strict=True)]
    return _joined(f"{seed}:".encode(), *texts)


def _joined(*parts: pa.Array | bytes) -> pa.Array:
    plain = [pa.scalar(part, pa.large_binary()) if isinstance(part, bytes) else part for part in parts]
    return pc.binary_join_element_wise(*plain, pa.scalar(b"", pa.large_binary()))


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
    values = _decoded(_one_value(batch, rule.keys[0], last=True))
    found = times.places(values, [at for _, at in borders], rule.unit, rule.timezone)
    order = np.array([rule.split_names.index(name) for name in ("train", *(name for name, _ in borders))], np.int64)
    message = f"expected a timestamp, a date, a number ({rule.unit}) or a time in ISO 8601"
    return order[np.maximum(found, 0)], list(_missing(batch, rule, pa.array(found < 0), message))


def _missing(batch: pa.RecordBatch, rule: Split, missing: pa.Array, message: str) -> Iterator[Fault]:
    """Yields one fault for the rows without a split, if there are any, under the names of all keys."""
    rows = np.flatnonzero(missing.to_numpy(zero_copy_only=False))
    if not len(rows):
        return
    shown = [_shown(batch, key, rows) for key in rule.keys]
    names = ", ".join(rule.keys)
    yield Fault(NO_SPLIT, names, rows, [", ".join(values) for values in zip(*shown, strict=True)], message)


def _shown(batch: pa.RecordBatch, key: str, rows: np.ndarray) -> list[str]:
    if key not in batch.schema.names:
        return ["null"] * len(rows)
    return carriers.texts(batch.column(key), rows)


def _one_value(batch: pa.RecordBatch, key: str, last: bool = False) -> pa.Array:
    """Returns the value of each row, null if it has none; for a list its only value, or its last."""
    if key not in batch.schema.names:
        return pa.nulls(batch.num_rows)
    array = unwrapped(batch.column(key))
    while is_list(array.type):
        lists = Ragged.of(array)
        has = lists.lengths > 0 if last else lists.lengths == 1
        array = unwrapped(lists.values.take(pa.array(np.where(has, lists.splits[1:] - 1, 0), mask=~has)))
    return array


def _texts(values: pa.Array) -> pa.Array:
    """Returns integers as their decimal text, and text, as large binaries; null for anything else."""
    types, kind = pa.types, values.type
    if types.is_floating(kind):  # JSON and pandas hold integers as floats
        whole = carriers.convert(values, "int64")
        good = pc.is_valid(values).to_numpy(zero_copy_only=False).copy()
        for fault in whole.faults:
            good[fault.positions] = False
        values = pa.array(whole.values, pa.int64(), mask=~good)
    if types.is_integer(values.type):
        return values.cast(pa.string()).cast(pa.large_binary())
    text = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if any(test(kind) for test in text):
        return (values.cast(pa.binary()) if types.is_fixed_size_binary(kind) else values).cast(pa.large_binary())
    return pa.nulls(len(values), pa.large_binary())


def _decoded(values: pa.Array) -> pa.Array:
    """Returns bytes as text, with U+FFFD for what is not UTF-8; other values unchanged."""
    if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
        return values
    try:
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        held = [None if one is None else one.decode("utf-8", "replace") for one in values.to_pylist()]
        return pa.array(held, pa.large_string())
