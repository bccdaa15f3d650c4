"""`seqcols repair`: what is added is what a whole run would have written, of every format; what does not fit is refused."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset import distributions, leftovers
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.repair.plan import Repair, located
from pipeline.repair.running import repair
from pipeline.verify.verify import verify
from tests.faults.formats import KINDS, example
from tests.jobs import assert_balanced, call, done, read_arrays, read_json, read_rejected
from tests.marks import slow_but
from tests.prepared import put_manifest, put_version_1
from tests.reports import parsed
from transforms import (
    JobError,
    SequenceGroup,
    SpecError,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.distributions import histograms
from transforms.distributions.facts import FITTED, Facts
from transforms.spec.spec import Spec

ROWS: list[dict[str, Any]] = [
    {"id": k, "x": [k + step / 4 for step in range(k % 5)] if k % 7 else [float("nan")], "name": f"n{k}"}
    for k in range(60)
]
FORMATS = ["a.tfrecord.gz", "a.jsonl", "a.csv", "none.parquet", "null.avro"]


def spec(name: str = "a.tfrecord", non_finite: str = "reject", length: Any = 4, **more: Any) -> Spec:
    delimiter = ";" if "sv" in name else None
    x = sequence_numeric_column("x", non_finite=non_finite, delimiter=delimiter, **more)
    return make_spec([passthrough_column("id", "int64"), x], SequenceGroup(max_length=length))


def made(folder: Path, name: str = "a.tfrecord", rows: list[dict[str, Any]] | None = None) -> Path:
    path = folder / name
    path.write_bytes(KINDS[name if name in KINDS else f"{name}.gz"].make(rows or ROWS))
    return path


def counted(ledger: Any) -> Any:
    """A ledger without what each run has of its own."""
    return {name: value for name, value in ledger.items() if name not in ("run", "created")}


@pytest.mark.parametrize("name", slow_but(FORMATS))
def test_a_repaired_data_set_is_what_one_run_would_have_made(name, tmp_path):
    path = made(tmp_path, name)
    more = {"max_rejected": 1.0, "format": "parquet", "columns_file": "first.yaml"}
    first = done(spec(name), path, tmp_path / "out", **more)
    rejected = [row["id"] for row in ROWS if not row["id"] % 7]
    assert first.ledger["rows"]["rejected"] == len(rejected) > 5
    mended = repair(Repair(str(tmp_path / "out" / "rejected"), spec(name, "fill")))
    assert (mended.status, mended.message) == ("done", "")
    assert mended.repaired["written"] == len(rejected) and mended.repaired["rejected"] == 0
    assert (
        "columns_file" not in read_manifest(str(tmp_path / "out")).content
    )  # these columns stand in another one, or in none
    whole = done(spec(name, "fill"), path, tmp_path / "whole", format="parquet")
    found, expected = (read_arrays(tmp_path / one, sort_by="id") for one in ("out", "whole"))
    assert found.keys() == expected.keys()
    for feature, values in expected.items():
        np.testing.assert_array_equal(found[feature], values, feature)
    assert counted(mended.ledger) == counted(whole.ledger) == counted(read_json(tmp_path / "out", "ledger.json"))
    assert_balanced(mended.ledger)
    assert_reports_alike(tmp_path / "out", tmp_path / "whole")
    checked = verify(str(tmp_path / "out"))
    assert checked.compared is not None and not checked.faults
    assert checked.compared.rows == first.ledger["rows"]["written"]


def known_of(root: Path) -> Facts | None:
    """Returns the lengths and distributions of a data set."""
    return distributions.read(read_manifest(str(root))).get(FITTED)


def assert_reports_alike(repaired: Path, whole: Path) -> None:
    """Asserts that two reports say the same of rows and values, and that one of them tells of two runs."""
    first, second = (known_of(root) for root in (repaired, whole))
    assert first is not None and second is not None
    assert first.complete and first.rows == second.rows == (60, 60)
    assert (first.lengths, first.sums) == (second.lengths, second.sums)
    assert first.counts.keys() == second.counts.keys()
    for key, (bins, counts) in first.counts.items():
        assert bins.tolist() == second.counts[key][0].tolist() and counts.tolist() == second.counts[key][1].tolist()
    assert len(first.times) == 2 and [part.what for part in first.times[max(first.times)]][-1] == "check and publish"
    pages = [parsed((root / "report.html").read_text()) for root in (repaired, whole)]
    index, tiles = (
        [page.all(tag, **{"class_": "tiles"} if tag == "ul" else {}) for page in pages] for tag in ("a", "ul")
    )
    assert [one[0].text for one in tiles] == ["60 read 60 written 0 rejected (0 %)"] * 2
    assert [a.text for a in index[0]] == [a.text for a in index[1]]
    assert [cells[1] for cells in pages[0].all("table")[0].rows()[1:]] == ["run", "repair"]


@pytest.mark.slow
def test_without_the_distributions_of_the_data_set_a_repair_does_not_make_distributions_up(out, tmp_path):
    (out / "distributions.json").unlink()
    repair(Repair(str(tmp_path / "out"), spec(non_finite="fill")))
    known, page = known_of(out), parsed((out / "report.html").read_text())
    assert known is not None and not known.complete and not known.counts and not known.lengths
    assert "Lengths and distributions are not known" in page.text and "60 written" in page.text
    assert not page.all("figure")
    assert not verify(str(tmp_path / "out"), most=0).faults


@pytest.mark.slow
def test_a_data_set_of_a_version_without_reports_is_verified_and_repaired(out, tmp_path):
    manifest = read_json(out, "manifest.json")
    del (
        manifest["report"],
        manifest["report_sha256"],
        manifest["distributions"],
        manifest["json_sha256"]["distributions"],
    )
    put_manifest(out, manifest)
    put_version_1(out)
    (out / "report.html").unlink()
    (out / "distributions.json").unlink()
    assert not verify(str(out), most=0).faults
    repair(Repair(str(out), spec(non_finite="fill")))
    assert "Lengths and distributions are not known" in parsed((out / "report.html").read_text()).text
    assert not verify(str(out), most=0).faults


@pytest.mark.slow
def test_a_part_of_the_rows_is_counted_as_in_the_data_set(tmp_path, monkeypatch):
    path = made(tmp_path)
    monkeypatch.setattr(histograms, "COUNTED_WHOLE", path.stat().st_size // 2 + 1)
    far = [{**row, "x": [value + 2000.0 for value in row["x"]]} for row in ROWS]
    made(tmp_path, rows=far)
    done(spec(normalizer_fn="z_score"), path, tmp_path / "out", max_rejected=1.0)
    first = known_of(tmp_path / "out")
    repair(Repair(str(tmp_path / "out"), spec(non_finite="fill", normalizer_fn="z_score")))
    both = known_of(tmp_path / "out")
    assert first is not None and both is not None and both.complete
    assert first.one_in == both.one_in == 2 and first.centres == both.centres and any(both.centres["x"])
    assert first.rows[1] == 51 and both.rows[1] == 60 and first.rows[0] < both.rows[0] < 60


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("plain")
    done(spec(), made(folder), folder / "out", max_rejected=1.0)
    return folder


@pytest.fixture
def out(plain, tmp_path) -> Path:
    """A data set of 60 rows, 9 of which were rejected for a NaN."""
    return Path(shutil.copytree(plain / "out", tmp_path / "out"))


@pytest.mark.slow
def test_runs_are_listed_and_old_files_go(out, tmp_path):
    """Also of a data set of version 1, which becomes one of the version of today."""
    put_version_1(out)
    before = read_manifest(str(tmp_path / "out"))
    assert before.content["format_version"] == 1 and not verify(str(out), most=0).faults
    outcome = repair(Repair(str(tmp_path / "out"), spec(non_finite="fill")))
    after = read_manifest(str(tmp_path / "out"))
    assert set(before.files) < set(after.files) and not after.rejected_files
    assert [run["kind"] for run in after.content["runs"]] == ["run", "repair"]
    assert [(run["read"], run["written"], run["rejected"]) for run in after.content["runs"]] == [(60, 51, 9), (9, 9, 0)]
    assert outcome.notes == ["51 rows already written were compared: these columns give the same"]
    assert after.content["format_version"] == 2 and "sha256" in after.content
    assert not leftovers.unnamed(leftovers.listing(str(tmp_path / "out")), after.content)
    with pytest.raises(UsageError, match="no row of this data set was rejected"):
        repair(Repair(str(tmp_path / "out"), spec(non_finite="fill")))


@pytest.mark.slow
def test_statistics_stay_those_of_the_data_set(tmp_path):
    path = made(tmp_path)
    done(spec(normalizer_fn="z_score"), path, tmp_path / "out", max_rejected=1.0)
    repair(Repair(str(tmp_path / "out"), spec(non_finite="fill", normalizer_fn="z_score")))
    good = np.concatenate([row["x"][:4] for row in ROWS if row["id"] % 7]).astype(np.float64)
    arrays = read_arrays(tmp_path / "out", sort_by="id")
    assert arrays["id"].tolist() == list(range(60))
    expected = np.zeros((60, 4))
    for row in ROWS:
        if row["id"] % 7:
            expected[row["id"], : len(row["x"][:4])] = (np.array(row["x"][:4]) - good.mean()) / good.std()
    np.testing.assert_allclose(arrays["x"][..., 0], expected, rtol=1e-5, atol=1e-6)
    assert not verify(str(tmp_path / "out")).faults
    assert read_json(tmp_path / "out", "statistics.json")["rows"] == 51  # what they were computed of


@pytest.mark.slow
def test_a_learned_vocabulary_stays(tmp_path):
    rows = [{"id": k, "x": [float(k)] if k % 5 else [float("nan")], "name": f"n{k % 3}"} for k in range(40)]
    path = made(tmp_path, rows=rows)

    def with_words(non_finite: str) -> Spec:
        word = sequence_categorical_column_with_learned_vocabulary("name", top_k=9, num_oov_buckets=1)
        x = sequence_numeric_column("x", non_finite=non_finite)
        return make_spec([passthrough_column("id", "int64"), word, x], SequenceGroup(max_length=1))

    done(with_words("reject"), path, tmp_path / "out", max_rejected=1.0)
    before = read_arrays(tmp_path / "out", sort_by="id")
    words = read_manifest(str(tmp_path / "out")).vocabularies["name"]
    assert words.words.tolist() == ["n0", "n1", "n2"] and words.counts is not None and words.counts.sum() == 32
    repair(Repair(str(tmp_path / "out"), with_words("fill")))
    kept = read_manifest(str(tmp_path / "out")).vocabularies["name"]
    assert kept.entry == words.entry and kept.texts == words.texts
    np.testing.assert_array_equal(kept.counts, words.counts)
    after = read_arrays(tmp_path / "out", sort_by="id")
    ids = {int(k) % 3: v for k, v in zip(before["id"], before["name"][:, 0], strict=True)}
    assert len(after["id"]) == 40 and [ids[k % 3] for k in range(40)] == after["name"][:, 0].tolist()
    assert not verify(str(tmp_path / "out")).faults


@pytest.mark.slow
def test_what_stays_wrong_is_rejected_again_and_can_be_mended_later(tmp_path):
    rows = [{"id": k, "x": [float(k) if k != 20 else float("nan")], "name": ""} for k in range(22)]
    path, out = made(tmp_path, rows=rows), tmp_path / "out"

    def below(most: int, non_finite: str) -> Spec:
        x = sequence_numeric_column("x", non_finite=non_finite)
        return make_spec([categorical_column_with_identity("id", most), x], SequenceGroup(max_length=1))

    done(below(21, "reject"), path, out, max_rejected=1.0)
    again = repair(Repair(str(out), below(21, "fill")))
    assert again.ledger["rows"]["rejected_by_reason"] == {"out_of_range": 1}
    assert (again.repaired["read"], again.repaired["written"], again.repaired["rejected"]) == (2, 1, 1)
    table = read_rejected(read_manifest(str(out)).rejected_files)
    assert (table.column("row").to_pylist(), table.column("record").to_pylist()) == ([21], [example(rows[21])])
    last = repair(Repair(str(out), below(22, "fill")))
    assert last.ledger["rows"]["rejected"] == 0 and read_arrays(out, sort_by="id")["id"].tolist() == list(range(22))
    assert counted(last.ledger) == counted(done(below(22, "fill"), path, tmp_path / "whole").ledger)
    assert len(read_manifest(str(out)).content["runs"]) == 3
    assert not verify(str(out)).faults


@pytest.mark.slow
def test_a_row_longer_than_the_longest_stays_rejected(tmp_path):
    rows = [{"id": k, "x": [1.0] * (k % 4), "name": ""} for k in range(20)]
    path = made(tmp_path, rows=[*rows, {"id": 20, "x": [float("nan")] * 4, "name": ""}])
    done(spec(length="longest"), path, tmp_path / "out", max_rejected=1.0)
    outcome = repair(Repair(str(tmp_path / "out"), spec(non_finite="fill", length="longest")))
    assert outcome.status == "done" and outcome.repaired["written"] == 0
    (row,) = read_rejected(outcome.rejected_files).to_pylist()
    assert (row["reason"], row["value"], row["message"]) == (
        "too_long",
        "4 steps",
        "expected at most 3 steps (truncate: reject)",
    )
    assert not verify(str(tmp_path / "out")).faults


def test_mended_records(out, tmp_path):
    table = read_rejected(read_manifest(str(out)).rejected_files)
    records = [example({"id": row, "x": [float(row)], "name": ""}) for row in table.column("row").to_pylist()]
    at = table.schema.get_field_index("record")
    pq.write_table(table.set_column(at, "record", pa.array(records, pa.binary())).slice(1), tmp_path / "mended.parquet")
    outcome = repair(Repair(str(tmp_path / "mended.parquet"), spec(), output=str(out)))
    assert (outcome.repaired["written"], outcome.repaired["rejected"]) == (len(records) - 1, 1)
    arrays = read_arrays(out, sort_by="id")
    assert arrays["id"].tolist() == list(range(1, 60))
    assert [arrays["x"][k - 1, 0, 0] for k in range(7, 60, 7)] == list(range(7, 60, 7))
    assert_balanced(outcome.ledger)
    assert not verify(str(out)).faults


@pytest.mark.slow
def test_a_mended_record_that_was_no_record(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"id": {k}, "x": [{k}]}}\n' for k in range(9)) + '{"id": 9, "x": [oops]}\n')
    out = tmp_path / "out"
    done(spec(), path, out, max_rejected=1.0)
    table = read_rejected(read_manifest(str(out)).rejected_files)
    assert table.column("reason").to_pylist() == ["bad_record"]
    at = table.schema.get_field_index("record")
    pq.write_table(
        table.set_column(at, "record", pa.array([b'{"id": 9, "x": [9, 8]}'], pa.binary())), tmp_path / "mended.parquet"
    )
    outcome = repair(Repair(str(tmp_path / "mended.parquet"), spec(), output=str(out)))
    assert outcome.repaired["written"] == 1
    assert read_arrays(out, sort_by="id")["x"][9, :, 0].tolist() == [9, 8, 0, 0]
    assert_balanced(outcome.ledger)
    assert outcome.ledger["columns"]["x"]["values"] == 11


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("finished")
    done(spec(normalizer_fn="z_score"), made(folder), folder / "out", max_rejected=1.0)
    return folder


OTHER: dict[str, tuple[Spec, str]] = {
    "another feature": (
        make_spec([passthrough_column("id", "int64"), *spec(normalizer_fn="z_score").columns[1:], numeric_column("name")],
                  SequenceGroup(max_length=4)),
        "the feature 'name' is none of the data set's: a repair adds rows, not other features",
    ),
    "a feature less": (
        make_spec([sequence_numeric_column("x", normalizer_fn="z_score")], SequenceGroup(max_length=4)),
        "the feature 'id' of the data set is missing: a repair adds rows, not other features",
    ),
    "longer": (
        spec(non_finite="fill", length=5, normalizer_fn="z_score"),
        r"the feature 'x' would have the shape \(5, 1\), the data set has \(4, 1\): run the job again",
    ),
    "another normalizer": (
        spec(non_finite="fill", normalizer_fn="min_max"),
        "column 'x': the data set was made with another normalizer_fn, z_score, not min_max: run the job again",
    ),
    "ids": (
        make_spec([passthrough_column("id", "int64"), sequence_categorical_column_with_identity("x", 5)],
                  SequenceGroup(max_length=4)),
        "the feature 'x' would have the ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER)
def test_columns_that_do_not_fit_are_refused_before_the_run(case, finished):
    other, says = OTHER[case]
    before = sorted(p for p in (finished / "out").rglob("*"))
    with pytest.raises(SpecError, match=says):
        repair(Repair(str(finished / "out"), other))
    assert sorted(p for p in (finished / "out").rglob("*")) == before


def test_columns_that_would_change_written_rows_are_refused(out, tmp_path):
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    padded = spec(non_finite="fill", default_value=-1.0)
    outcome = repair(Repair(str(tmp_path / "out"), padded))
    assert outcome.status == "failed"
    assert "these columns would change rows that are written already; run the job again: " in outcome.message
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def changed(table: pa.Table, name: str, values: Any) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize("name", ["statistics.json", "ledger.json", "transform/statistics/moments.json"])
def test_what_is_damaged_is_not_carried_over(finished, tmp_path, name):
    """It would have a digest that fits from then on."""
    root = Path(shutil.copytree(finished / "out", tmp_path / "out"))
    data = bytearray((root / name).read_bytes())
    data[len(data) // 2] ^= 1
    (root / name).write_bytes(data)
    with pytest.raises(JobError, match=f"{name.split('/')[0]}: is not what was published: seqcols verify says more"):
        repair(Repair(str(root), spec(normalizer_fn="z_score", non_finite="fill")))


def test_a_folder_above_is_that_of_what_a_link_leads_to(tmp_path, monkeypatch):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "out" / "rejected").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    (tmp_path / "m.parquet").touch()
    monkeypatch.chdir(tmp_path)
    asked = Repair("link/../out/rejected", spec()), Repair("m.parquet", spec(), "link/../out")
    assert [located(one)[0] for one in asked] == [str(tmp_path / "far" / "out")] * 2


def test_rows_that_are_not_of_the_data_set_are_refused(finished, tmp_path):
    table = read_rejected(read_manifest(str(finished / "out")).rejected_files)
    asked = Repair(str(tmp_path / "m.parquet"), spec(normalizer_fn="z_score"), str(finished / "out"))
    pq.write_table(changed(table, "row", [row + 1 for row in table.column("row").to_pylist()]), tmp_path / "m.parquet")
    with pytest.raises(UsageError, match=r"m\.parquet: .*a\.tfrecord row 1 is no rejected row of .*out"):
        repair(asked)
    pq.write_table(table.drop_columns(["record"]), tmp_path / "m.parquet")
    with pytest.raises(JobError, match=r"m\.parquet: no file of rejected rows: it has no column 'record'"):
        repair(asked)
    (tmp_path / "m.parquet").write_bytes(b"oops")
    with pytest.raises(JobError, match=r"m\.parquet: "):
        repair(asked)
    with pytest.raises(UsageError, match=r"--output: expected the directory of the data set that these rows are of"):
        repair(Repair(str(tmp_path / "m.parquet"), spec()))
    with pytest.raises(JobError, match=r"none\.parquet"):
        repair(Repair(str(tmp_path / "none.parquet"), spec(), str(finished / "out")))
    with pytest.raises(JobError, match="holds no finished data set"):
        repair(Repair(str(tmp_path / "m.parquet"), spec(), str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    "how", slow_but(["a row less", "a row twice", "another row", "a digest"], "another row", "a digest")
)
def test_kept_rows_that_were_altered_do_not_balance(how, out, tmp_path):
    manifest = read_manifest(str(tmp_path / "out"))
    (path,) = manifest.rejected_files
    table = pq.read_table(path)
    pq.write_table(
        {
            "a row less": table.slice(1),
            "a row twice": pa.concat_tables([table.slice(1), table.slice(1, 1)]),
            "another row": changed(table, "file", [f"{tmp_path}/b.tfrecord", *table.column("file").to_pylist()[1:]]),
            "a digest": changed(table, "digest", [1, *table.column("digest").to_pylist()[1:]]),
        }[how],
        path,
    )
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    outcome = repair(Repair(str(tmp_path / "out"), spec(non_finite="fill")))
    assert outcome.status == "failed" and "the ledger does not balance: " in outcome.message
    says = (
        "b.tfrecord: is no file of this"
        if how == "another row"
        else "rows in rejected/ are not those that were rejected"
    )
    assert says in outcome.message
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_inputs_that_are_gone(tmp_path):
    path = made(tmp_path)
    done(spec(), path, tmp_path / "out", max_rejected=1.0)
    (tmp_path / "moved").mkdir()
    path.rename(tmp_path / "moved" / path.name)
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    outcome = repair(Repair(str(tmp_path / "out"), spec(non_finite="fill")))
    assert outcome.status == "failed" and re.search(
        r"cannot be compared with what these columns give: .*a\.tfrecord.*; --input says where", outcome.message
    )
    same = repair(Repair(str(tmp_path / "out"), spec()))  # nothing to compare: the columns are those it was made with
    assert (same.status, same.repaired["rejected"], list(same.notes)) == ("done", 9, [])
    moved = repair(Repair(str(tmp_path / "other"), spec(non_finite="fill"), inputs=[str(tmp_path / "moved" / "*")]))
    assert moved.notes == ["51 rows already written were compared: these columns give the same"]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["/examples/", r"/manifest\.json$", r"/transform(/|$)"])
def test_killed(change, out, tmp_path):
    """The data set is the old one or the whole new one; the same command again ends well, or has nothing left to do."""
    columns = tmp_path / "columns.yaml"
    columns.write_text(
        "sequence_groups: {sequence: {max_length: 4}}\n"
        "columns:\n- {type: passthrough_column, key: id, dtype: int64}\n"
        "- {type: sequence_numeric_column, key: x, non_finite: fill}\n"
    )
    command = [sys.executable, "-m", "tests.faults.killed", f"{re.escape(str(tmp_path / 'out'))}.*{change}"]
    command += ["repair", str(tmp_path / "out"), "--columns", str(columns)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = len(read_arrays(tmp_path / "out")["id"])
    assert found in (51, 60)
    again = call("repair", tmp_path / "out", "--columns", columns)
    if found == 51:
        assert again.exit_code == 0, again.stderr
    else:
        assert again.exit_code == 2 and "no row of this data set was rejected" in again.stderr
    assert read_arrays(tmp_path / "out", sort_by="id")["id"].tolist() == list(range(60))
    assert not verify(str(tmp_path / "out")).faults


def test_the_command(out, tmp_path, command_line):
    columns = tmp_path / "columns.yaml"
    columns.write_text(
        "sequence_groups: {sequence: {max_length: 4}}\n"
        "columns:\n- {type: passthrough_column, key: id, dtype: int64}\n"
        "- {type: sequence_numeric_column, key: x, non_finite: fill}\n"
    )
    made_of = call("repair", tmp_path / "out" / "rejected", "--columns", columns)
    assert made_of.exit_code == 0
    assert "9" in made_of.stdout and "60" in made_of.stdout
    print(made_of.stdout, made_of.stderr)
    wrong = call("repair", tmp_path / "out" / "rejected", "--columns", columns)
    assert wrong.exit_code == 2 and wrong.stderr.strip().count("\n") == 0
