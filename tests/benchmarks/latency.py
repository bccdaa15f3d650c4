"""What one request takes with 1, 20 and 250 columns of J3, from the model that `seqcols export` writes.

`python -m tests.benchmarks.latency DATA_SET INPUT_PATTERN` prints what requests take, in seconds by the clock and of CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.benchmarks import wide
from tests.benchmarks.groups import least
from tests.benchmarks.measured import Measured

REQUESTS: Final = 1000
"""Seconds of so many are milliseconds of one."""

RECORD: Final = f"{REQUESTS:,} requests, a record each"
LISTS: Final = f"{REQUESTS:,} requests, padded lists of a row each"

COLUMNS: Final = {f"seqcols, {count} column{'s' * (count > 1)}": wide.columns_file(count) for count in (1, 20, 250)}


def asked(data_set: str, pattern: str) -> dict[str, tuple[float, float]]:
    """Returns what requests of one row take, by one client after the other. The two signatures must give the same."""
    import tensorflow as tf

    from pipeline import export_model, read_manifest

    keys = [output.name for output in read_manifest(data_set).outputs if output.kind in ("values", "ids")]
    (record,) = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern))).take(1)
    with tempfile.TemporaryDirectory() as folder:
        model = tf.saved_model.load(export_model(data_set, f"{folder}/1").path)
    examples, by_name = tf.reshape(record, [1]), lists(record.numpy(), keys)
    of_records, of_lists = model.signatures["serving_default"], model.signatures["padded"]
    for name, given in of_records(examples=examples).items():
        np.testing.assert_array_equal(of_lists(**by_name)[name], given, name)
    return {
        RECORD: least(lambda: [of_records(examples=examples) for _ in range(REQUESTS)]),
        LISTS: least(lambda: [of_lists(**by_name) for _ in range(REQUESTS)]),
    }


def lists(record: bytes, keys: list[str]) -> dict[str, Any]:
    """Returns the features of a record as the inputs of `padded`."""
    import tensorflow as tf

    features, made = tf.train.Example.FromString(record).features.feature, {}
    for key in keys:
        integers = key in wide.IDS
        values = features[key].int64_list.value if integers else features[key].float_list.value
        made[key] = tf.constant([list(values)], tf.int64 if integers else tf.float32)
        made[f"{key}_length"] = tf.constant([len(values)], tf.int64)
    return made


def served(output: Path, pattern: str) -> dict[str, Measured]:
    """Returns what `asked` finds of an output. Memory is not looked at."""
    command = [sys.executable, "-m", "tests.benchmarks.latency", str(output), pattern]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {what: Measured(wall, cpu, 0) for what, (wall, cpu) in said.items()}


if __name__ == "__main__":
    print(json.dumps(asked(*sys.argv[1:])))
