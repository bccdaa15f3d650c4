"""Columns in Beam's `MLTransform`: fitted in write mode, applied to other rows in read mode.

>>> from apache_beam.ml.transforms.base import MLTransform
>>> columns = [sequence_numeric_column("x", normalizer_fn="z_score")]  # doctest: +SKIP
>>> rows | MLTransform(write_artifact_location="dir").with_transform(SequenceColumns(columns))  # doctest: +SKIP
>>> others | MLTransform(read_artifact_location="dir")  # doctest: +SKIP
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import Any, NoReturn

import apache_beam as beam
import pyarrow as pa
from apache_beam.ml.transforms.base import ArtifactMode, MLTransformProvider
from apache_beam.pvalue import AsSingleton
from apache_beam.transforms.window import GlobalWindows

from transforms.beam import GOOD, REJECTED, Densify
from transforms.columns import Column
from transforms.errors import JobError
from transforms.fit.fit import FitAndDensify
from transforms.groups import SequenceGroup
from transforms.rows import origin
from transforms.rows.from_python import row_dict
from transforms.spec import text as spec_text
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec


class SequenceColumns(MLTransformProvider):
    """Columns as a transform of `MLTransform`.

    Rows are dicts, `beam.Row`s, NamedTuples or Arrow, and come out in kind as `Densify` gives them: `[T, *shape]` as a flat list,
    lengths, masks. What no column reads is dropped. In write mode statistics are fitted first (see `FitAndDensify`: the
    PCollection is used twice); the artifact location then holds the columns and the transform. In read mode the columns come
    from there.

    A rejected row fails the pipeline, as a bad element does in Beam's own transforms. With
    `MLTransform(...).with_exception_handling()` rejected rows are the second output: `element` is the original row as a dict,
    `msg` says what is wrong with it. `threshold` is the largest share of rows that may be rejected.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
    """

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
    ):
        self.spec = make_spec(columns, sequence_groups)

    def get_ptransform_for_processing(self, **kwargs: Any) -> beam.PTransform:
        """Returns what `MLTransform` applies, and keeps as JSON in the artifact location."""
        return ProcessColumns(spec_text.dumps(self.spec), kwargs["artifact_location"], kwargs["artifact_mode"])


class ProcessColumns(beam.PTransform):
    """The transform that `MLTransform` applies. jsonpickle saves its attributes, so they are text and numbers.

    Args:
      columns: the spec as text (see `spec_text`).
      artifact_location: directory of the transform.
      artifact_mode: `produce` fits, `consume` uses the fitted statistics.
    """

    def __init__(self, columns: str, artifact_location: str, artifact_mode: str):
        super().__init__(f"SequenceColumns-{hashlib.sha256(columns.encode()).hexdigest()[:8]}")  # several differ
        self.columns, self.artifact_location, self.artifact_mode = columns, artifact_location, artifact_mode
        self.handles_rejected = False
        self.threshold = 1.0

    def with_exception_handling(self, *, threshold: float = 1.0, **_: Any) -> ProcessColumns:
        """Returns the transform with rejected rows as a second output. They are no exceptions: `exc_class` is not asked."""
        made = copy.copy(self)
        made.handles_rejected, made.threshold = True, threshold
        return made

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection | tuple[beam.PCollection, beam.PCollection]:
        """Returns the dense rows, and with exception handling the rejected ones as `MLTransform` takes them."""
        spec = spec_text.loads(self.columns)
        if self.artifact_mode == ArtifactMode.PRODUCE:
            done = pcoll | "Columns" >> FitAndDensify(spec, transform=self.artifact_location)
        else:
            done = pcoll | "Columns" >> Densify(spec, transform=self.artifact_location)
        if not self.handles_rejected:
            done[REJECTED] | "Refuse" >> beam.Map(_refuse)
            return done[GOOD]
        if self.threshold < 1.0:
            _limit(done[GOOD], done[REJECTED], self.threshold)
        return done[GOOD], done[REJECTED] | "Describe" >> beam.FlatMap(_described)


def _rejected_rows(rejected: Any) -> list[dict[str, Any]]:
    if isinstance(rejected, pa.RecordBatch | pa.Table):
        found: list[dict[str, Any]] = rejected.to_pylist()
        return found
    return [dict(rejected) if isinstance(rejected, dict) else row_dict(rejected)]


def _message(row: dict[str, Any]) -> str:
    return f"{row['reason']}: column {row['column']!r}: {row['value']}, {row['message']}"


def _refuse(rejected: Any) -> NoReturn:
    (row, *_) = _rejected_rows(rejected)
    raise JobError(
        f"a row was rejected: {_message(row)}; MLTransform(...).with_exception_handling() hands such rows out"
    )


def _described(rejected: Any) -> list[tuple[Any, tuple[Any, str, str]]]:
    """Returns rejected rows in the form that Beam's exception handling has: the element, then type, message and stack."""
    return [(_original(row), (JobError, _message(row), "")) for row in _rejected_rows(rejected)]


def _original(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row as it came; as the record's own bytes where it came with its record."""
    if row["record_format"] != origin.ARROW_IPC:
        return {"record": row["record"], "record_format": row["record_format"]}
    (original,) = pa.ipc.open_stream(row["record"]).read_all().to_pylist()
    return dict(original)


def _limit(good: beam.PCollection, rejected: beam.PCollection, threshold: float) -> None:
    """Fails the pipeline where too large a share of the rows was rejected."""
    counts = []
    for name, part in (("Good", good), ("Bad", rejected)):
        globally = part | f"{name}Rows" >> beam.Map(_num_rows) | f"{name}All" >> beam.WindowInto(GlobalWindows())
        counts.append(globally | f"{name}Count" >> beam.CombineGlobally(sum))
    counts[0] | "Limit" >> beam.Map(_check_share, AsSingleton(counts[1]), threshold)


def _num_rows(element: Any) -> int:
    return element.num_rows if isinstance(element, pa.RecordBatch | pa.Table) else 1


def _check_share(good: int, rejected: int, threshold: float) -> None:
    if rejected > round(threshold * (good + rejected), 9):
        raise JobError(f"{rejected:,} of {good + rejected:,} rows rejected, threshold {threshold:g} allows fewer")
