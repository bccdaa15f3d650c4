"""A small realistic sample: watch histories and temperature series, with a few bad rows on purpose."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np

from pipeline.dataset.target import checked_directory
from pipeline.errors import UsageError
from transforms.stored.files import naming, plain_path

ROWS: Final = 2000
FILES: Final = 2
VIDEOS: Final = 5000
BAD_EVERY: Final = 97
"""One row in this many is bad, cycling through the kinds of fault."""

COLUMNS: Final = """\
# What seqcols reads from each record, and what it becomes. `seqcols schema` prints the JSON Schema for editors.
sequence_groups:
  watch: {max_length: 32, truncate: tail}       # the last 32 videos of a history
  room: {max_length: 48, truncate: head}        # two days of hourly temperatures
columns:
  - {type: passthrough_column, key: viewer}
  - type: sequence_categorical_column_with_identity
    key: videos
    num_buckets: 5000
    group: watch
  - type: sequence_numeric_column               # seconds watched and share of the video
    key: watched
    shape: [2]
    normalizer_fn: z_score
    group: watch
  - type: sequence_numeric_column               # a gap in the sensor's readings is filled, and marked
    key: temperature
    normalizer_fn: z_score
    non_finite: fill
    observed_mask: true
    group: room
  - {type: categorical_column_with_identity, key: subscribed, num_buckets: 2}
"""


def make_sample(directory: str) -> tuple[str, str, str]:
    """Writes the sample; the same every time.

    Args:
      directory: an empty directory, or one that the sample was written to before.

    Returns:
      The columns file, the pattern of the input files, and the directory for the output.

    Raises:
      UsageError: something else is there.
    """
    from pipeline.command.tf_examples import write_examples

    directory = plain_path(directory)
    columns, folder = os.path.join(directory, "columns.yaml"), os.path.join(directory, "input")
    _refuse_other(directory, columns, folder)
    os.makedirs(folder, exist_ok=True)
    with naming(columns), open(columns, "w", encoding="utf-8") as file:
        file.write(COLUMNS)
    generator = np.random.default_rng(7)
    rows = [_spoilt(_row(generator, number), number) for number in range(ROWS)]
    for k in range(FILES):
        path = os.path.join(folder, f"viewers-{k:05d}-of-{FILES:05d}.tfrecord")
        write_examples(path, rows[k * ROWS // FILES : (k + 1) * ROWS // FILES])
    return columns, os.path.join(folder, "*.tfrecord"), os.path.join(directory, "output")


def _refuse_other(directory: str, *own: str) -> None:
    """Refuses a directory that holds what is not the sample: it would be overwritten, and so would a data set there."""
    if "://" in checked_directory("demo", directory):
        raise UsageError(f"demo {directory!r}: expected a directory of this machine")
    for path in (directory.rstrip("/"), *own):
        if os.path.islink(path):
            raise UsageError(f"demo {directory!r}: {path!r} is a symbolic link, give the directory itself")
    columns = own[0]
    if os.path.isfile(columns):
        with open(columns, encoding="utf-8", errors="replace") as file:
            if file.read(len(COLUMNS) + 1) == COLUMNS:
                return
    if os.path.isdir(directory) and os.listdir(directory):
        raise UsageError(f"demo {directory!r}: is not empty and was not made by the demo; choose another directory")


def _row(generator: np.random.Generator, number: int) -> dict[str, Any]:
    """Returns one viewer: a history of log-normal length and Zipf taste, and a day-and-night temperature curve."""
    length = int(np.clip(generator.lognormal(2.8, 0.9), 0, 300))
    hours = int(generator.integers(20, 80))
    seconds = generator.gamma(2.0, 180.0, length)
    share = generator.beta(2.0, 1.5, length)
    curve = 20 + 3 * np.sin(np.arange(hours) / 24 * 2 * np.pi) + generator.normal(0, 0.5, hours)
    curve[generator.random(hours) < 0.01] = np.nan
    return {
        "viewer": f"viewer-{number:05d}",
        "videos": np.minimum(generator.zipf(1.3, length) - 1, VIDEOS - 1),
        "watched": np.stack([seconds, share], axis=1).reshape(-1),
        "temperature": curve,
        "subscribed": int(generator.random() < 0.3),
    }


def _spoilt(row: dict[str, Any], number: int) -> dict[str, Any] | bytes:
    """Spoils one row in `BAD_EVERY`, as data is spoilt in practice."""
    if number % BAD_EVERY != BAD_EVERY - 1:
        return row
    kind = (number // BAD_EVERY) % 5
    if kind == 0:
        return {
            **row,
            "videos": np.append(row["videos"], VIDEOS + 17),
            "watched": np.append(row["watched"], [1.0, 0.5]),
        }
    if kind == 1:
        return {**row, "watched": row["watched"][:-1] if len(row["watched"]) else np.array([1.0])}
    if kind == 2:
        return {**row, "watched": np.append(row["watched"], [3.0, 0.1])}
    if kind == 3:
        return {**row, "temperature": ["21.5", "n/a"]}
    return b"this is no tf.Example"
