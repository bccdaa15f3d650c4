"""The transforms in a Beam YAML pipeline, as a user writes one."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.yaml import yaml_transform

from pipeline.beam_yaml import PROVIDERS, DensifyRows
from transforms import apply, sequence_categorical_column_with_identity, sequence_numeric_column
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
