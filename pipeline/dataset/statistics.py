"""`statistics.json`: what the data looks like, for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import layout
from transforms.columns import Column
from transforms.columns.numeric_base import numeric_of
from transforms.normalizers.asks import Ask
from transforms.rows.tally import Tally, lengths_by_group
from transforms.spec.spec import Spec
from transforms.statistics import moments

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def build(
    spec: Spec,
    table: np.ndarray,
    tally: Tally,
    sizes: Mapping[str, int | None],
    details: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Returns the statistics as they are written to `statistics.json`.

    Args:
      spec: the columns.
      table: moments of all numeric columns, `[5, dimensions]`.
      tally: everything counted.
      sizes: T of every sequence group.
      details: quantiles and figures by key (see `read_details`).

    Returns:
      `columns`: for numeric columns count, mean, variance (population), min and max, each in the shape of the column's step
      (`[1]` where it has one pair for all; None where there are no values), and what else was counted; where a
      normalizer (or a bucketized column) asked for more, `fitted`: quantiles, and for `per: key` how many keys there are and the
      figures of the 1,000 with the most values, each before the link of the chain that asked. `groups`: T and the
      distribution of the lengths of accepted rows before truncation.
    """
    asks = [ask for ask in spec.asks if ask.level == 0 and ask.packed]
    places = moments.slices([ask.width for ask in asks])
    by_name = {column.name: column for column in spec.columns}
    raw = [(by_name[ask.owner], ask, place) for ask, place in zip(asks, places, strict=True) if ask.link == 0]
    numeric = {column.name: _numeric(column, ask, table[:, place]) for column, ask, place in raw}
    columns, totals = {}, _over_files(tally)
    for column in spec.columns:
        counted = ("values", "nulls", "non_finite", "replaced", "filled", "absent", "empty")
        counts = {what: totals["column", column.name, what] for what in counted}
        columns[column.name] = {"type": column.type_name, **numeric.get(column.name, {}), **counts}
        fitted = [{k: v for k, v in one.items() if k != "column"} for one in details if one["column"] == column.name]
        columns[column.name] |= {"fitted": fitted} if fitted else {}
    found = lengths_by_group(tally)
    groups = {name: {"T": sizes.get(name), **_lengths(found.get(name), tally, name)} for name in spec.group_names}
    return {"rows": totals["rows", "written"], "columns": columns, "groups": groups}


def read_details(spec: Spec, staging: str) -> list[dict[str, Any]]:
    """Returns what the analysis wrote down of quantiles and figures by key (see `by_key.readable`), level by level."""
    from transforms.statistics.saved import details_file  # which imports TensorFlow

    levels = sorted({ask.level for ask in spec.asks if not ask.packed})
    files = [layout.read_json(FileSystems.join(staging, details_file(level))) for level in levels]
    return [one for file in files for one in file["details"]]


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value if isinstance(value, str | int | float) else str(value)


def _over_files(tally: Tally) -> Counter[tuple[Any, ...]]:
    """Returns what was counted, without the file that each key begins with."""
    made: Counter[tuple[Any, ...]] = Counter()
    for key, count in tally.items():
        made[key[1:]] += count
    return made


def _numeric(column: Column, ask: Ask, table: np.ndarray) -> dict[str, Any]:
    shape = ask.figure_shape
    count = table[0].reshape(shape)
    figures = {"mean": table[1], "variance": table[2], "min": table[3], "max": table[4]}
    numeric = numeric_of(column)
    over = getattr(numeric, "statistics_over", "kept")
    made: dict[str, Any] = {"over": over, "count": count.astype(np.int64).tolist()}
    for name, values in figures.items():
        made[name] = moments.readable(np.asarray(values).reshape(shape), count > 0)
    normalizer = numeric.normalizer_fn if numeric is not None else None
    if normalizer is not None:
        links = [{name: _as_json(value) for name, value in link if value is not None} for link in normalizer.links]
        made["normalizer"] = links[0] if len(links) == 1 else links
    return made


def _lengths(counts: Sequence[tuple[int, int]] | None, tally: Tally, group: str) -> dict[str, Any]:
    """Describes lengths from their histogram; quantiles are lower bucket ends, within 3.2 % of the length."""
    if not counts:
        return {"rows": 0, "mean": None, "max": None, "quantiles": {}, "histogram": []}
    lengths, rows = (np.array(side) for side in zip(*counts, strict=True))
    running = np.cumsum(rows)
    at = {str(q): int(lengths[np.searchsorted(running, q * running[-1])]) for q in QUANTILES}
    mean = tally["", "length_sum", group] / int(running[-1])
    return {
        "rows": int(running[-1]),
        "mean": mean,
        "max": tally["", "length_max", group],
        "quantiles": at,
        "histogram": [[int(length), int(n)] for length, n in counts],
    }
