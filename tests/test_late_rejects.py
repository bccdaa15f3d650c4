"""Rows that only their normalised values show to be bad: rejected all the same, and counted as such."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import Request, read_manifest, run
from tests.marks import slow_but
from transforms import SequenceGroup, apply, numeric_column, sequence_numeric_column

ROWS = [{"x": [1.0, 2.0, 3.0], "k": k} for k in range(5)] + [{"x": [1.0, 0.0], "k": 5}, {"x": [4.0], "k": 6}]
T2 = SequenceGroup(max_length=2, truncate="tail")


def column(**more):
    return sequence_numeric_column("x", normalizer_fn=tf.math.log, **more)


def balanced(counts: dict[str, int]) -> bool:
    return counts["values"] == counts["kept"] + counts["truncated"] + counts["rejected"]


def test_in_memory():
    made = apply(ROWS, [column(), numeric_column("k")], T2)
    assert made.rejected.select(["row", "reason", "column", "value"]).to_pylist() == [
        {"row": 5, "reason": "non_finite", "column": "x", "value": "-inf"}
    ]
    assert pa.ipc.open_stream(made.rejected["record"][0].as_py()).read_all().to_pylist() == [ROWS[5]]
    assert made.rows.tolist() == [0, 1, 2, 3, 4, 6]
    np.testing.assert_array_equal(made["k"].reshape(-1), made.rows)
    np.testing.assert_allclose(made["x"][0].reshape(-1), np.log([2.0, 3.0]), rtol=1e-6)
    tally = made.tally
    assert (tally["", "rows", "read"], tally["", "rows", "written"], tally["", "rows", "rejected"]) == (7, 6, 1)
    assert tally["", "column", "x", "values"] == 18
    assert (tally["", "column", "x", "rejected"], tally["", "column", "x", "truncated"]) == (2, 5)
    assert tally["", "length_sum", "sequence"] == 16


def test_what_truncation_cuts_off_cannot_spoil_a_row():
    assert apply([{"x": [0.0, 1.0, 2.0]}], [column()], T2).rejected.num_rows == 0


def test_keep_and_fill():
    kept = apply([{"x": [1.0, 0.0]}], [column(non_finite="keep")])
    assert kept["x"].reshape(-1).tolist() == [0.0, -np.inf]
    filled = apply([{"x": [1.0, np.nan]}, {"x": [0.0]}], [column(non_finite="fill", default_value=-1.0)])
    assert filled["x"].reshape(-1).tolist() == [0.0, -1.0]
    assert filled.rejected["row"].to_pylist() == [1]


def test_too_large_for_a_narrow_dtype():
    made = apply([{"x": [1.5]}, {"x": [2.0]}], [sequence_numeric_column("x", dtype="float16", normalizer_fn=_widen)])
    assert np.isfinite(made["x"]).all()
    assert made.rejected["row"].to_pylist() == [0, 1]


def _widen(values):
    return tf.cast(values, tf.float32) * 60000.0


@pytest.mark.parametrize("workers", slow_but([1, 2]))
def test_in_the_job(tmp_path, workers):
    for k in range(2):
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / f"in-{k}.parquet")
    from transforms import make_spec

    named = sequence_numeric_column("x", normalizer_fn="tensorflow.math:log")
    spec = make_spec([named, numeric_column("k", normalizer_fn="z_score")], T2)
    request = Request(
        spec, [str(tmp_path / "in-*")], str(tmp_path / "out"), "parquet", max_rejected=0.5, workers=workers
    )
    outcome = run(request)
    assert (outcome.status, outcome.message) == ("done", "")
    manifest = read_manifest(str(tmp_path / "out"))
    assert manifest.rows == 12
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert ledger["rows"]["rejected_by_reason"] == {"non_finite": 2}
    for entry in (ledger, *ledger["files"].values()):
        assert all(balanced(counts) for counts in entry["columns"].values())
    rejected = pa.concat_tables([pq.read_table(path) for path in manifest.rejected_files])
    assert sorted(rejected["row"].to_pylist()) == [5, 5]
    assert {pa.ipc.open_stream(r).read_all().to_pylist()[0]["k"] for r in rejected["record"].to_pylist()} == {5}
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert statistics["groups"]["sequence"]["rows"] == 12
