"""Columns in Beam's MLTransform: what is written is read back, by another process too, with equal results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.ml.transforms.base import MLTransform
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.typehints.row_type import RowTypeConstraint

from tests.test_beam_rows import _KEPT, _keep
from transforms import (
    SequenceGroup,
    apply,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.ml_transform import SequenceColumns
from transforms.rows.from_python import row_dict

COLUMNS = [
    passthrough_column("id", "int64"),
    sequence_numeric_column("x", (2,), -1.0, normalizer_fn="z_score"),
    sequence_categorical_column_with_identity("ids", 10, group="csv", delimiter=","),
    numeric_column("w", default_value=0.5, normalizer_fn="z_score"),
]
GROUPS = {"sequence": SequenceGroup(), "csv": SequenceGroup(max_length=2)}
ROWS: list[dict[str, Any]] = [
    {"id": k, "x": [float(k), 0.5] * (k % 5), "ids": ",".join("123"[: k % 4]), "w": k / 3} for k in range(30)
]
OTHERS: list[dict[str, Any]] = [{"id": 100 + k, "x": [9.0, float(k)], "ids": "7", "w": -1.0} for k in range(5)]
BAD: dict[str, Any] = {"id": 50, "x": [1.0], "ids": "1", "w": 0.0}


def made_by(transform: MLTransform, elements: list[Any]) -> list[dict[str, Any]]:
    """Dense rows by id."""
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        root | beam.Create(elements, reshuffle=False) | transform | "Keep" >> beam.Map(_keep, "good")
    rows = [value if isinstance(value, dict) else row_dict(value) for _, value in _KEPT]
    return sorted(rows, key=lambda row: row["id"])


def assert_as_applied(made: list[dict[str, Any]], rows: list[dict[str, Any]], fitted: Any) -> None:
    wanted = apply(rows, COLUMNS, GROUPS, fitted=fitted)
    assert [row["id"] for row in made] == wanted["id"].tolist()
    for name, array in wanted.arrays.items():
        got = np.array([row[name] for row in made]).reshape(array.shape)
        np.testing.assert_allclose(got, array, rtol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    location = str(tmp_path_factory.mktemp("ml") / "artifacts")
    made = made_by(MLTransform(write_artifact_location=location).with_transform(SequenceColumns(COLUMNS, GROUPS)), ROWS)
    return location, made


@pytest.mark.slow
def test_write_mode_fits_and_transforms(written):
    location, made = written
    assert_as_applied(made, ROWS, None)
    names = [str(path.relative_to(location)) for path in Path(location).rglob("*")]
    assert "attributes.json" in names and any(name.endswith("transform_fn/saved_model.pb") for name in names)
    assert not any(".fit-" in name for name in names)


@pytest.mark.parametrize("kind", ["dict", "Row"])
def test_read_mode_uses_what_was_written(written, kind):
    elements = OTHERS if kind == "dict" else [beam.Row(**row) for row in OTHERS]
    made = made_by(MLTransform(read_artifact_location=written[0]), elements)
    assert_as_applied(made, OTHERS, apply(ROWS, COLUMNS, GROUPS).fitted)


@pytest.mark.slow
def test_another_process_reads_it(written):
    script = f"""
import apache_beam as beam, json
from apache_beam.ml.transforms.base import MLTransform
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
with beam.Pipeline(FnApiRunner()) as root:
    made = root | beam.Create({OTHERS[:1]!r}) | MLTransform(read_artifact_location={written[0]!r})
    made | beam.Map(lambda row: print("ROW", json.dumps(row["x"])))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ROW")]
    wanted = apply(OTHERS[:1], COLUMNS, GROUPS, fitted=apply(ROWS, COLUMNS, GROUPS).fitted)["x"]
    np.testing.assert_allclose(np.array(eval(line[4:])), wanted.reshape(-1), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["write", "read"])
