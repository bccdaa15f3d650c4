"""Words to ids and back, by the manifest alone: as the job writes them, and as TensorFlow's tables give them. And the command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import read_manifest
from pipeline.dataset.manifest import Manifest, parsed
from tests.jobs import call, done, read_arrays
from tests.prepared import put_manifest
from transforms.columns import constructor, indicator_column, shared_embeddings
from transforms.errors import JobError
from transforms.groups import SequenceGroup
from transforms.spec.make_spec import make_spec
from transforms.stored.word_files import Kept

learned = constructor("sequence_categorical_column_with_learned_vocabulary")
listed = constructor("sequence_categorical_column_with_vocabulary_list")
in_file = constructor("sequence_categorical_column_with_vocabulary_file")
context = constructor("categorical_column_with_learned_vocabulary")
T = 6
WORDS = ["omar", "stringer", "é", "b\tc", "C:\\", "x" * 300, "marlo", "a\x1b[31m"]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> tuple[Path, list[dict[str, Any]]]:
    """A job with vocabularies of all kinds."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(8)

    def some(choices: list[Any]) -> list[Any]:
        return [choices[k] for k in rng.integers(0, len(choices), rng.integers(0, T + 1))]

    raw = [b"\xff", b"\xfe\x00", b"a"]
    kinds: dict[str, list[Any]] = {
        "learned": WORDS,
        "kept": WORDS,
        "listed": WORDS,
        "file": ["a", "b", "c"],
        "raw": raw,
        "none": ["", "\n"],
    }
    rows: list[dict[str, Any]] = [{name: some(words) for name, words in kinds.items()} for _ in range(60)]
    rows = [{**row, "numbers": some([5, -3, 20, 10**12]), "one": WORDS[k % 3]} for k, row in enumerate(rows)]
    types: dict[str, Any] = {"raw": pa.list_(pa.binary()), "numbers": pa.list_(pa.int64()), "one": pa.string()}
    schema = pa.schema([(name, types.get(name, pa.list_(pa.string()))) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "in.parquet")
    (folder / "words.txt").write_text("b\na\n")
    columns = [
        learned("learned", group="learned", num_oov_buckets=3, frequency_threshold=25),
        learned("kept", group="kept", top_k=4, reserve=50, num_oov_buckets=7, padding_id=-9),
        listed("listed", ["stringer", "omar", "b\tc"], num_oov_buckets=2, group="listed"),
        in_file("file", str(folder / "words.txt"), default_value=1, group="file"),
        learned("raw", dtype="bytes", top_k=2, group="raw"),
        learned("none", num_oov_buckets=2, group="none"),
        listed("numbers", [20, 5], default_value=0, group="numbers"),
        indicator_column(context("one", top_k=2)),
        *shared_embeddings([learned("learned", group="learned", top_k=2), learned("kept", group="kept", top_k=2)], 4),
    ]
    groups = {column.sequence_group: SequenceGroup(max_length=T) for column in columns if column.is_sequence}
    done(make_spec(columns, groups), folder / "in.parquet", folder / "out")
    return folder / "out", rows


SEQUENCES = ["learned", "kept", "listed", "file", "raw", "none", "numbers"]


@pytest.mark.parametrize("name", SEQUENCES)
def test_ids_are_those_that_the_job_writes(job, name):
    out, rows = job
    found = read_manifest(str(out)).vocabularies[name]
    words = np.array([[*row[name], *[None] * (T - len(row[name]))] for row in rows], object)
    ids = found.to_ids(words)
    np.testing.assert_array_equal(ids, read_arrays(out)[name])
    assert ids.dtype == np.int64
    known = set(found.words)
    back = found.to_words(ids)
    default = found.words[found.entry["default_value"]] if found.entry["default_value"] >= 0 else None
    expected = [w if w in known else default if w is not None else None for w in words.reshape(-1)]
    assert back.reshape(-1).tolist() == expected and back.shape == words.shape


def test_the_serving_model_gives_the_same(job):
    """For words that no row had."""
    out, _ = job
    manifest = read_manifest(str(out))
    served = tf.saved_model.load(manifest.path(manifest.content["serving"]))
    signature = served.signatures["serving_default"]
    words = ["never seen", "omar", "", "日本", "\n", "y" * 100]
    example = tf.train.Example()
    for name in ("learned", "kept", "listed", "file", "none"):
        example.features.feature[name].bytes_list.value.extend(word.encode() for word in words)
    example.features.feature["one"].bytes_list.value.append(b"omar")
    answer = signature(tf.constant([example.SerializeToString()]))
    for name in ("learned", "kept", "listed", "file", "none"):
        assert manifest.vocabularies[name].to_ids(words).tolist() == answer[name].numpy()[0].tolist(), name


def test_ids_are_those_of_tensorflows_tables(job):
    found = read_manifest(str(job[0])).vocabularies["listed"]
    keys = tf.lookup.KeyValueTensorInitializer(tf.constant(found.texts), tf.range(3, dtype=tf.int64))
    words = [str(k) for k in range(1000)] + list(found.words)
    assert (
        found.to_ids(words).tolist()
        == tf.lookup.StaticVocabularyTable(keys, 2).lookup(tf.constant(words)).numpy().tolist()
    )


def test_words_and_counts(job):
    out, rows = job
    found = read_manifest(str(out)).vocabularies
    assert list(found) == [*SEQUENCES, "one_indicator", "learned_shared_embedding", "kept_shared_embedding"]
    counts = Counter(word for row in rows for word in row["learned"])
    ordered = sorted(counts, key=lambda word: (-counts[word], word.encode()))
    expected = [word for word in ordered if counts[word] >= 25]
    assert found["learned"].words.tolist() == expected and 0 < len(expected) < len(ordered)
    assert np.asarray(found["learned"].counts).tolist() == [counts[word] for word in expected]
    assert found["learned_shared_embedding"].words.tolist() == ordered[:2]
    assert set(found["raw"].words) < {b"\xff", b"\xfe\x00", b"a"} and found["numbers"].words.tolist() == [20, 5]
    assert found["listed"].counts is None and found["file"].words.tolist() == ["b", "a"]
    assert (
        len(found["none"]) == 0
        and found["none"].words.tolist() == []
        and found["none"].to_words([0, 1]).tolist() == [None] * 2
    )
    assert repr(found["listed"]) == "Vocabulary('listed': 3 words)"
    with pytest.raises(KeyError, match="no column 'leaned'; did you mean 'learned'"):
        found["leaned"]


def test_shapes_and_what_is_no_word(job):
    found = read_manifest(str(job[0])).vocabularies
    assert found["listed"].to_ids("omar").tolist() == 1 and found["listed"].to_ids(b"omar").shape == ()
    assert found["listed"].to_ids(np.array([["omar"], ["stringer"]])).tolist() == [[1], [0]]
    assert found["listed"].to_ids([]).tolist() == [] and found["listed"].to_words([]).tolist() == []
    assert found["kept"].to_ids([None, "nobody"]).tolist()[0] == -9
    assert found["kept"].to_words([[0, 49], [50, -9]]).tolist()[1] == [None, None]
    assert found["numbers"].to_ids(np.array([5, 20, 7], np.int8)).tolist() == [1, 0, 0]
    assert found["numbers"].to_words(2**62) == np.array(None, object)
    for name, words in [("listed", [1]), ("numbers", ["5"]), ("numbers", [2**70]), ("listed", [["omar"], []])]:
        with pytest.raises(ValueError, match=rf"^column '{name}': expected words, "):
            found[name].to_ids(words)
    with pytest.raises(ValueError, match=r"^column 'listed': expected ids, integers, got \[0.5\]"):
        found["listed"].to_words([0.5])


def test_a_file_that_changed_is_told(job, tmp_path):
    found = read_manifest(str(job[0])).vocabularies["listed"]
    content = (Path(found.root) / found.entry["table"]).read_bytes()
    others = Kept([b"stringer", b"omar", b"b c"]).to_bytes()
    for k, (data, message) in enumerate([(others, "is damaged"), (content[:-9], "cannot read"), (b"", "cannot read")]):
        path = tmp_path / str(k) / found.entry["table"]
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        with pytest.raises(JobError, match=message):
            type(found)(found.column, found.entry, str(tmp_path / str(k))).to_ids(["omar"])


def older(out: Path) -> Manifest:
    """A data set's manifest as it was before counts were kept."""
    content = parsed((out / "manifest.json").read_bytes(), "")
    entries = {k: {"file": v["file"], "words": v["words"]} for k, v in content["vocabularies"].items() if "file" in v}
    return Manifest(str(out), {**content, "vocabularies": entries})


def test_a_data_set_of_before(job):
    found, now = older(job[0]).vocabularies, read_manifest(str(job[0])).vocabularies
    assert list(found) == [name for name in now if "file" in now[name].entry]
    for name in ("learned", "kept", "none"):
        words = [*WORDS, "new", None]
        assert found[name].counts is None and found[name].words.tolist() == now[name].words.tolist()
        assert found[name].to_ids(words).tolist() == now[name].to_ids(words).tolist()


# --- the command

command = pytest.mark.usefixtures("command_line")


@command
def test_the_command_prints_words_ids_and_counts(job):
    out, _ = job
    found = read_manifest(str(out)).vocabularies["kept"]
    result = call("vocabulary", out, "kept")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0 and lines[0].split() == ["word", "id", "count"] and len(lines) == 5
    assert [line.split()[-2:] for line in lines[1:]] == [
        [str(k), str(n)] for k, n in enumerate(np.asarray(found.counts))
    ]
    assert result.stderr == "seqcols: unknown words have the ids 50 to 56\n"
    listed = call("vocabulary", out, "listed")
    assert listed.stdout.splitlines() == ["word      id", "stringer   0", "omar       1", "b\\tc       2"]
    assert listed.stderr.splitlines()[0] == "seqcols: no counts: the words were given, not learned"
    given = json.loads(call("vocabulary", out, "raw", "--json").stdout)
    raw = read_manifest(str(out)).vocabularies["raw"]
    assert [row["word"].encode("utf-8", "surrogateescape") for row in given] == list(raw.words)
    assert [(row["id"], row["count"]) for row in given] == list(enumerate(np.asarray(raw.counts).tolist()))
    assert call("vocabulary", out, "none").stdout == "word  id  count\n"
    assert json.loads(call("vocabulary", out, "none", "--json").stdout) == []


@command
def test_words_command_no_terminal(job):
    out, rows = job
    names = {word for row in rows for word in row["learned"]}
    text = call("vocabulary", out, "learned").stdout
    assert (
        "\x1b" not in text and "\t" not in text and names > set(read_manifest(str(out)).vocabularies["learned"].words)
    )


@command
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["OUT", "leaned"], 2, "'OUT' has no vocabulary of a column 'leaned'; did you mean 'learned'?"),
        (["/nowhere", "x"], 1, "'/nowhere' holds no finished data set: there is no manifest.json"),
        (["OUT"], 2, "missing argument 'COLUMN'; see 'seqcols vocabulary --help'"),
    ],
)
def test_the_command_fails_in_one_line(job, arguments, code, message):
    result = call("vocabulary", *(argument.replace("OUT", str(job[0])) for argument in arguments))
    assert result.exit_code == code and not result.stdout
    assert result.stderr == f"seqcols: error: {message.replace('OUT', str(job[0]))}\n"


@command
def test_the_command_on_a_data_set_of_before(job, tmp_path):
    (tmp_path / "transform").symlink_to(Path(read_manifest(str(job[0])).vocabularies["kept"].root))
    before = older(job[0])
    put_manifest(tmp_path, {**before.content, "transform": "transform"})
    result = call("vocabulary", tmp_path, "kept")
    assert result.stdout.splitlines()[0].split() == ["word", "id"] and len(result.stdout.splitlines()) == 5
    assert result.stderr.splitlines()[0] == "seqcols: no counts: an older seqcols kept none"
