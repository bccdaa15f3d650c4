"""Everything that users import, of `transforms`, `pipeline` and faces inside it. Beam and TensorFlow load only when needed.

>>> import seqcols
>>> done = seqcols.apply([{"x": [1.0, 3.0]}], [seqcols.sequence_numeric_column("x")])
>>> done["x"].tolist()
[[[1.0], [3.0]]]
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec

TYPE_CHECKING = False  # as type checkers read it: `typing` takes milliseconds in which a signal would find no handler
if TYPE_CHECKING:
    from typing import Any

    from pipeline import *  # noqa: F403
    from pipeline.inspect import *  # noqa: F403
    from pipeline.loaders import *  # noqa: F403
    from transforms import *  # noqa: F403

_FACES = {  # their names cannot be those of `pipeline`: the first imports Beam, and the second would hide its function
    "pipeline.loaders": ("Batches", "numpy_batches", "tf_dataset", "torch_dataset"),
    "pipeline.inspect": ("Inspected", "inspect"),
}


def _hidden() -> str:
    """Returns what to say if a file of the user's has the name of one of our packages; an empty string if none does."""
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for name in ("pipeline", "transforms"):
        spec = getattr(sys.modules[name], "__spec__", None) if name in sys.modules else find_spec(name)
        own, origin = os.path.join(root, name), spec and spec.origin
        if origin and os.path.realpath(origin) != os.path.join(own, "__init__.py"):
            other = os.path.dirname(origin) if os.path.basename(origin) == "__init__.py" else origin
            return f"{other} hides {own}, a package of seqcols: rename it, or start from another directory"
    return ""


def __getattr__(name: str) -> Any:
    if name == "__all__":
        faces = [importlib.import_module(face).__all__ for face in ("pipeline", "transforms")]
        return sorted({*faces[0], *faces[1]}.union(*_FACES.values()))
    if not name.startswith("_"):
        own = [face for face, names in _FACES.items() if name in names]
        for face in own or ("pipeline", "transforms"):
            module = importlib.import_module(face)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'seqcols' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__getattr__("__all__")]


_WHY_NOT = _hidden()
if _WHY_NOT and os.path.basename(sys.argv[0]) in ("seqcols", "-m"):  # the command, which has no handler of errors yet
    print(f"seqcols: error: {_WHY_NOT}", file=sys.stderr)
    sys.exit(2)
if _WHY_NOT:
    raise ImportError(_WHY_NOT)
