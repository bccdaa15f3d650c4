"""Any TensorFlow function as a normalizer."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from transforms.normalizers.base import Normalizer, Statistics

if TYPE_CHECKING:
    import tensorflow as tf

PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class Function(Normalizer):
    """Calls a function on the dense float tensor of present steps, `[steps, *shape]` (float32 for an integer column).

    It must treat every step alone (`lambda x: (x - 3.0) / 4.2`, `tf.math.log1p`) or use tf.Transform's analyzers for what it
    needs to know about the whole data set (`tft.scale_by_min_max`), for which the job reads the data twice.

    Attributes:
      function: the function, or `"module:function"` that names it. In a columns file only the latter.
    """

    type: Literal["function"] = "function"
    function: Callable[[Any], Any] | str

    @property
    def can_spoil(self) -> bool:
        """See the base class."""
        return True

    def resolve(self) -> Callable[[Any], Any]:
        """Returns the function, imported where it is named.

        Raises:
          ValueError: if the module or the function is not there, or is not callable.
        """
        if not isinstance(self.function, str):
            return self.function
        module, _, path = self.function.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"cannot import normalizer_fn {self.function!r}: {error}") from error
        if not callable(found):
            raise ValueError(f"normalizer_fn {self.function!r} is not callable, it is {type(found).__name__}")
        return found

    @property
    def label(self) -> str:
        """The name of the function in messages, if it has one."""
        return (
            self.function
            if isinstance(self.function, str)
            else getattr(self.function, "__qualname__", repr(self.function))
        )

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class.

        Raises:
          ValueError: if the function does not return a number for each number. (How many steps it returns is known when the graph
            runs: the column looks at it.)
        """
        import tensorflow as tf

        made = self.resolve()(values)
        if made is None:
            raise ValueError(f"normalizer_fn {self.label!r} must return a tensor; it returned None")
        result = tf.convert_to_tensor(made)
        if result.shape.rank != values.shape.rank or result.shape[1:] != values.shape[1:]:
            raise ValueError(
                f"normalizer_fn {self.label!r} must return the shape that it was given, {values.shape}; "
                f"it returned {result.shape}"
            )
        if not (result.dtype.is_floating or result.dtype.is_integer or result.dtype.is_bool):
            raise ValueError(f"normalizer_fn {self.label!r} must return numbers; it returned {result.dtype.name}")
        return result
