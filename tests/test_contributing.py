"""What CONTRIBUTING.md says of adding a column type: its example is real, and the code knows it in one place only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from transforms.columns import CLASSES, TYPES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*(ROOT / "transforms").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]


def naming(pattern: str) -> set[str]:
    """Returns the modules whose code, docstrings and comments aside, names something."""
    found = set()
    for path in SOURCES:
        code = re.sub(r'"""(?:.|\n)*?"""|#.*', "", path.read_text(encoding="utf-8"))
        if re.search(pattern, code):
            found.add(str(path.relative_to(ROOT)))
    return found


def test_the_example_is_known_to_its_file_and_to_the_table():
    assert naming(r"hash_bucket|HashBucket") == {
        "transforms/columns/hash_bucket.py",
        "transforms/columns/__init__.py",
        "pipeline/inspect/candidates.py",  # proposes it for some features
    } | naming("to_hash_bucket_fast")
    assert (ROOT / "tests/cases/hash_bucket.py").exists()
    table = (ROOT / "transforms/columns/__init__.py").read_text(encoding="utf-8")
    assert len(re.findall(r"^    .*hash_bucket\.\w+,$", table, re.MULTILINE)) == 2


KNOW_TYPES = {
    "transforms/problems.py": "names types in messages about what can stand inside another column",
    "transforms/rows/reasons.py": "gives an example of each reason",
    "transforms/spec/make_spec.py": "says in a message which column makes numbers of ids",
    "pipeline/columns_file/reader.py": "needs two columns, any, to stand in for faulty ones",
    "pipeline/inspect/candidates.py": "proposes types for features",
    "pipeline/inspect/grouping.py": "says in a message what may fit better",
}
"""Modules outside `transforms/columns` that name types of columns, and why they may: a new type works without a word in them."""


def test_no_other_module_knows_a_type():
    found = naming(rf"\b({'|'.join([*TYPES, *CLASSES])})\b")
    assert {module for module in found if not module.startswith("transforms/columns/")} == set(KNOW_TYPES)


def test_the_lines_shown_are_lines_of_the_file():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.search(r"```\n(class HashBucketBase.*?)```", text, re.DOTALL)
    assert shown is not None
    real = (ROOT / "transforms/columns/hash_bucket.py").read_text(encoding="utf-8")
    for line in shown[1].splitlines():
        code = re.sub(r"\s{2,}#.*|\(self, words, fitted\):.*", "", line).strip()
        if code and '"""' not in code:
            assert code in real, line


NEW_TYPE = '''
from typing import Literal

from transforms.columns.base import SequenceMixin
from transforms.columns.categorical import KeyedCategorical


class SequenceWordLength(SequenceMixin, KeyedCategorical):
    """The number of bytes of every word, as an id."""

    type: Literal["sequence_word_length_column"] = "sequence_word_length_column"

    @property
    def word_dtype(self):
        """See the base class."""
        return "string"

    @property
    def id_count(self):
        """See the base class."""
        return 100

    def ids_of(self, words, fitted):
        """See the base class."""
        import tensorflow as tf

        return tf.cast(tf.minimum(tf.strings.length(words), 99), tf.int64)


def sequence_word_length_column(key, **more):
    """Builds the column."""
    return SequenceWordLength.make(key=key, **more)
'''

USED = '''
import json
from pathlib import Path
from pipeline import Request, read_manifest, run
from pipeline.columns_file.reader import dumps, loads
from pipeline.columns_file.schema import json_schema
from transforms import apply, indicator_column, sequence_word_length_column

spec = loads("""
columns:
  - {type: sequence_word_length_column, key: x}
  - {type: indicator_column, categorical_column: {type: sequence_word_length_column, key: x, max_ids: 1}}
""")
assert loads(dumps(spec)) == spec
assert "sequence_word_length_column" in json.dumps(json_schema())
assert apply([{"x": ["a", "bcd"]}], [sequence_word_length_column("x")])["x"].tolist() == [[1, 3]]
assert indicator_column(sequence_word_length_column("x")).name == "x_indicator"
Path("rows.jsonl").write_text('{"x": ["a", "bcd"]}\\n{"x": []}\\n')
assert run(Request(spec, ["rows.jsonl"], "out")).status == "done"
assert {output.name for output in read_manifest("out").outputs} >= {"x", "x_indicator"}
print("all of it works")
'''


@pytest.mark.slow
def test_a_new_type_is_one_file_and_one_line(tmp_path):
    """In a copy of the packages: the file, the line, and the type works in a columns file, a job, a wrapper and in memory."""
    import shutil

    for package in ("transforms", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "transforms/columns/word_length.py").write_text('"""A type of one\'s own."""\n' + NEW_TYPE)
    table = tmp_path / "transforms/columns/__init__.py"
    text = table.read_text(encoding="utf-8")
    line = '    "sequence_word_length_column": word_length.SequenceWordLength,\n'
    text = text.replace(
        "TYPES: Final[dict[str, type[Column]]] = {\n", "TYPES: Final[dict[str, type[Column]]] = {\n" + line
    )
    text = text.replace(
        "from transforms.columns.base import",
        "from transforms.columns import word_length\nfrom transforms.columns.base import",
        1,
    )
    table.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all of it works" in done.stdout


def test_every_type_is_reachable_by_its_names():
    import transforms

    for name, kind in TYPES.items():
        assert callable(getattr(transforms, name))
        assert getattr(transforms, kind.__name__) is CLASSES[kind.__name__] is kind
