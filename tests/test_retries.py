"""Bundles that run twice, as an engine runs those of a worker that it has lost: each row is written once, and counted once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from pipeline.command.tf_examples import write_examples
from pipeline.job import writing
from pipeline.verify.verify import verify
from tests.jobs import assert_balanced, done, listing, read_arrays, read_json
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column

ATTEMPTS: list[str] = []
"""Files of attempts whose results the engine never saw."""


class LostFirst(writing.WriteShards):
    """Writes everything of a bundle twice; what the first attempt gave is lost."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._batches: list[pa.RecordBatch] = []

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        self._batches.append(batch)
        return iter(())

    def finish_bundle(self) -> Iterator[Any]:
        for attempt in ("lost", "kept"):
            super().start_bundle()
            found = [part for batch in self._batches for part in super(LostFirst, self).process(batch)]
            found += list(super().finish_bundle())
            if attempt == "lost":
                ATTEMPTS.extend(found)
            else:
                yield from found


@pytest.mark.slow
def test_each_row_is_written_once(tmp_path, monkeypatch):
    rows = [{"id": k, "x": [float(k)] * (k % 4) if k % 9 else [float("nan")]} for k in range(200)]
    write_examples(str(tmp_path / "a.tfrecord"), rows)
    spec = make_spec(
        [passthrough_column("id", "int64"), sequence_numeric_column("x", normalizer_fn="z_score")],
        SequenceGroup(max_length=3),
    )
    plain = done(spec, tmp_path / "a.tfrecord", tmp_path / "plain", max_rejected=1.0)
    monkeypatch.setattr("pipeline.job.wiring.WriteShards", LostFirst)
    twice = done(spec, tmp_path / "a.tfrecord", tmp_path / "twice", max_rejected=1.0)
    assert len(ATTEMPTS) >= 4  # a file and its counts, of examples and of rejected rows
    assert twice.ledger == plain.ledger
    assert_balanced(twice.ledger)
    found, expected = (read_arrays(tmp_path / name, sort_by="id") for name in ("twice", "plain"))
    assert all((found[name] == values).all() for name, values in expected.items())
    shards = [name for name in listing(tmp_path / "twice") if name.startswith(("examples/", "rejected/"))]
    assert len(shards) == 2, "files of the lost attempts are removed"
    assert not verify(str(tmp_path / "twice")).faults
    assert read_json(tmp_path / "twice", "manifest.json")["examples"]["rows"] == len(found["id"])
