"""Points at which a run can be told to kill itself, to show that a data set is whole whenever that happens.

`SEQCOLS_KILL_AT=manifest seqcols run ...` ends the process there with SIGKILL, which nothing can catch. A test tries them all.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "SEQCOLS_KILL_AT"

POINTS: Final[dict[str, str]] = {
    "begun": "the run's folders are there, nothing is read",
    "shard": "a bundle has closed its first shard",
    "finish": "all shards are written, nothing is checked",
    "staged": "the ledger balances; the graphs are in the staging folder",
    "statistics": "the statistics are there under the run's own name",
    "ledger": "the ledger, too",
    "report": "the report, too",
    "graph": "the first graph is copied, the second is not",
    "graphs": "both graphs are copied",
    "decided": "the run may not be stopped any more",
    "manifest-temporary": "the new manifest is written beside the old one",
    "manifest": "the new manifest is in place",
    "removing": "the first file of the old data set is removed",
    "removed": "all files of the old data set are removed",
    "plain-removed": "the first plain name of the old data set is removed",
    "plain-copied": "the first plain name is copied",
    "plain": "all plain names are copied",
    "manifest-again": "the manifest names the plain names",
    "own-removed": "the first of the run's own names is removed",
    "published": "everything is published, the result is not written down",
    "result": "the result is written down, nothing is cleaned up",
    "cleaned": "all leftovers of the run but its staging folder are removed",
}
"""Name to what has happened by then, in the order of a run."""


def unknown() -> str:
    """Returns the point that the variable names if there is no such one, else an empty string."""
    named = os.environ.get(VARIABLE, "")
    return "" if named in POINTS else named


def at(point: str, about: str = "manifest.json") -> None:
    """Kills this process if it was told to here.

    Args:
      point: one of `POINTS`.
      about: the file that it is about, where only the manifest counts.
    """
    if os.environ.get(VARIABLE) == point and about.endswith("manifest.json"):
        os.kill(os.getpid(), signal.SIGKILL)
