"""Chains whose links need statistics one after the other: a pass for each, so that memory stays flat, and the same results."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import Request, read_manifest, run
from tests.jobs import read_arrays, read_json
from tests.marks import slow_but
from transforms import SequenceGroup, apply, make_spec, numeric_column, passthrough_column, sequence_numeric_column

CHAINS = {
    "two moments": ["z_score", "max_abs"],
    "quantiles, then moments": [{"type": "clip", "quantiles": [0.1, 0.9]}, "z_score"],
    "function, quantiles, moments, quantiles": [
        "log1p",
        {"type": "clip", "quantiles": [0.1, 0.9]},
        "z_score",
        "robust",
    ],
    "by key, then whole": [{"type": "z_score", "per": "key", "key": "who"}, "min_max"],
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(3)
    x = [np.abs(rng.normal(5, 4, rng.integers(0, 9))).astype(np.float32).tolist() for _ in range(300)]
    who = rng.integers(0, 4, 300)
    return pa.table(
        {"x": pa.array(x, pa.list_(pa.float32())), "who": who, "y": rng.normal(size=300).astype(np.float32)}
    )


@pytest.mark.parametrize("kind", slow_but(CHAINS))
def test_job_and_memory_agree_and_passes_are_counted(tmp_path, table, kind):
    chain = CHAINS[kind]
    for k in range(3):
        pq.write_table(table.slice(100 * k, 100), tmp_path / f"in-{k}.parquet")
    columns = [
        sequence_numeric_column("x", normalizer_fn=chain),
        numeric_column("y", normalizer_fn="z_score"),
        passthrough_column("who", dtype="int64"),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=6))
    outcome = run(Request(spec, [str(tmp_path / "in-*.parquet")], str(tmp_path / "out")))
    assert outcome.status == "done", outcome.message
    assert outcome.passes == spec.levels + 1 > 2
    made, expected = read_arrays(str(tmp_path / "out")), apply(table, spec)
    assert read_manifest(str(tmp_path / "out")).rows == 300
    mine, theirs = (
        np.argsort(made["y"].reshape(-1), kind="stable"),
        np.argsort(expected["y"].reshape(-1), kind="stable"),
    )
    for name in ("x", "y", "who", "sequence_length"):
        np.testing.assert_allclose(made[name][mine], expected[name][theirs], rtol=1e-5, atol=1e-6)
    asked = [ask for ask in spec.asks if ask.owner == "x" and not ask.packed]
    stated = read_json(str(tmp_path / "out"), "statistics.json")["columns"]["x"].get("fitted", [])
    assert [entry["link"] for entry in stated] == [ask.link for ask in asked]


def test_a_failing_level_fails_the_run_with_its_message(tmp_path, table):
    pq.write_table(table, tmp_path / "in.parquet")
    data = bytearray((tmp_path / "in.parquet").read_bytes())
    spec = make_spec([sequence_numeric_column("x", normalizer_fn=CHAINS["two moments"])], SequenceGroup(max_length=6))
    middle = len(data) // 3
    data[4:middle] = bytes(middle - 4)
    (tmp_path / "in.parquet").write_bytes(bytes(data))
    outcome = run(Request(spec, [str(tmp_path / "in.parquet")], str(tmp_path / "out")))
    assert outcome.status == "failed"
    assert "in.parquet" in outcome.message
    assert [path.name for path in (tmp_path / "out").rglob("*")] == []
