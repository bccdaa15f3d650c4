"""The Beam coder of Arrow record batches between stages and workers: Arrow IPC streams."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pyarrow as pa


class RecordBatchCoder(beam.coders.Coder):
    """Codes a `pa.RecordBatch` as an Arrow IPC stream, schema metadata included.

    Beam 2.77 has no coder for record batches and pickles them, and the pickle of a slice holds the buffers of
    the whole batch that it was cut from. IPC writes what the slice covers. The exceptions are a dictionary,
    which is written whole, and the string and list views, whose buffers are.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Returns the stream."""
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, value.schema) as writer:
            writer.write_batch(value)
        return out.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Returns the batch; its values stay in the bytes given."""
        with pa.ipc.open_stream(encoded) as reader:
            return reader.read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Returns about how many bytes the stream has; Beam asks often, and would encode the batch to find out."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Returns False: equal batches can differ in what stands under nulls and in having a null bitmap."""
        return False

    def to_type_hint(self) -> Any:
        """Returns the type that the coder is for."""
        return pa.RecordBatch

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


def register() -> None:
    """Makes it the coder of every PCollection of `pa.RecordBatch`; done when this module is imported."""
    beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)


register()
