"""What docs and docstrings say of the code, where nothing else would notice that it is not so any more."""

from __future__ import annotations

import bz2
import gzip
import re
import subprocess
import sys
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from tests.test_contributing import ROOT, naming


def section(path: str, begin: str, end: str) -> str:
    """Returns a part of a document."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text[text.index(begin) :].split(end)[0]


def test_importing_the_stages_loads_neither_beam_nor_tensorflow():
    code = """import sys, transforms.stages, transforms.stage_functions
print(sorted({"apache_beam", "tensorflow"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_modules_of_transforms_that_know_files_are_those_that_the_design_names():
    said = re.findall(r"`([\w/]+)`", section("docs/design.md", "**Few rooms of", "\n\n"))
    know = [path for path in naming(r"\bFileSystems\b|\bopen\(|\btempfile\b") if path.startswith("transforms/")]
    assert not [path for path in know if not path.startswith(tuple(f"transforms/{room}" for room in said))]
    assert not [
        room for room in said if room != "transforms" and not any(p.startswith(f"transforms/{room}") for p in know)
    ]


def test_only_sinks_know_the_formats_that_they_write():
    names = naming(r'(?:format|sink)\b[^\n]*"(?:tfrecord|parquet|sequence_example)')
    assert {path for path in names if path.startswith("pipeline/") and "/sinks/" not in path} == {
        "pipeline/job/request.py"
    }


@pytest.mark.parametrize(("suffix", "library"), [(".gz", gzip), (".bz2", bz2)])
def test_beam_reads_a_packed_file_that_was_cut_short_as_a_shorter_one(tmp_path, suffix, library: Any):
    """Which is why files are unpacked here (`pipeline.sources.compression`). Python notices it."""
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(library.compress(b"a line\n" * 100)[:-4])
    with FileSystems.open(str(path)) as file:
        assert file.read() in (b"a line\n" * 100, b"")
    with pytest.raises(EOFError), library.open(path) as file:
        file.read()
