"""The end of a run: does the ledger balance, are there too many rejects; then publish, or say why not.

Runs as the last step of the pipeline, so that a job whose launcher is long gone (a template) publishes too. How it ended
stands in the staging folder, where the launcher finds it if it waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from pipeline.compare.comparison import compare
from pipeline.compare.view import section
from pipeline.dataset import distributions, graphs, layout, ledger, manifest, publish, statistics, vocabularies
from pipeline.dataset.layout import Layout
from pipeline.dataset.splits import NO_SPLITS, Splits
from pipeline.inputs import preflight
from pipeline.inputs.match import InputFile, Inputs, SkippedFile, changed, described
from pipeline.job import cache, passes, rounding_notes
from pipeline.job.cache_files import CachePiece
from pipeline.job.given import GivenTransform
from pipeline.job.progress import now
from pipeline.job.writing import Shard
from pipeline.report import times
from pipeline.report.page import page
from pipeline.report.view import view
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.columns.embedding import embeddings_of
from transforms.distributions import facts
from transforms.distributions.facts import Facts, Timed
from transforms.distributions.histograms import Counting, Packed, part_counted
from transforms.errors import JobError, nearest
from transforms.escaping import first_of
from transforms.rows import digests
from transforms.rows.tally import Tally, add
from transforms.spec import dense_rows
from transforms.spec.spec import Spec
from transforms.statistics.fitted import table_width
from transforms.statistics.saved import Level, moments_file

DONE, FAILED, TOO_MANY_REJECTED = "done", "failed", "too_many_rejected"


@dataclass(frozen=True)
class Plan:
    """The plan of a run: all that its end needs to know of its beginning.

    Attributes:
      place: where it writes.
      spec: the columns.
      columns_text: the columns as YAML, for the manifest.
      inputs: the files.
      sink: name of the sink.
      max_rejected: the largest share of rows that may be rejected, 0 to 1.
      allow_empty: whether a data set without rows is published.
      passes: how often the input is read.
      feature_names: features that the first file holds, for hints.
      replaces: the run that is published in the directory when this one begins, None for none.
      analysis: the files that count toward the statistics, and what the cache has of them.
      given: statistics from the passes before the job: chains of normalizers may need several, one after the other.
      limits: the largest records and files to accept.
      skipped: broken files that were left out.
      screened: the files that were searched for broken ones, as they were then.
      splits: the splits of the rows, if there are any.
      given_transform: the data set whose transform the run uses; None if it fits its own.
      began: when the run began, in milliseconds since 1970.
      timed: passes before the job, and how long each took.
    """

    place: Layout
    spec: Spec
    columns_text: str
    inputs: Inputs
    sink: str
    max_rejected: float
    allow_empty: bool
    passes: int
    feature_names: tuple[str, ...] = field(default=())
    replaces: str | None = None
    analysis: cache.Analysis = field(default_factory=lambda: cache.Analysis(()))
    given: tuple[Level, ...] = ()
    limits: Limits = DEFAULTS
    skipped: tuple[SkippedFile, ...] = ()
    screened: tuple[InputFile, ...] = ()
    splits: Splits = NO_SPLITS
    given_transform: GivenTransform | None = None
    began: int = field(default_factory=now)
    timed: tuple[Timed, ...] = ()

    @property
    def counting(self) -> Counting:
        """The way in which distributions are counted."""
        if self.given_transform is not None:
            return Counting(self.given_transform.moments(self.place), part_counted(self.inputs.size))
        found = self.passes == 2 and table_width(self.spec)
        moments = self.place.staged(moments_file(0)) if found else ""
        return Counting(moments, part_counted(self.inputs.size))

    @property
    def skipped_files(self) -> list[dict[str, str | int]]:
        """The files that were left out, as the ledger and the manifest list them."""
        return [file.entry() for file in self.skipped]


@dataclass
class Collected:
    """The files that the pipeline wrote and everything that it counted, for the end of the run."""

    parts: Sequence[Shard]
    rejected: Sequence[Shard]
    tally: Tally
    analysis_tally: Tally
    table: np.ndarray
    examples: Any
    kept: Sequence[CachePiece] = ()
    by_part: Sequence[tuple[int, Tally]] = ()
    counts: Packed = field(default_factory=dict)


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
    rows = book["rows"]
    kept = {"ledger": book, "rejected_files": [part.path for part in got.rejected]}
    analysed = _analysed(plan, got.analysis_tally)
    both = {file.path for file in plan.inputs.files if plan.splits.gives_statistics(file.path)}
    first, last = map(plan.splits.of_passes, (_all_analysed(plan, got.analysis_tally), got.tally))
    differing = ledger.changed(first, last, both) if plan.passes == 2 else []
    stale = cache.drop(plan.analysis, differing)
    if stale:
        return {"status": FAILED, "message": f"{cache.dropped(stale)}; run again", "stale": stale}
    passes.refuse_changed(sorted({*differing, *changed(plan.screened)}))
    faults = ledger.imbalances(book)
    for what, parts in (("written", got.parts), ("rejected", got.rejected)):
        in_files = sum(part.rows for part in parts)
        if in_files != rows[what]:
            faults.append(f"{rows[what]} rows {what}, {in_files} in the files")
        elif digests.as_text(sum(part.row_digest for part in parts)) != book["row_digests"][what]:
            faults.append(f"the rows in the files are not those that were {what} (their digests differ)")
    if faults:
        return {"status": FAILED, "message": f"the ledger does not balance: {first_of(faults)}", "ledger": book}
    refuse_absent(plan, book)
    message = too_many_rejected(book, plan.max_rejected)
    if message:
        return {"status": TOO_MANY_REJECTED, "message": f"{message}; nothing was published", **kept}
    message = _nothing_written(plan, book)
    if message:
        return {"status": FAILED, "message": message, **kept}
    stats = _statistics(plan, got, analysed, sizes)
    staged = plan.place.staged(layout.TRANSFORM) if rows["written"] else ""
    serving = _serving(plan) if staged else ""
    folders = {"transform": staged, "serving": serving}
    trees = {name: graphs.digest(path) for name, path in folders.items() if path}
    content = {**_manifest(plan, got, book), **_learned(plan, staged), "graph_sha256": trees}
    known = _known(plan, got)
    shown = view(plan.spec, content, book, stats, facts.whole(known), got.examples)
    report = page({**shown, "comparison": _compared(plan, content, book, stats, known)})
    held = facts.as_json({**known, **_fitted(plan)})
    notes = [f"the split {name!r} has no rows" for name, own in ledger.splits_of(book) if not own["rows"]["written"]]
    notes += rounding_notes.notes(plan.spec, plan.splits.whole(got.tally), plan.sink)
    notes += publish.publish(plan.place, content, book, stats, staged, plan.replaces, serving, report, held)
    notes += cache.commit(plan.analysis, got.kept, dict(got.by_part))
    return {"status": DONE, "message": "", "notes": notes, **kept}


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
    if plan.given_transform is not None:
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


def check_analysis(plan: Plan, tally: Tally) -> None:
    """Looks at what the analysis counted, so that what cannot be published is not read once more.

    Raises:
      JobError: a file changed since an earlier pass; a column is absent in all rows, a file does not belong to the others, or the
        longest row makes all rows too long.
    """
    if plan.passes == 2:
        if plan.given:
            passes.compare(tally, plan.place)
        analysed = _analysed(plan, tally)
        refuse_absent(plan, ledger.build(analysed, plan.spec, {}))
        longest = {name: int(analysed["", "length_max", name]) for name in plan.spec.longest_groups}
        why = dense_rows.too_long(plan.spec, longest, plan.limits.max_record_bytes)
        if why:
            raise JobError(why)


def _analysed(plan: Plan, counted: Tally) -> Tally:
    """Returns everything that was counted for the statistics, in this run or in the one that filled the cache."""
    tally = plan.splits.of_statistics(_all_analysed(plan, counted))
    rows = Counter(
        {what: sum(n for key, n in tally.items() if key[1:] == ("rows", what)) for what in ("read", "rejected")}
    )
    tally["", "rows", "written"] = rows["read"] - rows["rejected"]
    return tally


def _all_analysed(plan: Plan, counted: Tally) -> Tally:
    tally = plan.analysis.cached_tally()
    add(tally, counted)
    return tally


def too_many_rejected(book: Mapping[str, Any], allowed: float) -> str:
    """Returns why a run, or one of its splits, has too many rejects, or an empty string. Exactly the allowed share is allowed."""
    named = (("", book), *((f"split {name!r}: ", own) for name, own in ledger.splits_of(book)))
    for what, rows in ((what, own["rows"]) for what, own in named):
        # Counts are compared, not shares: 3 of 30 is no more than 0.1, whatever floats make of it.
        if rows["rejected"] > round(allowed * rows["read"], 9):
            share = f"{rows['rejected']:,} of {rows['read']:,} rows rejected ({rows['rejected'] / rows['read']:.2%})"
            return f"{what}{share}, --max-rejected allows {allowed:.2%}"
    return ""


def _nothing_written(plan: Plan, book: Mapping[str, Any]) -> str:
    """Returns why there is nothing to publish, or nothing to compute statistics from; an empty string if there is."""
    rows = book["rows"]
    if not rows["written"] and plan.allow_empty:
        return ""
    fits = rows["written"] and plan.given_transform is None
    named = dict(ledger.splits_of(book)).get(plan.splits.statistics) if fits else None
    what = f" of the split {plan.splits.statistics!r}, whose statistics the others need" if named else ""
    rows = named["rows"] if named else rows
    if rows["written"]:
        return ""
    hint = "" if rows["read"] or what else " (--allow-empty publishes an empty data set)"
    return f"no rows to write{what}: {rows['read']:,} read, {rows['rejected']:,} rejected{hint}"


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


def refuse_absent(plan: Plan, book: Mapping[str, Any]) -> None:
    """Refuses a column that no row has: it is a misspelt one. And files that do not belong to the others.

    Raises:
      JobError: naming the nearest feature.
    """
    readable = book["rows"]["read"] - book["rows"]["rejected_by_reason"].get("bad_record", 0)
    for column in plan.spec.columns:
        if readable and not book["columns"][column.name]["present"]:
            hint = nearest(column.key, plan.feature_names) or f"; the first file has {', '.join(plan.feature_names)}"
            raise JobError(
                f"column {column.name!r}: the feature {column.key!r} is absent in all {readable:,} rows{hint}"
            )
    preflight.refuse_odd_files(book, [file.path for file in plan.inputs.files], plan.spec.columns, plan.limits)


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
        "inputs": described(plan.inputs),
        "skipped_files": plan.skipped_files,
        "examples": {
            "rows": book["rows"]["written"],
            "features": manifest.features_of(outputs),
            **manifest.buckets_of(plan.spec),
            "files": [part.entry(root) for part in ordered],
        },
        **manifest.splits_of(plan.splits, book),
        **({"transform_of": plan.given_transform.entry()} if plan.given_transform is not None else {}),
        "rejected": {
            "rows": book["rows"]["rejected"],
            "files": [part.entry(root) for part in sorted(got.rejected, key=lambda part: part.path)],
        },
    }
