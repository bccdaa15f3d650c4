"""Reports for tests: made of rows without a job, and read as what they are, HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pipeline.dataset import ledger, statistics
from pipeline.job import combine
from pipeline.report.page import page
from pipeline.report.view import view
from transforms.distributions import facts, histograms
from transforms.distributions.facts import Facts, Timed
from transforms.distributions.histograms import Counting
from transforms.rows import digests
from transforms.rows.from_python import from_dicts
from transforms.rows.origin import DIGEST_COLUMN, file_of
from transforms.rows.tally import Tally, add
from transforms.spec.spec import Spec, length_name
from transforms.stage_functions import densify_stage
from transforms.statistics import moments
from transforms.statistics.fitted import table_width

VOID = {"meta", "link", "br", "path", "rect"}


@dataclass
class Element:
    """An element of a page: its tag, attributes, and everything in it, text as `str`."""

    tag: str
    attributes: dict[str, str | None]
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, white space as one space."""
        return " ".join("".join(one if isinstance(one, str) else f" {one.text} " for one in self.inside).split())

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Returns the elements below with a tag and attributes (`class_` for class), in order."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        found = []
        for one in self.inside:
            if isinstance(one, Element):
                own = {name: value for name, value in one.attributes.items() if name in wanted}
                found += [one] if tag in ("", one.tag) and own == wanted else []
                found += one.all(tag, **attributes)
        return found

    def rows(self) -> list[list[str]]:
        """Returns the cells of all table rows below."""
        return [[one.text for one in row.inside if isinstance(one, Element)] for row in self.all("tr")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, dict(attrs))
        self.open[-1].inside.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def parsed(text: str) -> Element:
    """Returns a page as its elements; every tag must be closed, in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    assert not reader.comments
    return reader.open[0]


def made_of(
    spec: Spec,
    rows: Sequence[dict[str, Any]],
    times: Sequence[Timed] = (),
    run: str = "run",
    events: dict[str, Any] | None = None,
    of_events: dict[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """Returns the report of rows that need no statistics, put through the stages as a job does, without one.

    Args:
      spec: the columns.
      rows: the rows.
      times: how long the parts of the run took.
      run: its name.
      events: the ledger of the events that they are said to be sequences of.
      of_events: what the spec says of these, `events` and `split`.
      **more: see `rendered`.
    """
    tally: Tally = Tally()
    counts: histograms.Counts = {}
    examples: list[combine.Rejects] = []
    count = densify_stage(spec, None, counting=Counting())
    for one in from_dicts(rows):
        batch = digests.attach(one, list(spec.features))
        tally[file_of(batch), "rows", "read"] += batch.num_rows
        for stage in count(batch):
            add(tally, stage.tally)
            if stage.count is not None:
                stage.count(counts)
            if stage.rejected is not None:
                examples.append(combine.first_of(stage.rejected))
            if stage.batch.num_rows:
                assert DIGEST_COLUMN in stage.batch.schema.names
                tally[file_of(batch), "rows", "written"] += stage.batch.num_rows
                for name in spec.group_names:
                    steps = stage.batch.column(length_name(name)).to_numpy().sum()
                    tally[file_of(batch), "group", name, "steps"] += int(steps)
    sizes = {name: spec.group(name).fixed_length for name in spec.group_names}
    book = {**ledger.build(tally, spec, sizes), "skipped_files": []}
    stats = statistics.build(spec, moments.empty(table_width(spec)), tally, sizes)
    known = facts.gathered(spec, tally, histograms.packed(counts), Counting(), run, times)
    book |= {} if events is None else {"events": events}
    spec = spec.model_copy(update=of_events or {})
    return rendered(spec, book, stats, known, combine.merge_first(examples), **more)


COLUMNS = "version: 1\ncolumns:\n  - {type: passthrough_column, key: <b>key</b>}\n"
"""The columns in a manifest that is made up."""


def rendered(
    spec: Spec,
    book: dict[str, Any],
    stats: dict[str, Any],
    known: Facts,
    examples: Any,
    columns_file: str = "",
    **more: Any,
) -> bytes:
    """Returns a report with a manifest that is made up."""
    manifest = {
        "run": "20260101T000000-00000000",
        "created": "2026-01-01T00:00:00Z",
        "seqcols": "0",
        "format": "parquet",
        "columns": COLUMNS,
        "columns_file": columns_file,
        "runs": [{"run": "20260101T000000-00000000", "kind": "run", "read": 1, "written": 1, "rejected": 0}],
        "examples": {"files": []},
        "skipped_files": book["skipped_files"],
    }
    return page(view(spec, manifest, book, stats, known, examples, **more))


def sides_of(root: str | Path) -> list[tuple[str, str]]:
    """Returns the two sides of the comparison in the report of a data set: directory and rows."""
    text = re.sub("<[^>]+>", "", (Path(root) / "report.html").read_text())
    return re.findall(r"(\S+), run \S+, published \S+; ([\d,]+) rows", text)
