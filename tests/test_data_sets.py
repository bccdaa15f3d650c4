"""A job reads neither its own output nor, by their names, the files of another's: only a data set that is asked for as one."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset import manifest
from pipeline.errors import UsageError
from pipeline.inputs.data_sets import is_data_set, parents
from pipeline.inputs.match import Inputs, match, refuse_written
from pipeline.inspect.inspection import Inspection, inspect_files
from pipeline.job.request import Request
from pipeline.job.running import check, count, run
from tests import prepared
from tests.faults.literal_names import sandbox
from tests.jobs import call, listing, read_arrays
from tests.object_store import SCHEME, Objects
from transforms import JobError, SequenceGroup, make_spec, numeric_column, sequence_numeric_column

STORE = f"{SCHEME}://bucket"
COLUMNS = "columns: [{type: numeric_column, key: x, normalizer_fn: z_score}]\n"
SPEC = make_spec([numeric_column("x")])
DENSE = make_spec([sequence_numeric_column("x", 2)], SequenceGroup(max_length=3))


@pytest.fixture(autouse=True)
def store(monkeypatch) -> None:
    monkeypatch.setattr(Objects, "held", {})


def rows(path: Path, count: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"x": float(k)}) + "\n" for k in range(count)))
    return path


def data_set(path: Path, **more: Any) -> list[str]:
    """Publishes a data set; returns its files of examples."""
    prepared.prepare(str(path), **more).publish()
    return manifest.read(str(path)).files


def refused(*given: str, output: str = "", cache: str = "") -> str:
    """Why files are refused; an empty string where they are not."""
    try:
        refuse_written("--input", match(given), {"--output": output, "--cache": cache})
    except UsageError as error:
        return str(error)
    return ""


class TestItsOwnOutput:
    @pytest.mark.slow
    def test_the_same_command_twice(self, tmp_path, monkeypatch, command_line):
        """The second run read what the first had written, and mixed z-scores with raw values."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "c.yaml").write_text(COLUMNS)
        rows(tmp_path / "data" / "x.jsonl")
        command = [
            "run",
            "c.yaml",
            "--input",
            "data/**[lt]",
            "--output",
            "data/out",
            "--format",
            "parquet",
            "--overwrite",
        ]
        assert call(*command).exit_code == 0
        before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}
        again = call(*command)
        assert again.exit_code == 2
        (path,) = manifest.read("data/out").files
        assert again.stderr == (
            f"seqcols: error: --input: '{tmp_path}/{path}' is part of --output 'data/out', which is written; give another place "
            "for that, or a pattern that does not match files in it\n"
        )
        assert {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)} == before
        assert sorted(read_arrays("data/out")["x"].ravel().tolist()) == [-1.0, 1.0]

    @pytest.mark.parametrize("option", ["--input", "--statistics-input"])
    def test_of_the_data_set_that_is_replaced(self, tmp_path, option, command_line):
        (tmp_path / "c.yaml").write_text(COLUMNS)
        data_set(tmp_path / "D")
        files = ["--input", rows(tmp_path / "x.jsonl"), option, f"{tmp_path}/D/examples/*"]
        result = call("run", tmp_path / "c.yaml", *files, "--output", tmp_path / "D", "--overwrite")
        assert result.exit_code == 2
        assert f"error: {option}: '{tmp_path}/D/examples/" in result.stderr and "is part of --output" in result.stderr

    def test_asked_for_as_a_data_set(self, tmp_path):
        data_set(tmp_path / "D")
        request = Request(DENSE, [str(tmp_path / "D")], str(tmp_path / "D"), overwrite=True)
        with pytest.raises(UsageError, match="is part of --output"):
            run(request)

    def test_what_a_failed_run_has_left(self, tmp_path):
        left = rows(tmp_path / "out" / "rejected" / "x.jsonl")
        assert f"{str(left)!r} is part of --output" in refused(f"{tmp_path}/**.jsonl", output=f"{tmp_path}/out")

    def test_however_it_is_spelled(self, tmp_path, monkeypatch):
        name = rows(tmp_path / "a" / "out" / "x.jsonl")
        rows(tmp_path / "a" / "outer" / "x.jsonl")
        (tmp_path / "link").symlink_to("a")
        (tmp_path / "file").symlink_to(name)
        (tmp_path / "a" / "out" / "away").symlink_to(tmp_path / "a" / "outer")
        monkeypatch.chdir(tmp_path / "a")
        outputs = ["out", "out/", "./out", f"{tmp_path}/a/out", f"/{tmp_path}/a//out", f"{tmp_path}/link/out"]
        inside = [str(name), "out/x.jsonl", "../a/out/*", "out/**", "out/away/*", "**"]
        inside += [f"{tmp_path}/link/out/x.jsonl", f"{tmp_path}/file"]
        for output in outputs:
            assert all("is part of --output" in refused(path, output=output) for path in inside)
            assert refused("outer/x.jsonl", "oute*/x.jsonl", output=output) == ""

    def test_in_a_store(self):
        for name in ("out/examples/a", "outer/a", "in/a"):
            Objects.put(f"{STORE}/{name}", b"")
        for output in (f"{STORE}/out", f"{STORE}/out/"):
            assert f"'{STORE}/out/examples/a' is part of --output" in refused(f"{STORE}/**", output=output)
            assert refused(f"{STORE}/outer/a", f"{STORE}/in/*", output=output) == ""

    def test_what_the_cache_holds(self, tmp_path):
        rows(tmp_path / "cache" / "1" / "a.jsonl")
        assert "is part of --cache" in refused(f"{tmp_path}/**.jsonl", cache=f"{tmp_path}/cache")

    def test_the_draft_that_inspect_writes(self, tmp_path):
        name = rows(tmp_path / "x.jsonl")
        with pytest.raises(UsageError, match=r"^FILES: '.*/x.jsonl' is part of --output '.*x.jsonl', which is written"):
            inspect_files(Inspection([str(name)], output=os.path.relpath(name), overwrite=True))


