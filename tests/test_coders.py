"""The coder of record batches."""

from __future__ import annotations

import pickle

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from pipeline.job.batch_coder import RecordBatchCoder, register
from transforms.rows import origin

CODER = RecordBatchCoder()


def batch(count: int) -> pa.RecordBatch:
    values = pa.array(np.arange(count * 2, dtype=np.float32))
    made = pa.RecordBatch.from_pydict(
        {
            "list": pa.array([None if k % 3 == 0 else [k] * (k % 4) for k in range(count)], pa.large_list(pa.int64())),
            "fixed": pa.FixedSizeListArray.from_arrays(values, 2),
            "text": pa.array([f"row {k}" for k in range(count)], pa.large_string()),
            "flag": pa.array(np.arange(count) % 2 == 0),
            "kind": pa.array(["a", "b"] * (count // 2)).dictionary_encode(),
            "none": pa.nulls(count),
        }
    )
    return origin.with_origin(made, "some/file", 7)


def test_values_types_and_metadata_survive():
    for whole in [batch(1000), batch(1000).slice(333, 10), batch(1000).slice(0, 0)]:
        made = CODER.decode(CODER.encode(whole))
        made.validate(full=True)
        assert made.equals(whole, check_metadata=True)
        assert origin.file_of(made) == "some/file"


def test_a_slice_leaves_its_parent_behind():
    whole = batch(100_000)
    assert len(CODER.encode(whole.slice(50_001, 10))) < 10_000 < len(CODER.encode(whole))
    assert len(pickle.dumps(whole.slice(50_001, 10))) > 1_000_000  # what Beam does without the coder


@pytest.mark.parametrize("whole", [batch(1000), batch(1000).slice(333, 100)])
def test_the_size_is_about_right_without_encoding(whole):
    assert 0.5 < CODER.estimate_size(whole) / len(CODER.encode(whole)) < 1.5


def test_it_is_registered_and_honest():
    register()
    found = beam.coders.registry.get_coder(pa.RecordBatch)
    assert found == CODER and hash(found) == hash(CODER) and found.to_type_hint() is pa.RecordBatch
    assert not found.is_deterministic()
    assert pickle.loads(pickle.dumps(found)) == CODER


@pytest.mark.filterwarnings("ignore")
def test_batches_cross_a_stage():
    want = [batch(20), batch(10).slice(3, 4)]

    def check(got):
        assert sorted(b.num_rows for b in got) == [4, 20]
        assert all(any(b.equals(w, check_metadata=True) for w in want) for b in got)

    with beam.Pipeline(runner=FnApiRunner()) as p:
        made = p | beam.Create([0, 1]) | beam.Map(lambda k: want[k]).with_output_types(pa.RecordBatch)
        assert_that(made | beam.Reshuffle(), check)
