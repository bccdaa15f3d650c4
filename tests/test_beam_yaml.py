"""The transforms in a Beam YAML pipeline, as a user writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import util as beam_testing
from apache_beam.yaml import yaml_transform

from pipeline.beam_yaml import PROVIDERS, DensifyRows
from tests.marks import slow_but
from transforms import (
    Densify,
    apply,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import SpecError
from transforms.groups import SequenceGroup

PIPELINE = """
pipeline:
  transforms:
    - type: Create
      name: Rows
      config:
        elements:
          - {items: [3, 1], prices: [1.5, 2.5]}
          - {items: [12], prices: [1.0]}
          - {items: [7], prices: [0.5]}
    - type: SeqcolsDensify
      name: Densify
      input: Rows
      config:
        sequence_groups:
          basket: {max_length: 3}
        columns:
          - {type: sequence_categorical_column_with_identity, key: items, num_buckets: 10, group: basket}
          - {type: sequence_numeric_column, key: prices, group: basket}
    - type: MapToFields
      name: Lengths
      input: Densify.good
      config:
        language: python
        append: true
        fields:
          doubled: {expression: basket_length * 2, output_type: integer}
    - type: WriteToParquet
      name: Good
      input: Lengths
      config: {path: FOLDER/good}
    - type: WriteToParquet
      name: Bad
      input: Densify.rejected
      config: {path: FOLDER/bad}
providers:
  - include: PROVIDERS
"""


@pytest.mark.slow
def test_a_pipeline(tmp_path):
    text = PIPELINE.replace("FOLDER", str(tmp_path)).replace("PROVIDERS", PROVIDERS)
    options = PipelineOptions(
        ["--no_save_main_session"], pickle_library="cloudpickle", yaml_experimental_features=["ML"]
    )
    with beam.Pipeline(FnApiRunner(), options=options) as pipeline:
        yaml_transform.expand_pipeline(pipeline, text)
    (file,) = tmp_path.glob("good*")
    found = sorted(pq.read_table(file).to_pylist(), key=lambda row: row["items"])
    columns = [
        sequence_categorical_column_with_identity("items", num_buckets=10, group="basket"),
        sequence_numeric_column("prices", group="basket"),
    ]
    rows = [{"items": [3, 1], "prices": [1.5, 2.5]}, {"items": [7], "prices": [0.5]}]
    expected = apply(rows, columns, {"basket": SequenceGroup(max_length=3)})
    assert [row["items"] for row in found] == expected["items"].tolist()
    assert [row["prices"] for row in found] == expected["prices"].reshape(2, -1).tolist()
    assert [row["basket_mask"] for row in found] == expected["basket_mask"].tolist()
    assert [row["basket_length"] for row in found] == expected["basket_length"].tolist() == [2, 1]
    assert [row["doubled"] for row in found] == [4, 2]
    (bad,) = [row for path in tmp_path.glob("bad*") for row in pq.read_table(path).to_pylist()]
    assert (bad["reason"], bad["column"], bad["value"]) == ("out_of_range", "items", "12 at step 0")


READS = {
    "csv": ("ReadFromCsv", "viewer,items,price\nann,3|1,1.5\nben,12,2.5\ncem,7,0.5\n", "delimiter: '|', "),
    "jsonl": (
        "ReadFromJson",
        '{"viewer": "ann", "items": [3, 1], "price": 1.5}\n{"viewer": "ben", "items": [12], "price": 2.5}\n'
        '{"viewer": "cem", "items": [7], "price": 0.5}\n',
        "delimiter: json, ",  # Beam declares a list of JSON to be text, and makes `[3, 1]` of it
    ),
}
"""By the end of the file's name: Beam's own reader, what it reads, and what else our column must be told."""

READING = """
pipeline:
  transforms:
    - type: READER
      name: Rows
      config: {path: FOLDER/rows.*}
    - type: SeqcolsDensify
      name: Densify
      input: Rows
      config:
        sequence_groups:
          basket: {max_length: 3}
        columns:
          - {type: passthrough_column, key: viewer}
          - {type: sequence_categorical_column_with_identity, key: items, num_buckets: 10, MOREgroup: basket}
          - {type: numeric_column, key: price}
    - {type: WriteToParquet, name: Good, input: Densify.good, config: {path: FOLDER/good}}
    - {type: WriteToParquet, name: Bad, input: Densify.rejected, config: {path: FOLDER/bad}}
providers:
  - include: PROVIDERS
