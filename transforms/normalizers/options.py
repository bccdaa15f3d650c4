"""Types of options that several normalizers have: lists of numbers in ascending order, and how many buckets are learned."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Field, WrapValidator
from pydantic_core import PydanticCustomError

MOST_BUCKETS: Final = 10_000
"""As many quantiles as the sketch of a large column is asked for: see `transforms.statistics.quantiles`."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]


def _resolved(buckets: int) -> int:
    if buckets > MOST_BUCKETS:
        message = "at most {most} buckets (the sketch of the quantiles resolves no more)"
        raise PydanticCustomError("buckets", message, dict(most=MOST_BUCKETS))
    return buckets


LearnedBuckets = Annotated[
    int, Field(strict=True, ge=2, json_schema_extra={"maximum": MOST_BUCKETS}), AfterValidator(_resolved)
]
"""Buckets whose boundaries are quantiles of the data."""


def _ascending(of: Any, least: int, most: int | None = None) -> Any:
    """Returns the type of a tuple of numbers in strictly ascending order; a list is taken, too, as YAML has no tuples."""

    def check(value: Any, inner: Callable[[Any], tuple[float, ...]]) -> tuple[float, ...]:
        made = inner(tuple(value) if isinstance(value, list) else value)
        if not least <= len(made) <= (most or len(made)) or any(not low < high for low, high in pairwise(made)):
            size = "two" if most else f"{least} or more"
            raise PydanticCustomError("ascending", "{size} numbers in ascending order", dict(size=size))
        return made

    given = Annotated[list[of], Field(min_length=least, max_length=most)]
    return Annotated[tuple[of, ...], WrapValidator(check, json_schema_input_type=given)]


if TYPE_CHECKING:
    Range: TypeAlias = tuple[float, ...]
    Quantiles: TypeAlias = tuple[float, ...]
    Boundaries: TypeAlias = tuple[float, ...]
else:
    Range = _ascending(Finite, 2, 2)
    Quantiles = _ascending(Probability, 2, 2)
    Boundaries = _ascending(Finite, 1)
