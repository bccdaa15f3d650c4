"""The columns of a finished data set, as its manifest holds them: what they extended may be gone since, or have grown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.columns_file import reader
from transforms.columns.learned_vocabulary import Once, learners
from transforms.errors import JobError, SpecError
from transforms.spec.spec import Spec
from transforms.stored.word_files import Extended, extended_once

if TYPE_CHECKING:
    from pipeline.dataset.manifest import Manifest

_NAME: Final = "the columns in the manifest"


def read_columns(found: Manifest) -> Spec:
    """Reads the columns of a data set.

    Raises:
      SpecError: its manifest describes them only, since YAML cannot hold them; or it is damaged.
    """
    return reader.loads(str(found.content.get("columns", "")), _NAME, once_of(found))


def spec_of(found: Manifest, hint: str = "") -> Spec:
    """Reads the columns of a data set, which are asked for.

    Args:
      found: the data set.
      hint: what to do where they cannot be read.

    Raises:
      JobError: its manifest describes them only, since YAML cannot hold them; or it is damaged.
    """
    try:
        return read_columns(found)
    except SpecError as error:
        why = str(error).splitlines()[0]
        raise JobError(f"{found.root!r}: the columns cannot be read back from the manifest{hint}: {why}") from error


def for_its_rows(found: Manifest, spec: Spec) -> Spec:
    """Returns columns for further rows of a data set: they extend what they extended when it was made."""
    if all(learner.extends is None for learner in learners(spec.columns).values()):
        return spec
    try:
        return reader.loads(reader.dumps(spec), _NAME, once_of(found))
    except SpecError:  # of columns that YAML cannot hold
        return spec


def of_request(columns: str, asked: Mapping[str, Any]) -> Spec:
    """Reads the columns file of a run with some options: what it extends is that of the data set whose transform is used."""
    uses = asked.get("output") if asked.get("append") else asked.get("transform")
    return reader.load(columns, once_of(str(uses)) if uses else None)


def data_set_of(rejected: str) -> str:
    """Returns the directory of the data set that a folder of rejected rows is in, or that is named itself.

    >>> data_set_of("out/rejected/"), data_set_of("rejected"), data_set_of("out")
    ('out', '.', 'out')
    """
    folder, _, last = rejected.rstrip("/").rpartition("/")
    return (folder or ".") if last == "rejected" else rejected.rstrip("/")


def once_of(found: Manifest | str) -> Once:
    """Returns what tells what columns of a data set extended; of a directory, the manifest is read when a column asks."""

    def once(name: str, path: str, dtype: str) -> Extended:
        from pipeline.dataset.manifest import read_examples  # which loads Beam

        of = read_examples(found.rstrip("/") or "/") if isinstance(found, str) else found
        root = of.path(of.content["transform"]) if of.content.get("transform") else ""
        return extended_once(root, of.content.get("vocabularies") or {}, name, path, dtype)

    return once
