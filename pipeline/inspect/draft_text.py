"""A draft as the text of a columns file, with comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pipeline.columns_file.reader import LARGEST, MOST_VALUES
from pipeline.columns_file.writer import block, events_rows, group_row, quoted, row
from pipeline.inspect.draft import Draft
from pipeline.inspect.events.section import Section
from pipeline.inspect.events.seen import SeenEvents
from pipeline.inspect.sample import Sample
from transforms import escaping
from transforms.errors import JobError

WIDTH = 110


def text(draft: Draft, sample: Sample, seen: SeenEvents | None = None) -> str:
    """Returns the columns file; where it would be too large for one, without the comments.

    Args:
      draft: the columns.
      sample: what they were drafted from.
      seen: the events that its rows are; None where they are none.

    Every line is safe on a terminal: what is not is escaped as YAML has it.

    Raises:
      JobError: there are too many columns for a columns file.
    """
    made = _text(draft, sample, True, seen)
    if len(made.encode()) > LARGEST:
        made = _text(draft, sample, False, seen)
    values = sum(2 * len(row(tried.column)) for tried in draft.columns) + 10 * len(draft.groups)
    if len(made.encode()) > LARGEST or values > MOST_VALUES:
        raise JobError(
            f"{len(draft.columns):,} features: a columns file cannot hold that many; make one for some of them"
        )
    return made


def _text(draft: Draft, sample: Sample, commented: bool, seen: SeenEvents | None) -> str:
    lines = [*_comment(head(draft, sample, seen), ""), "version: 1"]
    if seen is not None:
        lines += _events(seen.section, commented)
    if draft.groups:
        lines.append("sequence_groups:")
    for group in draft.groups:
        members = ", ".join(repr(tried.column.key) for tried in group.members)
        if commented:
            lines += _comment([f"{members}: {group.why}"], "  ")
        lines += _block({quoted(group.name): group_row(group.policy)}, "  ")
    lines.append("columns:")
    for tried in draft.columns:
        hint = draft.hints.get(tried.column.key, "")
        if commented:
            lines += _comment([*tried.why, *filter(None, [hint])], "  ")
        lines += _block([row(tried.column)], "")
    for name, why in draft.left_out.items() if commented else ():
        lines += _comment([f"left out: {why}"], "  ")
        lines += [f"  # {line.strip()}" for line in _block([{"key": quoted(name)}], "")] if len(name) <= WIDTH else []
    return "\n".join(lines) + "\n"


def _events(section: Section, commented: bool) -> list[str]:
    """Returns the section of events, a comment before each of its parts."""
    lines = ["events:"]
    for name, value in events_rows(section.events).items():
        if commented:
            lines += _comment(section.why.get(name, []), "  ")
        lines += _block({name: value}, "  ")
    for name, why in section.left_out.items() if commented else ():
        lines += _comment([f"left out: {name!r}: {why}"], "    ") if len(name) <= WIDTH else []
    return lines


def head(draft: Draft, sample: Sample, seen: SeenEvents | None = None) -> list[str]:
    """Returns comments on the sample that was drafted from, and on the rows of it that the draft rejects."""
    lines = [f"Drafted by seqcols inspect from {of_sample(sample)}."]
    what = "rows"
    if seen is not None:
        what = "sequences"
        lines.append(
            "Every row is an event: one value of each feature, a time, and a key that repeats. The sample's events make "
            f"{seen.sequences:,} sequences. If every row is an example: --no-events, or events=False."
        )
        if seen.bad:
            lines.append(f"{seen.bad:,} of the rows are rejected: no key, no time, or a value of another type.")
    rejected = int(draft.bad.sum())
    if rejected:
        lines.append(f"It rejects {rejected:,} of these {what}. The first by each column:")
        lines += [f"  {tried.column.key!r}: {tried.first}" for tried in draft.columns if tried.first]
    if not sample.is_whole:
        lines.append("Rows outside the sample may hold what these columns reject: seqcols check tells, before a run.")
    return lines


def of_sample(sample: Sample) -> str:
    """Returns what a sample is of, for people."""
    if sample.of:
        return f"{sample.rows:,} rows, {'all rows of' if sample.is_whole else 'spread evenly over'} {sample.of}"
    count = sample.rows + sample.bad
    files = f"{sample.files:,} file{'s' * (sample.files != 1)}"
    if not sample.is_whole and sum(map(bool, sample.read.values())) != sample.files:
        files = f"{sum(map(bool, sample.read.values())):,} of {files}"
    whole = "all rows" if sample.is_whole else "the first rows"
    bad = f"; {sample.bad:,} more cannot be decoded" if sample.bad else ""
    return f"{count - sample.bad:,} rows, {whole} of {files}{bad}"


def _comment(lines: Iterable[str], indent: str) -> list[str]:
    made = []
    for line in lines:
        shown = escaping.one_line(line)
        inner = " " * (len(shown) - len(shown.lstrip()))
        made += textwrap.wrap(
            shown,
            WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# {inner}",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return made


def _block(data: object, indent: str) -> list[str]:
    return [indent + escaping.one_line(line) for line in block(data).splitlines()]
