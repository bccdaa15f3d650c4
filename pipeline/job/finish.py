"""The end of a run: does the ledger balance, are there too many rejects; then publish, or say why not.

Runs as the last step of the pipeline, so that a job whose launcher is long gone (a template) publishes too. How it ended
stands in the staging folder, where the launcher finds it if it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from pipeline.compare.comparison import compare
from pipeline.compare.view import section
from pipeline.dataset import (
    distributions,
    graphs,
    layout,
    ledger,
    manifest,
    manifest_entries,
    publish,
    statistics,
    vocabularies,
)
from pipeline.inputs.match import changed, described
from pipeline.job import appending, cache, passes, rounding_notes
from pipeline.job.plan import Collected, Plan
from pipeline.job.progress import now
from pipeline.job.verdict import (
    DONE,
    FAILED,
    TOO_MANY_REJECTED,
    all_analysed,
    analysed,
    imbalances,
    nothing_written,
    refuse_absent,
    too_many_rejected,
)
from pipeline.job.writing import Shard
from pipeline.report import times
from pipeline.report.page import page
from pipeline.report.view import view
from transforms.columns.embedding import embeddings_of
from transforms.distributions import facts
from transforms.distributions.facts import Facts
from transforms.errors import JobError
from transforms.escaping import first_of
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec


def finish(plan: Plan, got: Collected) -> dict[str, Any]:
    """Checks and publishes a run, and writes down how it ended.

    Returns:
      What was written down: `status`, `message`, and the ledger.

    Raises:
      JobError: the run failed, or was not published because of its rejects.
    """
    try:
        result = _checked(plan, got)
    except JobError as error:
        result = {"status": FAILED, "message": str(error)}
    result["rejected_examples"] = got.examples
    layout.write_result(plan.place, result)
    if result["status"] != DONE:
        cache.discard(got.kept)
        raise JobError(result["message"])
    return result


def _checked(plan: Plan, got: Collected) -> dict[str, Any]:
    sizes = _sizes(plan.spec, got.parts)
    book = {**ledger.of_run(got.tally, plan.spec, sizes, plan.splits), "skipped_files": plan.skipped_files}
    if plan.sequences is not None:
        book["events"] = plan.sequences.ledger
    rows = book["rows"]
    kept = {"ledger": book, "rejected_files": [part.path for part in got.rejected]}
    counted = analysed(plan, got.analysis_tally)
    both = {file.path for file in plan.inputs.files if plan.splits.gives_statistics(file.path)}
    first, last = map(plan.splits.of_passes, (all_analysed(plan, got.analysis_tally), got.tally))
    differing = ledger.changed(first, last, both) if plan.passes == 2 else []
    stale = cache.drop(plan.analysis, differing)
    if stale:
        return {"status": FAILED, "message": f"{cache.dropped(stale)}; run again", "stale": stale}
    passes.refuse_changed(sorted({*differing, *changed(plan.screened)}))
    faults = imbalances(got, book)
    if faults:
        return {"status": FAILED, "message": f"the ledger does not balance: {first_of(faults)}", "ledger": book}
    refuse_absent(plan, book)
    message = too_many_rejected(book, plan.max_rejected)
    if message:
        return {"status": TOO_MANY_REJECTED, "message": f"{message}; nothing was published", **kept}
    message = nothing_written(plan, book)
    if message:
        return {"status": FAILED, "message": message, **kept}
    if plan.appends:
        return {"status": DONE, "message": "", "notes": _append(plan, got, book), **kept}
    stats = _statistics(plan, got, counted, sizes)
    staged = plan.place.staged(layout.TRANSFORM) if rows["written"] else ""
    serving = _serving(plan) if staged else ""
    learned = _learned(plan, staged)
    folders = {"transform": staged, "serving": serving}
    trees = {name: graphs.digest(path) for name, path in folders.items() if path}
    content = {**_manifest(plan, got, book), **learned, "graph_sha256": trees}
    known = _known(plan, got)
    words = vocabularies.shown_by_column(content, staged)
    figures, examples = (plan.sequences.figures, plan.sequences.examples) if plan.sequences else (None, None)
    shown = view(plan.spec, content, book, stats, facts.whole(known), got.examples, figures, examples, words)
    report = page({**shown, "comparison": _compared(plan, content, book, stats, known)})
    held = facts.as_json({**known, **_fitted(plan)}, figures)
    notes = [f"the split {name!r} has no rows" for name, own in ledger.splits_of(book) if not own["rows"]["written"]]
    notes += rounding_notes.notes(plan.spec, plan.splits.whole(got.tally), plan.sink)
    notes += vocabularies.notes(learned["vocabularies"]) if plan.given_transform is None else []
    notes += publish.publish(plan.place, content, book, stats, staged, plan.replaces, serving, report, held)
    notes += cache.commit(plan.analysis, got.kept, dict(got.by_part))
    return {"status": DONE, "message": "", "notes": notes, **kept}


def _append(plan: Plan, got: Collected, book: dict[str, Any]) -> list[str]:
    """Publishes the data set that was there with the rows of this run, and returns notes for people."""
    assert plan.given_transform is not None
    before, given, run = plan.given_transform.of, plan.given_transform, plan.place.run_id
    first = layout.read_json(before.path(before.content["ledger"]))
    if not plan.again:
        appending.refuse_repeated(appending.repeated(before, first, book, plan.inputs.names), before.root)
    tagged = [{**file, "run": run} for file in plan.skipped_files]
    whole = ledger.together(first, {**book, "skipped_files": tagged})
    content = appending.with_run(before.content, _manifest(plan, got, book), whole)
    stats = layout.read_json(before.path(before.content["statistics"]))
    own = _known(plan, got)
    known = {**given.known, **{distributions.appended(run, name): one for name, one in own.items()}}
    staged = [plan.place.staged(name) for name in (layout.TRANSFORM, layout.SERVING)]
    words = vocabularies.shown_by_column(content, staged[0])
    shown = view(plan.spec, content, whole, stats, distributions.whole(known), got.examples, words=words)
    report = page({**shown, "comparison": _compared(plan, content, book, stats, own)})
    notes = rounding_notes.notes(plan.spec, plan.splits.whole(got.tally), plan.sink)
    held = facts.as_json(known)
    published = (plan.place, content, whole, stats, staged[0], plan.replaces, staged[1], report, held)
    return [*notes, *publish.publish(*published)]


def _statistics(plan: Plan, got: Collected, analysed: Tally, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    """Returns the content of `statistics.json`: the figures of this run, or those of the data set whose transform it uses."""
    if plan.given_transform is not None:
        return plan.given_transform.statistics
    details = statistics.read_details(plan.spec, plan.place.staging) if plan.passes == 2 else []
    apart = plan.analysis.apart([file for file in plan.inputs.files if plan.splits.gives_statistics(file.path)])
    counted = analysed if apart else plan.splits.of_statistics(got.tally)
    stats = statistics.build(plan.spec, got.table, counted, sizes, details)
    if apart:
        stats |= {"rows": analysed["", "rows", "written"], "of": plan.analysis.described()}
    return {**stats, "split": plan.splits.statistics} if plan.splits else stats


def _serving(plan: Plan) -> str:
    """Builds the serving model, or uses that of the data set whose transform the run uses; returns its staged folder."""
    if plan.given_transform is not None:
        return plan.place.staged(layout.SERVING)
    if plan.passes == 2:
        graphs.keep_statistics(plan.spec, plan.place)
    return graphs.save_serving(plan.spec, plan.place)


def _learned(plan: Plan, staged: str) -> dict[str, Any]:
    """Returns the manifest's entries for learned vocabularies and embeddings."""
    if plan.given_transform is not None and staged:
        return {name: plan.given_transform.of.content[name] for name in ("vocabularies", "embeddings")}
    learned = vocabularies.described(plan.spec, staged)
    words = {name: found["words"] for name, found in learned.items()}
    return {"vocabularies": learned, "embeddings": embeddings_of(plan.spec.columns, words)}


