"""What a whole run of the tests must have touched: every type of column, normaliser, source, sink and reason code.

A pytest plugin. Each process notes what goes through the functions that every row goes through; the first process adds the
notes up at the end. A run of all tests, with `slow` ones or without, fails if something is missing. Runs of some tests are
not judged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest

from pipeline.sinks.formats import SINKS
from pipeline.sources.formats import SOURCES
from transforms.columns import TYPES as COLUMNS
from transforms.normalizers import TYPES as NORMALIZERS
from transforms.normalizers import Chain, Function
from transforms.rows import rejection
from transforms.rows.reasons import REASONS

KINDS: Final[dict[str, list[str]]] = {
    "column": sorted(COLUMNS),
    "normalizer": sorted([*NORMALIZERS, "chain", "function"]),
    "source": sorted(SOURCES),
    "sink": sorted(SINKS),
    "reason": sorted(REASONS),
}
"""What there is, by kind."""

Touched = set[tuple[str, str]]


def missing(touched: Iterable[tuple[str, str]]) -> list[str]:
    """Returns what there is and was not touched, as `kind: name`."""
    seen = set(touched)
    return [f"{kind}: {name}" for kind, names in KINDS.items() for name in names if (kind, name) not in seen]


def listen(touched: Touched, patch: pytest.MonkeyPatch) -> None:
    """Notes from now on what values are made dense by, normalised by, read from, written to and rejected for."""
    # What no graph sees is never made dense.
    watched = [("column", name, kind, "dense" if kind.in_graph else "check") for name, kind in COLUMNS.items()]
    normalizers = {**NORMALIZERS, "chain": Chain, "function": Function}
    watched += [("normalizer", name, kind, "apply") for name, kind in normalizers.items()]
    watched += [("source", name, type(source), "read") for name, source in SOURCES.items()]
    # All originals before the first is replaced: a type that inherits from another one touches only itself.
    originals = [getattr(owner, method) for _, _, owner, method in watched]
    for (kind, name, owner, method), original in zip(watched, originals, strict=True):
        patch.setattr(owner, method, _noting(original, functools.partial(touched.add, (kind, name))))
    opened = {id(sink): name for name, sink in SINKS.items()}
    for sink in {type(sink) for sink in SINKS.values()}:
        original = sink.open

        @functools.wraps(original)
        def opening(self: Any, *arguments: Any, original: Any = original, **more: Any) -> Any:
            touched.add(("sink", opened.get(id(self), self.name)))
            return original(self, *arguments, **more)

        patch.setattr(sink, "open", opening)
    first_faults = rejection.first_faults

    def chosen(*arguments: Any) -> Any:
        bad, faults = first_faults(*arguments)
        touched.update(("reason", fault.reason) for fault, _ in faults)
        return bad, faults

    patch.setattr(rejection, "first_faults", chosen)


def _noting(original: Callable[..., Any], note: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def noting(*arguments: Any, **more: Any) -> Any:
        note()
        return original(*arguments, **more)

    return noting


class Recorder:
    """The plugin, in the first process and in each worker."""

    def __init__(self) -> None:
        self.touched: Touched = set()
        self.missing: list[str] = []
        self._patch = pytest.MonkeyPatch()

    def pytest_sessionstart(self) -> None:
        """Begins to listen."""
        listen(self.touched, self._patch)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes what a worker noted; one that crashed has nothing to say."""
        self.touched.update(map(tuple, getattr(node, "workeroutput", {}).get("touched", ())))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Hands a worker's notes on; in the first process, fails a whole run that missed something."""
        self._patch.undo()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["touched"] = sorted(self.touched)
        elif exitstatus == pytest.ExitCode.OK and is_whole(session.config):
            self.missing = missing(self.touched)
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Says what was missed."""
        if self.missing:
            terminalreporter.section("no test touched", red=True)
            terminalreporter.line("\n".join(self.missing))


def is_whole(config: pytest.Config) -> bool:
    """Returns whether a run is of all tests: no paths, no `-k`, no marks but those of the two targets."""
    option = config.option
    if config.args_source != pytest.Config.ArgsSource.TESTPATHS or option.keyword or getattr(option, "lf", False):
        return False
    return bool(option.markexpr.removeprefix("not slow and ") == EVERYTHING) and not option.collectonly


EVERYTHING: Final = "not flink and not browser and not torch"
"""What `make test-all` selects; `make test` leaves out `slow`, too."""