"""


def read_back(folder: Path, name: str) -> list[dict[str, Any]]:
    """Returns the rows that a pipeline has written."""
    return [row for path in sorted(folder.glob(f"{name}*")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("kind", slow_but(READS))
def test_rows_of_beams_own_readers(kind, tmp_path):
    """They go by way of pandas: Beam 2.77's fail under pandas 3, so that the lock holds an older one."""
    reader, content, more = READS[kind]
    (tmp_path / f"rows.{kind}").write_text(content)
    text = READING.replace("FOLDER", str(tmp_path)).replace("PROVIDERS", PROVIDERS)
    options = PipelineOptions(["--no_save_main_session"], pickle_library="cloudpickle")
    with beam.Pipeline(FnApiRunner(), options=options) as pipeline:
        yaml_transform.expand_pipeline(pipeline, text.replace("READER", reader).replace("MORE", more))
    good = sorted(read_back(tmp_path, "good"), key=lambda row: row["viewer"])
    assert [(row["viewer"], row["items"], row["price"], row["basket_length"]) for row in good] == [
        ("ann", [3, 1, -1], [1.5], 2),
        ("cem", [7, -1, -1], [0.5], 1),
    ]
    (bad,) = read_back(tmp_path, "bad")
    assert (bad["reason"], bad["column"], bad["value"]) == ("out_of_range", "items", "12 at step 0")


@pytest.mark.slow
def test_text_of_digits_in_csv_is_kept_by_a_dtype(tmp_path):
    """`001` is the number 1 to pandas, which a pass-through column of text rejects, unless the reader is told."""
    (tmp_path / "rows.csv").write_text("viewer,items,price\n001,3|1,1.5\n002,7,0.5\n")
    reading = (
        READING.replace("READER", "ReadFromCsv").replace("MORE", "delimiter: '|', ").replace("PROVIDERS", PROVIDERS)
    )
    found = {}
    for name, told in {"numbers": "", "text": ", dtype: {viewer: str}"}.items():
        text = reading.replace("rows.*", f"rows.*{told}").replace("FOLDER/good", f"FOLDER/{name}-good")
        text = text.replace("FOLDER/bad", f"FOLDER/{name}-bad").replace("FOLDER", str(tmp_path))
        options = PipelineOptions(["--no_save_main_session"], pickle_library="cloudpickle")
        with beam.Pipeline(FnApiRunner(), options=options) as pipeline:
            yaml_transform.expand_pipeline(pipeline, text)
        good, bad = read_back(tmp_path, f"{name}-good"), read_back(tmp_path, f"{name}-bad")
        found[name] = sorted(row["viewer"] for row in good), {row["reason"] for row in bad}
    assert found == {"numbers": ([], {"wrong_type"}), "text": (["001", "002"], set())}


@pytest.mark.slow
def test_csv_read_by_beam_in_python(tmp_path):
    """Cells are what pandas takes them for (`001` is 1), and an empty one is a null."""
    (tmp_path / "rows.csv").write_text("viewer,items,price\n001,3|1,1.5\n002,12,2.5\n003,7,\n")
    columns = [
        passthrough_column("viewer", "int64"),
        sequence_categorical_column_with_identity("items", 10, delimiter="|"),
        numeric_column("price", default_value=-1.0),
    ]
    with beam.Pipeline(FnApiRunner()) as pipeline:
        rows = pipeline | beam.io.ReadFromCsv(str(tmp_path / "rows.csv"))
        dense = rows | Densify(columns, SequenceGroup(max_length=3))
        good = dense.good | beam.Map(lambda row: (int(row.viewer), list(row.items), list(row.price)))
        beam_testing.assert_that(good, beam_testing.equal_to([(1, [3, 1, -1], [1.5]), (3, [7, -1, -1], [-1.0])]))
        bad = dense.rejected | "Why" >> beam.Map(lambda row: (row.reason, row.value))
        beam_testing.assert_that(bad, beam_testing.equal_to([("out_of_range", "12 at step 0")]), "Bad")


def test_a_columns_file_serves_too(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("columns: [{type: numeric_column, key: x}]")
    with beam.Pipeline(FnApiRunner()) as pipeline:
        made = pipeline | beam.Create([beam.Row(x=1.0)]) | DensifyRows(str(path))
        assert sorted(made) == ["good", "rejected"]


def test_groups_beside_a_columns_file_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("columns: [{type: numeric_column, key: x}]")
    with pytest.raises(ValueError, match="sequence_groups: expected none beside the columns file"):
        DensifyRows(str(tmp_path / "c.yaml"), {"g": {"max_length": 3}})


def test_faults_are_said_when_the_pipeline_is_built():
    with pytest.raises(SpecError, match="num_bucket"):
        DensifyRows([{"type": "sequence_categorical_column_with_identity", "key": "x", "num_bucket": 3}])


def test_the_listing_is_in_the_package():
    import pipeline

    assert Path(PROVIDERS).parent == Path(pipeline.__file__).parent
    assert "*.yaml" in (Path(__file__).parents[1] / "setup.py").read_text()
