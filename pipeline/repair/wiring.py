"""The graph of a repair, and its end: read the rejected rows, validate, densify by the statistics that there are, write, publish.

Of mended events the sequences that were made of them are read, which are rows like any others.

rejected/ -> read -> validate -> densify -> write ---+
|         |           |                +-> the ledger of the whole -> publish
+---------+-----------+-> rejected/ ---+
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from pipeline.dataset import (
    distributions,
    events_ledger,
    graphs,
    layout,
    ledger,
    manifest,
    manifest_entries,
    publish,
    vocabularies,
)
from pipeline.dataset.manifest import Manifest
from pipeline.job import batch_coder, progress, wiring
from pipeline.job.combine import Rejects, at_end
from pipeline.job.reading import ReadBatches
from pipeline.job.verdict import DONE, FAILED
from pipeline.job.writing import Shard
from pipeline.repair import ledger as repair_ledger
from pipeline.repair.plan import MadeSequences, RepairPlan, keep_statistics
from pipeline.repair.rows import ReadKept
from pipeline.report import times
from pipeline.report.page import page
from pipeline.report.view import view
from pipeline.sources.limits import WIDEST
from pipeline.verify import rows as verify_rows
from transforms.columns.embedding import embeddings_of
from transforms.distributions import facts
from transforms.distributions.histograms import Packed
from transforms.errors import JobError
from transforms.fit.fit import save_transform
from transforms.rows import digests
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec

COMPARED_ROWS = 1000
"""Rows that were written already and are compared with what the new columns give for them."""


_OF_OTHERS: Final = ("report_sha256", "columns_file")
"""Entries of the manifest that say nothing of a data set once it is repaired."""


def build(root: beam.Pipeline, plan: RepairPlan, tuning: wiring.Tuning) -> beam.PCollection:
    """Adds a repair to a pipeline; one element comes out, what `_finish` wrote down."""
    batch_coder.register()
    spec, place = plan.spec, plan.place
    ready, _ = save_transform(
        root,
        spec,
        None,
        place.staged(layout.TRANSFORM),
        place.staging,
        given=plan.levels,
        words=plan.words,
        scratch=place.scratch,
    )
    paths = plan.before.rejected_files if plan.made is None else [shard.path for shard in plan.made.shards]
    files = root | "Files" >> beam.Create(paths, reshuffle=False)
    gated = files | "Gate" >> beam.Map(lambda path, _: path, AsSingleton(ready))
    if plan.made is None:
        kept = gated | "Kept" >> ReadKept(spec, plan.mended, WIDEST, tuning.notes, 0)
    else:
        kept = gated | "Sequences" >> ReadBatches(spec, WIDEST, tuning.spread, tuning.notes, 0)
    read = wiring.validated(kept, "", _no_longer(spec, plan.sizes), tuning, plan.splits)
    sink = str(plan.before.content["format"])
    written = wiring.write_pass(
        read,
        plan.place,
        spec,
        sink,
        moments=False,
        sampled=plan.made is not None,
        counting=plan.counting,
        splits=plan.splits,
    )
    return at_end(root, _finish, plan, **written.collected())


def _no_longer(spec: Spec, sizes: Mapping[str, int | None]) -> Spec:
    """Returns the columns with a rule more: where T is the longest row of the data set, no row that is added is longer."""
    groups = {
        name: spec.group(name).model_copy(update={"max_length": sizes[name], "truncate": "reject"})
        for name in spec.longest_groups
    }
    return spec.model_copy(update={"sequence_groups": {**spec.sequence_groups, **groups}})


def _finish(
    _: None,
    plan: RepairPlan,
    parts: Sequence[Shard],
    rejected: Sequence[Shard],
    tally: Tally,
    examples: Rejects,
    counts: Packed,
) -> dict[str, Any]:
    """Checks and publishes, and writes down how the repair ended."""
    try:
        result = _published(plan, parts, rejected, tally, examples, counts)
    except JobError as error:
        result = {"status": FAILED, "message": str(error)}
    result["rejected_examples"] = examples
    layout.write_result(plan.place, result)
    if result["status"] != DONE:
        raise JobError(result["message"])
    return result


def _published(
    plan: RepairPlan, parts: Sequence[Shard], rejected: Sequence[Shard], tally: Tally, examples: Rejects, counts: Packed
) -> dict[str, Any]:
    before = plan.before
    first = layout.read_json(before.path(before.content["ledger"]))
    further = ledger.of_run(tally, plan.spec, plan.sizes, plan.splits)
    whole = _whole(plan, first, further, tally)
    faults = [*ledger.imbalances(further), *ledger.imbalances(whole)]
    if plan.made is not None:
        faults += _imbalances(plan.before, plan.made, further)
    for what, files in (("written", parts), ("rejected", rejected)):
        found = (sum(part.rows for part in files), digests.as_text(sum(part.row_digest for part in files)))
        if found != (further["rows"][what], further["row_digests"][what]):
            faults.append(f"{further['rows'][what]} rows {what}, others in the files")
    if faults:
        raise JobError(f"the ledger does not balance: {faults[0]}")
    keep_statistics(plan)
    serving = graphs.save_serving(plan.spec, plan.place)
    notes = _compared(plan)
    content = _manifest(plan, parts, rejected, whole, further)
    statistics = layout.read_json(before.path(before.content["statistics"]))
    staged = plan.place.staged(layout.TRANSFORM)
    own = distributions.gathered(
        plan.spec,
        plan.splits,
        tally,
        counts,
        plan.counting,
        plan.place.run_id,
        times.parts(plan.began, (), times.of_tallies(tally), progress.now()),
    )
    known = {name: facts.together(plan.known.get(name), one) for name, one in own.items()}
    figures = plan.made.figures if plan.made else distributions.read_events(before)
    words = vocabularies.shown_by_column(content, staged)
    report = page(view(plan.spec, content, whole, statistics, facts.whole(known), examples, figures, words=words))
    held, replaces = facts.as_json({**plan.known, **known}, figures), str(before.content["run"])
    left = publish.publish(plan.place, content, whole, statistics, staged, replaces, serving, report, held)
    return {
        "status": DONE,
        "message": "",
        "notes": [*notes, *left],
        "ledger": whole,
        "repaired": {**further["rows"], **_of_events(plan)},
        "rejected_files": [part.path for part in rejected],
    }


def _whole(plan: RepairPlan, first: Mapping[str, Any], further: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    """Returns the ledger of the whole.

    Raises:
      JobError: other rows were read than were rejected.
    """
    if plan.made is not None:  # rows of files that there were not before
        return {**first, **ledger.together(first, further), "events": plan.made.book}
    others = repair_ledger.differences(first, further)
    if others:
        raise JobError(f"the ledger does not balance: {others[0]}")
    return repair_ledger.merged(first, further, tally)


def _imbalances(before: Manifest, made: MadeSequences, further: Mapping[str, Any]) -> list[str]:
    """Returns what does not add up of the events, and between them, their sequences and the rows."""
    faults, book = events_ledger.imbalances(made.book), made.book
    rejected = (sum(one.rows for one in made.rejected), digests.as_text(sum(one.row_digest for one in made.rejected)))
    if rejected != (book["rows"]["rejected"], book["row_digests"]["rejected"]):
        faults.append(f"{book['rows']['rejected']} events rejected, others in the files")
    own = sum(shard.rows for shard in made.shards)
    if (before.sequences["rows"] + own, further["rows"]["read"]) != (book["sequences"]["rows"], own):
        faults.append(f"{book['sequences']['rows']} sequences, {before.sequences['rows']} and {own} in the files")
    return faults


def _of_events(plan: RepairPlan) -> dict[str, Any]:
    """Returns what became of mended events, for the manifest's list of runs; nothing where rows were repaired."""
    return {} if plan.made is None else {"events": dict(plan.made.counts)}


