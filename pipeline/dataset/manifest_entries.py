"""Entries of a manifest, made of what a run knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.dataset.splits import Splits
from transforms.columns import Output
from transforms.spec.spec import Spec


def features_of(outputs: Sequence[Output]) -> dict[str, Any]:
    """Returns the features as the manifest lists them."""
    return {
        o.name: {"dtype": o.dtype, "shape": list(o.shape), "kind": o.kind, "source": o.source, "sequence": o.sequence}
        for o in outputs
    }


def buckets_of(spec: Spec) -> dict[str, Any]:
    """Returns what the manifest says of length buckets: nothing where there are none."""
    group = spec.bucketed_group
    if group is None:
        return {}
    sizes, names = spec.group(group).bucket_lengths, spec.bucketed_names
    own = [output.name for output in spec.outputs() if output.name in names]
    return {"length_buckets": {"group": group, "T": list(sizes), "features": own}}


def splits_of(splits: Splits, book: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest's entries about splits: empty if there are none.

    Args:
      splits: the splits.
      book: the ledger.
    """
    if not splits:
        return {}
    counts = {
        name: {what: own["rows"][what] for what in ("read", "written", "rejected")}
        for name, own in book["splits"].items()
    }
    return {"splits": {"by": splits.by, "statistics": splits.statistics, "rows": counts}}


def sequences_of(
    root: str,
    schema: Mapping[str, str],
    how: Mapping[str, Any],
    book: Mapping[str, Any],
    files: Sequence[Any],
    rejected: Sequence[Any],
) -> dict[str, Any]:
    """Returns what the manifest says of sequences that were made of events.

    Args:
      root: the directory.
      schema: the fields of the sequences and their types.
      how: what they were made by: the number of `partitions` and the like, which a repair needs.
      book: the ledger of the events.
      files: the shards of sequences that are a part of the data set.
      rejected: the shards of rejected events.
    """
    plain = [{key: value for key, value in shard.entry(root).items() if key != "row_digest"} for shard in files]
    return {
        "rows": sum(shard.rows for shard in files),
        "fields": dict(schema),
        **how,
        "events": book["rows"],
        "files": plain,
        "rejected": {"rows": book["rows"]["rejected"], "files": [shard.entry(root) for shard in rejected]},
    }
