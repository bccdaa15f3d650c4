"""The base of what people build by name in Python: columns, sequence groups, normalizers, specs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ValidationError

from transforms import problems

if TYPE_CHECKING:  # the class has no public name, and mypy takes no expression for a base
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _Called(ModelMetaclass):
    """Says what is wrong with the arguments of a call as Python and TensorFlow do.

    Not in `__init__`: pydantic calls that for models inside of models as well, whose faults it puts together by place.
    """

    if not TYPE_CHECKING:  # mypy would take what this returns for what calls of models return

        def __call__(cls, *args: Any, **arguments: Any) -> Any:
            try:
                return super().__call__(*args, **arguments)
            except ValidationError as error:
                raise cls._wrong_call(error, arguments) from None


class Model(BaseModel, metaclass=_Called):
    """A model whose constructor raises a TypeError for a wrong type and a missing or unknown argument, else a ValueError."""

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset()
    """Arguments for which TensorFlow's constructor raises a ValueError where others raise a TypeError."""

    @classmethod
    def _wrong_call(cls, error: ValidationError, arguments: dict[str, Any]) -> Exception:
        found = problems.problems(error, cls, arguments)
        lines = "; ".join(f"{p.path}: {p.message}" if p.location else p.message for p in found)
        excused = [p for p in found if p.location and p.location[0] in cls.tensorflow_value_errors]
        return (TypeError if any(p.wrong_type for p in found if p not in excused) else ValueError)(lines)
