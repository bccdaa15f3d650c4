"""The digest that a manifest has of itself: no bit of it changes unnoticed. Version 1 had none, and is still read."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.manifest import parsed, read, sealed
from pipeline.verify.verify import verify
from tests import prepared
from tests.jobs import call
from transforms import JobError


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("published") / "out"
    prepared.prepare(str(root)).publish()
    return root


def refused(data: bytes) -> bool:
    try:
        parsed(data, "manifest.json")
    except JobError:
        return True
    return False


def test_every_flipped_bit_is_noticed(published):
    """All of them: those of the version, of the digest and of the white space, too."""
    whole = (published / "manifest.json").read_bytes()
    assert not refused(whole)
    data = bytearray(whole)
    unnoticed = []
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        unnoticed += [] if refused(bytes(data)) else [bit]
        data[bit // 8] ^= 1 << bit % 8
    assert bytes(data) == whole and len(whole) > 1500 and unnoticed == []


@given(st.data())
def test_whatever_is_edited_is_noticed(published, data):
    """Bytes changed, cut out and put in; what stays valid JSON of the right types is none the less another manifest."""
    whole = (published / "manifest.json").read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 9, len(whole))))
    some = st.sampled_from([b"", b" ", b"\n", b"0", b"1", whole[start + 1 : end], whole[start:end] * 2])
    changed = whole[:start] + data.draw(some | st.binary(max_size=9)) + whole[end:]
    assert refused(changed) == (changed != whole)


@pytest.mark.parametrize(
    "change", [lambda m: m.pop("sha256"), lambda m: m.update(sha256=""), lambda m: m.update(sha256=None)]
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_only_version_1_has_no_digest(published, change, version):
    content = json.loads((published / "manifest.json").read_text()) | {"format_version": version}
    change(content)
    assert refused(json.dumps(content).encode()) == (version != 1 or "sha256" in content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(JSON)
def test_what_is_sealed_is_read_back(published, more):
    content = {**json.loads((published / "manifest.json").read_text()), "more": more}
    made = parsed(sealed(content), "manifest.json")
    assert made == content | {"format_version": 2, "sha256": made["sha256"]}


def test_the_digest_is_that_of_all_lines_before(published):
    """As docs/outputs.md says it."""
    path = published / "manifest.json"
    lines = subprocess.run(["head", "-n", "-2", path], capture_output=True, check=True).stdout
    assert json.loads(path.read_text())["sha256"] == hashlib.sha256(lines).hexdigest()
    assert path.read_text().splitlines()[1] == ' "format_version": 2,'


def test_a_data_set_of_version_1_is_read_and_verified(published, tmp_path):
    root = tmp_path / "out"
    prepared.prepare(str(root)).publish()
    prepared.put_version_1(root)
    assert read(str(root)).rows == 11 and verify(str(root), most=0).faults == []


@pytest.mark.usefixtures("command_line")
def test_verify_names_the_manifest(tmp_path):
    prepared.prepare(str(tmp_path / "out")).publish()
    path = tmp_path / "out" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(prepared.RUN.encode(), prepared.RUN.encode()[:-1] + b"1", 1))
    done = call("verify", tmp_path / "out", "--rows", 0)
    assert done.exit_code == 1
    assert f"{str(path)!r}: damaged: sha256: expected the digest of the lines before, got another" in done.stderr
