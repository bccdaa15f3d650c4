"""Finished data sets, opened for a loader: one, or several that one transform has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read_examples as read_manifest
from pipeline.errors import UsageError
from pipeline.sinks.formats import SINKS
from pipeline.verify import verify
from transforms.columns import Output
from transforms.errors import JobError, listed, nearest

Roots = str | PathLike[str] | Sequence[str | PathLike[str]]
"""Directory of a data set, or of several."""


def open_manifests(
    roots: Roots, verified: bool, bucket: int | None = None, split: str | None = None
) -> tuple[Manifest, ...]:
    """Opens finished data sets, or a split or a length bucket of each, and verifies all their files if that is asked for.

    Raises:
      JobError: there is none, it is of a format that is not known, or it is not as it was published.
      UsageError: none is named, or one twice; one has splits, or length buckets, and none is chosen, or one that it does not
        have; or they are not of one transform.
    """
    single = isinstance(roots, str | PathLike)
    names = [str(root).rstrip("/") or "/" for root in ([roots] if single else roots)]  # type: ignore[union-attr]
    if not names:
        raise UsageError("root: expected at least one directory, got none")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"root: {name!r} is named twice")
    made = tuple(_open(name, verified, bucket, split, len(names) > 1) for name in names)
    for other in made[1:]:
        _refuse_other(made[0], other)
    return made


def _open(root: str, verified: bool, bucket: int | None, split: str | None, named: bool) -> Manifest:
    """Opens one; messages name it where it is not the only one."""
    manifest = read_manifest(root)
    if manifest.format not in SINKS:
        path = manifest.path(layout.MANIFEST)
        raise JobError(f"{path}: unknown format {manifest.format!r}{nearest(manifest.format, SINKS)}")
    if verified:
        faults = verify.files(manifest.root).faults
        if faults:
            more = f" (and {len(faults) - 1:,} more faults: seqcols verify)" if len(faults) > 1 else ""
            raise JobError(f"{faults[0]}{more}")
    names, what, of = manifest.splits, "the data set", ""
    if named:
        what, of = repr(root), f" of {root!r}"
    if (split not in names) if names else (split is not None):
        allowed = f"the name of a split{of}, one of {', '.join(names)}" if names else f"none, as {what} has no splits"
        raise UsageError(f"split: expected {allowed}, got {split!r}{hint(split, dict.fromkeys(names))}")
    manifest = manifest if split is None else manifest.split(split)
    sizes = manifest.bucket_lengths
    if (bucket not in sizes) if sizes else (bucket is not None):
        allowed = f"T of a length bucket{of}, one of {sizes}" if sizes else f"none, as {what} has no length buckets"
        raise UsageError(f"bucket: expected {allowed}, got {bucket!r}")
    return manifest if bucket is None else manifest.bucket(bucket)


def _refuse_other(first: Manifest, other: Manifest) -> None:
    """Refuses a data set whose rows do not mean what those of the first one do.

    Raises:
      UsageError: naming both, and what differs.
    """
    both = f"root: {first.root!r} and {other.root!r}"
    one, two = ({output.name: output for output in manifest.outputs} for manifest in (first, other))
    for name in one | two:
        if one.get(name) != two.get(name):
            raise UsageError(f"{both} differ in the feature {name!r}: {_shown(one.get(name))}, {_shown(two.get(name))}")
    digests = [manifest.content.get("graph_sha256", {}).get("transform") for manifest in (first, other)]
    for manifest, digest in zip((first, other), digests, strict=True):
        if digest is None:
            why = "its manifest has no digest of a transform, as that of a data set without rows"
            raise UsageError(f"{both}: nothing tells whether their transform is the same: {manifest.root!r}: {why}")
    if digests[0] != digests[1]:
        why = f"(SHA-256 {digests[0][:8]}..., {digests[1][:8]}...), so that equal values may differ in what they mean"
        raise UsageError(
            f"{both} have transforms of their own {why}; `seqcols run --transform` writes by that of another"
        )


def _shown(output: Output | None) -> str:
    if output is None:
        return "absent"
    return f"{output.dtype} {list(output.shape)} ({output.kind} of {output.source!r})"


def chosen(manifest: Manifest, features: Sequence[str] | None) -> list[Output]:
    """Returns the outputs with these names, in this order; all of them for None.

    Raises:
      UsageError: there is no such feature, or it is named twice; or none is asked for.
    """
    outputs = {output.name: output for output in manifest.outputs}
    if features is None:
        return list(outputs.values())
    names = [features] if isinstance(features, str) else list(features)
    for name in names:
        if name not in outputs:
            raise UsageError(
                f"features: {name!r} is not in the data set; it has {listed(outputs)}{hint(name, outputs)}"
            )
        if names.count(name) > 1:
            raise UsageError(f"features: {name!r} is named twice")
    if not names:
        raise UsageError(f"features: expected at least one of {listed(outputs)}, got none")
    return [outputs[name] for name in names]


def hint(name: Any, names: Mapping[str, Any]) -> str:
    """Returns what was probably meant by a name, where it is text."""
    return nearest(name, names) if isinstance(name, str) else ""