def _fitted(plan: Plan) -> dict[str, Facts]:
    """Returns the facts of the rows that the given transform was fitted to, because its data set may be deleted."""
    fitted = plan.given_transform.fitted if plan.given_transform is not None else None
    return {facts.OF_TRANSFORM: fitted} if fitted is not None else {}


def _compared(
    plan: Plan,
    content: Mapping[str, Any],
    book: Mapping[str, Any],
    stats: Mapping[str, Any],
    known: Mapping[str, Facts],
) -> dict[str, Any] | None:
    """Returns the comparison with the data that the given transform was fitted to, for the report; None without one."""
    if plan.given_transform is None:
        return None
    fitted = plan.given_transform.described()
    own = replace(
        fitted,
        name=plan.place.output,
        run=plan.place.run_id,
        created=content["created"],
        ledger=book,
        statistics=stats,
        facts=facts.whole(known),
        notes=(),
    )
    return section(compare(fitted, own))


def _known(plan: Plan, got: Collected) -> dict[str, Facts]:
    """Returns the facts of each split, or of the whole data set if there are none."""
    passes = times.of_tallies(got.analysis_tally, got.tally)
    parts = times.parts(plan.began, plan.timed, passes, now())
    return distributions.gathered(
        plan.spec, plan.splits, got.tally, got.counts, plan.counting, plan.place.run_id, parts
    )


