"""Columns: what happens to a column's values. Import from here; TensorFlow and Beam load only when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transforms.columns import CLASSES, TYPES, Column, constructor, shared_embeddings
from transforms.errors import JobError, SpecError, SpecFault
from transforms.groups import SequenceGroup
from transforms.normalizers import NORMALIZERS, Chain, Function, Normalizer
from transforms.rows.reasons import REASONS
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec

if TYPE_CHECKING:
    from transforms.beam import Densify, Parse, Validate
    from transforms.columns.from_tensorflow import converted
    from transforms.events.make_events import make_events
    from transforms.events.sequences import Grouped, sequences
    from transforms.events.spec import Events
    from transforms.fit.fit import Fit, FitAndDensify
    from transforms.memory import Applied, apply
    from transforms.ml_transform import SequenceColumns
    from transforms.preprocessing import make_preprocessing_fn
    from transforms.spec.parse_specs import make_output_parse_example_spec, make_parse_example_spec

_LATE = {
    "Applied": "transforms.memory",
    "Densify": "transforms.beam",
    "Events": "transforms.events.spec",
    "Fit": "transforms.fit.fit",
    "FitAndDensify": "transforms.fit.fit",
    "Grouped": "transforms.events.sequences",
    "Parse": "transforms.beam",
    "SequenceColumns": "transforms.ml_transform",
    "Validate": "transforms.beam",
    "apply": "transforms.memory",
    "converted": "transforms.columns.from_tensorflow",
    "make_events": "transforms.events.make_events",
    "make_output_parse_example_spec": "transforms.spec.parse_specs",
    "make_parse_example_spec": "transforms.spec.parse_specs",
    "make_preprocessing_fn": "transforms.preprocessing",
    "sequences": "transforms.events.sequences",
}


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return constructor(name)
    if name in CLASSES:
        return CLASSES[name]
    if name in NORMALIZERS:
        return NORMALIZERS[name]
    if name in _LATE:
        import importlib

        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'transforms' has no attribute {name!r}")


__all__ = [  # noqa: PLE0604  # the names of the table, too
    "REASONS",
    "Applied",
    "Chain",
    "Column",
    "Densify",
    "Events",
    "Fit",
    "FitAndDensify",
    "Function",
    "Grouped",
    "JobError",
    "Normalizer",
    "Parse",
    "SequenceColumns",
    "SequenceGroup",
    "Spec",
    "SpecError",
    "SpecFault",
    "Validate",
    "apply",
    "converted",
    "make_events",
    "make_output_parse_example_spec",
    "make_parse_example_spec",
    "make_preprocessing_fn",
    "make_spec",
    "sequences",
    "shared_embeddings",
    *TYPES,
    *CLASSES,
    *NORMALIZERS,
]