def test_rejected_rows_are_handed_out(written, tmp_path, mode):
    if mode == "write":
        location = str(tmp_path / "new")
        transform = MLTransform(write_artifact_location=location).with_transform(SequenceColumns(COLUMNS, GROUPS))
        rows = [*ROWS, BAD]
    else:
        transform, rows = MLTransform(read_artifact_location=written[0]), [*OTHERS, BAD]
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        good, bad = root | beam.Create(rows) | transform.with_exception_handling()
        good | "Good" >> beam.Map(_keep, "good")
        bad | "Bad" >> beam.Map(_keep, "bad")
    assert len([1 for tag, _ in _KEPT if tag == "good"]) == len(rows) - 1
    (row,) = [value for tag, value in _KEPT if tag == "bad"]
    assert row.element == BAD
    assert row.msg.startswith("incomplete_step: column 'x': ")


def test_a_rejected_row_fails_a_pipeline_that_does_not_ask_for_it(written):
    with pytest.raises(Exception, match=r"a row was rejected: incomplete_step: column 'x': .*with_exception_handling"):
        made_by(MLTransform(read_artifact_location=written[0]), [*OTHERS, BAD])


@pytest.mark.parametrize(("threshold", "passes"), [(0.2, True), (0.1, False)])
def test_threshold_is_the_largest_share(written, threshold, passes):
    transform = MLTransform(read_artifact_location=written[0]).with_exception_handling(threshold=threshold)
    run = beam.Pipeline(FnApiRunner())
    run | beam.Create([*OTHERS[:4], BAD]) | transform
    if passes:
        run.run().wait_until_finish()
    else:
        with pytest.raises(Exception, match=r"1 of 5 rows rejected, threshold 0\.1"):
            run.run().wait_until_finish()


def test_arrow_goes_through(written):
    table = pa.Table.from_pylist(OTHERS)
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        made = root | beam.Create([table]) | MLTransform(read_artifact_location=written[0])
        made | "Keep" >> beam.Map(_keep, "good")
    ((_, dense),) = _KEPT
    assert isinstance(dense, pa.Table) and dense["id"].to_pylist() == [row["id"] for row in OTHERS]


@pytest.mark.slow
def test_functions_survive(tmp_path):
    """One that has no name travels as a pickle."""
    columns = [sequence_numeric_column("x", normalizer_fn=lambda x: x * 2.0)]
    group = SequenceGroup(max_length=2)
    location = str(tmp_path / "a")
    rows = [{"x": [1.0, 2.0, 3.0]}]
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        transform = MLTransform(write_artifact_location=location).with_transform(SequenceColumns(columns, group))
        root | beam.Create(rows) | transform
    with beam.Pipeline(FnApiRunner()) as root:
        root | beam.Create(rows) | MLTransform(read_artifact_location=location) | "Keep" >> beam.Map(_keep, "good")
    assert [value["x"] for _, value in _KEPT] == [[2.0, 4.0]]


def test_several_in_one_and_rows_whose_schema_lacks_a_feature(tmp_path):
    """What Beam's own transforms declare of their rows is what they computed; the rest is lost where rows pass a coder."""
    root = beam.Pipeline(FnApiRunner())
    rows = root | beam.Create([{"x": [1.0, 3.0]}])
    transform = MLTransform(write_artifact_location=str(tmp_path / "a"))
    for normalizer in ("z_score", "min_max"):
        transform = transform.with_transform(SequenceColumns([sequence_numeric_column("x", normalizer_fn=normalizer)]))
    rows | transform
    declared = RowTypeConstraint.from_fields([("y", float), ("xs", str)])
    scaled = rows | "Scaled" >> beam.Map(lambda row: beam.Row(y=1.0, x=row["x"])).with_output_types(declared)
    transform = MLTransform(write_artifact_location=str(tmp_path / "b")).with_transform(
        SequenceColumns(COLUMNS, GROUPS)
    )
    with pytest.raises(ValueError, match="the schema of the rows has no feature 'id'; it has y, xs"):
        scaled | "Columns" >> transform
