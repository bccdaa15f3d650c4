"""YAML 1.2 as plain data that know their lines. Nothing in a file is run: no tag makes an object.

ruamel.yaml scans and parses; its events become dicts, lists and scalars here. Its constructors are not used:
they stop at the first fault, read more into a scalar than YAML 1.2's core schema does (dates, `1_000`), and leave
no lines behind. Nor is its composer, with which this would be hardly shorter, and half as slow again: it gives every node a
tag, so that none is known to have been written, stops at an alias that names nothing, and leaves nothing of a file that breaks
off.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner, ScannerError

from transforms.errors import SpecError, SpecFault
from transforms.problems import Location, path_of, shown

MOST_VALUES: Final = 100_000
"""Values that a file may hold, aliases expanded: a few lines of aliases to aliases could fill any memory."""

DEEPEST: Final = 50
"""Levels of nesting. A columns file has five."""

LONGEST_NUMBER: Final = 1000

_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_BYTES_TAG: Final = "tag:yaml.org,2002:binary"

# YAML 1.2.2, section 10.3.2: what a plain scalar is in the core schema.
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass
class Document:
    """The content of a YAML text.

    Attributes:
      data: dicts with string keys, lists, strings, ints, floats, bools and None.
      faults: faults that do not keep the text from being read: duplicate keys, tags, NaN.
      lines: path to 1-based line; for an entry of a mapping, the line of its key.
    """

    data: Any = None
    faults: list[SpecFault] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int:
        """Returns the line of a path, or of what holds it where it is not in the file; 0 if nothing does."""
        while path and path not in self.lines:
            path = re.sub(r"(\.[\w-]+|\[[^\[]*\]|^[\w-]+|.)$", "", path, flags=re.DOTALL)
        return self.lines.get(path, 0)


def read_yaml(text: str, name: str, most: int = 0, hint: str = "") -> Document:
    """Reads one YAML document.

    Args:
      text: the text.
      name: the name used as the path in faults of the whole text.
      most: the largest number of values, aliases expanded; 0 for `MOST_VALUES`.
      hint: advice if there are more.

    Raises:
      SpecError: it is no YAML, holds no document, or too much.
    """
    builder = _Builder(name, most or MOST_VALUES, hint)
    try:
        for event in _events(text):
            builder.take(event)
    except Exception as error:
        raise SpecError([*builder.made.faults, _ending(error, text, name)]) from None
    if not builder.documents:
        raise SpecError([SpecFault(name, "expected a mapping with 'columns', got an empty file")])
    return builder.made


def _ending(error: Exception, text: str, name: str) -> SpecFault:
    """Returns the fault at which reading ended."""
    if isinstance(error, _Stop):
        return error.fault
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return SpecFault(name, f"expected YAML text, got the character U+{error.character:04X}", line)
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        hint = "; is the indentation right?" if "<block end>" in str(error.problem) else ""
        what = " ".join(f"{error.problem} {error.context or ''}".split())
        return SpecFault(name, f"not YAML: {what}{hint}", mark.line + 1 if mark else 0)
    # ruamel.yaml 0.19 lets OverflowError ("\UFFFFFFFF") and AssertionError (%YAML 1.3) through.
    return SpecFault(name, f"not YAML: {' '.join(str(error).split())}")


def resolve(text: str) -> Any:
    """Returns what a plain scalar is in YAML 1.2: `yes`, `on` and `1_000` are strings, `0o17` is 15.

    Raises:
      ValueError: a number is longer than any sensible one.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) or _FLOAT.fullmatch(text):
        if len(text) > LONGEST_NUMBER:  # Python itself refuses more than 4300 digits
            raise ValueError(f"expected a number of at most {LONGEST_NUMBER} digits, got {len(text)}")
        if not _INT.fullmatch(text):
            return float(text)
        return int(text[2:], {"0o": 8, "0x": 16}[text[:2]]) if text[:2] in ("0o", "0x") else int(text)
    return text


