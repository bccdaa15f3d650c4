"""YAML 1.2 as plain data that know their lines. Nothing in a file is run: no tag makes an object.

ruamel.yaml scans and parses; its events become dicts, lists and scalars here. Its constructors are not used:
they stop at the first fault, read more into a scalar than YAML 1.2's core schema does (dates, `1_000`), and leave
no lines behind. Nor is its composer, with which this would be hardly shorter, and half as slow again: it gives every node a
tag, so that none is known to have been written, stops at an alias that names nothing, and leaves nothing of a file that breaks
off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scanner import Scanner, ScannerError
from ruamel.yaml.tag import Tag
from ruamel.yaml.tag import Tag
from ruamel.yaml.tag import Tag

from transforms.errors import SpecError, SpecFault
from transforms.problems import Location, path_of, shown

MOST_VALUES: Final = 100_000
"""Values that a file may hold, aliases expanded: a few lines of aliases to aliases could fill any memory."""

DEEPEST: Final = 50
"""Levels of nesting. A columns file has five."""

LONGEST_NUMBER: Final = 1000

_TEXT_TAG: Final = "tag:yaml.org,2002:str"

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
        root = _composed(text, name)
        if root is not None:
            builder.made.data = builder.value_of(root, ())
    except Exception as error:
        raise SpecError([*builder.made.faults, _ending(error, text, name)]) from None
    if root is None:
        raise SpecError([SpecFault(name, "expected a mapping with 'columns', got an empty file")])
    return builder.made


def _ending(error: Exception, text: str, name: str) -> SpecFault:
    """Returns the fault at which reading ended."""
    if isinstance(error, _Stop):
        return error.fault
    if isinstance(error, MaxDepthExceededError):
        return SpecFault(name, f"nested deeper than {DEEPEST} levels", error.problem_mark.line + 1)
    if isinstance(error, MaxDepthExceededError):
        return SpecFault(name, f"nested deeper than {DEEPEST} levels", error.problem_mark.line + 1)
    if isinstance(error, MaxDepthExceededError):
        return SpecFault(name, f"nested deeper than {DEEPEST} levels", error.problem_mark.line + 1)
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


_NO_TAG: Final = Tag(suffix="none")


class _Untagged(VersionedResolver):
    """Leaves nodes without a tag as they are: ruamel's resolver would give each one, and none could be told from a written one."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Tag:
        return _NO_TAG


class _Composer(Composer):
    """Keeps what ruamel's composer stops at: an alias that names nothing becomes a node, which says so later."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent):
            self.parser.get_event()
            return _Alias(event.anchor, self.anchors.get(event.anchor), event.start_mark)
        return super().compose_node(parent, index)

    def compose_document(self) -> Any:
        event: DocumentStartEvent = self.parser.peek_event()
        if event.version not in (None, (1, 2)):
            version = ".".join(map(str, event.version))
            raise _Stop("", f"expected YAML 1.2, got %YAML {version}", event.start_mark.line + 1)
        return super().compose_document()


@dataclass
class _Alias:
    """A node that stands for another one, None for nothing."""

    anchor: str
    node: Node | None
    start_mark: Any


def _composed(text: str, name: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner, yaml.Resolver, yaml.Composer, yaml.max_depth = _Limited, _Untagged, _Composer, DEEPEST + 1
    try:
        return yaml.compose(text)
    except MarkedYAMLError as error:
        if error.context == "expected a single document in the stream":
            raise _Stop(name, "expected one YAML document, got another one", error.problem_mark.line + 1) from None
        raise


class _Stop(Exception):
    """Ends the reading."""

    def __init__(self, name: str, message: str, line: int) -> None:
        self.fault = SpecFault(name, message, line)


class _Builder:
    """Makes data of nodes."""

    def __init__(self, name: str, most: int, hint: str) -> None:
        self.name, self.most, self.hint = name, most, hint
        self.made = Document()
        self.done: dict[int, tuple[Any, int]] = {}
        self.count = 0

    def value_of(self, node: Any, location: Location) -> Any:
        """Returns the value of a node."""
        line, before = node.start_mark.line + 1, self.count
        self.count += 1
        if isinstance(node, _Alias):
            value, size = self._aliased(node, location, line)
            self.count += size
        else:
            tag = node.ctag
            if tag is not _NO_TAG and not (str(tag) == _TEXT_TAG and isinstance(node, ScalarNode)):
                short = str(tag).replace("tag:yaml.org,2002:", "!!")
                self._fault(location, f"expected no tag but !!str, got {shown(short)}", line)
            if isinstance(node, ScalarNode):
                value = self._scalar(node, location, line)
            elif isinstance(node, SequenceNode):
                value = self._list(node, location)
            else:
                value = self._mapping(node, location)
            self.done[id(node)] = (value, self.count - before - 1)
        if self.count > self.most:
            what = f"expected at most {self.most} values (aliases expanded), got more{self.hint}"
            raise _Stop(self.name, what, line)
        return value

    def _list(self, node: SequenceNode, location: Location) -> list[Any]:
        made: list[Any] = []
        for k, one in enumerate(node.value):
            self.made.lines.setdefault(path_of((*location, k)), one.start_mark.line + 1)
            made.append(self.value_of(one, (*location, k)))
        return made

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for left, right in node.value:
            # "?" is YAML's own sign of a key: what stands in a key, or below one that cannot be used, has no path.
            key = self._key(made, location, self.value_of(left, (*location, "?")), left.start_mark.line + 1)
            value = self.value_of(right, (*location, "?" if key is None else key))
            if key is not None:
                made[key] = value
        return made

    def _scalar(self, event: ScalarNode, location: Location, line: int) -> Any:
        try:
            # JSON, which is YAML too, writes some characters as two escapes: surrogates.
            text = event.value.encode("utf-16", "surrogatepass").decode("utf-16")
            if event.ctag is not _NO_TAG or event.style is not None:  # not plain, or said to be a string
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

    def _aliased(self, alias: _Alias, location: Location, line: int) -> tuple[Any, int]:
        if id(alias.node) in self.done:
            return self.done[id(alias.node)]
        what = "names nothing above" if alias.node is None else "stands inside what it names"
        self._fault(location, f"the alias *{alias.anchor} {what}", line)
        return None, 0

    def _key(self, made: dict[str, Any], location: Location, key: Any, line: int) -> str | None:
        """Returns a key that can be used, None for one that cannot."""
        if not isinstance(key, str):
            self._fault(location, f"expected a string as the key, got {shown(key)}", line)
            return None
        path = path_of((*location, key))
        if key in made:
            first = self.made.lines[path]
            self._fault((*location, key), f"duplicate key, it stands on line {first} already", line)
            return None
        self.made.lines.setdefault(path, line)
        return key

    def _fault(self, location: Location, message: str, line: int) -> None:
        path = path_of(location) if location else self.name
        self.made.faults.append(SpecFault(path, message, line))
