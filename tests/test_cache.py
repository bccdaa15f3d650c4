"""The analysis cache: equal statistics without reading again, and nothing stale."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset import layout, ledger
from pipeline.errors import UsageError
from pipeline.inputs import match as inputs
from pipeline.inputs.match import InputFile, match
from pipeline.job import cache, cache_files, reading, running
from pipeline.job.cache_files import CachePiece
from pipeline.job.executing import Outcome
from pipeline.job.request import Request, check_values
from tests.faults import changes
from tests.faults.formats import KINDS, rows_of
from tests.jobs import done, listing, read_arrays, read_json, run_job
from tests.marks import slow_but
from tests.object_store import SCHEME, Objects
from tests.test_passes import counted
from transforms import (
    JobError,
    SequenceGroup,
    Spec,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)

GROUP = SequenceGroup(max_length=4)


def spec(**change: Any) -> Spec:
    return make_spec(
        [
            passthrough_column("id", "int64"),
            sequence_numeric_column("x", (2,), normalizer_fn="z_score", **change),
            numeric_column("w", normalizer_fn="z_score", default_value=0.5),
        ],
        GROUP,
    )


def write_day(folder: Path, day: int, rows: int = 40, scale: float = 1.0) -> Path:
    rng = np.random.default_rng(day)
    made = [
        {"id": 1000 * day + k, "x": (scale * (rng.normal(day, 2, 2 * (k % 6)))).tolist(), "w": float(rng.normal())}
        for k in range(rows)
    ]
    made[3]["x"] = [1.0]  # no whole step
    path = folder / f"day{day}.parquet"
    pq.write_table(pa.Table.from_pylist(made), path)
    return path


@pytest.fixture
def read_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Rows read in the analysis, by name of the file; `clear()` between runs."""
    counted: Counter[str] = Counter()
    process = reading._Read.process

    def counting(self: Any, split: Any) -> Iterator[Any]:
        for made in process(self, split):
            if self._number == 0 and isinstance(made, pa.RecordBatch):
                counted[Path(split.path).name] += made.num_rows
            yield made

    monkeypatch.setattr(reading._Read, "process", counting)
    yield counted


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return [write_day(tmp_path, day) for day in (1, 2, 3)]


def same_statistics(left: Path, right: Path) -> None:
    a, b = (read_json(root, "statistics.json") for root in (left, right))
    assert a["groups"] == b["groups"] and a["rows"] == b["rows"]
    assert a["columns"] == b["columns"]


def same_arrays(left: Path, right: Path) -> None:
    a, b = (read_arrays(root, "id") for root in (left, right))
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