def _compared(plan: RepairPlan) -> list[str]:
    """Compares rows that are written already with what the new columns give for them.

    Returns:
      How many, for people; nothing where the columns are those of the data set.

    Raises:
      JobError: a row differs; or the inputs, which are needed for it, are not there any more.
    """
    if plan.columns_text == plan.before.content["columns"]:  # only records were mended
        return []
    staged = f"{layout.STAGING_PREFIX}{plan.place.run_id}/{layout.SERVING}"
    now = Manifest(plan.before.root, {**plan.before.content, "serving": staged, "columns": plan.columns_text})
    try:
        found = verify_rows.compare(now, plan.inputs, COMPARED_ROWS)
    except JobError as error:
        where = "" if plan.inputs else "; --input says where the inputs lie now"
        raise JobError(
            f"rows already written cannot be compared with what these columns give: {error}{where}"
        ) from error
    if found.difference:
        raise JobError(
            f"these columns would change rows that are written already; run the job again: {found.difference}"
        )
    return [*found.notes, f"{found.rows:,} rows already written were compared: these columns give the same"]


def _manifest(
    plan: RepairPlan,
    parts: Sequence[Shard],
    rejected: Sequence[Shard],
    whole: Mapping[str, Any],
    further: Mapping[str, Any],
) -> dict[str, Any]:
    before, root = plan.before.content, plan.place.output
    transform = plan.place.staged(layout.TRANSFORM)
    learned = vocabularies.described(plan.spec, transform)
    folders = {"transform": transform, "serving": plan.place.staged(layout.SERVING)}
    own, refused = (
        [part.entry(root) for part in sorted(those, key=lambda part: part.path)] for those in (parts, rejected)
    )
    added = {what: further["rows"][what] for what in ("read", "written", "rejected")}
    now = manifest.created_now()
    return {
        **{name: value for name, value in before.items() if name not in (*publish.PLAIN_NAMES, *_OF_OTHERS)},
        "seqcols": version("seqcols"),
        "run": plan.place.run_id,
        "created": now,
        "columns": plan.columns_text,
        **({"columns_file": plan.columns_file} if plan.columns_file else {}),
        "runs": [
            *before["runs"],
            {"run": plan.place.run_id, "created": now, "kind": "repair", **added, **_of_events(plan)},
        ],
        "examples": {
            **before["examples"],
            "rows": whole["rows"]["written"],
            "files": [*before["examples"]["files"], *own],
        },
        "rejected": {
            "rows": whole["rows"]["rejected"],
            "files": [*(before["rejected"]["files"] if plan.made is not None else ()), *refused],
        },
        **_sequences(plan),
        **manifest_entries.splits_of(plan.splits, whole),
        "vocabularies": learned,
        "embeddings": embeddings_of(plan.spec.columns, {name: found["words"] for name, found in learned.items()}),
        "graph_sha256": {name: graphs.digest(path) for name, path in folders.items()},
    }


def _sequences(plan: RepairPlan) -> dict[str, Any]:
    """Returns what the manifest says of sequences now; nothing where rows were repaired."""
    if plan.made is None:
        return {}
    before, made, root = plan.before.sequences, plan.made, plan.place.output
    how = {name: before[name] for name in ("partitions", "max_steps", "event_fields", "excluded_by") if name in before}
    own = manifest_entries.sequences_of(root, before["fields"], how, made.book, made.shards, made.rejected)
    both = {"rows": before["rows"] + own["rows"], "files": [*before["files"], *own["files"]]}
    return {layout.SEQUENCES: {**own, **both}}
