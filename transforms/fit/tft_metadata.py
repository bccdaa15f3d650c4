"""tf.Transform traces a preprocessing function twice more to learn what it annotates its outputs with; ours annotates nothing.

For 250 columns that takes 2 s of 18. tf.Transform 1.21 has no way to say so: here its function for it looks for a mark first. It
does for functions without the mark what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tensorflow_transform import schema_inference

_MARK = "__annotates_nothing__"

_T = TypeVar("_T", bound=Callable[..., Any])


def annotates_nothing(preprocessing_fn: _T) -> _T:
    """Marks a preprocessing function that uses none of tf.Transform's own analyzers and mappers on what it returns as it is."""
    setattr(preprocessing_fn, _MARK, True)  # which a pickle keeps
    return preprocessing_fn


def _traced(
    preprocessing_fn: Callable[..., Any], structured_inputs: Any, tf_graph_context: Any, evaluate_schema_overrides: bool
) -> Any:
    """Stands in for `schema_inference.get_traced_metadata_fn`."""
    if getattr(preprocessing_fn, _MARK, False):
        return dict
    return _theirs(preprocessing_fn, structured_inputs, tf_graph_context, evaluate_schema_overrides)


_theirs = schema_inference.get_traced_metadata_fn
schema_inference.get_traced_metadata_fn = _traced
