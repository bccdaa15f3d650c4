"""A spec as text that a machine reads back: for artifacts, and for what a fitted statistic depends on."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
from typing import Any

from pydantic_core import PydanticSerializationError

from transforms.normalizers import Function
from transforms.spec.spec import Spec

PICKLED = "cloudpickle:"


def dumps(spec: Spec) -> str:
    """Returns a spec as one line of text: `loads(dumps(spec)) == spec`.

    JSON, where that gives the spec back. A function that no name stands for is pickled, and with it the spec: such text
    can be read by the same version only.
    """
    try:
        text = json.dumps(_plain(spec.model_dump(mode="json", serialize_as_any=True)))
        if loads(text) == spec:
            return text
    except (PydanticSerializationError, ValueError, TypeError):
        pass  # pickled below
    from apache_beam.internal.cloudpickle import cloudpickle

    return PICKLED + base64.b64encode(cloudpickle.dumps(spec)).decode()


def loads(text: str) -> Spec:
    """Reads what `dumps` wrote. Pickled text runs code: read none that you do not trust.

    Raises:
      ValueError: it is no such text.
    """
    if not text.startswith(PICKLED):
        return Spec.model_validate(json.loads(text))
    from apache_beam.internal.cloudpickle import cloudpickle

    spec: Spec = cloudpickle.loads(base64.b64decode(text[len(PICKLED) :]))
    return spec


def digest(spec: Spec, *more: str) -> str:
    """Returns 16 hexadecimal digits that change with anything that the statistics of the columns may depend on.

    That is the columns and groups, the source of the modules that functions named `module:function` are in, and the contents
    of the files that columns name (vocabularies, tables). A function given as an object counts by its pickle.

    Args:
      spec: the columns.
      more: anything else that counts.
    """
    text = dumps(spec)
    made = hashlib.sha256((_stable(spec) if text.startswith(PICKLED) else text).encode())
    read = (digest for column in spec.columns for digest in column.read_digests)
    for part in (*more, *(_source(link) for link in spec.normalizers if isinstance(link, Function)), *read):
        made.update(b"\0" + part.encode())
    return made.hexdigest()[:16]


def _stable(spec: Spec) -> str:
    """Returns text for a spec that JSON does not hold: not its pickle, which holds sets, in another order in every process."""
    kinds = [f"{type(link).__module__}:{type(link).__qualname__}" for link in spec.normalizers]
    return json.dumps([spec.model_dump(serialize_as_any=True), kinds], default=_of_pickle)


def _of_pickle(value: Any) -> str:
    from apache_beam.internal.cloudpickle import cloudpickle

    return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()


def _plain(dumped: Any) -> Any:
    """Writes functions by their names, which is how a spec takes them."""
    if isinstance(dumped, list):
        return [_plain(one) for one in dumped]
    if not isinstance(dumped, dict):
        return dumped
    if dumped.get("type") == "function" and isinstance(dumped.get("function"), str):
        return dumped["function"]
    return {key: _plain(value) for key, value in dumped.items()}


def _source(function: Function) -> str:
    try:
        return inspect.getsource(inspect.getmodule(function.resolve()) or function.resolve())
    except (OSError, TypeError, ValueError):
        return ""  # built in, or of the main program
