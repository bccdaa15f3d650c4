"""The transform of a finished data set, for a run that takes columns, statistics, T and vocabularies from it (`--transform`)."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.compare.described import Described, described
from pipeline.dataset import distributions, graphs, layout, manifest
from pipeline.dataset.columns import read_columns, spec_of
from pipeline.dataset.graphs import STATISTICS
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import Manifest
from pipeline.errors import UsageError
from transforms.distributions import facts
from transforms.distributions.facts import Facts
from transforms.errors import JobError, SpecError
from transforms.spec.spec import Spec
from transforms.stored import trees
from transforms.stored.files import plain_path

GRAPHS = {"transform": layout.TRANSFORM, "serving": layout.SERVING}
"""The graphs of a data set: their names in its manifest, and in a staging folder."""


@dataclass(frozen=True)
class GivenTransform:
    """A data set whose transform a run uses.

    Attributes:
      of: the data set.
      known: the facts of its rows, by part (see `pipeline.dataset.distributions.read`).
    """

    of: Manifest
    known: Mapping[str, Facts] = field(default_factory=dict)

    @property
    def statistics(self) -> dict[str, Any]:
        """The statistics of the data set, as a run that uses them publishes them: with the data set that they come from."""
        content: dict[str, Any] = layout.read_json(self.of.path(self.of.content["statistics"]))
        return {**content, "transform": self.entry()}

    def entry(self) -> dict[str, Any]:
        """Returns the entry of a manifest that names the data set whose rows the statistics come from."""
        content = self.of.content
        own = {"data_set": self.of.root, "run": content["run"], "graph_sha256": content["graph_sha256"]["transform"]}
        return dict(content.get("transform_of") or own)

    @cached_property
    def fitted(self) -> Facts | None:
        """The facts of the rows that the statistics come from; None if they are not known."""
        names = (facts.OF_TRANSFORM, self.of.statistics_split or facts.FITTED)
        return next((self.known[name] for name in names if name in self.known), None)

    def described(self) -> Described:
        """Returns the description of the rows that the statistics come from; or of its own rows if it was transformed itself."""
        split = self.of.statistics_split
        return described(self.of.split(split) if split else self.of, fitted=True)

    def moments(self, place: Layout) -> str:
        """Returns the staged file with the moments that values are counted around; an empty string for none."""
        from transforms.statistics.saved import moments_file  # which imports TensorFlow

        there = layout.exists(f"{self.of.path(self.of.content['transform'])}/{STATISTICS}/{moments_file(0)}")
        return place.staged(layout.TRANSFORM, STATISTICS, moments_file(0)) if there else ""

    def stage(self, place: Layout) -> None:
        """Copies the graphs to the staging folder of a run.

        Raises:
          JobError: they have changed since they were published.
        """
        for name, folder in GRAPHS.items():
            source, target = self.of.path(self.of.content[name]), place.staged(folder)
            try:
                trees.copy(source, target)
            except OSError as error:
                raise JobError(f"{error.filename or source}: cannot be copied ({error.strerror or error})") from error
            if graphs.digest(target) != self.of.content["graph_sha256"][name]:
                raise JobError(f"{source}: is not what was published: seqcols verify says more")


def read_given(root: str) -> GivenTransform:
    """Reads the data set whose transform is to be used.

    Raises:
      UsageError: it has no written rows, and so no transform.
      JobError: there is no such data set, or it, or what it says of its rows, is not what was published.
    """
    root = plain_path(root)
    found = manifest.read_examples(root.rstrip("/") if "://" in root else os.path.abspath(root))
    if not found.content["transform"] or not found.content["serving"]:
        raise UsageError(f"{root!r}: has no row that was written, and so no statistics")
    if set(GRAPHS) - set(found.content.get("graph_sha256", {})):
        raise UsageError(f"{root!r}: an older seqcols wrote it, without digests of its graphs: run the job again")
    graphs.refuse_changed(found)
    return GivenTransform(found, distributions.read(found))


def columns_of(given: GivenTransform) -> Spec:
    """Returns the columns of the data set, for a run that names none.

    Raises:
      JobError: they cannot be read back from its manifest.
    """
    return spec_of(given.of, ", give them, too")


def refuse_other_columns(given: GivenTransform, spec: Spec, text: str) -> None:
    """Refuses columns that differ from those of the data set. The split may differ, because it decides no value.

    Args:
      given: the data set.
      spec: the columns of the run.
      text: the same columns as a columns file, without their split.

    Raises:
      SpecError: the columns differ; the error names the differences.
    """
    try:
        before = read_columns(given.of)
    except SpecError:  # functions without a name cannot be read back: compare the features instead
        before = None
    where = f"the columns differ from those of {given.of.root!r}, whose transform is asked for: "
    if before is not None:
        if before.model_copy(update={"split": None}) != spec.model_copy(update={"split": None}):
            raise SpecError(where + _difference(_without_split(str(given.of.content["columns"])), text))
    elif {o.name: (o.dtype, o.kind) for o in given.of.outputs} != {o.name: (o.dtype, o.kind) for o in spec.outputs()}:
        raise SpecError(f"{where}they make other features")
    listed = given.fitted.vocabularies if given.fitted else {}
    now = facts.words_listed(spec)
    changed = [name for name, digest in listed.items() if now.get(name, digest) != digest]
    if changed:
        raise SpecError(f"{where}the words of column {changed[0]!r} have changed since")


def _without_split(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("split:"))


def _difference(before: str, now: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), _without_split(now).splitlines(), lineterm="", n=0)
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    shown = "; ".join(f"{'got' if line[0] == '+' else 'expected'} {line[1:].strip()!r}" for line in changed[:4])
    return f"{shown}{f' and {len(changed) - 4} more lines' if len(changed) > 4 else ''}"
