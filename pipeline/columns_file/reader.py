"""The columns file: YAML in, a checked spec out, and back. Says all that is wrong with a file at once, by line.

Needs neither TensorFlow nor Beam, so that what is wrong is said before anything slow begins.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticKnownError

from pipeline.columns_file.writer import dumps
from pipeline.columns_file.yaml_lines import Document, read_yaml
from transforms.columns import TYPES, AnyColumn, Column
from transforms.columns.base import SequenceMixin
from transforms.columns.identity import SequenceIdentity
from transforms.columns.learned_vocabulary import ONCE, Once
from transforms.columns.numeric_base import numeric_of
from transforms.columns.passthrough import Passthrough
from transforms.errors import SpecError, SpecFault, nearest
from transforms.events.spec import Events
from transforms.groups import SequenceGroup
from transforms.normalizers import Function, places
from transforms.problems import Problem, problems, shown
from transforms.spec.make_spec import cross_faults
from transforms.spec.spec import Spec
from transforms.splits.rule import Split
from transforms.stored.files import opened, plain_path

Model = TypeVar("Model")

__all__ = ["ColumnsFile", "check_functions", "dumps", "importable_from", "load", "loads", "located"]

LARGEST: Final = 256 * 2**10
"""The most bytes that a columns file may have. ruamel.yaml takes a second for this many of the worst kind."""

MOST_VALUES: Final = 20_000
"""Values that a columns file may hold: some thousand columns."""

ELSEWHERE: Final = "; a long vocabulary can be a vocabulary_file"


def version_of_layout(value: Any) -> Any:
    """Refuses `true` and `1.0`, which are 1 for Python and so for pydantic."""
    if type(value) is not int:
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


class ColumnsFile(Spec):
    """The layout of a columns file: a spec, and the version of the layout.

    Attributes:
      version: version of the layout. There is one so far.
    """

    version: Annotated[Literal[1], BeforeValidator(version_of_layout)] = 1


def load(path: str | Path, once: Once | None = None) -> Spec:
    """Reads a columns file.

    Args:
      path: a YAML 1.2 file in UTF-8, local or on one of Beam's file systems (`gs://...`).
      once: see `loads`.

    Returns:
      The spec. Functions that it names are not imported: see `check_functions`.

    Raises:
      SpecError: the file cannot be read, or with every fault in it, in the order of their lines.
    """
    name = plain_path(str(path))
    folder = name.rpartition("/")[0] if "://" in name else os.path.dirname(os.path.abspath(name))
    return _checked(read_yaml(read_text(name), name, MOST_VALUES, ELSEWHERE), name, folder, once)


def loads(text: str, name: str = "columns file", once: Once | None = None) -> Spec:
    """Reads the text of a columns file.

    >>> loads("columns: [{type: sequence_numeric_column, key: churn}]").columns[0].name
    'churn'

    Args:
      text: YAML 1.2.
      name: stands for the path in faults that concern the whole text.
      once: what columns of a finished data set extended when it was made; by default `extends` is read.

    Raises:
      SpecError: with every fault found, in the order of their lines.
    """
    return _checked(read_yaml(text, name), name, once=once)


def read_text(name: str) -> str:
    """Returns the text of a columns file.

    Raises:
      SpecError: it cannot be read, is too large or no UTF-8.
    """
    try:
        with opened(name) as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise SpecError([SpecFault(name, f"cannot read the columns file: {why}")]) from None
    if len(data) > LARGEST:
        raise SpecError([SpecFault(name, f"expected at most {LARGEST >> 10} KiB, got a larger file{ELSEWHERE}")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8 text, got the byte 0x{data[error.start]:02x}"
        raise SpecError([SpecFault(name, message, line)]) from None


def _checked(document: Document, name: str, folder: str | None = None, once: Once | None = None) -> Spec:
    data = document.data if folder is None else _beside(document.data, folder)
    if not isinstance(data, dict):
        raise SpecError([*document.faults, SpecFault(name, f"expected a mapping with 'columns', got {shown(data)}", 1)])
    found: list[Problem] = []
    spec: Spec | None
    try:
        file = ColumnsFile.model_validate(data, context={ONCE: once})
        spec = Spec(sequence_groups=file.sequence_groups, columns=file.columns, split=file.split, events=file.events)
    except ValidationError as error:
        found = problems(error, ColumnsFile, data, noun="key")
        spec = _valid_part(data)
    faults = [SpecFault(problem.path, problem.message) for problem in found]
    faults += cross_faults(spec) if spec else []
    faults = [replace(fault, line=document.line(fault.path) or 1) for fault in faults]
    # A value that could not be read is not reported again for its placeholder.
    told = {(fault.path, fault.line) for fault in document.faults}
    faults = [*document.faults, *(fault for fault in faults if (fault.path, fault.line) not in told)]
    if faults or spec is None:
        raise SpecError(sorted(faults, key=lambda fault: fault.line))
    return spec


def _beside(data: Any, folder: str) -> Any:
    """Returns the data of a columns file with absolute paths in it; relative ones begin where the file lies."""
    if isinstance(data, list):
        return [_beside(one, folder) for one in data]
    if not isinstance(data, dict):
        return data
    kind = _kind_of(data)
    paths = kind.path_fields if kind else ()
    return {name: _path(one, folder) if name in paths else _beside(one, folder) for name, one in data.items()}


def _kind_of(row: dict[str, Any]) -> type[Column] | None:
    """Returns the column type that a row names."""
    kind = row.get("type")
    return TYPES.get(kind) if isinstance(kind, str) else None


def _path(value: Any, folder: str) -> Any:
    """Returns a relative path as one in the folder; what is absolute, of another file system or no path as it is."""
    value = plain_path(value) if isinstance(value, str) else value
    return os.path.join(folder, value) if isinstance(value, str) and value and "://" not in value else value


def _valid_part(data: dict[str, Any]) -> Spec | None:
    """Returns what is valid of a faulty file, for the checks between columns and groups.

    Stand-ins keep the indices of faulty columns, their groups where these are known, and the names of faulty groups. They
    clash with nothing, so that no fault comes of them that is not in the file.
    """
    rows, policies = data.get("columns"), data.get("sequence_groups", {})
    if not isinstance(rows, list) or not rows:
        return None
    valid = [_valid(_COLUMN, row) for row in rows]
    columns = [column or _stand_in(row, k) for k, (column, row) in enumerate(zip(valid, rows, strict=True))]
    if isinstance(policies, dict):
        groups = {name: _valid(_GROUP, policy) or _NO_GROUP for name, policy in policies.items()}
    else:
        groups = {column.sequence_group: _NO_GROUP for column in columns if column.sequence_group is not None}
    if any(column is None and not _group_known(row) for column, row in zip(valid, rows, strict=True)):
        columns += [SequenceIdentity.make(key=f"\0group {name}", num_buckets=1, group=name) for name in groups if name]
    split = _valid(_SPLIT, data["split"]) if "split" in data else None
    events = _valid(_EVENTS, data["events"]) if "events" in data else None
    if events is None and "events" in data and split is not None and split.by == "time":
        split = split.model_copy(update={"feature": split.feature or _STAND_IN})
    return Spec.model_construct(sequence_groups=groups, columns=columns, split=split, events=events)


_COLUMN: Final[TypeAdapter[Column]] = TypeAdapter(AnyColumn)
_GROUP: Final = TypeAdapter(SequenceGroup)
_NO_GROUP: Final = SequenceGroup(mask=False)
_STAND_IN: Final = "\0"
_SPLIT: Final = TypeAdapter(Split)
_EVENTS: Final = TypeAdapter(Events)


def _valid(adapter: TypeAdapter[Model], data: Any) -> Model | None:
    try:
        return adapter.validate_python(data)
    except ValidationError:
        return None


def _group_known(row: Any) -> bool:
    """Returns whether a faulty column's group is beyond doubt: a misspelt type or key may be meant for another."""
    if not isinstance(row, dict):
        return False
    return "group" not in row if _is_context(row) else _group_of(row) is not None


