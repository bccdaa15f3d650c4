"""A path that is there is no pattern, wherever it meets a matcher; and what a pattern matches."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns_file.reader import load
from pipeline.dataset import layout, manifest, publish, target
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.inputs.match import InputFile, match
from pipeline.inputs.patterns import Place, place_of
from pipeline.inspect.inspection import Inspection, inspect_files
from pipeline.job import cache, cleaning, scratch
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.loaders import numpy_batches, tf_dataset
from pipeline.planning import plan as planning
from pipeline.repair.plan import Repair, planned
from pipeline.sinks.base import OutputFile
from pipeline.verify import verify
from tests import prepared
from tests.faults import literal_names
from tests.faults.figures import trials
from tests.jobs import call
from tests.object_store import SCHEME, Objects
from transforms import JobError, apply, make_spec, numeric_column
from transforms.stored import files, trees

STORE = f"{SCHEME}://bucket"
SPEC = make_spec([numeric_column("x")])


@pytest.fixture(autouse=True)
def store(monkeypatch) -> None:
    monkeypatch.setattr(Objects, "held", {})


def rows(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"x": 1.5}\n' * count)
    return path


def paths(*given: str) -> list[str]:
    return [file.path for file in match(given).files]


@given(st.randoms(use_true_random=False))
def test_a_path_is_the_file_of_that_name(rng: random.Random):
    with literal_names.sandbox() as root:
        _, _, wrong = literal_names.try_names(root, literal_names.name(rng), literal_names.name(rng))
    assert wrong == []


def test_names_beside_their_decoys():
    count = trials(20, 500)
    found = literal_names.attempt(count)
    assert found["trials"] == count and found["others"] == 0
    assert found["decoys"] > count, "most names have a decoy that Beam's matcher takes"


def test_the_decoys_are_noticed(monkeypatch):
    """Where the leading part that is there is taken for a pattern as well, another file is found."""
    monkeypatch.setattr("pipeline.inputs.patterns.os.path.lexists", lambda path: False)
    assert literal_names.attempt(10)["others"] > 0


class TestOfPlaces:
    """What of a path is no pattern."""

    def test_on_a_disk(self, tmp_path, monkeypatch):
        rows(tmp_path / "a[1]" / "b*" / "c?", 1)
        (tmp_path / "link").symlink_to("a[1]/b*")
        monkeypatch.chdir(tmp_path / "a[1]")
        root = str(tmp_path)
        assert place_of("b*/c?") == Place(f"{root}/a[1]/b*/c?", "", f"{root}/a[1]/b*/c?")
        assert place_of("b*/d*") == Place(f"{root}/a[1]/b*", "d*", f"{root}/a[1]/b*")
        assert place_of("c*/b*/c?") == Place(f"{root}/a[1]", "c*/b*/c?")
        assert place_of("x") == Place(f"{root}/a[1]/x")
        assert place_of(f"/{root}//a*/./b*") == Place(root, "a*/b*")
        assert place_of("../link/../x") == Place(f"{root}/a[1]/x"), "beside what the link leads to"
        assert place_of("../a[1]/../x") == Place(f"{root}/x", "", f"{root}/a[1]")
        assert place_of("3d://x") == Place(f"{root}/a[1]/3d:/x"), "is no URL"

    def test_in_a_store(self):
        Objects.put(f"{STORE}/a[1]/b*/c?", b"")
        assert place_of(f"{STORE}/a[1]/b*/c?") == Place(f"{STORE}/a[1]/b*/c?", "", f"{STORE}/a[1]/b*/c?")
        assert place_of(f"{STORE}/a[1]/b*/d") == Place(f"{STORE}/a[1]/b*/d", "", f"{STORE}/a[1]/b*")
        assert place_of(f"{STORE}/a[1]//c*") == Place(f"{STORE}/a[1]/", "c*", f"{STORE}/a[1]")
        assert place_of(f"{STORE}/a[12]/**") == Place(STORE, "a[12]/**")
        assert place_of(STORE) == Place(STORE)


class TestOfPatterns:
    @pytest.mark.parametrize("root", ["disk", STORE])
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.x", ["a.x", "b.x"]),
            ("**.x", ["a.x", "b.x", "c/a.x", "c/d/[.x"]),
            ("**", ["a.x", "b.x", "c/a.x", "c/d/[.x", "e"]),
            ("[ab].x", ["a.x", "b.x"]),
            ("[!a].x", ["b.x"]),
            ("c/*/?.x", ["c/d/[.x"]),
            ("c/d/[[].x", ["c/d/[.x"]),
            ("c/d/[[]*", ["c/d/[.x"]),
            ("e", ["e"]),
        ],
    )
    def test_are_matched_as_beam_matches_them(self, tmp_path, root, pattern, expected):
        root = str(tmp_path) if root == "disk" else root
        for name in ("a.x", "b.x", "c/a.x", "c/d/[.x", "e"):
            Objects.put(f"{STORE}/{name}", b"1")
            rows(tmp_path / name, 1)
        found = paths(f"{root}/{pattern}")
        assert found == [f"{root}/{name}" for name in expected]
        if "[[]" not in pattern:
            beam = FileSystems.match([f"{root}/{pattern}"])[0].metadata_list
            assert found == sorted(entry.path for entry in beam)

    def test_what_is_no_pattern_is_said(self, tmp_path):
        with pytest.raises(JobError, match=r"input '.*\[z-a\]': cannot be listed: bad character range z-a"):
            match([f"{tmp_path}/[z-a]"])

    def test_a_folder_of_a_store(self):
        for name in ("a/b", "a//b"):
            Objects.put(f"{STORE}/{name}", b"")
        assert paths(f"{STORE}/a/*") == [f"{STORE}/a/b"]
        assert (
            paths(f"{STORE}/a/") == paths(f"{STORE}/a") == paths(f"{STORE}/a/**") == [f"{STORE}/a//b", f"{STORE}/a/b"]
        )
        assert paths(f"{STORE}/a//*") == paths(f"{STORE}/a//b") == [f"{STORE}/a//b"]


class TestWhatIsSaid:
    def test_a_pattern_that_is_there_as_it_is_written(self, tmp_path):
        rows(tmp_path / "run1" / "x", 1)
        name = rows(tmp_path / "run[1]" / "x", 2)
        found = match([str(name)])
        assert found.notes == (f"input '{name}': '{name.parent}' is there, and is not taken for a pattern",)
        assert [file.size for file in found.files] == [name.stat().st_size]
        with pytest.raises(
            JobError, match=r"no file matches \('.*/run\[1\]' is there, and is not taken for a pattern\)"
        ):
            match([f"{tmp_path}/run[1]/y*"])

    def test_nothing_of_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(rows(tmp_path / "run[1]" / "x", 2).parent)
        assert match(["x"]).notes == () and match(["*"]).notes == ()

    def test_by_every_command_that_reads(self, tmp_path, command_line):
        (tmp_path / "c.yaml").write_text("columns: [{type: numeric_column, key: x}]\n")
        name, note = rows(tmp_path / "x[1].jsonl", 3), "is there, and is not taken for a pattern"
        rows(tmp_path / "x1.jsonl", 1)
        checked = call("check", tmp_path / "c.yaml", "--input", name)
        assert checked.exit_code == 0 and "rows: 3 read" in checked.stdout and note in checked.stderr
        inspected = call("inspect", name)
        assert inspected.exit_code == 0 and note in inspected.stderr and note not in inspected.stdout


def test_a_job_in_a_directory_that_looks_like_a_pattern(tmp_path, monkeypatch):
    """It read the file of that name in another directory."""
    rows(tmp_path / "run1" / "x.jsonl", 1)
    monkeypatch.chdir(rows(tmp_path / "run[1]" / "x.jsonl", 3).parent)
    outcome = check(Request(SPEC, ["x.jsonl"]))
    assert outcome.ledger["files"].keys() == {f"{tmp_path}/run[1]/x.jsonl"}
    assert outcome.ledger["rows"]["read"] == 3


def test_inspect(tmp_path):
    rows(tmp_path / "run1" / "x.jsonl", 1)
    assert inspect_files(Inspection([str(rows(tmp_path / "run[1]" / "x.jsonl", 3))])).sample.rows == 3


class TestDataSets:
    """Two side by side: the name of one is a pattern for the other's. They were published elsewhere, and moved."""

    @pytest.fixture(params=["parquet", "tfrecord"])
    def data_set(self, request, tmp_path) -> str:
        for name, shards in (("run[1]", (4, 3)), ("run1", (2,))):
            prepared.prepare(str(tmp_path / "made"), request.param, shards).publish()
            shutil.move(tmp_path / "made", tmp_path / name)
        return str(tmp_path / "run[1]")

    def test_are_verified(self, data_set):
        assert verify.verify(data_set, most=0).faults == []
        shutil.rmtree(Path(data_set).with_name("run1") / "examples")
        assert verify.verify(data_set, most=0).faults == []

    def test_are_loaded(self, data_set, tmp_path, monkeypatch):
        assert sum(len(batch["id"]) for batch in numpy_batches(data_set, 5)) == 7
        assert sum(len(batch["id"]) for batch in tf_dataset(data_set, 5)) == 7
        monkeypatch.chdir(data_set)
        assert sum(len(batch["id"]) for batch in numpy_batches(".", 5)) == 7

    def test_are_planned(self, data_set):
        with pytest.raises(JobError, match=r"run\[1\]': the columns cannot be read back from the manifest"):
            planning.plan_of(data_set)

    def test_are_input(self, data_set):
        assert paths(data_set) == manifest.read(data_set).files

    def test_are_not_repaired(self, data_set, monkeypatch):
        """As no run writes there: what it removes could be a neighbour's."""
        for name in (data_set, f"{data_set}/rejected"):
            with pytest.raises(UsageError, match=r"a glob character in '.*/run\[1\]' could match other people's files"):
                planned(Repair(name, SPEC), "")
        monkeypatch.chdir(data_set)
        with pytest.raises(UsageError, match="a glob character"):
            planned(Repair("rejected", SPEC), "")


