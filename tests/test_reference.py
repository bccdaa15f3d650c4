"""The reference has everything public, each thing with what its docstring says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import seqcols
from tests.test_contributing import ROOT

WRITE = "import sys, pathlib; from reference import write; write(pathlib.Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def page(tmp_path_factory: Any) -> str:
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['docs/site', '.']; {WRITE}", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Warn:" not in done.stderr
    return str((folder / "seqcols.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_public_name_is_there(page):
    assert [name for name in seqcols.__all__ if f'id="{name}"' not in page] == []


@pytest.mark.slow
def test_every_public_name_says_what_it_is(page):
    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    for name in seqcols.__all__:
        if name == "REASONS":  # a dict: what stands below it is no docstring for Python
            continue
        first = (inspect.getdoc(getattr(seqcols, name)) or "").split("\n")[0]
        assert first, name
        words = re.findall(r"[A-Za-z]{4,}", first)[:2]
        assert words and all(word in text for word in words), name
