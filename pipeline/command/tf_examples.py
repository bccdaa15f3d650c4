"""Writing tf.Examples from Python rows: for the sample and for tests, not on the data path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from transforms.stored.files import naming


def encode(row: Mapping[str, Any]) -> bytes:
    """Returns a serialized tf.Example: integers as int64_list, floats as float_list, text as bytes_list.

    None leaves a feature out; an empty list is an empty float_list.
    """
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    for name, value in row.items():
        if value is None:
            continue
        values = value if isinstance(value, list | np.ndarray) else [value]
        feature = example.features.feature[name]
        kind = np.asarray(values).dtype.kind if len(values) else "f"
        if kind in "iu":
            feature.int64_list.value.extend(int(v) for v in values)
        elif kind == "f":
            feature.float_list.value.extend(np.asarray(values, np.float32))
            feature.float_list.SetInParent()
        else:
            feature.bytes_list.value.extend(v if isinstance(v, bytes) else str(v).encode() for v in values)
    return bytes(example.SerializeToString(deterministic=True))


def write_examples(path: str, rows: Iterable[Mapping[str, Any] | bytes]) -> None:
    """Writes rows (or records as they are) to a TFRecord file."""
    from pipeline.sources.tfrecord.framing import framed

    with naming(path), open(path, "wb") as file:
        for row in rows:
            file.write(framed([row if isinstance(row, bytes) else encode(row)]))
