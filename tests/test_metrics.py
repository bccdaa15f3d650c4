"""Beam metrics of the main job: what the ledger says, under names that stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.metrics.metric import MetricsFilter

from pipeline import Request, run
from transforms import SequenceGroup, make_spec, sequence_categorical_column_with_identity, sequence_numeric_column
from transforms.rows import metrics
from transforms.rows.tally import COLUMN_COUNTS

NAMES = {
    "rows_read",
    "rows_written",
    "rows_rejected",
    "rows_rejected_out_of_range",
    "steps_read",
    "steps_written",
    *(f"features_{what}" for what in ("present", "absent", "empty")),
    *(f"values_{what}" for what in ("read", "truncated", "rejected", "replaced", "filled", "nulls", "non_finite")),
}


@pytest.fixture
def results(monkeypatch):
    found: list[Any] = []
    original = beam.Pipeline.run

    def kept(self: Any, *args: Any, **more: Any) -> Any:
        found.append(original(self, *args, **more))
        return found[-1]

    monkeypatch.setattr(beam.Pipeline, "run", kept)
    return found


def by_step(result: Any) -> tuple[dict[str, Counter[str]], dict[str, Any]]:
    found = result.metrics().query(MetricsFilter().with_namespace(metrics.NAMESPACE))
    counters: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found["counters"]:
        counters[one.key.step.split("/")[0]][one.key.metric.name] += one.committed
    return counters, {
        one.key.metric.name: one.committed for one in found["distributions"] if "Transform" in one.key.step
    }


@pytest.mark.slow
def test_they_say_what_the_ledger_says(tmp_path, results):
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 30, 300)
    rows = {
        "i": [rng.integers(0, 10, n).tolist() for n in lengths],
        "x": [rng.normal(size=n).tolist() for n in lengths],
    }
    rows["i"][7:9] = [[3, 99], [-4]]
    rows["x"][7:9] = [[0.5, 1.5], [np.nan]]
    rows["i"][20] = rows["x"][20] = None
    rows["i"][30], rows["x"][30] = [1, 2], [np.nan, None]
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    group = SequenceGroup(max_length=10)
    spec = make_spec(
        [
            sequence_categorical_column_with_identity("i", num_buckets=10, group="g"),
            sequence_numeric_column("x", group="g", normalizer_fn="z_score", non_finite="fill"),
        ],
        {"g": group},
    )
    outcome = run(Request(spec, [str(tmp_path / "a.parquet")], str(tmp_path / "out")))
    counters, lengths_found = by_step(results[-1])
    total = sum(counters.values(), Counter())
    ledger = outcome.ledger
    assert set(total) <= NAMES
    assert (
        counters["TransformRead"]["rows_read"] == counters["AnalyseRead"]["rows_read"] == ledger["rows"]["read"] == 300
    )
    assert total["rows_written"] == ledger["rows"]["written"] == 298
    assert counters["TransformValidate"]["rows_rejected_out_of_range"] == 2 == ledger["rows"]["rejected"]
    for what in COLUMN_COUNTS:
        name = (
            f"features_{what}"
            if what in ("present", "absent", "empty")
            else f"values_{'read' if what == 'values' else what}"
        )
        ours = sum(own[name] for step, own in counters.items() if not step.startswith("Analyse"))
        assert ours == sum(column.get(what, 0) for column in ledger["columns"].values()), what
    good = [len(own or []) for k, own in enumerate(rows["i"]) if k not in (7, 8)]
    assert lengths_found[metrics.LONGEST].max == max(good)
    mean = lengths_found[metrics.MEAN_LENGTH]
    assert abs(mean.sum / mean.count - np.mean(good)) <= 0.5


def test_entries_that_are_no_sums_are_left_out():
    tally = Counter({("a", "digest", "read"): 2**63, ("", "length", "g", 4): 2, ("", "length_max", "g"): 9})
    assert metrics.counts(tally) == Counter()
