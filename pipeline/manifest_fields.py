"""What a manifest must hold to be followed: types of its fields, and paths that stay inside the directory. Needs no Beam."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from transforms import dtypes
from transforms.messages import problems, shown

FORMAT_VERSION: Final = 1

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


class _Input(_Fields):
    path: str
    bytes: _Count


class _Manifest(_Fields):
    run: str
    format: str
    columns: str
    inputs: list[_Input]
    examples: _Examples
    rejected: _Files
    graph_sha256: dict[Literal["transform", "serving"], str] = {}
    transform: _Path | None
    serving: _Path | None
    statistics: _Path
    ledger: _Path
    report: _Path | None = None  # older data sets have none
    report_sha256: str = ""

    @model_validator(mode="after")
    def _has_its_graphs(self) -> _Manifest:
        for name in self.graph_sha256:
            if getattr(self, name) is None:
                raise ValueError(f"graph_sha256: expected digests of what is named, got one of {name!r}")
        return self


def damage(content: Any) -> str:
    """Returns the first thing wrong with what a manifest holds, an empty string where nothing is."""
    if not isinstance(content, dict):
        return f"damaged: expected a mapping, got {shown(content)}"
    version = content.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        return f"expected format_version {FORMAT_VERSION}, got {shown(version)}"
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        first = problems(error, _Manifest, content, noun="key")[0]
        return f"damaged: {first.path}: {first.message}"
    return ""
