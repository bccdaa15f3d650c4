"""`seqcols undo-append`: the data set as it was before the last run that appended to it."""

from __future__ import annotations

from importlib.metadata import version

import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import distributions, layout, manifest, publish, vocabularies
from pipeline.dataset.layout import Layout
from pipeline.dataset.notebook import Ledger
from pipeline.dataset.target import checked_output
from pipeline.job import appending, cleaning
from pipeline.job.combine import Rejects, first_of, merge_first
from pipeline.job.executing import Outcome
from pipeline.job.given import columns_of, read_given
from pipeline.job.verdict import DONE
from pipeline.report.page import page
from pipeline.report.view import view
from transforms.distributions import facts


def undo_append(output: str) -> Outcome:
    """Takes the last append back: a reader sees the data set with its rows, or as it was before.

    Args:
      output: directory of the data set.

    Raises:
      UsageError: the last run did something else.
      JobError: the data set is damaged, or another run has published meanwhile.
    """
    place = Layout(checked_output(output, overwrite=True), layout.new_run_id())
    given = read_given(place.output)
    before = given.of
    run, content = appending.without_last(before)
    book = appending.ledger_without(before, layout.read_json(before.path(before.content["ledger"])), run)
    content = appending.files_without(content, book, run)
    content |= {"seqcols": version("seqcols"), "run": place.run_id, "created": manifest.created_now()}
    known = distributions.without(given.known, run)
    stats = layout.read_json(before.path(before.content["statistics"]))
    with cleaning.run_in(place):
        given.stage(place)
        examples = _examples([before.path(entry["path"]) for entry in content["rejected"]["files"]])
        staged = [place.staged(name) for name in (layout.TRANSFORM, layout.SERVING)]
        words = vocabularies.shown_by_column(content, staged[0])
        shown = view(columns_of(given), content, book, stats, distributions.whole(known), examples, words=words)
        notes = publish.publish(
            place, content, book, stats, staged[0], before.content["run"], staged[1], page(shown), facts.as_json(known)
        )
    return Outcome(DONE, output=place.output, ledger=Ledger(book), rejected_examples=examples, passes=0, notes=notes)


def _examples(paths: list[str]) -> Rejects:
    """Returns the first rejected rows of every reason."""
    found = []
    for path in paths:
        with FileSystems.open(path) as file:
            found += [first_of(batch) for batch in pq.read_table(file).to_batches() if batch.num_rows]
    return merge_first(found)
