"""`distributions.json`: lengths, distributions and times, which the report shows and by which data sets are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.splits import Splits
from transforms.distributions import facts, histograms
from transforms.distributions.facts import Facts, Timed
from transforms.distributions.histograms import Counting, Packed
from transforms.events.figures import Figures
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec

APPENDED: Final = "append"


def appended(run: str, part: str) -> str:
    """Returns the name of a part that a run has appended to another one."""
    return f"{APPENDED} {run} {part}"


def without(known: Mapping[str, Facts], run: str) -> dict[str, Facts]:
    """Returns the parts that a run has not appended."""
    return {name: own for name, own in known.items() if not name.startswith(f"{APPENDED} {run} ")}


def of_part(known: Mapping[str, Facts], part: str) -> dict[str, Facts]:
    """Returns a part and what runs have appended to it, by their names; nothing where that is not known."""
    further = {n: own for n, own in known.items() if n.startswith(f"{APPENDED} ") and n.endswith(f" {part}")}
    return {part: known[part], **further} if part in known else {}


def whole(known: Mapping[str, Facts]) -> Facts:
    """Returns the facts of all rows of a data set together."""
    return facts.whole({name: own for name, own in known.items() if name != facts.OF_TRANSFORM})


def gathered(
    spec: Spec, splits: Splits, tally: Tally, counts: Packed, counting: Counting, run: str, times: Sequence[Timed]
) -> dict[str, Facts]:
    """Returns the facts of one run by part: of each split, or of the whole. The other arguments are those of `facts.gathered`."""
    tallies = splits.parts(tally) if splits else {facts.FITTED: tally}
    found = histograms.by_split(counts) if splits else {facts.FITTED: counts}
    return {name: facts.gathered(spec, own, found.get(name, {}), counting, run, times) for name, own in tallies.items()}


def read(manifest: Manifest) -> dict[str, Facts]:
    """Returns the facts of a data set by part (see `facts.FITTED`); empty if there are none that can be read."""
    return facts.from_json(_content(manifest))


def read_events(manifest: Manifest) -> Figures | None:
    """Returns the figures of the events that the rows of a data set are sequences of; None if there are none that can be read."""
    return facts.events_from_json(_content(manifest))


def _content(manifest: Manifest) -> bytes:
    relative = manifest.content.get("distributions")
    try:
        return b"" if relative is None else layout.read_bytes(manifest.path(relative))
    except OSError:
        return b""
