"""`distributions.json`: lengths, distributions and times, as the report shows them and as data sets are compared by."""

from __future__ import annotations

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest
from transforms.distributions import facts
from transforms.distributions.facts import Facts


def read(manifest: Manifest) -> dict[str, Facts]:
    """Returns the facts of a data set by part (see `facts.FITTED`); nothing where it has none that can be read."""
    relative = manifest.content.get("distributions")
    if relative is None:
        return {}
    try:
        return facts.from_json(layout.read_bytes(manifest.path(relative)))
    except OSError:
        return {}
