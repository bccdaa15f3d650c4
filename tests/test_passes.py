"""Every pass over the input is compared with every other: whatever changes in a file, and between whichever passes."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.dataset import ledger
from pipeline.dataset.layout import Layout, make_dirs
from pipeline.job import passes
from tests.faults import changes
from tests.faults.formats import KINDS, Row, rows_of
from tests.faults.outcomes import of_file
from transforms import JobError, make_spec, passthrough_column, sequence_numeric_column
from transforms.rows.tally import Tally, from_list, listed
from transforms.stage_functions import validate_stage

ROWS = st.integers(6, 20).flatmap(lambda count: st.integers(0, 50).map(lambda seed: rows_of(count, seed)))


def counted(path: Path) -> Tally:
    """What a pass counts of a file."""
    delimiter = ";" if "sv" in path.name else None
    columns = [
        passthrough_column("id", "int64"),
        sequence_numeric_column("x", delimiter=delimiter),
        passthrough_column("name"),
    ]
    spec = make_spec(columns)
    return of_file(path, spec, stage=validate_stage(spec, 50)).tally


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(changes.CHANGES)), ROWS)
def test_whatever_changes_in_a_file_is_noticed(tmp_path, name, change, rows):
    path, changed = tmp_path / name, changes.CHANGES[change](rows)
    path.write_bytes(KINDS[name].make(rows))
    before = counted(path)
    assert ledger.changed(before, counted(path)) == []
    path.write_bytes(KINDS[name].make(changed))
    assert ledger.changed(before, counted(path)) == ([str(path)] if changed != rows else [])


@given(st.data(), ROWS)
def test_any_change_of_any_value_is_noticed(tmp_path, data, rows):
    """Changes that hypothesis makes up, of one place or several."""
    path = tmp_path / data.draw(st.sampled_from(["a.jsonl", "none.parquet", "null.avro", "a.tfrecord"]))
    path.write_bytes(KINDS[path.name].make(rows))
    before, after = counted(path), [dict(row) for row in rows]
    for _ in range(data.draw(st.integers(1, 3))):
        row: Row = after[data.draw(st.integers(0, len(after) - 1))]
        row |= data.draw(
            st.fixed_dictionaries({"id": st.integers(0, 99)})
            | st.fixed_dictionaries({"x": st.lists(st.floats(0, 1000, width=32), min_size=1, max_size=6)})
            | st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])})
        )
    assume(after != rows)
    path.write_bytes(KINDS[path.name].make(after))
    assert ledger.changed(before, counted(path)) == [str(path)]


@given(st.lists(st.sampled_from("aab"), min_size=2, max_size=6))
def test_passes_go_on_only_if_all_read_the_same(states):
    """Also where a file was changed and put back, so that the first and the last agree."""
    with tempfile.TemporaryDirectory() as folder:
        place = Layout(folder, "r")
        make_dirs(place.staging)
        refused = False
        for state in states:
            read: Tally = Counter(
                {("f", "rows", "read"): 3, ("f", "digest", "read"): ord(state), ("", "began", 0): len(states)}
            )
            try:
                passes.compare(read, place)
            except JobError as error:
                refused = True
                assert str(error) == "f: changed during the run, so that not every pass read the same"
        assert refused == (len(set(states)) > 1)


def test_how_many_files_changed_is_said():
    passes.refuse_changed([])
    with pytest.raises(JobError, match=r"^a \(and 2 more files\): changed during the run"):
        passes.refuse_changed(["a", "b", "c"])


def test_digests_add_up_whatever_the_batches():
    """Sums modulo 2^64 of batches, which another limit of their size cuts otherwise."""
    one: Tally = Counter({("f", "digest", "read"): 2**63 + 2**63 + 5})
    assert ledger.changed(one, Counter({("f", "digest", "read"): 5})) == []
    assert ledger.changed(one, Counter({("f", "digest", "read"): 6})) == ["f"]


def test_a_tally_is_read_back(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(KINDS["a.jsonl"].make(rows_of(9)))
    assert from_list(listed(counted(path))) == counted(path)


def test_a_change_while_the_first_level_is_used_fails_the_run():
    """The file has values times 1,000 from the second pass on: statistics and rows would be of two different files."""
    changes.trial([{"type": "clip", "quantiles": [0.1, 0.9]}, "z_score"], "all values", 1, True)
