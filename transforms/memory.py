"""Columns over a handful of rows, without Beam: for notebooks and for tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from transforms import reprs
from transforms.columns import Column, Output
from transforms.columns.learned_vocabulary import LearnedVocabularyBase
from transforms.columns.vocabulary_lookup import Vocabulary, Words, keep_in
from transforms.densify import dense_batch, graph, spoiled
from transforms.densify.collect import fit
from transforms.errors import listed, nearest
from transforms.groups import DEFAULT_GROUP, SequenceGroup
from transforms.normalizers.asks import Ask
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import exports, origin, paths
from transforms.rows.frames import ArrowStream, is_frame
from transforms.rows.from_python import batches_of
from transforms.rows.rejection import SCHEMA
from transforms.rows.tally import Tally, add
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec, dense, input_name, length_name, mask_name
from transforms.stages import Stage, parse_batch, reject_late, validate_batch
from transforms.statistics.contributed import Contribution, Packed
from transforms.statistics.details import Details, contribution
from transforms.statistics.fitted import Fitted
from transforms.stored.learned_words import learned_of
from transforms.stored.word_files import NO_WORDS

if TYPE_CHECKING:
    from transforms.columns.steps import Asked

SHOWN_REJECTED: Final = 10
"""Rejected rows that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Applied:
    """The result of applying columns to some rows.

    Attributes:
      arrays: every output by name, `[accepted rows, ...]`, in its declared dtype.
      outputs: the description of each array.
      rows: positions of the accepted rows among those given, int64.
      rejected: the rejected rows (`rejection.SCHEMA`).
      tally: the counts.
      fitted: the statistics used; pass them on to apply the same to other rows. None if a saved graph was used.
    """

    spec: Spec
    arrays: Mapping[str, np.ndarray]
    outputs: Sequence[Output]
    rows: np.ndarray
    rejected: pa.Table
    tally: Tally
    fitted: Fitted | None

    def __repr__(self) -> str:
        """Rows and outputs, without their values."""
        outputs = listed(f"{o.name} {o.dtype} {list(self.arrays[o.name].shape)}" for o in self.outputs)
        return f"Applied({len(self.rows):,} rows, {self.rejected.num_rows:,} rejected; {outputs})"

    def _repr_html_(self) -> str:
        """Tables for notebooks: the outputs, and the first rejected rows."""
        outputs = [(o.name, o.dtype, self.arrays[o.name].shape, o.kind, o.source) for o in self.outputs]
        caption = f"{len(self.rows):,} rows, {self.rejected.num_rows:,} rejected"
        made = reprs.table(("output", "dtype", "shape", "kind", "of"), outputs, caption)
        if not self.rejected.num_rows:
            return made
        heads = ("row", "reason", "column", "value", "message")
        first = self.rejected.select(heads).slice(0, SHOWN_REJECTED).to_pylist()
        return made + reprs.table(heads, [[row[head] for head in heads] for row in first], "rejected, the first")

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns one output.

        Raises:
          KeyError: there is no such output.
        """
        if name not in self.arrays:
            raise KeyError(f"no output {name!r}{nearest(str(name), self.arrays)}; known: {listed(self.arrays)}")
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Goes through the names of the outputs: `dict(applied)` is what a model is given."""
        return iter(self.arrays)

    def keys(self) -> KeysView[str]:
        """Returns the names of the outputs."""
        return self.arrays.keys()

    def lengths(self, group: str = DEFAULT_GROUP) -> np.ndarray:
        """Returns the kept steps of each row, int64 `[rows]`."""
        return self.arrays[length_name(group)]

    def mask(self, group: str = DEFAULT_GROUP) -> np.ndarray:
        """Returns where steps stand, bool `[rows, T]`."""
        return self.arrays[mask_name(group)]

    def to_arrow(self) -> pa.Table:
        """Returns the outputs as an Arrow table, a row for each accepted row: `rows` says which of those given it is.

        Columns are in their declared dtypes (bfloat16, which Arrow does not have, as float32), without nulls; what is `[T, 2]` in
        a row is a fixed-size list of T fixed-size lists of 2. Lengths are int64, masks fixed-size lists of booleans.
        """
        return exports.table_of(self.arrays, {output.name: output.dtype for output in self.outputs})

    def to_pandas(self) -> Any:
        """Returns the outputs as a frame of pandas, a row for each accepted row: `rows` says which of those given it is.

        What is `[T, 2]` in a row is a cell with an array of that shape, in its dtype; `numpy.stack` of a column is the output.

        Raises:
          ModuleNotFoundError: pandas is not installed.
        """
        return exports.pandas_of_arrays(self.arrays)

    def to_polars(self) -> Any:
        """Returns the outputs as a frame of Polars, as `to_arrow` has them; sequences are of its type Array.

        Raises:
          ModuleNotFoundError: Polars is not installed.
        """
        return exports.polars_of(self.to_arrow())

    def sequence_input(self, group: str = DEFAULT_GROUP) -> tuple[np.ndarray, np.ndarray]:
        """Returns what TensorFlow's `SequenceFeatures` returns: `(sequence_input, sequence_length)`.

        Columns are concatenated in code-point order of their names, trailing dimensions flattened.

        Returns:
          float32 `[rows, T, D]` and int64 `[rows]`.

        Raises:
          ValueError: the group has a column that is not dense (ids without a wrapper), which TensorFlow refuses too.
        """
        if input_name(group) in self.arrays:
            return self.arrays[input_name(group)], self.lengths(group)
        if not self.spec.members(group):
            raise ValueError(f"no column belongs to the sequence group {group!r}")
        for column in self.spec.members(group):
            if not any(dense(output) for output in column.outputs(None)):
                raise ValueError(f"column {column.name!r} ({column.type_name}) holds ids and is not dense")
        arrays = [self.arrays[output.name].astype(np.float32) for output in self.spec.concatenation(group)]
        flat = [a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for a in arrays]  # without steps, -1 would be ambiguous
        return np.concatenate(flat, axis=2), self.lengths(group)


