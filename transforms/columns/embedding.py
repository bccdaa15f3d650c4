"""`embedding_column` and `shared_embedding_column`: ids for an embedding layer, or the vectors of a table that is given."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, PrivateAttr, model_validator

from transforms.columns.base import Column
from transforms.columns.categorical import dense_ids, id_outputs, placed, python_int
from transforms.columns.learned_vocabulary import learners
from transforms.columns.results import Output
from transforms.columns.wrapper import IdWrapper
from transforms.stored.embedding_tables import EmbeddingTable, read_table, table_of

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.categorical import Categorical as AnyCategorical
    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window


def _dimension(value: Any) -> Any:
    if value is None:  # TensorFlow calls it a wrong value and not a wrong type
        raise ValueError("expected an int >= 1, got None")
    return value


def _table(value: Any) -> Any:
    """Takes a path, an array or a table; an array becomes a table."""
    if value is None or isinstance(value, str | EmbeddingTable):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return table_of(value)
    raise ValueError(f"expected the path of a table or an array, got {type(value).__name__}")


def _initializer(value: Any) -> Any:
    """Names an initializer: metadata, since weights belong to training.

    A callable with a configuration, as Keras has them, shows it: `Constant(value=0.5)`.
    """
    if value is None or isinstance(value, str):
        return value
    if not callable(value):
        raise ValueError("expected the name of an initializer or a callable, got " + repr(value))
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    config = value.get_config() if hasattr(value, "get_config") else {}
    given = ", ".join(f"{name}={setting!r}" for name, setting in config.items() if setting is not None)
    return f"{type(value).__name__}({given})"


Dimension = Annotated[int, Field(strict=True, ge=1, lt=2**31), BeforeValidator(_dimension)]
Table = Annotated[
    str | EmbeddingTable | None,
    BeforeValidator(_table, json_schema_input_type=str | None),
    PlainSerializer(lambda table: getattr(table, "source", table) or None, when_used="json"),
]
Initializer = Annotated[str | None, BeforeValidator(_initializer, json_schema_input_type=str | None)]
MaxNorm = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class EmbeddingBase(IdWrapper):
    """Arguments of both embedding columns.

    Weights belong to training. So without a `table` the ids are written, as the inner column writes them, and the arguments that
    a model needs to build the layer go into the manifest. With a `table` the vectors are written.

    Attributes:
      categorical_column: the column of ids.
      dimension: the number of values in a vector.
      combiner: how to combine the vectors of several ids in a step: `"mean"`, `"sum"`, or `"sqrtn"` (the sum divided by the
        root of the sum of squared weights).
      max_norm: a vector with a larger Euclidean norm is scaled down to it before vectors are combined.
      table: path of a table of `[ids, dimension]` numbers, `.npy` or Parquet (in Python it may be an array).
      initializer: name of the layer's initializer; only for the manifest.
      trainable: whether to train the layer; only for the manifest.
      ckpt_to_load_from: checkpoint to restore the layer from; only for the manifest.
      tensor_name_in_ckpt: name of the tensor in that checkpoint; only for the manifest.
      use_safe_embedding_lookup: whether the layer treats steps without an id as zeros; only for the manifest. A table always
        does.
    """

    path_fields: ClassVar[tuple[str, ...]] = ("table",)

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset(
        {"initializer", "ckpt_to_load_from", "tensor_name_in_ckpt"}
    )

    categorical_column: AnyCategorical
    dimension: Dimension
    combiner: Literal["mean", "sum", "sqrtn"] = "mean"
    max_norm: MaxNorm | None = None
    table: Table = None
    initializer: Initializer = None
    trainable: bool = Field(default=True, strict=True)
    ckpt_to_load_from: str | None = Field(default=None, strict=True)
    tensor_name_in_ckpt: str | None = Field(default=None, strict=True)
    use_safe_embedding_lookup: bool = Field(default=True, strict=True)
    _table: EmbeddingTable | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def collection(self) -> str:
        """The name of the weights: columns of one collection share them."""

    @model_validator(mode="after")
    def _arguments_fit(self) -> Self:
        if (self.ckpt_to_load_from is None) != (self.tensor_name_in_ckpt is None):
            given, lacks = "ckpt_to_load_from", "tensor_name_in_ckpt"
            if self.ckpt_to_load_from is None:
                given, lacks = lacks, given
            raise ValueError(f"{given} needs a {lacks}")
        if self.table is None:
            return self
        for name in ("initializer", "ckpt_to_load_from"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} does not apply with a table, which has the values")
        if not self.use_safe_embedding_lookup:
            raise ValueError("use_safe_embedding_lookup must be true with a table: a step without an id is zeros")
        if self.inner.id_count is None:
            raise ValueError(f"table needs to know how many ids {self.inner.name!r} has: give it a top_k or reserve")
        try:  # pydantic 2.14 comes here again for a column that becomes a part of a spec: its file may be out of sight
            read = self._table or (read_table(self.table) if isinstance(self.table, str) else self.table)
            self._table = read.checked(self.inner.id_count, self.dimension)
        except ValueError as error:
            raise ValueError(f"table {error}") from None
        return self

    def with_table_in(self, folder: str) -> Self:
        """Returns the column with its table, if it has one, in a folder."""
        if self._table is None:
            return self
        placed = self._table.placed(folder)
        made = self.model_copy(update={"table": self.table if isinstance(self.table, str) else placed})
        made._table = placed
        return made

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        if self._table is None:
            return [replace(output, source=self.name) for output in id_outputs(self.inner, self.name, length)]
        shape = (length, self.dimension) if self.is_sequence else (self.dimension,)
        return [Output(self.name, "float32", shape, "values", self.name, self.is_sequence)]

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """See the base class."""
        steps = self.inner_ids(raw, window, fitted)
        if self._table is None:
            return dense_ids(self.inner, self.name, steps, window)
        from transforms.columns.embedding_lookup import combined, embedding_rows

        rows = embedding_rows(self._table, self.max_norm, fitted.track)
        return {self.name: placed(combined(rows, steps, self.combiner), window, 0.0)}

    @property
    def metadata(self) -> dict[str, Any]:
        """The arguments that a model needs to build the layer, as JSON values."""
        made: dict[str, Any] = {"collection": self.collection, "id_count": self.inner.id_count}
        made |= {name: getattr(self, name) for name in OF_A_COLLECTION}
        made["padding_id"] = self.inner.padding
        written = [output.name for output in self.outputs(None)]
        if self._table is not None:
            made["table"] = {"path": self._table.source, "digest": self._table.digest}
            return {**made, "vectors": written[0]}
        return {**made, "table": None, "ids": written[0], "weights": written[1] if self.inner.weighted else None}


OF_A_COLLECTION = (
    "dimension",
    "combiner",
    "max_norm",
    "initializer",
    "trainable",
    "ckpt_to_load_from",
    "tensor_name_in_ckpt",
    "use_safe_embedding_lookup",
)
"""Arguments in which the columns of one collection must agree."""


class Embedding(EmbeddingBase):
    """Ids of an embedding of its own, `[T]` int64; or with a `table` their vectors, `[T, dimension]` float32.

    Several ids of a step are combined, those of a weighted column with their weights. A step without an id is zeros, as
    padding is, and counts in the length.
    """

    tensorflow_class: ClassVar[str] = "EmbeddingColumn"

    type: Literal["embedding_column"] = "embedding_column"

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        names = ("dimension", "combiner", "initializer", "max_norm", "trainable", "use_safe_embedding_lookup")
        given = {name: getattr(column, name) for name in (*names, "ckpt_to_load_from", "tensor_name_in_ckpt")}
        return {"categorical_column": converted(column.categorical_column), **given}

    @property
    def name(self) -> str:
        """See the base class."""
        return f"{self.inner.name}_embedding"

    @property
    def collection(self) -> str:
        """See the base class."""
        return self.name


def embeddings_of(columns: Iterable[Column], words: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Returns what a model needs to build its embedding layers, by column, for the manifest.

    Args:
      columns: all columns.
      words: by column, how many words it learned.
    """
    made = {column.name: column.metadata for column in columns if isinstance(column, EmbeddingBase)}
    for name, count in words.items():
        if name in made and made[name]["id_count"] is None:
            (learner,) = learners(column for column in columns if column.name == name).values()
            made[name]["id_count"] = max(count, 1) + learner.num_oov_buckets  # of no words: see `word_files.NO_WORDS`
    return made


