"""Columns files that are meant badly: each is told one line a fault, soon, with little memory; and runs nothing."""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from pathlib import Path

import pytest

from pipeline.columns_file.reader import LARGEST, MOST_VALUES, check_functions, load
from tests.jobs import call
from tests.marks import slow_but
from transforms import SpecError

COLUMN = "columns: [{type: sequence_numeric_column, key: a, EXTRA}]\n"
TAG = "expected no tag but !!str and !!binary"

LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

ATTACKS: dict[str, tuple[str | bytes, list[str]]] = {
    # Code and objects
    "python/object/apply": (
        COLUMN.replace("EXTRA", "shape: !!python/object/apply:os.system ['touch ran']"),
        [
            f"line 1: columns[0].shape: {TAG}, got '!!python/object/apply:os.system'",
            "line 1: columns[0].shape[0]: expected an int",
        ],
    ),
    "python/object/new": (
        "!!python/object/new:subprocess.Popen [[touch, ran]]",
        [
            f"line 1: {TAG}, got '!!python/object/new:subprocess.Popen'",
            "line 1: expected a mapping with 'columns', got",
        ],
    ),
    "python/name": (
        COLUMN.replace("EXTRA", "normalizer_fn: !!python/name:os.system ''"),
        [f"line 1: columns[0].normalizer_fn: {TAG}, got '!!python/name:os.system'"],
    ),
    "python/module": (
        COLUMN.replace("EXTRA", "normalizer_fn: !!python/module:os ''"),
        [f"line 1: columns[0].normalizer_fn: {TAG}, got '!!python/module:os'"],
    ),
    "include": ("columns: !include /etc/passwd", [f"line 1: columns: {TAG}, got '!include'"]),
    "env": (COLUMN.replace("EXTRA", "group: !ENV $HOME"), [f"line 1: columns[0].group: {TAG}, got '!ENV'"]),
    "binary": (
        COLUMN.replace("EXTRA", "group: !!binary aGk="),
        ["line 1: columns[0].group: expected a string, got b'hi'"],
    ),
    "a tag of its own": (
        "%TAG ! tag:yaml.org,2002:python/\n---\ncolumns: !object/apply:os.system [id]",
        [f"line 3: columns: {TAG}, got '!!python/object/apply:os.system'", "line 3: columns[0]: expected a column"],
    ),
    "set": ("columns: !!set {a, b}", [f"line 1: columns: {TAG}, got '!!set'"]),
    "a call": (
        COLUMN.replace("EXTRA", "normalizer_fn: 'os:system(\"touch ran\")'"),
        ["line 1: columns[0].normalizer_fn: expected"],
    ),
    "a lambda": (
        COLUMN.replace("EXTRA", "normalizer_fn: 'lambda x: x'"),
        ["line 1: columns[0].normalizer_fn: expected"],
    ),
    "an import": (
        COLUMN.replace("EXTRA", "normalizer_fn: '__import__(\"os\").system:x'"),
        ["line 1: columns[0].normalizer_fn: expected"],
    ),
    # Aliases
    "billion laughs": (LAUGHS + COLUMN, ["line 5: expected at most 20000 values (aliases expanded), got more"]),
    "merge bomb": (MERGES + COLUMN, ["line 5: expected at most 20000 values (aliases expanded), got more"]),
    "merge key": (
        "columns: [&a {type: sequence_numeric_column, key: a}, {<<: *a, key: b}]",
        ["line 1: columns[1].type: expected a value"],  # no key is merged
    ),
    "an alias of itself": (
        "columns: &a [*a]",
        ["line 1: columns[0]: the alias *a stands inside what it names"],
    ),
    "an alias of nothing": ("columns: *a", ["line 1: columns: the alias *a names nothing above"]),
    "anchors without end": ("columns: " + "&a " * 1000, ["line 1: not YAML:"]),
    # Depth
    "brackets": ("[" * 100_000, ["line 1: not YAML: nested deeper than 50 levels"]),
    "braces": ("{" * 100_000, ["line 1: not YAML: nested deeper than 50 levels"]),
    "maps in maps": ("{a: " * 50_000, ["line 1: not YAML: nested deeper than 50 levels"]),
    "dashes": ("- " * 100_000, ["line 1: nested deeper than 50 levels"]),
    "indents": ("".join(" " * k + "a:\n" for k in range(600)), ["line 51: nested deeper than 50 levels"]),
    "questions": ("? " * 100_000, ["line 1: nested deeper than 50 levels"]),
    # Length
    "a long file": (
        "# " + "x" * LARGEST,
        ["expected at most 256 KiB, got a larger file; a long vocabulary can be a vocabulary_file"],
    ),
    "a very long file": ("columns:\n" * 1_000_000, ["expected at most 256 KiB, got a larger file"]),
    "many values": (
        "columns: [" + "1, " * 50_000,
        ["line 1: expected at most 20000 values (aliases expanded), got more"],
    ),
    "many keys": ("".join(f"k{k}: 1\n" for k in range(15_000)), ["line 10000: expected at most 20000 values"]),
    "a long key": ("a" * 100_000 + ": 1", ["line 1: not YAML:"]),
    "a long word": (
        COLUMN.replace("EXTRA", f"dtype: {'a' * 100_000}"),
        ["line 1: columns[0].dtype: expected an integer or float"],
    ),
    "a long number": (
        COLUMN.replace("EXTRA", f"shape: {'9' * 100_000}"),
        ["line 1: columns[0].shape: expected a number of at most"],
    ),
    "a huge number": (
        COLUMN.replace("EXTRA", f"shape: {'9' * 900}"),
        ["line 1: columns[0].shape: expected an int < 2147483648"],
    ),
    "a long tag": ("!" * 50_000, ["line 1: expected no tag but !!str and !!binary", "line 1: expected a mapping"]),
    "an open quote": ('"' + "a\n" * 100_000, ["line 100001: not YAML: found unexpected end of stream"]),
    # Text
    "not UTF-8": (b"columns:\n- \xff\xfe", ["line 2: expected UTF-8 text, got the byte 0xff"]),
    "UTF-16": ("columns: []".encode("utf-16"), ["line 1: expected UTF-8 text, got the byte 0xff"]),
    "an overlong slash": (b"columns: \xc0\xaf", ["line 1: expected UTF-8 text, got the byte 0xc0"]),
    "a surrogate": (b"columns: \xed\xa0\x80", ["line 1: expected UTF-8 text, got the byte 0xed"]),
    "a null byte": ("columns: \0", ["line 1: expected YAML text, got the character U+0000"]),
    "an escape": ("columns: \x1b[2J", ["line 1: expected YAML text, got the character U+001B"]),
    "tabs": ("columns:\n\t- a", ["line 2: not YAML: found character '\\t' that cannot start any token"]),
    "all bytes": (bytes(range(256)), ["line 2: expected UTF-8 text, got the byte 0x80"]),
    "a gzip file": (b"\x1f\x8b\x08\x00\x00\x00", ["line 1: expected UTF-8 text, got the byte 0x8b"]),
    # What is no mapping of columns
    "empty": ("", ["expected a mapping with 'columns', got an empty file"]),
    "comments": ("# a\n" * 1000, ["expected a mapping with 'columns', got an empty file"]),
    "a list": (
        "- {type: sequence_numeric_column, key: a}",
        ["line 1: expected a mapping with 'columns', got [{'key': 'a', "],
    ),
    "a word": ("columns", ["line 1: expected a mapping with 'columns', got 'columns'"]),
    "a number": ("3", ["line 1: expected a mapping with 'columns', got 3"]),
    "several documents": (
        COLUMN.replace(", EXTRA", "") + "---\n" + COLUMN,
        ["line 2: expected one YAML document, got another one"],
    ),
    "another version": ("%YAML 1.1\n---\n" + COLUMN, ["line 2: expected YAML 1.2, got %YAML 1.1"]),
    # Keys
    "duplicate keys": (
        COLUMN.replace("EXTRA", "shape: 1, shape: 2"),
        ["line 1: columns[0].shape: duplicate key, it stands on line 1 already"],
    ),
    "duplicate columns": (
        COLUMN.replace(", EXTRA", "") * 2,
        ["line 2: columns: duplicate key, it stands on line 1 already"],
    ),
    "a number as a key": (COLUMN.replace("EXTRA", "3: 4"), ["line 1: columns[0]: expected a string as the key, got 3"]),
    "null as a key": (COLUMN.replace("EXTRA", "~: 4"), ["line 1: columns[0]: expected a string as the key, got None"]),
    "true as a key": (
        COLUMN.replace("EXTRA", "true: 4"),
        ["line 1: columns[0]: expected a string as the key, got True"],
    ),
    "a list as a key": (
        COLUMN.replace("EXTRA", "[a]: 4"),
        ["line 1: columns[0]: expected a string as the key, got ['a']"],
    ),
    "a mapping as a key": (COLUMN.replace("EXTRA", "{a: 1}: 4"), ["line 1: columns[0]: expected a string as the key"]),
    "dunder keys": (
        COLUMN.replace("EXTRA", "__class__: a, __init__: b, model_config: c"),
        [f"line 1: columns[0].{name}: unknown key '{name}'" for name in ("__class__", "__init__", "model_config")],
    ),
    "unknown": (
        COLUMN.replace("EXTRA", "shap: 1"),
        ["line 1: columns[0].shap: unknown key 'shap'; did you mean 'shape'?"],
    ),
    "wrong types": (
        "columns: [{type: [], key: {}, shape: x}]\nsequence_groups: 3\nversion: {}\n",
        [
            "line 1: columns[0].type: ",
            "line 2: sequence_groups: expected a mapping, got 3",
            "line 3: version: expected 1",
        ],
    ),
}


