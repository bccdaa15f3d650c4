"""The limit: a plain loop over the C++ decoder and encoder and NumPy, in two passes, without Beam. No errors, no accounting.

`python -m tests.benchmarks.peers.limit INPUT_PATTERN OUTPUT_DIR`: job J1.
"""

from __future__ import annotations

import glob
import os
import struct
import sys
from collections.abc import Iterator, Sequence

import google_crc32c
import numpy as np
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder

T = 128
BATCH = 1024
READ_BYTES = 8 << 20
KINDS = {"watches": "INT", "temperature": "FLOAT", "accel": "FLOAT", "label": "INT"}


def decoder(names: Sequence[str]) -> ExamplesToRecordBatchDecoder:
    text = "".join(f'feature {{ name: "{name}" type: {KINDS[name]} }}' for name in names)
    schema = text_format.Parse(text, schema_pb2.Schema())
    return ExamplesToRecordBatchDecoder(schema.SerializeToString())


def masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        data, at = b"", 0
        while True:
            more = file.read(READ_BYTES)
            data, at = data[at:] + more, 0
            while len(data) - at >= 12:
                (length,) = struct.unpack_from("<Q", data, at)
                if len(data) - at < length + 16:
                    break
                record = data[at + 12 : at + 12 + length]
                (crc,) = struct.unpack_from("<I", data, at + 12 + length)
                assert masked(google_crc32c.value(record)) == crc
                yield record
                at += length + 16
            if not more:
                assert at == len(data)
                return


def batches(pattern: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    decode, held = decoder(names), []
    for path in sorted(glob.glob(pattern)):
        for record in records(path):
            held.append(record)
            if len(held) == BATCH:
                yield decode.DecodeBatch(held)
                held = []
    if held:
        yield decode.DecodeBatch(held)


def values(batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, np.ndarray]:
    column = batch.column(batch.schema.get_field_index(name))
    return column.flatten().to_numpy(), np.asarray(column.offsets)


def moments(pattern: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {name: (0, np.zeros(width), np.zeros(width)) for name, width in (("temperature", 1), ("accel", 3))}
    for batch in batches(pattern, ["temperature", "accel"]):
        for name, (count, mean, m2) in found.items():
            flat, splits = values(batch, name)
            width = len(mean)
            starts = np.maximum(splits[1:] - T * width, splits[:-1])  # kept steps: the last T
            kept = np.arange(len(flat)) - np.repeat(starts, np.diff(splits)) >= 0
            part = flat[kept].astype(np.float64).reshape(-1, width)
            n, own = len(part), part.mean(axis=0)
            delta, both = own - mean, count + n
            m2 = m2 + ((part - own) ** 2).sum(axis=0) + delta**2 * count * n / both
            found[name] = both, mean + delta * n / both, m2
    return {name: (mean, np.sqrt(m2 / count)) for name, (count, mean, m2) in found.items()}


def dense(flat: np.ndarray, splits: np.ndarray, width: int) -> np.ndarray:
    rows = len(splits) - 1
    lengths = np.minimum(np.diff(splits) // width, T)
    out = np.zeros((rows, T, width), flat.dtype)
    steps = np.arange(T)
    there = steps < lengths[:, None]
    starts = splits[1:] // width - lengths
    out[there] = flat.reshape(-1, width)[(starts[:, None] + steps)[there]]
    return out


def listed(array: np.ndarray) -> pa.Array:
    rows, flat = len(array), np.ascontiguousarray(array).reshape(-1)
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * (len(flat) // rows), pa.array(flat))


def main(pattern: str, output: str) -> None:
    found = moments(pattern)
    encode = RecordBatchToExamplesEncoder()
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "examples.tfrecord"), "wb") as file:
        for batch in batches(pattern, list(KINDS)):
            columns, lengths = {}, None
            for name, width in (("watches", 1), ("temperature", 1), ("accel", 3)):
                flat, splits = values(batch, name)
                if name in found:
                    mean, deviation = found[name]
                    flat = ((flat.reshape(-1, width) - mean.astype("f4")) / deviation.astype("f4")).reshape(-1)
                else:
                    lengths = np.minimum(np.diff(splits), T)
                columns[name] = listed(dense(flat, splits, width))
            assert lengths is not None
            columns["label"] = listed(values(batch, "label")[0][:, None])
            columns["steps_length"] = listed(lengths.astype(np.int64)[:, None])
            parts = []
            for record in encode.encode(pa.RecordBatch.from_pydict(columns)):
                header = struct.pack("<Q", len(record))
                parts += [
                    header,
                    struct.pack("<I", masked(google_crc32c.value(header))),
                    record,
                    struct.pack("<I", masked(google_crc32c.value(record))),
                ]
            file.write(b"".join(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
