"""What the tests touch is noted, and a whole run that misses something fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.touched import EVERYTHING, KINDS, Recorder, is_whole, listen, missing
from transforms import (
    apply,
    indicator_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
    shared_embeddings,
)

ALL = {(kind, name) for kind, names in KINDS.items() for name in names}


def config(**change: Any) -> Any:
    """The configuration of a whole run, or of another one."""
    options = {"keyword": "", "lf": False, "markexpr": f"not slow and {EVERYTHING}", "collectonly": False, **change}
    source = options.pop("source", pytest.Config.ArgsSource.TESTPATHS)
    return SimpleNamespace(args_source=source, option=SimpleNamespace(**options))


def finished(touched: set[tuple[str, str]], status: int = 0, **change: Any) -> tuple[int, list[str]]:
    """The exit status of a run that touched this much, and what it says was missed."""
    recorder, session = Recorder(), SimpleNamespace(config=config(**change), exitstatus=status)
    recorder.pytest_testnodedown(SimpleNamespace(workeroutput={"touched": [list(one) for one in touched]}))
    recorder.pytest_sessionfinish(session, status)  # type: ignore[arg-type]
    return session.exitstatus, recorder.missing


@pytest.mark.parametrize("lost", sorted(ALL), ids=": ".join)
def test_a_whole_run_that_misses_one_fails(lost):
    assert finished(ALL - {lost}) == (1, [": ".join(lost)])


def test_a_whole_run_that_misses_nothing_passes():
    assert missing(ALL) == []
    assert finished(ALL) == finished(ALL, markexpr=EVERYTHING) == (0, [])


@pytest.mark.parametrize(
    "change",
    [
        {"keyword": "padding"},
        {"lf": True},
        {"markexpr": "browser"},
        {"collectonly": True},
        {"source": "tests/test_x.py"},
    ],
    ids=str,
)
def test_a_run_of_some_tests_is_not_judged(change):
    assert finished(set(), **change) == (0, [])
    assert is_whole(config()) and not is_whole(config(**change))


def test_a_failed_run_stays_what_it_is():
    assert finished(set(), status=2) == (2, [])


def test_what_rows_go_through_is_noted():
    touched: set[tuple[str, str]] = set()
    ids = sequence_categorical_column_with_identity("ids", 3)
    with pytest.MonkeyPatch.context() as patch:
        listen(touched, patch)
        apply(
            [{"x": [1.0, 2.0], "ids": [0, 1]}, {"x": [1.0], "ids": [5]}],
            [sequence_numeric_column("x", normalizer_fn="z_score"), indicator_column(ids)],
        )
    noted = set(touched)
    assert noted >= {
        ("column", "sequence_numeric_column"),
        ("column", "indicator_column"),
        ("normalizer", "z_score"),
        ("reason", "out_of_range"),
    }
    assert not noted & {("normalizer", "min_max"), ("source", "csv"), ("sink", "parquet"), ("reason", "missing")}
    apply([{"x": [1.0]}], [sequence_numeric_column("x", normalizer_fn="min_max")])
    assert touched == noted  # nobody listens any more


def test_a_type_that_inherits_from_another_touches_only_itself():
    touched: set[tuple[str, str]] = set()
    ids = sequence_categorical_column_with_identity("ids", 3)
    with pytest.MonkeyPatch.context() as patch:
        listen(touched, patch)
        apply([{"ids": [0, 1]}], shared_embeddings([ids], dimension=2))
    assert ("column", "shared_embedding_column") in touched and ("column", "embedding_column") not in touched


def test_this_run_is_listened_to(request):
    assert isinstance(request.config.pluginmanager.get_plugin("touched"), Recorder)