Rows: TypeAlias = Iterable[Mapping[str, Any]] | ArrowStream
"""Dicts, or a frame: of pandas, Polars or Arrow."""


def apply(
    data: Rows,
    columns: Sequence[Column] | Column | Spec,
    sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
    *,
    fitted: Fitted | None = None,
    transform: str | None = None,
    max_steps: int = MAX_STEPS,
) -> Applied:
    """Parses, validates, normalises and densifies rows in memory: the same code that the job runs.

    >>> from seqcols import sequence_numeric_column
    >>> done = apply([{"x": [1.0, 2.0]}, {"x": [3.0]}, {"x": [float("nan")]}], [sequence_numeric_column("x")])
    >>> done["x"].tolist(), done.rejected["reason"].to_pylist()
    ([[[1.0], [2.0]], [[3.0], [0.0]]], ['non_finite'])

    Args:
      data: rows as dicts, whose values may be NumPy arrays and tensors, or a frame: of pandas, Polars or Arrow (Table,
        RecordBatch, RecordBatchReader). A frame means what a job reads from Parquet that its own library writes of it: in
        pandas NaN is absent, and of the index the levels with a name are features.
      columns: the columns, or a spec.
      sequence_groups: policies by group; one policy is that of the default group.
      fitted: statistics from before. Without (and without `transform`) they are computed from these rows.
      transform: directory of a saved graph; its statistics are used.
      max_steps: most steps of a sequence; a row with more is rejected (`over_limit`).

    Raises:
      SpecError: the columns do not work together.
      TypeError, ValueError: the data are no rows, or a frame is without a sequence that is not `required: false`.
    """
    spec = make_spec(columns, sequence_groups)
    tally: Tally = Counter()
    accepted, rejected = [], []
    for batch in batches_of(data, spec.features):
        if is_frame(data) and not tally["", "rows", "read"]:
            _refuse_absent(batch, spec)
        parsed = parse_batch(batch, spec.columns, max_steps)
        valid = validate_batch(parsed.batch, spec, parsed.views)
        tally["", "rows", "read"] += batch.num_rows
        add(tally, parsed.tally)
        add(tally, valid.tally)
        accepted.append(valid.batch)
        rejected += [part for part in (parsed.rejected, valid.rejected) if part is not None]
    accepted = [part for part in accepted if part.num_rows]
    function, fitted = _graph(spec, accepted, fitted, transform)
    arrays, late = _run(function, accepted, spec)
    for stage in late:
        add(tally, stage.tally)
        rejected += [stage.rejected] if stage.rejected is not None else []
    batch = _joined([stage.batch for stage in late], spec)
    tally["", "rows", "written"] = batch.num_rows
    outputs = dense_batch.final_outputs(spec, arrays)
    final = {o.name: _cast(o, batch, arrays, spec) for o in outputs}
    table = pa.Table.from_batches(rejected) if rejected else SCHEMA.empty_table()
    order = np.argsort(table["row"].to_numpy(), kind="stable")
    return Applied(spec, final, outputs, origin.row_numbers(batch), table.take(order), tally, fitted)


