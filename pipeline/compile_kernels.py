"""Compiles the kernels, so that no run has to wait for it: `python -m pipeline.compile_kernels`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.command.silence import quiet_logs
from pipeline.sinks.sequence_example import SequenceExample
from pipeline.sources.compression import filled_from
from pipeline.sources.limits import Limits
from pipeline.sources.tfrecord import examples as example_records
from pipeline.sources.tfrecord import framing
from transforms.columns.results import Output
from transforms.distributions.histograms import BIN_SHIFT, BINS
from transforms.events.counted import counted
from transforms.events.features import FIGURES, SINCE
from transforms.events.make_events import make_events
from transforms.kernels.bins import count_ids, count_numbers, kept_places
from transforms.kernels.fingerprints import fingerprints, of_integers
from transforms.kernels.partitions import count_runs, summed
from transforms.kernels.sums import LAYOUTS
from transforms.kernels.values import FLOATS, exceeds, look, read_only
from transforms.parse.array_text import arrays_of
from transforms.parse.form import Form
from transforms.rows import digests, origin
from transforms.rows.keys import hashes, partitions
from transforms.statistics.moments import Moments

_CARRIERS: Final = {"int64": pa.int64(), "float32": pa.float32(), "string": pa.large_binary(), "bool": pa.bool_()}

_EVENTS: Final = {
    "key": "key",
    "order_by": "time",
    "features": {
        **{kind: {kind: "s"} for kind in SINCE},
        **{f"{kind} {field}": {kind: field} for kind in FIGURES for field in ("value", "whole")},
    },
    "unique": "value",
}
"""A section that uses every kernel for events."""


def compile_all() -> None:
    """Writes, reads and adds up a value of every kind, by the functions that jobs do it by: those decide on the types."""
    outputs = [Output(name, name, (1,), "values", name, sequence=name != "string") for name in _CARRIERS]
    values = pa.RecordBatch.from_arrays(
        [pa.array([1]).cast(pa.string()).cast(kind) for kind in _CARRIERS.values()], [*_CARRIERS]
    )
    with tempfile.TemporaryDirectory(prefix="seqcols-") as folder:
        path = str(Path(folder, "records"))
        writer = SequenceExample().open(path, outputs)
        writer.write(values)
        writer.close()
        blocks = [Path(path).read_bytes()]
    for cut in framing.cuts(filled_from(blocks), path, Limits()):
        records = cut.array()
        for lists in example_records.with_lists(records).tolist():
            example_records.RecordDecoder(dict.fromkeys(_CARRIERS, "string")).decode(records, lists)
        example_records.kinds(records)
    for dtype in LAYOUTS:
        found = Moments.of(np.ones((1, 1), dtype), np.ones((1, 1), bool), np.array([0, 1]))
        found.add(found)
    for dtype in (*FLOATS, "int64"):
        look(np.ones(1, dtype))
    for dtype in FLOATS:
        exceeds(np.ones(1, dtype), 1.0)
    fingerprints(pa.array(["a"]))
    of_integers(np.ones(1, np.int64))
    for kind in (pa.large_string(), pa.int8(), pa.int16(), pa.int32(), pa.int64()):
        digests.contents(pa.array([["1"]]).cast(pa.large_list(kind)))
    batch = digests.attach(origin.with_origin(pa.RecordBatch.from_pydict({"x": [1]}), "a", 0), ["x"])
    digests.without_file(digests.renamed(batch, "b").column(origin.DIGEST_COLUMN), "b", np.zeros(1, np.int64))
    arrays_of(pa.array(["[1]"]), np.ones(1, bool), Form("x", "float32"))
    partitions(hashes([pa.array([1]), pa.array([1])]), 1)
    one, at = np.ones(1, np.int64), np.array([0, 1])
    count_runs(read_only(at[:1]), read_only(at), read_only(one), at.copy(), *np.zeros((2, 1), np.uint32))
    fates, numbers = np.zeros(1, np.int8), np.zeros(1, np.uint64)
    summed(read_only(one), read_only(fates), read_only(numbers), np.zeros((1, 1), np.int64), numbers.reshape(1, 1))
    _count_distributions()
    counted(pa.table({"key": [1], "time": ["1"], "value": [1.0], "whole": [1]}), make_events(_EVENTS), {}, 1)


def _count_distributions() -> None:
    """Counts a number of every kind, and an id, in its row's only step."""
    one, at, seen = read_only(np.ones(1, np.int64)), read_only(np.zeros(1, np.int64)), read_only(np.ones(1, bool))
    numbers, ids = np.zeros((1, BINS), np.int64), np.zeros(3, np.int64)
    kept_places(read_only(np.array([0, 1])), at, one, 1, True, at.copy(), at.copy())
    for dtype in LAYOUTS:
        values = read_only(np.ones(1, dtype))
        count_numbers(values, at, one, values, seen, at, 1, BIN_SHIFT, numbers)
    count_ids(one, at, one, 1, ids)


if __name__ == "__main__":
    quiet_logs()
    compile_all()
