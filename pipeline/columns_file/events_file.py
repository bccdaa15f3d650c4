"""The part of a columns file that makes sequences of events, in a file without columns as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, ValidationError

from pipeline.columns_file.reader import ELSEWHERE, MOST_VALUES, load, read_text, version_of_layout
from pipeline.columns_file.writer import block, events_rows, split_row
from pipeline.columns_file.yaml_lines import read_yaml
from transforms.errors import SpecError, SpecFault
from transforms.events.make_events import name_faults, split_faults
from transforms.events.spec import Events
from transforms.models import Model
from transforms.problems import problems, shown
from transforms.spec.spec import Spec
from transforms.splits.rule import Split


class EventsFile(Model):
    """How events become sequences, and how these are divided.

    Attributes:
      events: the section of events.
      split: the rule by which sequences are divided, None for none. By time events are.
      version: version of the layout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Events
    split: Split | None = None
    version: Annotated[Literal[1], BeforeValidator(version_of_layout)] = 1

    @property
    def spec(self) -> Spec:
        """The spec of a request that makes sequences and nothing else: it has no columns."""
        return Spec.model_construct(sequence_groups={}, columns=[], split=self.split, events=self.events)


def load_events(path: str | Path) -> EventsFile:
    """Reads what a file says of events: a columns file, or one without columns.

    Raises:
      SpecError: the file cannot be read, or with every fault in it, in the order of their lines.
    """
    name = str(path)
    document = read_yaml(read_text(name), name, MOST_VALUES, ELSEWHERE)
    data = document.data
    if isinstance(data, dict) and ("columns" in data or "events" not in data):
        spec = load(path) if "columns" in data else None
        if spec is None or spec.events is None:
            raise SpecError([SpecFault(name, "expected a section 'events', which says how events become sequences", 1)])
        return EventsFile(events=spec.events, split=spec.split)
    if not isinstance(data, dict):
        raise SpecError([*document.faults, SpecFault(name, f"expected a mapping with 'events', got {shown(data)}", 1)])
    try:
        found = EventsFile.model_validate(data)
        faults = cross_faults(found)
    except ValidationError as error:
        faults = [SpecFault(problem.path, problem.message) for problem in problems(error, EventsFile, data, noun="key")]
    faults = [replace(fault, line=document.line(fault.path) or 1) for fault in faults]
    told = {(fault.path, fault.line) for fault in document.faults}
    faults = [*document.faults, *(fault for fault in faults if (fault.path, fault.line) not in told)]
    if faults:
        raise SpecError(sorted(faults, key=lambda fault: fault.line))
    return found


def cross_faults(found: EventsFile) -> list[SpecFault]:
    """Returns what is wrong between the section of events and the rule of splits."""
    faults = [*name_faults(found.events), *split_faults(found.events, found.split)]
    if found.split is not None:
        faults += [SpecFault(f"split.{field}", message) for field, message in found.split.faults(True)]
    return faults


def dumps(found: EventsFile) -> str:
    """Returns it as YAML, as a file without columns has it."""
    split = {"split": split_row(found.split)} if found.split is not None else {}
    return block({"version": 1, "events": events_rows(found.events), **split})
