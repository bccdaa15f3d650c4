"""The limit: a plain loop over the C++ decoder and encoder and NumPy, in two passes, without Beam. No errors, no accounting.

`python -m tests.benchmarks.peers.limit INPUT_PATTERN OUTPUT_DIR`: job J1.
"""

from __future__ import annotations

import glob
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache

import google_crc32c
import numpy as np
import pyarrow as pa
from google.protobuf import text_format  # type: ignore[import-untyped]
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder

T = 128
BATCH = 1024
READ_BYTES = 1 << 20
LENGTH, CRC = struct.Struct("<Q"), struct.Struct("<I")
KINDS = {"watches": "INT", "temperature": "FLOAT", "accel": "FLOAT", "label": "INT"}
WIDTHS = {"watches": 1, "temperature": 1, "accel": 3}


def masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def header(length: int) -> bytes:
    packed = LENGTH.pack(length)
    return packed + CRC.pack(masked(packed))


def records(path: str) -> Iterator[bytes]:
    """Checks the checksum of every record."""
    with open(path, "rb") as file:
        data, more = b"", b"-"
        while more:
            more = file.read(READ_BYTES)
            data, at = data + more, 0
            while len(data) - at >= 12:
                end = at + 12 + LENGTH.unpack_from(data, at)[0]
                if len(data) < end + 4:
                    break
                record = data[at + 12 : end]
                assert CRC.unpack_from(data, end)[0] == masked(record)
                yield record
                at = end + 4
            data = data[at:]
        assert not data


def batches(pattern: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    text = "".join(f'feature {{ name: "{name}" type: {KINDS[name]} }}' for name in names)
    decoder = ExamplesToRecordBatchDecoder(text_format.Parse(text, schema_pb2.Schema()).SerializeToString())
    held: list[bytes] = []
    for path in sorted(glob.glob(pattern)):
        for record in records(path):
            held.append(record)
            if len(held) == BATCH:
                yield decoder.DecodeBatch(held)
                held = []
    if held:
        yield decoder.DecodeBatch(held)


def last_steps(batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values of the last T steps of each row, one row after the other, and their number by row."""
    column = batch.column(batch.schema.get_field_index(name))
    lengths = np.diff(column.offsets)
    kept = np.minimum(lengths, T * WIDTHS[name])
    cut_and_kept = np.stack([lengths - kept, kept], axis=1).reshape(-1)
    return column.flatten().to_numpy()[np.repeat(np.tile([False, True], len(kept)), cut_and_kept)], kept


def moments(pattern: str) -> dict[str, list[tuple[np.float32, np.float32]]]:
    """Returns mean and deviation by dimension: batches in two steps, merged by Chan's rule."""
    found = {name: np.zeros((WIDTHS[name], 3)) for name in ("temperature", "accel")}  # count, mean, squared deviations
    for batch in batches(pattern, list(found)):
        for name, table in found.items():
            values, _ = last_steps(batch, name)
            for k, (count, mean, squares) in enumerate(table):
                part = values[k :: len(table)]
                own = part.mean(dtype=np.float64)
                part = part - np.float32(own)
                delta, both = own - mean, count + len(part)
                merged = squares + float(part @ part) + delta**2 * count * len(part) / both
                table[k] = both, mean + delta * len(part) / both, merged
    return {
        name: [(np.float32(mean), np.float32(np.sqrt(squares / count))) for count, mean, squares in table]
        for name, table in found.items()
    }


def dense(values: np.ndarray, kept: np.ndarray, width: int) -> np.ndarray:
    out = np.zeros((len(kept), T * width), values.dtype)
    out[np.arange(T * width) < kept[:, None]] = values
    return out


def listed(array: np.ndarray) -> pa.Array:
    rows, flat = len(array), array.reshape(-1)
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * (len(flat) // rows), pa.array(flat))


def main(pattern: str, output: str) -> None:
    found = moments(pattern)
    encoder = RecordBatchToExamplesEncoder()
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "examples.tfrecord"), "wb") as file:
        for batch in batches(pattern, list(KINDS)):
            columns = {"label": batch.column(batch.schema.get_field_index("label"))}
            for name, width in WIDTHS.items():
                values, kept = last_steps(batch, name)
                for k, (mean, deviation) in enumerate(found.get(name, ())):
                    values[k::width] = (values[k::width] - mean) / deviation
                columns[name] = listed(dense(values, kept, width))
            columns["steps_length"] = listed(kept.astype(np.int64) // width)
            parts: list[bytes] = []
            for record in encoder.encode(pa.RecordBatch.from_pydict(columns)):
                parts += (header(len(record)), record, CRC.pack(masked(record)))
            file.write(b"".join(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
