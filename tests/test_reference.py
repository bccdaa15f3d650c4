"""The reference has everything public, each thing with what its docstring says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pipeline
import pipeline.inspect
import pipeline.loaders
import transforms

ROOT = Path(__file__).parent.parent
PACKAGES = (transforms, pipeline, pipeline.inspect, pipeline.loaders)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: Any) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, str(ROOT / "docs" / "reference.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=None, capture_output=True, text=True, check=True)
    assert "Warn:" not in done.stderr
    return {p.__name__: (folder / f"{p.__name__.replace('.', '/')}.html").read_text() for p in PACKAGES}


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_there(package, pages):
    page = pages[package.__name__]
    missing = [name for name in package.__all__ if f'id="{name}"' not in page]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_says_what_it_is(package, pages):
    page = " ".join(re.sub(r"<[^>]+>", "", pages[package.__name__]).split())
    for name in package.__all__:
        if name == "REASONS":  # a dict: what stands below it is no docstring for Python
            continue
        first = (inspect.getdoc(getattr(package, name)) or "").split("\n")[0]
        assert first, name
        words = re.findall(r"[A-Za-z]{4,}", first)[:2]
        assert words and all(word in page for word in words), name
