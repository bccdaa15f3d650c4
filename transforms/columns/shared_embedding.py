"""`shared_embedding_column`: columns of ids that share one table of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from transforms.columns.base import Column, Key
from transforms.columns.categorical import Categorical, python_int
from transforms.columns.embedding import OF_A_COLLECTION, EmbeddingBase
from transforms.columns.from_tensorflow import converted, is_tensorflow
from transforms.errors import SpecFault

if TYPE_CHECKING:
    pass


class SharedEmbedding(EmbeddingBase):
    """Ids of an embedding that several columns share, `[T]` int64; or with a `table` their vectors, `[T, dimension]` float32.

    The columns of a collection have the same number of ids and agree in all arguments except the column of ids.

    Attributes:
      shared_embedding_collection_name: name of the weights that the columns of the collection share.
    """

    tensorflow_class: ClassVar[str] = "SharedEmbeddingColumn"

    type: Literal["shared_embedding_column"] = "shared_embedding_column"
    shared_embedding_collection_name: Key

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        creator = column.shared_embedding_column_creator  # it has no other face
        own = {name: getattr(column, name) for name in ("combiner", "max_norm", "use_safe_embedding_lookup")}
        names = ("dimension", "initializer", "ckpt_to_load_from", "tensor_name_in_ckpt", "trainable")
        shared = {name: getattr(creator, f"_{name}") for name in names}
        collection = {"shared_embedding_collection_name": creator._name}
        return {"categorical_column": converted(column.categorical_column), **own, **shared, **collection}

    @property
    def name(self) -> str:
        """See the base class."""
        return f"{self.inner.name}_shared_embedding"

    @property
    def collection(self) -> str:
        """See the base class."""
        return self.shared_embedding_collection_name


def collection_faults(columns: Sequence[Column]) -> list[SpecFault]:
    """Returns in what the columns of one shared embedding disagree."""
    faults = []
    first: dict[str, tuple[int, SharedEmbedding]] = {}
    for k, column in enumerate(columns):
        if not isinstance(column, SharedEmbedding):
            continue
        before, other = first.setdefault(column.collection, (k, column))
        for name, (ours, theirs) in _differences(column, other).items():
            message = (
                f"expected {theirs}, as columns[{before}] of the collection {column.collection!r} has it, got {ours}"
            )
            faults.append(SpecFault(f"columns[{k}].{name}", message))
    return faults


def _differences(column: SharedEmbedding, other: SharedEmbedding) -> dict[str, tuple[str, str]]:
    """Returns arguments to what each of two columns has."""
    found = {}
    if column.inner.id_count != other.inner.id_count:
        found["categorical_column"] = (f"{column.inner.id_count} ids", f"{other.inner.id_count} ids")
    for name in OF_A_COLLECTION:
        ours, theirs = getattr(column, name), getattr(other, name)
        if ours != theirs:
            found[name] = (repr(ours), repr(theirs))
    if column._table != other._table:
        found["table"] = (repr(column.table), repr(other.table))
    return found


def shared_embedding_column(
    categorical_column: Any, dimension: Any, shared_embedding_collection_name: str, **more: Any
) -> SharedEmbedding:
    """Builds one column of a shared embedding, which `shared_embeddings` does for all of them; errors as there."""
    return SharedEmbedding.make(
        categorical_column=categorical_column,
        dimension=python_int(dimension),
        shared_embedding_collection_name=shared_embedding_collection_name,
        **more,
    )


def shared_embeddings(
    categorical_columns: Iterable[Any],
    dimension: Any,
    combiner: str = "mean",
    initializer: Any = None,
    shared_embedding_collection_name: str | None = None,
    ckpt_to_load_from: str | None = None,
    tensor_name_in_ckpt: str | None = None,
    max_norm: float | None = None,
    trainable: bool = True,
    use_safe_embedding_lookup: bool = True,
    **more: Any,
) -> list[SharedEmbedding]:
    """Builds the columns of a shared embedding with TensorFlow's own arguments, in the order of the columns of ids.

    >>> from seqcols import sequence_categorical_column_with_identity
    >>> ids = [sequence_categorical_column_with_identity(key, 10) for key in ("seen", "liked")]
    >>> shared_embeddings(ids, 4)[0].collection
    'liked_seen_shared_embedding'

    Args:
      categorical_columns: the columns of ids, all of one type and with the same number of ids.
      dimension: values of a vector.
      combiner: `"mean"`, `"sum"` or `"sqrtn"`.
      initializer: a callable or a name, for the manifest.
      shared_embedding_collection_name: the name of the shared weights; composed of the columns' names unless given.
      ckpt_to_load_from: for the manifest, as are `tensor_name_in_ckpt`, `trainable` and `use_safe_embedding_lookup`.
      tensor_name_in_ckpt: see above.
      max_norm: a longer vector is shortened to this Euclidean norm.
      trainable: see above.
      use_safe_embedding_lookup: see above.
      **more: the other arguments of `SharedEmbedding`.

    Raises:
      TypeError, ValueError: as `embedding_column`; the columns are of several types or have not equally many ids.
    """
    columns: list[Categorical] = []
    for given in categorical_columns:
        column = converted(given) if is_tensorflow(given) else given
        if not isinstance(column, Categorical):
            raise ValueError(f"categorical_columns: expected categorical columns, got {type(column).__name__}")
        columns.append(column)
    kinds = {_kind(column) for column in columns}
    counts = {column.id_count for column in columns}
    if not columns or len(kinds) > 1 or len(counts) > 1:
        got = f"types {sorted(kinds)}" if len(kinds) != 1 else f"{sorted(map(str, counts))} ids"
        raise ValueError(f"categorical_columns: expected columns of one type and with equally many ids, got {got}")
    name = shared_embedding_collection_name or "_".join(sorted(column.name for column in columns)) + "_shared_embedding"
    arguments = {
        "combiner": combiner,
        "initializer": initializer,
        "ckpt_to_load_from": ckpt_to_load_from,
        "tensor_name_in_ckpt": tensor_name_in_ckpt,
        "max_norm": max_norm,
        "trainable": trainable,
        "use_safe_embedding_lookup": use_safe_embedding_lookup,
        **more,
    }
    return [shared_embedding_column(column, dimension, name, **arguments) for column in columns]


def _kind(column: Categorical) -> str:
    """Returns the type of a column of ids: weights and sequences aside, as TensorFlow compares them."""
    inner = column.parts[0] if column.weighted else column
    return inner.type_name.removeprefix("sequence_")
