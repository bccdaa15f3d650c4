"""The size of a dense row in bytes: the product of T, shapes and places for ids, known before any row is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from transforms import dtypes
from transforms.errors import SpecFault
from transforms.problems import path_of

if TYPE_CHECKING:
    from transforms.columns import Output
    from transforms.spec.spec import Spec

_ITEM_BYTES: Final = {"int64": 8, "float32": 4, "float64": 8, "string": 0}
"""Bytes of a value by `dtypes.parsed`; text is only passed through, with the size that it has in its record."""


def bytes_of(output: Output) -> int:
    """Returns the bytes of an output in a row, of a sequence those of a step.

    >>> from transforms.columns import Output
    >>> bytes_of(Output("x", "float32", (None, 2, 3), "values", "x", sequence=True))
    24
    """
    shape = output.shape[1:] if output.sequence else output.shape
    item = 1 if output.dtype == "bool" else _ITEM_BYTES[dtypes.parsed(output.dtype)]
    return item * math.prod(size for size in shape if size is not None)


def step_bytes(spec: Spec, group: str) -> int:
    """Returns the bytes that a step of a group takes in all outputs together."""
    return sum(bytes_of(output) for output in spec.outputs_of(group) if output.sequence)


def _around(spec: Spec) -> int:
    """Returns the bytes that a row takes besides its steps."""
    return sum(bytes_of(output) for output in spec.outputs() if not output.sequence)


def faults(spec: Spec, most: int, why: str) -> list[SpecFault]:
    """Returns a fault where a dense row takes more bytes than allowed: at the part of the spec that takes most of them.

    A group whose T the data decides counts with one step here; `too_long` looks again when T is known.

    Args:
      spec: the columns.
      most: bytes that a row may take.
      why: where that number comes from.
    """
    steps = {name: spec.group(name).fixed_length or 1 for name in spec.group_names}
    groups = {name: steps[name] * step_bytes(spec, name) for name in steps}
    alone = [(k, sum(map(bytes_of, c.outputs(None)))) for k, c in enumerate(spec.columns) if not c.is_sequence]
    total = sum(groups.values()) + _around(spec)
    if total <= most:
        return []
    largest = max(groups, key=lambda name: groups[name], default=None)
    if largest is None or groups[largest] < max((size for _, size in alone), default=0):
        where, size = max(alone, key=lambda one: one[1])
        return [SpecFault(f"columns[{where}]", f"expected at most {most} bytes in a dense row ({why}), got {size}")]
    a_step = step_bytes(spec, largest)
    fitting = (most - (total - groups[largest])) // a_step
    if fitting >= 1:
        message = f"expected at most {fitting} (a step takes {a_step} bytes; {why}: {most}), got {steps[largest]}"
        return [SpecFault(path_of(("sequence_groups", largest, "max_length")), message)]
    members = [
        (k, sum(map(bytes_of, c.outputs(None)))) for k, c in enumerate(spec.columns) if c.sequence_group == largest
    ]
    where, size = max(members, key=lambda one: one[1])
    return [SpecFault(f"columns[{where}]", f"expected at most {most} bytes in a dense row ({why}), got {size} a step")]


def too_long(spec: Spec, lengths: Mapping[str, int], most: int) -> str:
    """Returns why rows of the T that the data decided are too long, or an empty string.

    Args:
      spec: the columns.
      lengths: T of the groups that leave it to the data.
      most: bytes that a dense row may take.
    """
    sizes = {
        name: (spec.group(name).fixed_length or lengths[name]) * step_bytes(spec, name) for name in spec.group_names
    }
    total = sum(sizes.values()) + _around(spec)
    if total <= most or not spec.longest_groups:
        return ""
    name = max(spec.longest_groups, key=lambda group: sizes[group])
    return (
        f"the longest row of the sequence group {name!r} has {lengths[name]} steps: a dense row would take {total} bytes, "
        f"at most {most} are allowed (--max-record-bytes); give the group a max_length"
    )
