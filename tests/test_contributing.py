"""Adding a column type, a normaliser, a source and a sink: examples are real, and the code knows them in one place only."""

from __future__ import annotations

import re
import shutil
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
    "pipeline/inspect/events/seen.py": "proposes a column for the times between events",
    "pipeline/inspect/grouping.py": "says in a message what may fit better",
    "pipeline/layers/keras_layers.py": "derives from Keras's class, which has the name of one of ours",
    "pipeline/layers/torch_layers.py": "derives from PyTorch's class, which has the name of one of ours",
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


def test_the_real_normaliser_source_and_sink_are_as_shown():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (?:normaliser|source|sink) \| \[(.*?)\].*? \| `(.*?)` in .*?\]\((.*?)\) \| \[(.*?)\]", text, re.MULTILINE
    )
    classes = re.findall(r"^class (?:MaxAbs|JSONLines|SequenceExample)\b.*(?:\n    .*)+", text, re.MULTILINE)
    assert len(rows) == len(classes) == 3
    for (file, line, table, tests), shown in zip(rows, classes, strict=True):
        assert f"    {line},\n" in (ROOT / table).read_text(encoding="utf-8") and (ROOT / tests).exists()
        code = (ROOT / file).read_text(encoding="utf-8")
        assert all(re.sub(r"\s{2,}#.*", "", one).strip() in code for one in shown.splitlines())


TABLES = r"^(?:TYPES|SOURCES|SINKS|FORMATS): Final.*?= [{(]"

USED = """
import json
import numpy as np
import pyarrow as pa
from pipeline import Request, run
from pipeline.columns_file.reader import dumps, load
from pipeline.columns_file.schema import json_schema
from pipeline.inspect.inspection import Inspection, inspect_files
from pipeline.loaders import numpy_batches
from pipeline.verify.verify import verify
from transforms import MeanRatio, apply, indicator_column, sequence_word_length_column

open("columns.yaml", "w").write('''
columns:
  - {type: sequence_word_length_column, key: x}
  - {type: indicator_column, categorical_column: {type: sequence_word_length_column, key: x, max_ids: 1}}
  - {type: numeric_column, key: w, normalizer_fn: mean_ratio}
''')
spec = load("columns.yaml")
assert load("columns.yaml") == spec and "mean_ratio" in dumps(spec)
assert {"sequence_word_length_column", "mean_ratio"} <= set(json.dumps(json_schema()).replace('"', " ").split())
assert apply([{"x": ["a", "bcd"]}], [sequence_word_length_column("x")])["x"].tolist() == [[1, 3]]
assert indicator_column(sequence_word_length_column("x")).name == "x_indicator" and repr(MeanRatio()) == "MeanRatio()"

x = [["a", "bcd"], [], ["ef"], ["g"]] * 25
table = pa.table({"x": x, "w": pa.array([1.0, 2.0, 3.0, None] * 25)})
for name in ("rows.arrow", "rows"):  # known by the end of its name, and by its first bytes
    with pa.ipc.new_file(name, table.schema) as file:
        file.write_table(table, max_chunksize=30)

assert [profile.name for profile in inspect_files(Inspection(["rows.arrow"])).profiles] == ["x", "w"]
assert run(Request(spec, ["rows.arrow", "rows"], "out", format="arrow", max_rejected=0.5)).status == "done"
found = verify("out")
assert not found.faults and found.files.rows == 150 and found.compared.rows == 150, found
batches = list(numpy_batches("out", 64))
made = {name: np.concatenate([batch[name] for batch in batches]) for name in ("x", "w", "x_indicator")}
assert sorted(map(tuple, made["x"].tolist())) == sorted([(1, 3), (-1, -1), (2, -1)] * 50)
assert sorted(made["w"].reshape(-1).tolist()) == [0.5] * 50 + [1.0] * 50 + [1.5] * 50
assert made["x_indicator"].shape == (150, 2, 100) and made["x_indicator"].sum() == 150
print("all of it works")
"""


@pytest.mark.slow
def test_one_of_each_is_one_file_and_one_line(tmp_path):
    """A column type, a normaliser, a source and a sink as docs/extending.md shows them, added to a copy of the packages."""
    for package in ("transforms", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    files, lines = shown("file"), shown("line")
    assert len(files) == 4 and len(lines) == 5
    for name, code in files.items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(code, encoding="utf-8")
    for name, code in lines.items():
        table = tmp_path / name
        found = re.fullmatch(r"((?:from .*\n)?)\n?(    .*\n)", code)
        assert found is not None, name
        imported, line = found.groups()
        text = table.read_text(encoding="utf-8").replace("annotations\n", f"annotations\n{imported}", 1)
        text, count = re.subn(TABLES, lambda found: f"{found[0]}\n{line}", text, count=1, flags=re.MULTILINE)  # noqa: B023
        assert count == 1, name
        table.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert "all of it works" in done.stdout


def shown(what: str) -> dict[str, str]:
    """Returns the code that docs/extending.md shows, by the file that it is, or is a line of."""
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    return dict(re.findall(rf"^```\w+ {what} (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_every_type_is_reachable_by_its_names():
    import transforms

    for name, kind in TYPES.items():
        assert callable(getattr(transforms, name))
        assert getattr(transforms, kind.__name__) is CLASSES[kind.__name__] is kind
