"""What people see of columns and results in Python: calls that make them again, and tables in which nothing is markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import transforms
from pipeline import read_manifest
from pipeline.command.tf_examples import write_examples
from pipeline.dataset.notebook import Ledger
from pipeline.job.executing import Outcome
from tests.harness import all_cases
from tests.jobs import done
from transforms import SequenceGroup, apply, make_spec, normalizers, sequence_numeric_column
from transforms.rows.reasons import REASONS
from transforms.spec.spec import Spec

NAMES: dict[str, Any] = {
    **{name: getattr(transforms, name) for name in transforms.__all__},
    **{name: getattr(normalizers, name) for name in dir(normalizers)},
}
HOSTILE = "<script>alert('x')</script>&\x1b[31m"


def again(text: str) -> Any:
    return eval(text, NAMES)


# A table that somebody has in memory has no call that makes it.
SAID = [case for case in all_cases() if getattr(getattr(case.column, "table", None), "source", True)]


@pytest.mark.parametrize("case", SAID, ids=lambda case: case.name)
def test_a_column_shows_the_call_that_makes_it(case):
    assert again(repr(case.column)) == case.column
    assert str(case.column) == repr(case.column)


@pytest.mark.parametrize(
    "normalizer",
    [
        "z_score",
        "min_max",
        {"type": "robust", "quantiles": [0.1, 0.9]},
        ["log1p", {"type": "clip", "min": 0.0}, "z_score"],
    ],
)
def test_a_normalizer_shows_the_call_that_makes_it(normalizer):
    made = sequence_numeric_column("x", normalizer_fn=normalizer)
    assert again(repr(made)) == made


def test_only_what_is_not_the_default_is_shown():
    assert repr(sequence_numeric_column("x")) == "sequence_numeric_column('x')"
    assert repr(SequenceGroup(truncate="tail")) == "SequenceGroup(truncate='tail')"
    assert repr(normalizers.ZScore(per="column")) == "ZScore(per='column')"


def test_a_spec_shows_the_call_that_makes_it():
    columns = [sequence_numeric_column("x", group="a"), sequence_numeric_column("y", (2,), group="a")]
    grouped = make_spec(columns, {"a": SequenceGroup(max_length=3)})
    assert again(repr(grouped)) == grouped and grouped.columns == columns
    alone = make_spec(sequence_numeric_column("z"))
    assert again(repr(alone)) == alone


def cells(text: str) -> list[list[list[str]]]:
    """The texts of the tables' cells: by table, by row. What is no well-formed XML raises."""
    root = ET.fromstring(f"<div>{text}</div>")
    assert {node.tag for node in root.iter()} <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    return [[["".join(cell.itertext()) for cell in row] for row in table.iter("tr")] for table in root.iter("table")]


def test_a_notebook_shows_a_spec():
    spec = make_spec([sequence_numeric_column(HOSTILE, group="a")], {"a": SequenceGroup(max_length=3)})
    columns, groups = cells(spec._repr_html_())
    assert columns[1][1:3] == ["sequence_numeric_column", "a"]
    assert "<script>alert('x')</script>&\\x1b" in columns[1][0]
    assert groups[1] == ["a", "SequenceGroup(max_length=3)"]


def test_a_notebook_shows_what_was_applied():
    made = apply([{"x": [1.0]}, {"x": [HOSTILE]}], [sequence_numeric_column("x")])
    assert repr(made).startswith("Applied(1 rows, 1 rejected; x float32 [1, 1, 1], ")
    outputs, rejected = cells(made._repr_html_())
    assert [row[:3] for row in outputs[1:]] == [[o.name, o.dtype, str(made[o.name].shape)] for o in made.outputs]
    assert rejected[1][:3] == ["1", "not_a_number", "x"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: Any) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("shown")
    rows = [{"x": np.arange(k, dtype=np.float32)} for k in range(1500)] + [{"x": [HOSTILE]}]
    write_examples(str(folder / "in.tfrecord"), rows)
    spec: Spec = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=3))
    return folder / "out", done(spec, folder / "in.tfrecord", folder / "out", max_rejected=1.0)


def test_a_notebook_shows_a_run(outcome):
    root, made = outcome
    rows = "1,501 rows read, 1,500 written, 1 rejected"
    assert repr(made) == f"Outcome(done; Ledger({rows}; 1 columns, 1 files); {str(root)!r})"
    status, columns, reasons, examples = cells(made._repr_html_())
    assert status[1] == ["done", "", str(root)]
    counts = made.ledger["columns"]["x"]
    assert columns == [
        ["column", "values", "kept", "truncated", "rejected", "padded", "replaced", "filled"],
        ["x", *(f"{counts[name]:,}" for name in columns[0][1:])],
    ]
    assert reasons[1] == ["not_a_number", "1", REASONS["not_a_number"]]
    assert examples[1][:4] == ["not_a_number", "in.tfrecord", "1,500", "x"]


def test_a_notebook_shows_a_data_set(outcome):
    root, _ = outcome
    manifest = read_manifest(str(root))
    assert repr(manifest) == f"Manifest({str(root)!r}: 1,500 rows, 3 features, 1 files of tfrecord)"
    (features,) = cells(manifest._repr_html_())
    assert features[1] == ["x", "float32", "(3, 1)", "values", "x"]


def test_a_ledger_without_anything():
    assert repr(Ledger()) == "Ledger()"
    assert "did not come so far" in Ledger()._repr_html_()