def test_the_files_that_columns_name(tmp_path, monkeypatch):
    for name, words in (("run1", "a\nb\n"), ("run[1]", "b\na\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words*").write_text(words)
        (tmp_path / name / "words1").write_text("c\n")
        (tmp_path / name / "c.yaml").write_text(
            "columns: [{type: categorical_column_with_vocabulary_file, key: w, vocabulary_file: 'words*'}]\n"
        )
    monkeypatch.chdir(tmp_path / "run[1]")
    spec = load("c.yaml")
    assert apply([{"w": ["a"]}, {"w": ["c"]}], spec)["w"].tolist() == [1, -1]
    for name in ("words*", "words1"):
        Objects.put(f"{STORE}/{name}", name.encode())
    assert files.read(f"{STORE}/words*") == b"words*"


class TestWhatIsWritten:
    """Libraries underneath take paths for patterns where they list, copy and delete."""

    @pytest.fixture(params=["disk", STORE])
    def root(self, request, tmp_path) -> str:
        for name in ("run[12]/a", "run1/a", "run2/a"):
            Objects.put(f"{STORE}/{name}", name.encode())
            rows(tmp_path / name, 1)
        return str(tmp_path) if request.param == "disk" else STORE

    def test_is_found(self, root):
        assert trees.files_below(f"{root}/run[12]") == [f"{root}/run[12]/a"]
        assert trees.files_below(f"{root}/run[1]") == trees.files_below(f"{root}/run?") == []
        assert layout.exists(f"{root}/run[12]") and not layout.exists(f"{root}/run*")

    def test_is_deleted_on_a_disk(self, root, tmp_path):
        for name in ("run[12]/a", "run[12]", "run*"):
            trees.delete(f"{tmp_path}/{name}")
        assert sorted(os.listdir(tmp_path)) == ["run1", "run2"]
        assert os.listdir(tmp_path / "run1") == os.listdir(tmp_path / "run2") == ["a"]

    def test_is_not_deleted_in_a_store(self, root):
        with pytest.raises(ValueError, match=r"expected a path without glob characters to delete, got '.*run\[12\]'"):
            trees.delete(f"{STORE}/run[12]")
        assert len(Objects.held) == 3

    def test_a_link_to_a_folder_is_deleted_and_what_it_leads_to_is_not(self, tmp_path):
        rows(tmp_path / "folder" / "a", 1)
        (tmp_path / "link").symlink_to("folder")
        trees.delete(str(tmp_path / "link"))
        assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["a"]

    def test_is_copied(self, tmp_path):
        rows(tmp_path / "run1" / "a", 1)
        name = rows(tmp_path / "run[1]" / "deep" / "a", 3)
        publish._copy(f"{tmp_path}/run[1]", f"{tmp_path}/to")
        assert (tmp_path / "to" / "deep" / "a").read_bytes() == name.read_bytes()
        assert os.listdir(tmp_path / "to") == ["deep"]

    def test_a_file_that_is_given_up(self, tmp_path):
        rows(tmp_path / "run1", 1)
        OutputFile(f"{tmp_path}/run[1]").abort()
        assert os.listdir(tmp_path) == ["run1"]

    def test_the_cache_has_its_own_parts(self, tmp_path):
        """An index of another cache is none of this one."""
        (tmp_path / "run1").mkdir()
        (tmp_path / "run1" / "x.json").write_text("damaged")
        (tmp_path / "run[1]").mkdir()
        assert cache._usable(f"{tmp_path}/run[1]", [InputFile("a", 1)], [b"key"]) == ((), ())

    def test_a_run_cleans_up_its_own(self, tmp_path):
        """A check works below TMPDIR, whatever that is called."""
        prepared.prepare(str(tmp_path / "run1")).publish()
        before = sorted(tmp_path.rglob("*"))
        failed = prepared.prepare(str(tmp_path / "run[1]")).place
        with contextlib.suppress(ZeroDivisionError), cleaning.run_in(failed):
            raise ZeroDivisionError
        assert sorted(tmp_path.rglob("*")) == before

    def test_the_folder_that_tf_transform_works_in(self, tmp_path, monkeypatch):
        (tmp_path / "run[1]").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "run[1]"))
        asked = Request(SPEC, ["x"], f"{STORE}/out")
        with pytest.raises(UsageError, match=r"temporary folder: a glob character in '.*/run\[1\]'"):
            scratch.placed(Layout(asked.output, "run"), asked, PipelineOptions([]))
        assert os.listdir(tmp_path / "run[1]") == []

    def test_the_characters_are_the_same_everywhere(self):
        assert trees.GLOB == target.GLOB
