"""Files that do not belong to the columns: another schema, a misspelt feature. Looked for before a run, and in what it counted.

A Parquet, Avro or CSV file says once what its rows hold. A tf.Example or a JSON object says it row by row, and one without a
feature is a row with an empty sequence. So such a file is refused only if it differs from all others: it holds features that are
in none of the others and in no column, and does not have any feature of the columns, or not the one with nearly the same name.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa

from pipeline.dataset import ledger
from pipeline.sources.base import Source
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.columns import Column
from transforms.errors import JobError, listed, nearest
from transforms.parse.parse import column_type_error
from transforms.rows import origin, paths
from transforms.spec.spec import Spec
from transforms.splits.rule import Split

MOST_SAMPLED: Final = 64
"""Files without a schema whose first rows are looked at, spread over all of them."""

SAMPLED_ROWS: Final = 100

MOST_SUSPECTS: Final = 32
"""The most files, with a column absent in all their rows, that are looked at again after a pass."""

COMPARED: Final = 8
"""Other files that such a file is compared with."""

THREADS: Final = 8

NEARLY: Final = 0.8
"""From here on two names are nearly the same: a letter lost, or two swapped (see `difflib`)."""


@dataclass(frozen=True)
class _Seen:
    """The features of a file: those that stand in it, and those of them that hold something.

    `has_schema`: whether that is known for all rows of the file, from its schema.
    """

    path: str
    names: frozenset[str]
    held: tuple[str, ...]
    has_schema: bool


def look(paths: Sequence[str], spec: Spec, limits: Limits = DEFAULTS) -> tuple[str, ...]:
    """Looks at the files before a run, so that one that does not belong fails at once and not after hours.

    Files with a schema are all looked at; of the others the first rows of some.

    Args:
      paths: the files, in the order in which faults are said.
      spec: the columns that are read from them.
      limits: the largest records and files to accept.

    Returns:
      Names of the features of the first file.

    Raises:
      JobError: a file cannot be read, does not have a feature, or has it in a type that cannot be parsed.
    """
    chosen = sampled(paths, limits)
    found: list[_Seen] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(chosen), MOST_SAMPLED):  # by parts, so that an early fault is not waited for
            part = chosen[start : start + MOST_SAMPLED]
            found += pool.map(_seen, *zip(*part, strict=True), itertools.repeat(spec), itertools.repeat(limits))
    for one in found:
        if not one.has_schema:
            _refuse_odd(one, [other for other in found if other is not one], spec.columns)
    return found[0].held if found else ()


def sampled(paths: Sequence[str], limits: Limits) -> list[tuple[str, Source]]:
    """Returns the files that are looked at, the first among them, and their sources: all with a schema, some of the others.

    Raises:
      JobError: a file has a name of no format.
    """
    sources = [(path, source_for(path, limits)) for path in paths]
    loose = [path for path, source in sources if not source.has_schema]
    chosen = {*loose[:: -(-len(loose) // MOST_SAMPLED) or 1], *loose[-1:]}
    return [one for one in sources if one[1].has_schema or one[0] in chosen]


def _seen(path: str, source: Source, spec: Spec, limits: Limits) -> _Seen:
    features = source.features(path, limits, SAMPLED_ROWS)
    if source.has_schema:
        try:
            refuse_schema(path, features, spec)
        except JobError:
            if source.has_rows(path, limits):
                raise
    found = (key for key in spec.features if paths.find(features, key))
    return _Seen(path, frozenset((*features, *found)), _held(features), source.has_schema)


def _held(features: Mapping[str, pa.DataType]) -> tuple[str, ...]:
    """Returns the names of the features that hold something; of those in structs the paths, too."""
    held = [n for n, kind in features.items() if not pa.types.is_null(kind) and n not in origin.RESERVED]
    inside = (name for name, kind in paths.leaves(features) if not pa.types.is_null(kind))
    return tuple(dict.fromkeys((*held, *inside)))


def _refuse_odd(one: _Seen, others: Sequence[_Seen], columns: Sequence[Column]) -> None:
    keys = _keys(columns)
    absent = {key: column for key, column in keys.items() if key not in one.names}
    nowhere = {key: column for key, column in absent.items() if not any(key in other.names for other in others)}
    # A column that no file has is a misspelt one, whatever else all of them have.
    why = _why_odd(nowhere, False, _strange(one.held, keys, []))
    why = why or _why_odd(absent, absent == keys != nowhere, _strange(one.held, keys, [other.held for other in others]))
    if why:
        raise JobError(f"{one.path}: {why}")


def _keys(columns: Sequence[Column]) -> dict[str, str]:
    """Returns the features that columns read, and the name of a column that does."""
    return {key: column.name for column in columns for key in column.features}


def _strange(names: Iterable[str], keys: Collection[str], others: Iterable[Collection[str]]) -> list[str]:
    """Returns the features of a file that no column reads and no other file has."""
    known = {*keys, *(name for other in others for name in other)}
    read = {
        key[: at + 1] for key in keys for at in range(len(key)) if key[at + 1 : at + 2] == "."
    }  # structs on their paths
    return sorted(name for name in names if name not in known | read)


def _why_odd(absent: Mapping[str, str], all_absent: bool, strange: Sequence[str]) -> str:
    """Returns why a file with absent and strange features does not belong; an empty text if it may."""
    for key, column in absent.items():
        name = nearly(key, strange)
        if name:
            return f"column {column!r}: the feature {key!r} is absent; did you mean {name!r}?"
    if all_absent and strange:
        return f"has none of the features {listed(absent)}; it has {listed(strange)}"
    return ""


def nearly(key: str, names: Iterable[str]) -> str:
    """Returns the name that is nearly the same as a feature's, or an empty string."""
    known = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(key.casefold(), known, 1, NEARLY)
    return known[near[0]] if near else ""


