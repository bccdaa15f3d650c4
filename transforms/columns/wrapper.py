"""The base of columns that wrap another column: they read, check and learn what that one does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from transforms.columns.base import Column
from transforms.columns.from_tensorflow import converted, is_tensorflow
from transforms.columns.results import Checked
from transforms.rows.ragged import Ragged

if TYPE_CHECKING:
    from transforms.columns.categorical import Categorical, StepIds
    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window
    from transforms.normalizers.asks import Ask
    from transforms.parse.form import Form


class Wrapper(Column):
    """A column that wraps another one, which is in the field `inner_field`."""

    @model_validator(mode="before")
    @classmethod
    def _tensorflows_own(cls, data: Any) -> Any:
        """Accepts a column of TensorFlow's as the inner column."""
        if isinstance(data, dict) and is_tensorflow(data.get(cls.inner_field)):
            return {**data, cls.inner_field: converted(data[cls.inner_field])}
        return data

    @property
    @abstractmethod
    def inner(self) -> Column:
        """The wrapped column."""

    @property
    def parts(self) -> tuple[Column, ...]:
        """See the base class."""
        return (self.inner,)

    @property
    def key(self) -> str:
        """See the base class."""
        return self.inner.key

    @property
    def features(self) -> Mapping[str, Form]:
        """See the base class."""
        return self.inner.features

    @property
    def sequence_group(self) -> str | None:
        """See the base class."""
        return self.inner.sequence_group

    @property
    def step_width(self) -> int:
        """See the base class."""
        return self.inner.step_width

    def path_to(self, argument: str) -> str:
        """See the base class."""
        return f"{self.inner_field}.{self.inner.path_to(argument)}"

    def place_of(self, feature: str) -> str:
        """See the base class."""
        return f"{self.inner_field}.{self.inner.place_of(feature)}"

    def fixed(self) -> tuple[tuple[int, ...], Any] | None:
        """See the base class."""
        return self.inner.fixed()

    def asks(self) -> Sequence[Ask]:
        """See the base class. Names of a spec's columns differ, but those of their inner columns need not: it asks for itself."""
        return [replace(ask, owner=self.name) for ask in self.inner.asks()]

    def check(self, views: Mapping[str, Ragged]) -> Checked:
        """See the base class."""
        return self.inner.check(views)


class IdWrapper(Wrapper):
    """A column computed from the ids of a categorical one."""

    inner_field: ClassVar[str] = "categorical_column"

    if TYPE_CHECKING:  # a field of each of them

        @property
        def categorical_column(self) -> Any:
            """The column of ids."""

    @property
    def inner(self) -> Categorical:
        """See the base class."""
        column: Categorical = self.categorical_column
        return column

    def inner_ids(self, raw: RawTensors, window: Window | None, fitted: Findings) -> StepIds:
        """Returns the ids of the kept steps, with the statistics and words that were found for this column."""
        return self.inner.step_ids(raw, window, fitted.on_behalf(self.inner.name, self.name))