class _Limited(Scanner):
    """ruamel's scanner takes minutes for some thousand open brackets, because any of them could begin a key."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:
        if len(self.flow_context) > DEEPEST:
            raise ScannerError(None, None, f"nested deeper than {DEEPEST} levels", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


def _events(text: str) -> Iterator[Event]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _Limited
    yield from yaml.parse(text)


class _Stop(Exception):
    """Ends the reading."""

    def __init__(self, name: str, message: str, line: int) -> None:
        self.fault = SpecFault(name, message, line)


@dataclass
class _Frame:
    """A mapping or a list whose end has not come yet.

    Attributes:
      value: the value that was read.
      location: the way to it.
      before: how many values had been read when it began.
      anchor: name that aliases call it by.
      key: in a mapping, the key whose value comes next; None where that value has nowhere to go.
      awaits_value: in a mapping, whether a key was read.
    """

    value: dict[str, Any] | list[Any]
    location: Location
    before: int
    anchor: str | None
    key: str | None = None
    awaits_value: bool = False


class _Builder:
    """Makes data of events. Not recursive, so that no nesting can exhaust the stack."""

    def __init__(self, name: str, most: int, hint: str) -> None:
        self.name, self.most, self.hint = name, most, hint
        self.made = Document()
        self.documents = 0
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0

    def take(self, event: Event) -> None:
        """Takes the next event of the parser; raises a fault for what a columns file may not have."""
        mark: StringMark = event.start_mark
        line = mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self._start_document(event, line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            frame = self.stack.pop()
            self._add(frame.value, frame.anchor, self.count - frame.before, line)
        elif isinstance(event, NodeEvent):
            self._node(event, self._arrive(line), line)

    def _node(self, event: NodeEvent, location: Location, line: int) -> None:
        self.count += 1
        tag = getattr(event, "tag", None)
        if tag is not None and not (tag in (_TEXT_TAG, _BYTES_TAG) and isinstance(event, ScalarEvent)):
            short = str(tag).replace("tag:yaml.org,2002:", "!!")
            self._fault(location, f"expected no tag but !!str and !!binary, got {shown(short)}", line)
        if isinstance(event, AliasEvent):
            value, size = self._aliased(event.anchor, location, line)
            self.count += size
            self._add(value, None, size, line)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            value = {} if isinstance(event, MappingStartEvent) else []
            self.stack.append(_Frame(value, location, self.count, event.anchor))
        elif isinstance(event, ScalarEvent):
            self._add(self._scalar(event, location, line), event.anchor, 0, line)
        if self.count > self.most:
            what = f"expected at most {self.most} values (aliases expanded), got more{self.hint}"
            raise _Stop(self.name, what, line)
        if len(self.stack) > DEEPEST:
            raise _Stop(self.name, f"nested deeper than {DEEPEST} levels", line)

    def _start_document(self, event: DocumentStartEvent, line: int) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Stop(self.name, "expected one YAML document, got another one", line)
        if event.version not in (None, (1, 2)):
            version = ".".join(map(str, event.version))
            raise _Stop(self.name, f"expected YAML 1.2, got %YAML {version}", line)

    def _arrive(self, line: int) -> Location:
        """Returns the location of the node that begins, and notes its line."""
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            location = (*frame.location, len(frame.value))
            self.made.lines.setdefault(path_of(location), line)
            return location
        # "?" is YAML's own sign of a key: what stands in a key, or below one that cannot be used, has no path.
        return (*frame.location, "?" if frame.key is None else frame.key)

    def _scalar(self, event: ScalarEvent, location: Location, line: int) -> Any:
        if event.tag == _BYTES_TAG:
            return self._bytes(event.value, location, line)
        try:
            # JSON, which is YAML too, writes some characters as two escapes: surrogates.
            text = event.value.encode("utf-16", "surrogatepass").decode("utf-16")
            if event.tag is not None or not event.implicit[0]:  # not plain, or said to be a string
                return text
            value = resolve(text)
        except UnicodeDecodeError:
            self._fault(location, f"expected text, got half of a surrogate pair in {shown(event.value)}", line)
            return ""
        except ValueError as error:
            self._fault(location, str(error), line)
            return None
        if value != value:
            self._fault(location, f"expected a number, got {event.value}", line)
        return value

    def _bytes(self, text: str, location: Location, line: int) -> bytes:
        """Returns what YAML writes as `!!binary`, as words that are no UTF-8 are written."""
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except ValueError:
            self._fault(location, f"expected base64 after !!binary, got {shown(text)}", line)
            return b""

    def _aliased(self, anchor: str, location: Location, line: int) -> tuple[Any, int]:
        if anchor in self.anchors:
            return self.anchors[anchor]
        what = "stands inside what it names" if anchor in (f.anchor for f in self.stack) else "names nothing above"
        self._fault(location, f"the alias *{anchor} {what}", line)
        return None, 0

    def _add(self, value: Any, anchor: str | None, size: int, line: int) -> None:
        """Puts a finished value where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.stack:
            self.made.data = value
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif not frame.awaits_value:
            frame.awaits_value, frame.key = True, self._key(frame, value, line)
        else:
            if frame.key is not None:
                frame.value[frame.key] = value
            frame.awaits_value, frame.key = False, None

    def _key(self, frame: _Frame, key: Any, line: int) -> str | None:
        """Returns a key that can be used, None for one that cannot."""
        if not isinstance(key, str):
            self._fault(frame.location, f"expected a string as the key, got {shown(key)}", line)
            return None
        path = path_of((*frame.location, key))
        if key in frame.value:
            first = self.made.lines[path]
            self._fault((*frame.location, key), f"duplicate key, it stands on line {first} already", line)
            return None
        self.made.lines.setdefault(path, line)
        return key

    def _fault(self, location: Location, message: str, line: int) -> None:
        path = path_of(location) if location else self.name
        self.made.faults.append(SpecFault(path, message, line))