def with_tables_in(columns: Iterable[Column], folder: str) -> list[Column]:
    """Returns the columns with their tables in a folder that workers reach, so that what is pickled stays small.

    See `EmbeddingTable.placed`.
    """
    return [column.with_table_in(folder) if isinstance(column, EmbeddingBase) else column for column in columns]


def embedding_column(
    categorical_column: Any,
    dimension: Any,
    combiner: str = "mean",
    initializer: Any = None,
    ckpt_to_load_from: Any = None,
    tensor_name_in_ckpt: Any = None,
    max_norm: Any = None,
    trainable: bool = True,
    use_safe_embedding_lookup: bool = True,
    **more: Any,
) -> Embedding:
    """Builds an `Embedding` with TensorFlow's own arguments; the others by keyword.

    >>> from seqcols import sequence_categorical_column_with_identity
    >>> embedding_column(sequence_categorical_column_with_identity("items", 10), 4).metadata["id_count"]
    10

    Args:
      categorical_column: the column of ids.
      dimension: values of a vector.
      combiner: `"mean"`, `"sum"` or `"sqrtn"`.
      initializer: a callable or a name, for the manifest.
      ckpt_to_load_from: for the manifest.
      tensor_name_in_ckpt: for the manifest.
      max_norm: the largest norm of a vector.
      trainable: for the manifest.
      use_safe_embedding_lookup: for the manifest.
      **more: `table`.

    Raises:
      TypeError: the dimension is no int.
      ValueError: the column is not categorical, the dimension is below 1, the combiner is none of these, the initializer is
        neither callable nor a name, only one of `ckpt_to_load_from` and `tensor_name_in_ckpt` is given, the table cannot be read
        or does not fit.
    """
    return Embedding.make(
        categorical_column=categorical_column,
        dimension=python_int(dimension),
        combiner=combiner,
        initializer=initializer,
        ckpt_to_load_from=ckpt_to_load_from,
        tensor_name_in_ckpt=tensor_name_in_ckpt,
        max_norm=max_norm,
        trainable=trainable,
        use_safe_embedding_lookup=use_safe_embedding_lookup,
        **more,
    )
