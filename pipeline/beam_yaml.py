"""Transforms for Beam YAML: `beam_yaml_providers.yaml`, which stands beside this module, lists them.

Beam YAML wants to know the schema of what comes out, so these say it; otherwise they are the transforms of `transforms.beam`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
import numpy as np
from apache_beam.typehints.row_type import RowTypeConstraint

from pipeline.columns_file.reader import load, loads
from transforms import dtypes
from transforms.beam import Densify
from transforms.columns import Output
from transforms.spec.spec import Spec

PROVIDERS: Final = str(Path(__file__).with_suffix("")) + "_providers.yaml"
"""The listing, for `pipeline --yaml_pipeline_file` and for `providers: [{include: ...}]`."""

_REJECTED: Final = {
    "reason": str,
    "column": str,
    "value": str,
    "message": str,
    "record_format": str,
    "record": bytes,
}
"""The fields of a rejected row, from the columns of `rejection.SCHEMA` without the file: rows of a pipeline have none."""

_ROOTS: Final = {"string": str, "bytes": bytes, "bool": bool}


class DensifyRows(beam.PTransform):
    """Parses, validates, normalises and densifies rows.

    Takes rows; a feature is a number, text, bytes or a list of them. Gives two outputs, `good` and `rejected`. A tensor
    `[T, *shape]` is a list of `T * prod(shape)` values, row-major.

    Args:
      columns: the columns, as in a columns file; or the path of a columns file.
      sequence_groups: as in a columns file; none where `columns` is a path.
      transform: directory of a finished job's transform, where a column asks for statistics.

    Raises:
      SpecError: there are faults in the columns.
      ValueError: statistics are needed and `transform` is missing; or there are groups beside a columns file.
    """

    def __init__(
        self,
        columns: str | Sequence[Mapping[str, Any]],
        sequence_groups: Mapping[str, Any] | None = None,
        transform: str | None = None,
    ):
        super().__init__()
        if isinstance(columns, str):
            if sequence_groups:
                raise ValueError(
                    f"sequence_groups: expected none beside the columns file {columns!r}, which has its own"
                )
            self._spec = load(columns)
        else:
            text = json.dumps({"sequence_groups": sequence_groups or {}, "columns": list(columns)})
            self._spec = loads(text)  # JSON is YAML
        self._transform = transform

    def expand(self, rows: beam.PCollection) -> dict[str, beam.PCollection]:
        """Returns the outputs by name."""
        dicts = rows | "AsDicts" >> beam.Map(_as_dict)
        dense = dicts | "Densify" >> Densify(self._spec, transform=self._transform)
        good = RowTypeConstraint.from_fields(_fields(self._spec))
        rejected = RowTypeConstraint.from_fields([(name, _REJECTED[name]) for name in _REJECTED])
        return {
            "good": dense.good | "Good" >> beam.Map(_as_row).with_output_types(good),
            "rejected": dense.rejected | "Rejected" >> beam.Map(_rejected_row).with_output_types(rejected),
        }


def _as_dict(row: Any) -> dict[str, Any]:
    return dict(row._asdict())


def _as_row(row: Mapping[str, Any]) -> beam.Row:
    return beam.Row(**row)


def _rejected_row(row: Mapping[str, Any]) -> beam.Row:
    return beam.Row(**{name: row[name] for name in _REJECTED})


def _fields(spec: Spec) -> list[tuple[str, Any]]:
    return [(output.name, _type(output)) for output in spec.outputs()]


def _type(output: Output) -> Any:
    one = _ROOTS.get(output.dtype) or np.dtype(dtypes.parsed(output.dtype)).type
    return Sequence[one] if output.shape else one  # type: ignore[valid-type]
