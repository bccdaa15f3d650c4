"""The fields of events and their types, decided by the schemas of files and by the first rows of files that have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from pipeline.inputs.preflight import THREADS, sampled
from pipeline.sources.base import Source
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from transforms.errors import JobError, SpecError, listed, nearest
from transforms.events.checks import schema_faults
from transforms.events.incoming import Incoming, one_type, plain_kinds
from transforms.events.make_events import resolved
from transforms.events.spec import Events

SAMPLED_ROWS: Final = 1000
"""Rows of a file without a schema that decide on the types of its fields."""

Held = Sequence[tuple[str, Mapping[str, pa.DataType]]]
"""Files and the plain types of their fields, by name."""


def held(
    paths: Sequence[str], limits: Limits, known: Mapping[str, Mapping[str, pa.DataType]] = MappingProxyType({})
) -> Held:
    """Returns the fields of files: of all that have a schema, and of some that have none.

    Args:
      paths: the files.
      limits: the largest records and files to accept.
      known: the schemas that were read before, as files have them.

    Raises:
      JobError: a file cannot be read.
    """

    def fields(one: tuple[str, Source]) -> tuple[str, dict[str, pa.DataType]]:
        path, source = one
        return path, plain_kinds(known.get(path) or source.features(path, limits, SAMPLED_ROWS))

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(fields, sampled(paths, limits)))


def kind_of(name: str, found: Held, is_key: bool) -> pa.DataType:
    """Returns the type that a field has in a run.

    Raises:
      JobError: files have it in types that do not go together.
    """
    kinds: dict[pa.DataType, str] = {}
    for path, features in found:
        if name in features:
            kinds.setdefault(features[name], path)
    kind = one_type(list(kinds), is_key)
    if kind is None:
        shown = "; ".join(f"{kind} in {path}" for kind, path in list(kinds.items())[:3])
        raise JobError(f"events: the field {name!r} has types that do not go together: {shown}")
    return kind


def incoming_of(spec: Events, found: Held, limits: Limits) -> Incoming:
    """Decides on the fields that a section reads, and on their types.

    Raises:
      SpecError: the section asks for fields that the events do not have, or for what their types cannot give.
      JobError: a file cannot be read, does not have a field, or has it in a type that does not go with that of another file.
    """
    names = list(dict.fromkeys(name for _, features in found for name in features))
    read = names if spec.features is None else set(spec.fields)
    kinds = {name: kind_of(name, found, name in spec.key) if name in read else pa.null() for name in names}
    faults = schema_faults(spec, pa.schema(list(kinds.items())))
    if faults:
        raise SpecError(faults)
    events = resolved(spec, list(kinds))
    own = {name: kinds[name] for name in events.fields}
    for name in own:
        for path in lacking(name, found, limits):
            features = dict(found)[path]
            hint = nearest(name, features) or f"; it has {listed(list(features))}"
            raise JobError(f"{path}: events: the file has no field {name!r}{hint}")
    return Incoming(events, own)


def lacking(name: str, found: Held, limits: Limits) -> Iterator[str]:
    """Yields the files with rows whose schema does not have a field: a mistake, which a run refuses.

    Raises:
      JobError: a file cannot be read.
    """
    for path in (path for path, features in found if name not in features):
        source = source_for(path, limits)
        if source.has_schema and source.has_rows(path, limits):
            yield path