@pytest.mark.slow
def test_a_second_run_reads_only_the_new_file(tmp_path, days, read_rows):
    first, again, plain = tmp_path / "first", tmp_path / "again", tmp_path / "plain"
    done(spec(), days[:2], first, cache=str(tmp_path / "cache"))
    assert read_rows == {"day1.parquet": 40, "day2.parquet": 40}
    read_rows.clear()
    done(spec(), days, again, cache=str(tmp_path / "cache"))
    assert read_rows == {"day3.parquet": 40}
    read_rows.clear()
    done(spec(), days, plain)
    assert sum(read_rows.values()) == 120
    same_arrays(again, plain)
    same_statistics(again, plain)
    of = read_json(again, "statistics.json")["of"]
    assert of["from_cache"] == 2 and of["files"] == [str(day) for day in days]
    read_rows.clear()
    done(spec(), days, tmp_path / "third", cache=str(tmp_path / "cache"))
    assert not read_rows
    same_statistics(tmp_path / "third", plain)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that tells no more of a file than its size and when it was written."""
    monkeypatch.setattr(inputs, "version_of", lambda path: "")


@pytest.mark.slow
def test_a_new_day_is_written_alone_with_the_statistics_of_all(tmp_path, days, read_rows, blind):
    stored = str(tmp_path / "cache")
    done(spec(), days[:2], tmp_path / "old", cache=stored)
    read_rows.clear()
    others = [str(day) for day in days[:2]]
    for day in days[:2]:  # not even opened: its contents could be anything
        before = os.stat(day)
        day.write_bytes(b"x" * before.st_size)
        os.utime(day, ns=(before.st_atime_ns, before.st_mtime_ns))
    done(spec(), days[2], tmp_path / "new", cache=stored, statistics_inputs=others)
    assert read_rows == {"day3.parquet": 40}
    for day in (1, 2):
        write_day(tmp_path, day)
    done(spec(), days, tmp_path / "whole")
    same_statistics(tmp_path / "new", tmp_path / "whole")
    made, whole = read_arrays(tmp_path / "new", "id"), read_arrays(tmp_path / "whole", "id")
    kept = np.isin(whole["id"], made["id"])
    assert kept.sum() == len(made["id"]) == 39
    for name in made:
        np.testing.assert_allclose(made[name], whole[name][kept], rtol=1e-6)


@pytest.mark.slow
def test_without_a_cache_files_count_for_the_statistics_too(tmp_path, days, read_rows):
    done(spec(), days[0], tmp_path / "one", statistics_inputs=[str(days[1]), str(days[0])])
    assert read_rows == {"day1.parquet": 40, "day2.parquet": 40}
    done(spec(), days[:2], tmp_path / "both")
    same_statistics(tmp_path / "one", tmp_path / "both")
    assert len(read_arrays(tmp_path / "one")["id"]) == 39


@pytest.mark.slow
def test_a_changed_file_is_read_again(tmp_path, days, read_rows):
    stored = str(tmp_path / "cache")
    done(spec(), days, tmp_path / "a", cache=stored)
    read_rows.clear()
    write_day(tmp_path, 2, scale=3.0)
    done(spec(), days, tmp_path / "b", cache=stored)
    assert read_rows == {"day2.parquet": 40}
    done(spec(), days, tmp_path / "c")
    same_statistics(tmp_path / "b", tmp_path / "c")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[InputFile]]:
    """A cache with the statistics of two files."""
    folder = tmp_path_factory.mktemp("filled")
    files = [file.with_version() for file in match([str(write_day(folder, day)) for day in (1, 2)]).files]
    done(spec(), [file.path for file in files], folder / "a", cache=str(folder / "cache"))
    return folder / "cache", files


@pytest.mark.parametrize(
    "change",
    slow_but(
        [{"incomplete_step": "pad"}, {"statistics_over": "all"}, {"default_value": 2.0}, {"non_finite": "keep"}],
        {"incomplete_step": "pad"},
    ),
    ids=str,
)
def test_other_columns_share_nothing(filled, change):
    root, files = filled
    assert not cache.plan(str(root), spec(), files).parts
    assert cache.plan(str(root), spec(**change), files).read == tuple(files)
    assert cache.plan(str(root), spec(), files, max_steps=5).read == tuple(files)
    other = make_spec(spec().columns, GROUP.model_copy(update={"truncate": "tail"}))
    assert cache.plan(str(root), other, files).read == tuple(files)


def test_another_version_shares_nothing(filled, monkeypatch):
    root, files = filled
    monkeypatch.setattr(cache, "version", lambda name: "0")
    assert cache.plan(str(root), spec(), files).read == tuple(files)


@pytest.mark.parametrize(
    "change", [{"size": 1}, {"updated": 1.0}, {"path": "elsewhere"}, {"version": "other"}], ids=str
)
def test_another_state_of_a_file_is_not_the_same(filled, change):
    root, files = filled
    changed = replace(files[0].with_version(), **change)
    assert [file.path for file in cache.plan(str(root), spec(), [changed, files[1]]).read] == [changed.path]


KEY = b"analyzer"
WAYS = ["in place", "renamed over", "moved away and back", "linked"]


def kept(path: Path, folder: Path) -> InputFile:
    """Keeps something of a file in a cache as it is now."""
    file = match([str(path)]).files[0].with_version()
    piece = folder / "a.piece"
    piece.write_bytes(b"found")
    cache_files.write_index(
        str(folder), [file], Counter(), {KEY: [CachePiece(0, KEY, str(piece), 5, hashlib.sha256(b"found").hexdigest())]}
    )
    return file


def rewrite(path: Path, data: bytes, way: str) -> None:
    """Replaces what a file holds, in one of `WAYS`; its size and time of writing stay."""
    before = os.stat(path)
    other = path.with_name("other")
    if way != "in place":
        other.write_bytes(data)
    if way == "renamed over":
        os.replace(other, path)
    elif way == "linked":
        path.unlink()
        os.link(other, path)
    elif way == "moved away and back":
        path.rename(path.with_name("away"))
        path.write_bytes(data)
    while True:  # what changes within a tick of the clock that the file system goes by has the same time
        if way == "in place":
            path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if os.stat(path).st_ctime_ns != before.st_ctime_ns:
            return


@given(st.binary(min_size=1, max_size=40), st.data(), st.sampled_from(WAYS))
def test_other_contents_of_the_same_size_and_time_are_no_hit(data, more, way):
    """Whatever the contents are, and however they came there."""
    with tempfile.TemporaryDirectory() as name:
        path, folder = Path(name) / "data", Path(name) / "cache"
        folder.mkdir()
        path.write_bytes(data)
        before = kept(path, folder)
        assert cache._usable(str(folder), [before], [KEY])[0]
        rewrite(path, more.draw(st.binary(min_size=len(data), max_size=len(data))), way)
        after = match([str(path)]).files[0]
        assert (after.size, after.updated) == (before.size, before.updated)
        assert not cache._usable(str(folder), [after.with_version()], [KEY])[0]


def test_an_object_is_told_by_its_generation(monkeypatch):
    monkeypatch.setattr(Objects, "held", {})
    for contents in (b"one", b"two"):
        Objects.put(f"{SCHEME}://bucket/a", contents)
        found = InputFile(f"{SCHEME}://bucket/a", 3).with_version()
        assert found.version == str(Objects.held[found.path][1])
    assert InputFile(f"{SCHEME}://bucket/none", 3).with_version().version == ""


@given(st.sampled_from(sorted(changes.CHANGES)), st.integers(0, 50), st.booleans())
def test_what_a_file_system_does_not_tell_the_reading_does(tmp_path, change, seed, shared):
    """A hit of other contents is dropped, with all that the index stands for; a right one never."""
    rows, folder = rows_of(8, seed), tmp_path / "cache"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        path.write_bytes(KINDS["a.jsonl"].make(rows))
    tallies = [counted(path) for path in paths]
    files = [InputFile(str(path), 1) for path in paths]
    for part in [files] if shared else [files[:1], files[1:]]:
        tally = sum((tallies[files.index(file)] for file in part), Counter())
        cache_files.write_index(str(folder), part, tally, {KEY: []})
    entries = cache._usable(str(folder), files, [KEY])[0]
    analysis = cache.Analysis(tuple(files), str(folder), (), entries, (KEY,))
    changed = changes.CHANGES[change](rows)
    paths[0].write_bytes(KINDS["a.jsonl"].make(changed))
    read = counted(paths[0]) + counted(paths[1])
    wrong = ledger.changed(analysis.cached_tally(), read)
    assert cache.drop(analysis, wrong) == wrong == ([str(paths[0])] if changed != rows else [])
    left = {file.path for entry in cache._usable(str(folder), files, [KEY])[0] for file in entry.files}
    assert left == {str(path) for path in paths[(2 if shared else 1) if wrong else 0 :]}


def test_an_index_that_cannot_be_removed_is_named(filled, monkeypatch):
    root, files = filled
    planned = cache.plan(str(root), spec(), files)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(layout, "delete", refuse)
    with pytest.raises(JobError, match=r"--cache: .*json: is wrong about .*day2.parquet and cannot be removed"):
        cache.drop(planned, [files[1].path])
    assert cache.drop(planned, ["elsewhere"]) == []


def damage(index: Path, piece: Path, what: str) -> None:
    if what == "index":
        index.write_text(index.read_text().replace("40", "41"))
    elif what == "json":
        index.write_text("{")
    elif what == "another kind of file":
        index.write_text("[1, 2]")
    elif what == "types":  # under a checksum that fits
        rewritten(index, lambda text: text.replace('"size": ', '"size": [1], "_": '))
    elif what == "piece":
        *others, last = piece.read_bytes()
        piece.write_bytes(bytes([*others, last ^ 1]))
    elif what == "missing":
        piece.unlink()
    else:
        piece.write_bytes(piece.read_bytes()[:-3])


@pytest.mark.parametrize(
    "what", slow_but(["index", "json", "another kind of file", "types", "piece", "missing", "cut"], "index", "cut")
)
def test_a_damaged_entry_is_not_used(filled, tmp_path, what):
    root, files = filled
    stored = Path(shutil.copytree(root, tmp_path / "cache"))
    for index in stored.glob("*/*.json"):  # pieces are named where they were written
        moved(index, root, stored)
    assert not cache.plan(str(stored), spec(), files).parts
    index = next(i for i in stored.glob("*/*.json") if "day1" in i.read_text())
    content = json.loads(json.loads(index.read_text())["content"])
    (piece,) = next(iter(content["pieces"].values()))
    damage(index, Path(piece["path"]), what)
    planned = cache.plan(str(stored), spec(), files)
    assert planned.parts == ((files[0],),) and len(planned.entries) == 1
    (note,) = planned.notes
    assert note.startswith(f"--cache: {index} is damaged") and note.endswith("its files are read again")


def moved(index: Path, old: Path, new: Path) -> None:
    rewritten(index, lambda text: text.replace(str(old), str(new)))


def rewritten(index: Path, change: Any) -> None:
    """Changes an index, with a checksum that fits."""
    text = change(json.loads(index.read_text())["content"])
    index.write_text(json.dumps({"content": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.mark.slow
def test_a_failed_run_leaves_nothing_in_the_cache(tmp_path, days):
    outcome = run_job(spec(), days, tmp_path / "a", cache=str(tmp_path / "cache"), max_rejected=0.0)
    assert outcome.status == "too_many_rejected"
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.fixture
def stale(filled, tmp_path, blind) -> tuple[Path, str]:
    """A cache that has a file as it was before, of the same size and time as far as anybody can tell; and the file."""
    root, files = filled
    stored, path = Path(shutil.copytree(root, tmp_path / "cache")), write_day(tmp_path, 1, scale=1000.0)
    (now,) = match([str(path)]).files
    for index in stored.glob("*/*.json"):
        moved(index, root, stored)
        rewritten(index, lambda text: text.replace(files[0].path, now.path))
        content = json.loads(json.loads(index.read_text())["content"])
        content["files"] = [vars(now) if file["path"] == now.path else file for file in content["files"]]
        rewritten(index, lambda _, content=content: json.dumps(content))
    assert not cache.plan(str(stored), spec(), [now]).parts
    return stored, now.path


@pytest.mark.slow
def test_a_run_with_a_wrong_hit_begins_again_by_itself(stale, tmp_path, read_rows):
    stored, path = stale
    outcome = done(spec(), path, tmp_path / "out", cache=str(stored))
    what = f"--cache: {path} changed after it was analysed, unnoticed by its size and time; its entry was dropped"
    assert outcome.notes == [f"{what}; the run started over"]
    assert read_rows == {"day1.parquet": 40}  # in the second analysis; the first had the hit
    x = np.concatenate([np.array(row["x"][:8]) for row in pq.read_table(path).to_pylist() if len(row["x"]) % 2 == 0])
    found = read_json(tmp_path / "out", "statistics.json")["columns"]["x"]
    np.testing.assert_allclose(
        found["mean"], x.reshape(-1, 2).astype(np.float32).mean(axis=0, dtype=np.float64), rtol=1e-6
    )
    assert not cache.plan(str(stored), spec(), match([path]).files).parts  # and has what it should have
    assert not [name for name in listing(tmp_path / "out") if name.startswith(".seqcols")]


def test_a_run_begins_again_once(monkeypatch):
    """Where the cache is wrong again, the run fails and says so."""
    outcomes = [Outcome("failed", "a: run again", stale=["a"]), Outcome("failed", "b: run again", stale=["b"])]
    monkeypatch.setattr(running, "_run", lambda request, stream: outcomes.pop(0))
    outcome = running.run(Request(spec(), ["x"], "out"))
    assert (outcome.message, outcomes) == ("b: run again", []) and "a changed after it was analysed" in outcome.notes[0]


def test_many_files_share_parts():
    files = [InputFile(f"f{k:03}", 1) for k in range(cache.MAX_PARTS * 2 + 5)]
    parts = cache._grouped(files)
    assert len(parts) <= cache.MAX_PARTS and [file for part in parts for file in part] == files
    assert cache._grouped(files[:5]) == tuple((file,) for file in files[:5])
    assert cache._grouped([]) == ()


@pytest.mark.parametrize("folders", [1, 3, 16, 17, 100])
def test_parts_keep_to_directories(folders):
    files = [InputFile(f"{day:03}/{k}", 1) for day in range(folders) for k in range(20)]
    parts = cache._grouped(files)
    assert len(parts) <= cache.MAX_PARTS and [file for part in parts for file in part] == files
    days = [{file.path[:3] for file in part} for part in parts]
    assert all(len(of) == 1 for of in days) == (folders <= cache.MAX_PARTS)
    assert sum(map(len, days)) == max(folders, len(parts))  # no directory is cut in two unless parts are to spare


@pytest.mark.slow
def test_parts_of_several_files_are_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_PARTS", 2)
    files = [file.with_version() for file in match([str(write_day(tmp_path, day)) for day in range(1, 6)]).files]
    done(spec(), [file.path for file in files[:4]], tmp_path / "a", cache=str(tmp_path / "cache"))
    planned = cache.plan(str(tmp_path / "cache"), spec(), files)
    assert planned.parts == ((files[4],),) and [len(entry.files) for entry in planned.entries] == [2, 2]
    planned = cache.plan(str(tmp_path / "cache"), spec(), files[1:4])  # the part of days 1 and 2 has too much
    assert planned.parts == ((files[1],),)


def words(path: Path) -> None:
    """Adds words and a key to a file."""
    table = pq.read_table(path)
    made = [
        {**row, "words": ["ab", "c", f"w{row['id'] % 7}"][: row["id"] % 4], "k": row["id"] % 3}
        for row in table.to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(made), path)


@pytest.mark.slow
def test_every_analyzer_of_ours_is_kept(tmp_path, days, read_rows):
    """Quantiles, figures by key and learned vocabularies, too."""
    for day in days:
        words(day)
    columns = make_spec(
        [
            passthrough_column("id", "int64"),
            sequence_numeric_column("x", (2,), normalizer_fn="robust"),
            numeric_column("w", normalizer_fn={"type": "z_score", "per": "key", "key": "k"}),
            categorical_column_with_identity("k", 3),
            sequence_categorical_column_with_learned_vocabulary("words", group="words", top_k=6),
        ],
        {"sequence": GROUP, "words": SequenceGroup(max_length=3)},
    )
    done(columns, days[:2], tmp_path / "a", cache=str(tmp_path / "cache"))
    read_rows.clear()
    done(columns, days, tmp_path / "b", cache=str(tmp_path / "cache"))
    assert read_rows == {"day3.parquet": 40}
    done(columns, days, tmp_path / "c")
    same_arrays(tmp_path / "b", tmp_path / "c")
    same_statistics(tmp_path / "b", tmp_path / "c")


def test_statistics_of_statistics_are_not_kept(tmp_path, days):
    columns = make_spec([sequence_numeric_column("x", normalizer_fn=["z_score", "min_max"])], GROUP)
    planned = cache.plan(str(tmp_path / "cache"), columns, match([str(days[0])]).files)
    assert planned.folder == "" and len(planned.read) == 1
    assert planned.notes == ("--cache does not apply: a chain of normalizers fits statistics to what earlier ones made, "
                             "all files are read",)  # fmt: skip


@pytest.mark.slow
def test_columns_without_statistics_need_no_cache(tmp_path, days, read_rows):
    plain = make_spec([passthrough_column("id", "int64"), numeric_column("w")])
    outcome = done(plain, days, tmp_path / "a", cache=str(tmp_path / "cache"))
    assert outcome.passes == 1 and not (tmp_path / "cache").exists()


def test_wrong_directories_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("a*b", "../x*", str(tmp_path / "file")):
        with pytest.raises(UsageError, match="--cache"):
            check_values(Request(spec(), ["x"], "out", cache=name))
    with pytest.raises(UsageError, match="--statistics-input"):
        check_values(Request(spec(), ["x"], "out", statistics_inputs=[""]))