class TestAnotherDataSet:
    def test_is_not_read_by_the_names_of_its_files(self, tmp_path):
        files = data_set(tmp_path / "a" / "D")
        rows(tmp_path / "a" / "D" / "more" / "x.jsonl")
        (tmp_path / "link").symlink_to(files[0])
        for name in (
            f"{tmp_path}/a/**",
            *files,
            f"{tmp_path}/a/D/*.json",
            f"{tmp_path}/link",
            f"{tmp_path}/a/D/more/*",
        ):
            assert (
                f"lies in the data set '{tmp_path}/a/D'; give '{tmp_path}/a/D' itself to read its examples"
                in refused(name)
            )

    def test_is_refused_by_all_that_read(self, tmp_path, command_line):
        files = data_set(tmp_path / "D")
        (tmp_path / "c.yaml").write_text(COLUMNS)
        for title in ("check", "plan"):
            with pytest.raises(UsageError, match="lies in the data set"):
                count(Request(SPEC, files), None, title)
        for command in (["inspect", files[0]], ["check", tmp_path / "c.yaml", "--input", f"{tmp_path}/**.tfrecord"]):
            result = call(*command)
            assert result.exit_code == 2 and f"lies in the data set '{tmp_path}/D'" in result.stderr

    @pytest.mark.parametrize("format", ["tfrecord", "tfrecord.gz", "parquet"])
    def test_is_read_as_one(self, tmp_path, monkeypatch, format):
        """The files that its manifest names, whatever else lies there."""
        root = tmp_path / "a" / "D"
        files = data_set(root, format=format)
        rows(root / "examples" / "left.jsonl")
        (tmp_path / "link").symlink_to(root)
        monkeypatch.chdir(root)
        for name in (str(root), f"{root}/", ".", "../D"):
            assert [file.path for file in match([name]).files] == files and refused(name) == ""
        assert len(match([f"{tmp_path}/link"]).files) == len(files) and refused(f"{tmp_path}/link") == ""
        assert match([str(root)]).files[0].size == os.path.getsize(files[0])
        assert check(Request(DENSE, [str(root)])).ledger["rows"]["written"] == 11

    def test_is_not_read_as_one_and_by_names(self, tmp_path):
        data_set(tmp_path / "D")
        assert "lies in the data set" in refused(f"{tmp_path}/D", f"{tmp_path}/D/rejected/*")

    def test_in_a_store(self, tmp_path):
        data_set(tmp_path / "a" / "D")
        for name in listing(tmp_path):
            Objects.put(f"{STORE}/{name}", (tmp_path / name).read_bytes())
        files = manifest.read(f"{STORE}/a/D").files
        Objects.put(f"{STORE}/a/x", b"")
        for name in (f"{STORE}/**", f"{STORE}/a/D/examples/*", files[1], f"{STORE}/a/*/manifest.json"):
            assert f"lies in the data set '{STORE}/a/D'; give" in refused(name)
        assert refused(f"{STORE}/a/*") == ""
        for name in (f"{STORE}/a/D", f"{STORE}/a/D/"):
            assert [file.path for file in match([name]).files] == files and refused(name) == ""

    def test_without_rows(self, tmp_path):
        data_set(tmp_path / "D", shards=())
        with pytest.raises(JobError, match="no file matches"):
            match([f"{tmp_path}/D"])
        assert match([f"{tmp_path}/D"], allow_empty=True) == Inputs((), (), (f"input '{tmp_path}/D': no file matches",))

    def test_that_is_damaged(self, tmp_path):
        """It is none that can be read; and what lies in it is no input all the same."""
        files, path = data_set(tmp_path / "D"), tmp_path / "D" / "manifest.json"
        content = json.loads(path.read_text())
        Path(files[0]).write_bytes(b"other")
        with pytest.raises(JobError, match=r"5 bytes, the manifest of '.*/D' says \d+"):
            match([f"{tmp_path}/D"])
        Path(files[0]).unlink()
        with pytest.raises(JobError, match=r"cannot be read \(.*No such file"):
            match([f"{tmp_path}/D"])
        content["examples"]["files"][0]["path"] = "rejected/x"
        prepared.put_manifest(tmp_path / "D", content)
        with pytest.raises(JobError, match="its manifest names 'rejected/x', which is no name that a run gives"):
            match([f"{tmp_path}/D"])
        path.write_text(path.read_text()[:-20])
        with pytest.raises(JobError, match="damaged, no JSON"):
            match([f"{tmp_path}/D"])
        assert "lies in the data set" in refused(files[1])

    def test_a_manifest_of_somebody_else(self, tmp_path):
        name = rows(tmp_path / "app" / "x.jsonl")
        (tmp_path / "app" / "manifest.json").write_text('{"name": "app", "icons": []}')
        os.mkfifo(tmp_path / "manifest.json")
        assert not is_data_set(str(tmp_path / "app")) and not is_data_set(str(tmp_path))
        assert refused(str(name)) == "" and refused(f"{tmp_path}/app/*.jsonl") == ""
        assert [file.path for file in match([f"{tmp_path}/app"]).files] == [f"{tmp_path}/app/manifest.json", str(name)]


