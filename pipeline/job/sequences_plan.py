"""The plan for making sequences of events: the fields and their types, the partitions, and the room that it takes on a disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from pipeline.dataset import field_types, manifest_entries
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.inputs import event_fields
from pipeline.inputs.match import InputFile, Inputs, SkippedFile
from pipeline.inputs.places import Places
from pipeline.job.request import Request
from pipeline.job.writing import Shard
from pipeline.shuffle.partition import Grouping
from pipeline.sinks.nested import fields_of
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from transforms.columns import Column
from transforms.events.figures import Figures
from transforms.events.incoming import Incoming
from transforms.spec.spec import Spec
from transforms.splits.rule import Split

PARTITION_BYTES: Final = 4 << 20
"""Input of a partition, as long as that makes no more than `MANY` of them."""

LARGEST_PARTITION: Final = 64 << 20
"""Input of a partition, at most."""

MANY: Final = 256


@dataclass(frozen=True)
class FieldsRead:
    """The features to read of events, in place of a spec."""

    read_features: Mapping[str, str]
    columns: Sequence[Column] = ()
    row_rule: Split | None = None


def fields_read(incoming: Incoming) -> FieldsRead:
    """Returns what is read of events."""
    return FieldsRead({name: _carrier(kind) for name, kind in incoming.kinds.items()})


@dataclass(frozen=True)
class EventsPlan:
    """The plan for making sequences of events.

    Attributes:
      place: where the run writes.
      grouping: the events and how they are grouped.
      inputs: their files.
      limits: the largest records and files to accept.
      max_rejected: the largest share of events that may be rejected.
      partitions: how many parts the keys are dealt to.
      folder: where the events lie in files while they are grouped; empty where an engine shuffles them.
      text: the section as YAML, for a manifest of its own.
      allow_empty: whether no sequence at all is fine.
      kept: whether the sequences become a part of the data set.
      replaces: the run that is published in the directory when this one begins, None for none.
      skipped: broken files that were left out.
      screened: the files that were searched for broken ones, as they were then.
      disk_bytes: about how many bytes the events are in these files; 0 where an engine shuffles them.
      excluded: the events that are left out, by their places.
      excluded_by: the files that name those.
      split: the rule by which the sequences, or by time the events, are divided.
      columns_file: the path of the file with the section; an empty string if there is none.
    """

    place: Layout
    grouping: Grouping
    inputs: Inputs
    limits: Limits
    max_rejected: float
    partitions: int
    folder: str
    text: str = ""
    allow_empty: bool = False
    kept: bool = True
    replaces: str | None = None
    skipped: tuple[SkippedFile, ...] = ()
    screened: tuple[InputFile, ...] = ()
    disk_bytes: int = 0
    excluded: Places = field(default_factory=dict)
    excluded_by: tuple[str, ...] = ()
    split: Split | None = None
    columns_file: str = ""

    @property
    def fields(self) -> FieldsRead:
        """The features to read of the events."""
        return fields_read(self.grouping.incoming)

    @property
    def skipped_files(self) -> list[dict[str, str | int]]:
        """The files that were left out, as the ledger and the manifest list them."""
        return [file.entry() for file in self.skipped]


@dataclass(frozen=True)
class Sequences:
    """Sequences that a run has made of events, not yet published.

    Attributes:
      plan: how.
      shards: their files.
      rejected: the files of rejected events.
      ledger: the events, accounted for (see `pipeline.dataset.events_ledger`).
      figures: figures of the events for people.
      examples: the first rejected events of every reason.
    """

    plan: EventsPlan
    shards: Sequence[Shard]
    rejected: Sequence[Shard]
    ledger: Mapping[str, Any] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    examples: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """Their files as the input of a job."""
        return Inputs(tuple(InputFile(shard.path, shard.bytes) for shard in sorted(self.shards, key=lambda s: s.path)))

    def described(self) -> dict[str, Any]:
        """Returns what the manifest says of them."""
        plan, shards = self.plan, self.shards if self.plan.kept else ()
        fields = fields_of(plan.grouping.schema)
        how = {
            "partitions": plan.partitions,
            "max_steps": plan.grouping.max_steps,
            "event_fields": field_types.as_json(plan.grouping.incoming.kinds),
            "excluded_by": list(plan.excluded_by),
        }
        return manifest_entries.sequences_of(plan.place.output, fields, how, self.ledger, shards, self.rejected)


def borders_of(split: Split | None) -> dict[str, Any]:
    """Returns where the splits of a rule by time begin, as `transforms.sequences` takes them; nothing for another rule.

    Raises:
      UsageError: a border is no time that a calendar has.
    """
    if split is None or split.by != "time":
        return {}
    try:
        return {name: _moment(at) for name, at in split.ordered_borders}
    except OverflowError:
        raise UsageError("split: expected borders from the year 1 to 9999") from None


def _moment(nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=-(-nanoseconds // 1000))


def grouping_of(spec: Spec, inputs: Inputs, limits: Limits, max_steps: int) -> Grouping:
    """Looks at the files of events, and decides on the fields and their types.

    Raises:
      SpecError: the section asks for fields that the events do not have, or for what their types cannot give.
      JobError: a file cannot be read, does not have a field, or has it in a type that does not go with that of another file.
    """
    assert spec.events is not None
    found = event_fields.held([file.path for file in inputs.files], limits)
    return Grouping(event_fields.incoming_of(spec.events, found, limits), borders_of(spec.split), max_steps)


def _carrier(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "int64"
    return "float32" if pa.types.is_floating(kind) else "string"


def partitions_of(request: Request, inputs: Inputs) -> int:
    """Returns the number of partitions: as it was asked for, else by the size of the input, whatever workers there are.

    Raises:
      UsageError: a number that is none.
    """
    if request.partitions is not None:
        return request.partitions
    size = max(inputs.size, 1)
    return max(min(-(-size // PARTITION_BYTES), MANY), -(-size // LARGEST_PARTITION))


def bytes_needed(plan: EventsPlan) -> int:
    """Returns about how many bytes the events are in files of columns."""
    wanted = set(plan.grouping.incoming.kinds)
    sources = ((file, source_for(file.path, plan.limits)) for file in plan.inputs.files)
    return sum(source.unpacked_bytes(file.path, file.size, wanted, plan.limits) for file, source in sources)


def refuse_small_disk(plan: EventsPlan) -> str:
    """Returns a note that says how much room events need on this machine's disk, where they lie in files.

    Raises:
      UsageError: there is less.
    """
    needed, where = plan.disk_bytes, os.path.dirname(plan.folder)
    while not os.path.isdir(where):
        where = os.path.dirname(where)
    free = shutil.disk_usage(where).free
    if needed > free:
        raise UsageError(
            f"events need about {_mib(needed)} of disk while they are grouped, and {where!r} has {_mib(free)} left; give an "
            f"--output on a larger disk"
        )
    return f"events need about {_mib(needed)} of disk in {where!r} while they are grouped ({_mib(free)} free)"


def _mib(size: int) -> str:
    return f"{max(1, round(size / 2**20)):,} MiB"