def refuse_odd_files(
    book: Mapping[str, Any], names: Mapping[str, str], columns: Sequence[Column], limits: Limits = DEFAULTS
) -> None:
    """Looks again at files in which, by the counts of a pass, no row has some feature that rows of other files have.

    Args:
      book: the ledger of the pass.
      names: path of each file to its name in the ledger.
      columns: the columns that are read from them.
      limits: the largest records and files to accept.

    Raises:
      JobError: such a file does not belong to the others.
    """
    keys = _keys(columns)
    suspects = [(path, absent) for path, name in names.items() if (absent := _absent(book, name, columns))]
    for path, absent in suspects[:MOST_SUSPECTS]:
        source = source_for(path, limits)
        if source.has_schema:
            continue
        others = [other for other in names if other != path][:COMPARED]
        known = (_held(source_for(other, limits).features(other, limits, SAMPLED_ROWS)) for other in others)
        why = _why_odd(absent, len(absent) == len(keys), _strange(_held(source.features(path, limits)), keys, known))
        if why:
            raise JobError(f"{path}: {why}")


def _absent(book: Mapping[str, Any], name: str, columns: Sequence[Column]) -> dict[str, str]:
    """Returns the features of the columns that no row of a file has, though rows of other files have them."""
    entry = book["files"].get(name)
    if not entry or not ledger.parsed(entry["rows"]):
        return {}
    lacks = [c for c in columns if book["columns"][c.name]["present"] and not entry["columns"][c.name]["present"]]
    return _keys(lacks)


class Reads(Protocol):
    """A spec, or anything else that says which features of rows are read."""

    @property
    def columns(self) -> Sequence[Column]:
        """The columns."""

    @property
    def row_rule(self) -> Split | None:
        """The rule that divides the rows."""

    @property
    def read_features(self) -> Mapping[str, str]:
        """The features, and the carrier of each."""


def refuse_schema(path: str, features: Mapping[str, pa.DataType], spec: Reads) -> None:
    """Refuses a file whose schema cannot fill the columns.

    Raises:
      JobError: it does not have a column, which is not optional or seems to be there under another name; or has it in a type of
        which no value can be parsed.
    """
    names, keys = [name for name, _ in paths.leaves(features) if name not in origin.RESERVED], _keys(spec.columns)
    wanted = [(f"column {c.name!r}", key, c.optional) for c in spec.columns for key in c.features]
    split = [("split", key, False) for key in (spec.row_rule.keys if spec.row_rule else ())]
    for what, key, optional in [*wanted, *split]:
        if paths.find(features, key) is None and not (optional and not nearly(key, _strange(names, keys, []))):
            hint = nearest(key, names) or f"; it has {listed(names)}"
            raise JobError(f"{path}: {what}: the file has no feature {key!r}{hint}")
    for column, key, form in ((c, key, form) for c in spec.columns for key, form in c.features.items()):
        kind = paths.kind_of(features, key)
        why = "" if kind is None else column_type_error(kind, form)
        if why:
            raise JobError(f"{path}: column {column.name!r}: {why}")