def test_folders_of_a_store_are_asked_about_once(monkeypatch):
    """A request takes its time, and there may be a folder for every day: what a listing has shown is not asked for."""
    for day in range(50):
        Objects.put(f"{STORE}/in/day={day}/x", b"")
    asked = Counter[str]()
    exists = Objects.exists

    def counted(self: Objects, path: str) -> bool:
        asked[path] += 1
        return exists(self, path)

    monkeypatch.setattr(Objects, "exists", counted)
    assert len(match([f"{STORE}/in/*/x"]).files) == 50
    assert asked.total() < 8


NAMES = ["a", "b", "out"]


@given(st.randoms(use_true_random=False))
def test_what_lies_in_a_data_set_or_the_output_is_refused_and_nothing_else(rng: random.Random):
    """Random folders, links and spellings, against the paths that the system resolves."""
    with sandbox() as root:
        folders = [root / "/".join(rng.choice(NAMES) for _ in range(rng.randrange(1, 4))) for _ in range(5)]
        for folder in folders:
            rows(folder / "x")
        sets = rng.sample(folders, rng.randrange(2))
        for folder in sets:
            (folder / "manifest.json").write_text('{"format_version": 1, "examples": {}}')
        for k in range(2):
            with contextlib.suppress(FileExistsError):
                (rng.choice(folders) / f"link{k}").symlink_to(
                    rng.choice([*folders, *(folder / "x" for folder in folders)])
                )
        output = rng.choice([root / "out", rng.choice(folders), root / "else"])
        asked = rng.choice(["**", "*/*", "**x", "**link*", f"{rng.choice(folders).relative_to(root)}/*"])
        start = rng.choice([root, rng.choice(folders)])
        pattern = rng.choice([f"{root}/{asked}", os.path.relpath(root, start) + f"/{asked}"])
        with contextlib.chdir(start):
            found = match([pattern], allow_empty=True)
            why = refused(pattern, output=rng.choice([str(output), os.path.relpath(output)])) if found.files else ""
        inside = {
            file.path
            for file in found.files
            for name in (Path(file.path), Path(file.path).resolve())
            if {*name.parents} & {*sets, *(folder.resolve() for folder in sets), output, output.resolve()}
        }
        assert bool(inside) == bool(why), (pattern, output, sets)
        assert not why or any(repr(path) in why for path in inside)


def test_parents():
    assert list(parents("/a/b/c")) == ["/a/b", "/a", ""]
    assert list(parents("gs://bucket/b/c")) == ["gs://bucket/b", "gs://bucket"]
