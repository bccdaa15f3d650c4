"""`--append`: a data set with the rows of a further run by its own transform; and without those of the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pipeline.columns_file.writer import split_text
from pipeline.dataset import ledger
from pipeline.dataset.columns import read_columns
from pipeline.dataset.layout import is_shard_of
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.publish import PLAIN_NAMES
from pipeline.dataset.splits import Splits
from pipeline.errors import UsageError
from pipeline.inputs.match import Inputs
from transforms.errors import JobError, SpecError, SpecFault
from transforms.spec.spec import Spec

APPEND: Final = "append"
"""The kind of such a run, as a manifest lists it."""


def names_of(before: Manifest, inputs: Inputs, run: str) -> dict[str, str]:
    """Returns what files are called whose paths earlier runs have read: each content is a file of its own in the ledger."""
    known = {file["path"] for file in before.content["inputs"]}
    return {file.path: f"{file.path}@{run}" for file in inputs.files if file.path in known}


def splits_of_append(before: Manifest, spec: Spec, inputs: Inputs) -> Splits:
    """Returns the splits of rows that are appended: those of the data set.

    Raises:
      SpecError: the columns divide the rows by another rule.
      UsageError: inputs name splits that the data set does not have, or name none where it has some.
    """
    try:
        rule = read_columns(before).split
    except SpecError:  # of columns that YAML cannot hold
        rule = spec.split
    if spec.split != rule:
        raise SpecError(
            [SpecFault("split", f"expected that of the data set, {split_text(rule)}, got {split_text(spec.split)}")]
        )
    known, named = before.divided_by(rule), {inputs.names.get(path, path): name for path, name in inputs.splits.items()}
    unknown = next((name for name in named.values() if name not in known.names), None)
    if unknown is not None:
        has = f"the splits {', '.join(known.names)}" if known else "no splits"
        raise UsageError(f"--input: the split {unknown!r} is none of {before.root!r}, which has {has}")
    if known and known.rule is None and inputs.files and not named:
        raise UsageError(f"--input: name the split of each, {before.root!r} has {', '.join(known.names)}: train=GLOB")
    return replace(known, statistics="", files=named)


def repeated(before: Manifest, first: Mapping[str, Any], own: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Returns the files that an earlier run has read already, as they are now: by path, number of rows and digest.

    Args:
      before: the data set.
      first: its ledger.
      own: the ledger of the run that appends to it.
      names: path to what the file is called in that.
    """
    found = []
    for file in before.content["inputs"]:
        held = first["files"].get(file.get("name", file["path"]), {})
        now = own["files"].get(names.get(file["path"], ""), {})
        same = held and now and held["rows"]["read"] == now["rows"]["read"]
        if same and held.get("content_digest", "") in ("", now.get("content_digest", "")):  # older ledgers have none
            found.append(file["path"])
    return sorted(set(found))


def with_run(before: Mapping[str, Any], own: Mapping[str, Any], book: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest of a data set and of a run that appends to it.

    Args:
      before: what the manifest holds.
      own: what that of the run by itself would hold.
      book: the ledger of the whole.
    """
    run = own["run"]
    of_run = {what: [{**entry, "run": run} for entry in own.get(what, [])] for what in ("inputs", "skipped_files")}
    entry = {**own["runs"][0], "kind": APPEND}
    kept = {name: value for name, value in before.items() if name not in (*PLAIN_NAMES, "report_sha256")}
    made = {
        **kept,
        "seqcols": own["seqcols"],
        "run": run,
        "created": own["created"],
        "runs": [*before["runs"], entry],
    }
    for what, listed in of_run.items():
        made[what] = [*before.get(what, []), *listed]
    return _counted(
        made, book, {what: [*before[what]["files"], *own[what]["files"]] for what in ("examples", "rejected")}
    )


def without_last(before: Manifest) -> tuple[str, dict[str, Any]]:
    """Returns the run that appended to a data set last, and what the manifest would be without it, but for what is counted.

    Raises:
      UsageError: the last run did something else.
    """
    last = before.content["runs"][-1]
    if last["kind"] != APPEND:
        raise UsageError(f"{before.root!r}: the last run is no append, it is a {last['kind']} ({last['run']})")
    content = {name: value for name, value in before.content.items() if name not in (*PLAIN_NAMES, "report_sha256")}
    content["runs"] = before.content["runs"][:-1]
    for what in ("inputs", "skipped_files"):
        content[what] = [entry for entry in content.get(what, []) if entry.get("run") != last["run"]]
    return last["run"], content


def ledger_without(before: Manifest, book: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Returns a ledger without the files that a run has read."""
    gone = {file.get("name", file["path"]) for file in before.content["inputs"] if file.get("run") == run}
    skipped = [file for file in book.get("skipped_files", []) if file.get("run") != run]
    return {**ledger.of_files(book, set(book["files"]) - gone), "skipped_files": skipped}


def files_without(content: Mapping[str, Any], book: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Returns a manifest whose files are not those of a run."""
    files = {
        what: [entry for entry in content[what]["files"] if not is_shard_of(run, entry["path"].rpartition("/")[2])]
        for what in ("examples", "rejected")
    }
    return _counted(dict(content), book, files)


def _counted(content: dict[str, Any], book: Mapping[str, Any], files: Mapping[str, list[Any]]) -> dict[str, Any]:
    for what, counted in (("examples", "written"), ("rejected", "rejected")):
        content[what] = {**content[what], "rows": book["rows"][counted], "files": files[what]}
    if "splits" in content:
        rows = {
            name: {w: own["rows"][w] for w in ("read", "written", "rejected")} for name, own in ledger.splits_of(book)
        }
        content["splits"] = {**content["splits"], "rows": rows}
    return content


def refuse_repeated(files: list[str], root: str) -> None:
    """Refuses to read files twice.

    Raises:
      JobError: there is one; it is named.
    """
    if files:
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        raise JobError(f"{files[0]!r}{more}: {root!r} has the rows of this file already; --again adds them once more")
