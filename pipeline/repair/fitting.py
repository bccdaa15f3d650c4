"""The columns that rows are read with now, against those that the data set was made with: rows are added, and nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.dataset.columns import read_columns
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest_entries import buckets_of
from transforms.columns.numeric_base import numeric_of
from transforms.errors import JobError, SpecError
from transforms.normalizers import Normalizer
from transforms.spec.spec import Spec


def spec_of(before: Manifest) -> Spec:
    """Reads the columns of a data set.

    Raises:
      JobError: its manifest describes them only, since YAML cannot hold them.
    """
    try:
        return read_columns(before)
    except SpecError as error:
        why = str(error).splitlines()[0]
        raise JobError(f"{before.root!r}: the columns cannot be read back from the manifest: {why}") from error


def refuse_other_features(spec: Spec, sizes: Mapping[str, int | None], before: Manifest) -> None:
    """Refuses columns that make other features than those that are written.

    Raises:
      SpecError: naming the first difference.
    """
    wanted = {output.name: output for output in spec.outputs(dict(sizes))}
    for output in before.outputs:
        if output.name not in wanted:
            raise SpecError(
                f"the feature {output.name!r} of the data set is missing: a repair adds rows, not other features"
            )
        made = wanted.pop(output.name)
        for what in ("shape", "kind", "source"):
            if getattr(made, what) != getattr(output, what):
                raise SpecError(
                    f"the feature {output.name!r} would have the {what} {getattr(made, what)!r}, the data set has "
                    f"{getattr(output, what)!r}: run the job again"
                )
    was = (before.content["examples"].get("length_buckets") or {}).get("T")
    now = buckets_of(spec).get("length_buckets", {}).get("T")
    if was != now:
        raise SpecError(f"bucket_by_length gives the buckets {now}, the data set has {was}: run the job again")
    if wanted:
        raise SpecError(
            f"the feature {next(iter(wanted))!r} is none of the data set's: a repair adds rows, not other features"
        )


def refuse_other_normalizers(spec: Spec, old: Spec) -> None:
    """Refuses normalizers that the rows already written were not put through.

    Raises:
      SpecError: naming the first.
    """
    were = {column.name: numeric_of(column) for column in old.numeric_columns}
    for column in spec.numeric_columns:
        now, before = numeric_of(column), were.get(column.name)
        if now is not None and before is not None and now.links != before.links:
            raise SpecError(
                f"column {column.name!r}: the data set was made with another normalizer_fn, "
                f"{_labels(before.links)}, not {_labels(now.links)}: run the job again"
            )


def _labels(links: Sequence[Normalizer]) -> str:
    return ", ".join(str(getattr(link, "type", "function")) for link in links) or "none"


def size(before: Manifest, old: Spec, group: str) -> int | None:
    """Returns T of a group as it is written."""
    if group not in old.group_names:
        return None
    sizes = (o.shape[0] for o in before.outputs if o.sequence and old.group_of(o) == group)
    return next(sizes, old.group(group).fixed_length)