def _sizes(spec: Spec, parts: Sequence[Shard]) -> dict[str, int | None]:
    """Returns T of every group: as the spec says, or as the shards have it."""
    sizes = {name: spec.group(name).fixed_length or (None if parts else 0) for name in spec.group_names}
    shapes = {output.name: output.shape for part in parts for output in part.outputs}
    for output in spec.outputs():
        group = spec.group_of(output)
        if group is not None and output.sequence and output.name in shapes:
            sizes[group] = shapes[output.name][0]
    if len({part.outputs for part in parts}) > 1:
        raise JobError("shards of one run differ in their features; this is a bug, nothing was published")
    return sizes


def _manifest(plan: Plan, got: Collected, book: dict[str, Any]) -> dict[str, Any]:
    root = plan.place.output
    outputs = (
        got.parts[0].outputs if got.parts else tuple(plan.spec.outputs(dict.fromkeys(plan.spec.longest_groups, 0)))
    )
    names = plan.splits.names
    ordered = sorted(got.parts, key=lambda p: (names.index(p.split) if p.split else 0, p.length, p.path))
    created = manifest.created_now()
    counts = {what: book["rows"][what] for what in ("read", "written", "rejected")}
    return {
        "seqcols": version("seqcols"),
        "run": plan.place.run_id,
        "created": created,
        "runs": [{"run": plan.place.run_id, "created": created, "kind": "run", **counts}],
        "format": plan.sink,
        "columns": plan.columns_text,
        **({"columns_file": plan.columns_file} if plan.columns_file else {}),
        "inputs": described(plan.given_inputs),
        "skipped_files": plan.skipped_files,
        "examples": {
            "rows": book["rows"]["written"],
            "features": manifest_entries.features_of(outputs),
            **manifest_entries.buckets_of(plan.spec),
            "files": [part.entry(root) for part in ordered],
        },
        **manifest_entries.splits_of(plan.splits, book),
        **({"sequences": plan.sequences.described()} if plan.sequences is not None else {}),
        **({"transform_of": plan.given_transform.entry()} if plan.given_transform is not None else {}),
        "rejected": {
            "rows": book["rows"]["rejected"],
            "files": [part.entry(root) for part in sorted(got.rejected, key=lambda part: part.path)],
        },
    }