_INNER: Final = {kind.inner_field for kind in TYPES.values() if kind.inner_field}


def _innermost(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of the column that a faulty one is built from, whatever type it was meant to have; or the row itself."""
    inner = next((one for name, one in row.items() if name in _INNER and isinstance(one, dict)), None)
    return row if inner is None else _innermost(inner)


def _is_context(row: dict[str, Any]) -> bool:
    kind = _kind_of(_innermost(row))
    return kind is not None and not issubclass(kind, SequenceMixin)


def _group_of(row: Any) -> str | None:
    """Returns the group that a faulty column names."""
    group = _innermost(row).get("group") if isinstance(row, dict) and not _is_context(row) else None
    return group if isinstance(group, str) and group else None


def _stand_in(row: Any, k: int) -> Column:
    group = _group_of(row)
    if group is not None:
        return SequenceIdentity.make(key=f"\0column {k}", num_buckets=1, group=group)
    return Passthrough(key=f"\0column {k}")


def located(faults: Sequence[SpecFault], path: str | Path) -> list[SpecFault]:
    """Returns faults of a spec that was read from a columns file with their lines in it."""
    document = read_yaml(read_text(str(path)), str(path), MOST_VALUES, ELSEWHERE)
    return [replace(fault, line=document.line(fault.path)) for fault in faults]


def check_functions(spec: Spec, path: str | Path | None = None) -> list[SpecFault]:
    """Imports the functions that a spec names.

    Args:
      spec: the spec.
      path: its columns file: modules beside it, if it is local, can be imported, and faults get their lines.

    Returns:
      What is wrong, empty if every function is there. Importing runs the modules' code.
    """
    where = plain_path(str(path)) if path else ""
    folder = Path(where).absolute().parent if where and "://" not in where else None
    faults = []
    with importable_from(folder):
        for k, column in enumerate(spec.columns):
            numeric = numeric_of(column)
            for place, link in zip(places(numeric.normalizer_fn), numeric.links, strict=True) if numeric else ():
                if isinstance(link, Function) and isinstance(link.function, str):
                    where = f"columns[{k}].{column.path_to('normalizer_fn')}{place}"
                    message = _why_not(link.function, folder)
                    faults += [SpecFault(where, message)] if message else []
    return located(faults, path) if path and faults else faults


@contextmanager
def importable_from(folder: Path | None) -> Iterator[None]:
    """Puts a folder before everything else that Python imports from, as it does for a script's."""
    before = list(sys.path)
    if folder is not None:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _why_not(name: str, folder: Path | None) -> str | None:
    """Returns why a function cannot be imported, None if it can."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            if not hasattr(found, part):
                return f"expected a function of {module}, got {path!r}{nearest(part, dir(found))}"
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a module is anybody's code
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            beside = [one.name for one in pkgutil.iter_modules([str(folder)])] if folder else []
            return f"expected a module that can be imported, got {module!r}{nearest(module, beside)}"
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"importing {module!r} failed: {why}"
    return None if callable(found) else f"expected a function, got {name!r}, which is {shown(found)}"
