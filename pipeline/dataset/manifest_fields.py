"""The fields a manifest must have to be followed: a digest of itself, typed values, and paths that stay inside the directory.

Needs no Beam.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from transforms import dtypes
from transforms.problems import problems, shown

FORMAT_VERSION: Final = 2
"""The version that is written. Version 1, which has no digest, is still read; no single flipped bit turns the 2 into a 1."""

VERSION_WITH_SPLITS: Final = 3
"""The version of a data set with splits, so that older readers refuse it rather than read it as one."""

VERSION_WITH_SEQUENCES: Final = 4
"""The version of a data set with sequences of events, whose files older readers would take for nobody's."""

VERSION_WITHOUT_DIGEST: Final = 1

DIGEST: Final = "sha256"
"""The last field, on a line of its own: the digest of all lines before."""

_DTYPES: Final = (*dtypes.INTEGERS, *dtypes.FLOATS, "bool", "string", "bytes")


def _dtype(name: str) -> str:
    if name not in _DTYPES:
        raise ValueError(f"expected one of {', '.join(_DTYPES)}, got {shown(name)}")
    return name


def _inside(path: str) -> str:
    """Refuses a path that leads out of the directory, or that Beam's file systems would take for a pattern or a URL."""
    parts = re.split(r"[/\\]", path)
    if not path or parts[0] == "" or ".." in parts or re.search(r"[*?\[\]\x00-\x1f]|://", path):
        raise ValueError(f"expected a path relative to the directory and inside it, got {shown(path)}")
    return path


_Path = Annotated[str, AfterValidator(_inside)]
_Count = Annotated[int, Field(ge=0)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")  # a later version may add fields


class _Feature(_Fields):
    dtype: Annotated[str, AfterValidator(_dtype)]
    shape: list[_Count]
    kind: str
    source: str
    sequence: bool = False


class _File(_Fields):
    path: _Path
    rows: _Count
    bytes: _Count
    sha256: str
    T: int | None = None
    split: str | None = None
    samples: dict[str, list[Annotated[list[_Count], Field(min_length=3, max_length=3)]]] = {}


class _Buckets(_Fields):
    group: str
    T: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    features: list[str]


class _Files(_Fields):
    rows: _Count
    files: list[_File]


class _Examples(_Files):
    features: dict[str, _Feature]
    length_buckets: _Buckets | None = None

    @model_validator(mode="after")
    def _files_are_of_buckets(self) -> _Examples:
        sizes = self.length_buckets.T if self.length_buckets else [None]
        for k, file in enumerate(self.files):
            if file.T not in sizes:
                raise ValueError(f"files[{k}].T: expected one of {shown(sizes)}, got {shown(file.T)}")
        for name in self.length_buckets.features if self.length_buckets else ():
            if name not in self.features or not self.features[name].sequence or not self.features[name].shape:
                raise ValueError(f"length_buckets.features: expected sequences, got {shown(name)}")
        return self


class _Sequences(_Files):
    fields: dict[str, str]
    rejected: _Files
    max_steps: _Count | None = None  # older data sets have none of these
    event_fields: dict[str, str] = {}
    excluded_by: list[str] = []


class _Input(_Fields):
    path: str
    bytes: _Count


class _Counts(_Fields):
    read: _Count
    written: _Count
    rejected: _Count


class _Splits(_Fields):
    by: str
    statistics: str
    rows: Annotated[dict[str, _Counts], Field(min_length=1)]


class _Vocabulary(_Fields):
    words: _Count
    file: _Path | None = None
    table: _Path | None = None


class _Manifest(_Fields):
    run: str
    format: str
    columns: str
    columns_file: str = ""
    inputs: list[_Input]
    examples: _Examples
    rejected: _Files
    vocabularies: dict[str, _Vocabulary] = {}
    json_sha256: dict[Literal["statistics", "ledger", "distributions"], str] = {}
    graph_sha256: dict[Literal["transform", "serving"], str] = {}
    transform: _Path | None
    serving: _Path | None
    statistics: _Path | None
    ledger: _Path
    distributions: _Path | None = None  # older data sets have neither these nor a report
    report: _Path | None = None
    report_sha256: str = ""
    splits: _Splits | None = None
    sequences: _Sequences | None = None

    @model_validator(mode="after")
    def _has_its_graphs(self) -> _Manifest:
        for name in self.graph_sha256:
            if getattr(self, name) is None:
                raise ValueError(f"graph_sha256: expected digests of what is named, got one of {name!r}")
        return self

    @model_validator(mode="after")
    def _files_are_of_splits(self) -> _Manifest:
        names = list(self.splits.rows) if self.splits else [None]
        for k, file in enumerate(self.examples.files):
            if file.split not in names:
                raise ValueError(f"examples.files[{k}].split: expected one of {shown(names)}, got {shown(file.split)}")
        return self


def version_for(content: Mapping[str, Any]) -> int:
    """Returns the version of a manifest's format: the first one whose readers know all that it says."""
    if "sequences" in content:
        return VERSION_WITH_SEQUENCES
    return VERSION_WITH_SPLITS if "splits" in content else FORMAT_VERSION


def last_lines(lines: bytes) -> bytes:
    """Returns how a manifest ends after all its other lines: with their digest."""
    return f' "{DIGEST}": "{hashlib.sha256(lines).hexdigest()}"\n}}\n'.encode()


def _is_whole(data: bytes) -> bool:
    """Returns whether a manifest is as it was written, to the last bit."""
    lines = data[: -len(last_lines(b""))]
    return data == lines + last_lines(lines)


def damage(content: Any, data: bytes) -> str:
    """Returns the first thing wrong with a manifest, an empty string where nothing is.

    Args:
      content: its content.
      data: its bytes.
    """
    if not isinstance(content, dict):
        return f"damaged: expected a mapping, got {shown(content)}"
    version = content.get("format_version")
    known = (VERSION_WITHOUT_DIGEST, FORMAT_VERSION, VERSION_WITH_SPLITS, VERSION_WITH_SEQUENCES)
    if type(version) is not int or version not in known:
        return f"expected format_version {', '.join(map(str, known))}, got {shown(version)}"
    if (version != VERSION_WITHOUT_DIGEST or DIGEST in content) and not _is_whole(data):
        return f"damaged: {DIGEST}: expected the digest of the lines before, got another, or none"
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        first = problems(error, _Manifest, content, noun="key")[0]
        return f"damaged: {first.path}: {first.message}"
    return ""