def faults_of(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(path)
    return [str(fault) for fault in caught.value.faults]


@pytest.fixture
def path(request, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    content = ATTACKS[request.param][0]
    (tmp_path / "c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path("c.yaml")


@pytest.mark.timeout(60)  # each takes a second at most; what swells takes for ever
@pytest.mark.parametrize(
    "path",
    slow_but(ATTACKS, *(name for name in ATTACKS if name not in ("many values", "many keys", "an open quote"))),
    indirect=True,
)
def test_each_fault_is_one_line_soon(path, request):
    expected = ATTACKS[request.node.callspec.params["path"]][1]
    found = [fault.replace("c.yaml: ", "") for fault in faults_of(path)]
    assert len(found) == len(expected), found
    for fault, start in zip(sorted(found), sorted(expected), strict=True):
        assert fault.startswith(start), (fault, start)
        assert fault.isprintable() and len(fault) < 1000
    result = call("check", path, "--input", "x")
    lines = result.stderr.splitlines()
    assert result.exit_code == 2 and lines[0].startswith("seqcols: error: c.yaml: ")
    assert len(lines) == (len(expected) + 1 if len(expected) > 1 else 1)
    assert not Path("ran").exists()


SWELLING = [
    "billion laughs",
    "merge bomb",
    "brackets",
    "dashes",
    "indents",
    "a long file",
    "a very long file",
    "a long word",
]


@pytest.mark.parametrize("path", SWELLING, indirect=True)
def test_with_little_memory(path):
    faults_of(path)
    gc.collect()
    tracemalloc.start()
    try:
        faults_of(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


WORST = {
    "newlines": "\n" * LARGEST,
    "comments": "#\n" * (LARGEST // 2),
    "directives": "%a\n" * (LARGEST // 3),
    "quotes": '"' + "\\n" * (LARGEST // 2 - 1),
    "a literal": "a: |\n" + "  x\n" * (LARGEST // 4 - 2),
    "words": ("- a\n" * (MOST_VALUES + 1)),
    "duplicates": "a: 1\n" * (MOST_VALUES // 2 - 1),
    "columns": "columns:\n" + "- {type: x}\n" * 1000,
}


@pytest.mark.timeout(60)  # some seconds at most
@pytest.mark.parametrize("name", slow_but(WORST, "newlines"))
def test_the_worst_that_the_limits_allow(tmp_path, name):
    (tmp_path / "c.yaml").write_text(WORST[name])
    assert faults_of(tmp_path / "c.yaml")


def test_of_very_many_faults_the_first_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("a: 1\n" * 5000)
    lines = call("check", "c.yaml", "--input", "x").stderr.splitlines()
    assert lines[0] == "seqcols: error: c.yaml: 5,001 faults"
    assert len(lines) == 102 and lines[-1] == "and 4,901 more"


def test_reading_runs_nothing_and_only_what_is_named_is_imported(tmp_path):
    """A module beside the file is imported for a function in it, by name, when functions are looked for; not by reading."""
    (tmp_path / "spec_side_effect.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef f(x): return x\n"
    )
    (tmp_path / "other_side_effect.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran too').touch()\n"
    )
    (tmp_path / "c.yaml").write_text(COLUMN.replace("EXTRA", "normalizer_fn: 'spec_side_effect:f'"))
    spec = load(tmp_path / "c.yaml")
    assert not (tmp_path / "ran").exists() and "spec_side_effect" not in sys.modules
    assert check_functions(spec, tmp_path / "c.yaml") == []
    assert (tmp_path / "ran").exists() and not (tmp_path / "ran too").exists()


def test_no_yaml_library_makes_objects():
    """Their constructors are what runs code; events alone do not."""
    import pipeline.columns_file.yaml_lines as module

    text = Path(module.__file__).read_text()
    assert not re.search(r"\.load\(|unsafe|typ=\"(?!safe)|\beval\b|\bexec\b", text)
