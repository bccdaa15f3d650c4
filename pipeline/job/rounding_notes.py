"""Notes on columns in which rounding makes different values equal, with the remedy."""

from __future__ import annotations

from pipeline.sinks.formats import SINKS
from transforms.columns import Column
from transforms.columns.numeric_base import NumericBase, numeric_of
from transforms.counting import ROUNDED
from transforms.normalizers import Function
from transforms.parse.rounding import Rounded
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec


def notes(spec: Spec, tally: Tally, sink: str) -> list[str]:
    """Returns a line for every column that loses values.

    Args:
      spec: the columns.
      tally: the counts of `counting.count_rounded`.
      sink: the format that is written.
    """
    made = []
    for column in spec.columns:
        numeric = numeric_of(column)
        if numeric is None:
            continue
        found = {}
        for stage in ("parsed", "float32", "float64"):
            found[stage] = Rounded(
                *(tally["", ROUNDED, column.name, stage, what] for what in ("different", "left", "whole"))
            )
        for one, how, remedy in _losses(column, numeric, found, spec, sink):
            if one.matters:
                counts = f"{one.different:,} different values {one.left:,}"
                made.append(f"column {column.name!r}: {how} makes {counts} (of those looked at): {remedy}")
                break
    return made


def _losses(
    column: Column, numeric: NumericBase, found: dict[str, Rounded], spec: Spec, sink: str
) -> list[tuple[Rounded, str, str]]:
    """Returns what may be lost on the way of a column's values: the counts, by what, and the remedy."""
    whole = found["parsed"].whole > 0
    if numeric.dtype == "float32":
        keeps = (
            "dtype: int64 keeps integers apart, dtype: float64 those up to 2^53"
            if whole
            else "dtype: float64 keeps them apart"
        )
        return [(found["parsed"], "float32", keeps)]
    ends_narrow = column is numeric and spec.is_concatenated(column)
    if numeric.dtype == "float64":
        losses = [(found["parsed"], "float64", "dtype: int64 keeps integers apart")]
        if column is numeric and not numeric.links and ends_narrow:
            losses.append((found["float32"], "the concatenation (float32)", "concatenate: false keeps them apart"))
        elif column is numeric and not numeric.links and not SINKS[sink].keeps_float64:
            losses.append((found["float32"], "a tf.Example (float32)", "--format parquet keeps them apart"))
        remedy = "the signature 'ragged' of the serving model takes float64, 'serving_default' does not"
        return [*losses, (found["float32"], "a tf.Example sent to the serving model (float32)", remedy)]
    keeps = "dtype: float64 keeps integers up to 2^53 apart"
    if numeric.links and isinstance(numeric.links[0], Function):
        return [(found["float32"], "float32, which a function is given,", keeps)]
    if numeric.links:
        return [(found["float64"], "float64, in which it is normalised,", "subtract a constant at the source")]
    if getattr(column, "boundaries", None):
        return [(found["float32"], "float32, in which boundaries are compared,", keeps)]
    return (
        [(found["float32"], "the concatenation (float32)", "concatenate: false keeps them apart")]
        if ends_narrow
        else []
    )