def _refuse_absent(batch: pa.RecordBatch, spec: Spec) -> None:
    """Refuses a frame that has features, but no sequence that is needed: every row would be empty. A job refuses such a file."""
    names = [name for name in batch.schema.names if name not in origin.RESERVED]
    for column in spec.sequence_columns:
        for key in column.features:
            if names and not column.optional and paths.column(batch, key) is None:
                hint = nearest(key, names) or f"; it has {listed(names)}"
                raise ValueError(f"column {column.name!r}: the frame has no feature {key!r}{hint}")


def _graph(
    spec: Spec, accepted: Sequence[pa.RecordBatch], fitted: Fitted | None, transform: str | None
) -> tuple[graph.BatchFunction, Fitted | None]:
    if transform is not None:
        return graph.saved_graph(spec, transform), None
    fitted = fitted or fit(spec, graph.raw_tensors(_joined(accepted, spec), spec), _Whole())
    return graph.fitted_graph(fitted, compiled=False), fitted


class _Whole:
    """Figures of one batch as those of the whole data set: see `transforms.statistics.fitted.Combine`."""

    def __init__(self) -> None:
        self.track = keep_in({})

    def moments(self, level: int, parts: Sequence[Contribution], contributed: Sequence[Any]) -> np.ndarray:
        return Packed(tuple(parts)).add(*contributed).table()

    def details(self, level: int, asks: Sequence[Ask], asked: Sequence[Asked]) -> list[np.ndarray]:
        parts, contributed = contribution(asks, asked)
        found = Details(asks, parts).add(*(np.asarray(tensor) for tensor in contributed))
        return np.split(found.outcome(), len(asks))

    def vocabulary(self, column: LearnedVocabularyBase, words: Any) -> Vocabulary:
        found = learned_of(pa.array(words.numpy(), pa.large_binary()), column.choice)
        return Words(found.words or [NO_WORDS], column.vocabulary_name, self.track)


def _run(
    function: graph.BatchFunction, accepted: Sequence[pa.RecordBatch], spec: Spec
) -> tuple[graph.Arrays, list[Stage]]:
    """Runs the graph over all rows at once; a row that a normalizer spoils is rejected after all."""
    arrays = graph.to_arrays(function(_joined(accepted, spec)))
    faults = spoiled.normalizer_faults(arrays, spec)
    if not faults:
        return arrays, [Stage(batch) for batch in accepted]
    masks, late, first = [], [], 0
    for batch in accepted:
        part = {name: array[first : first + batch.num_rows] for name, array in arrays.items()}
        good, stage = reject_late(batch, spec, spoiled.normalizer_faults(part, spec))
        masks.append(good)
        late.append(stage)
        first += batch.num_rows
    return {name: array[np.concatenate(masks)] for name, array in arrays.items()}, late


def _joined(batches: Sequence[pa.RecordBatch], spec: Spec) -> pa.RecordBatch:
    """Joins canonical batches without their records, whose types may differ."""
    keys = spec.features
    if not batches:
        empty = pa.RecordBatch.from_pydict({key: pa.nulls(0) for key in keys})
        return parse_batch(empty, spec.columns).batch
    return pa.concat_batches([batch.select([*keys, origin.ROW_COLUMN]) for batch in batches])


def _cast(output: Output, batch: pa.RecordBatch, arrays: graph.Arrays, spec: Spec) -> np.ndarray:
    if output.name not in arrays:
        passed = dense_batch.dense_batch(batch, arrays, spec).column(output.name)
        return passed.to_numpy(zero_copy_only=False)
    name = "float32" if output.dtype == "bfloat16" else output.dtype
    return arrays[output.name].astype(name)
