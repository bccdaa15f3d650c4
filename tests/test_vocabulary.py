"""Vocabularies: files as TensorFlow reads them, ids against TensorFlow's, and what travels where the words are needed."""

from __future__ import annotations

import builtins
import gzip
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tf_keras
from apache_beam.internal import cloudpickle
from tensorflow.python.feature_column.feature_column_v2 import FeatureTransformationCache

from pipeline.columns_file.reader import dumps, load, loads
from pipeline.sources.tfrecord.framing import framed
from tests.jobs import done, read_arrays
from tests.marks import slow_but
from transforms.columns import constructor
from transforms.densify import graph
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.spec.make_spec import make_spec
from transforms.stored import vocabularies

fc = tf.feature_column
LISTED = "sequence_categorical_column_with_vocabulary_list"
IN_FILE = "sequence_categorical_column_with_vocabulary_file"
listed, in_file = constructor(LISTED), constructor(IN_FILE)


def written(folder: Path, content: bytes) -> str:
    path = folder / "words.txt"
    path.write_bytes(content)
    return str(path)


def tensorflow_ids(column: Any, rows: list[list[list[Any]]]) -> np.ndarray:
    """The ids of steps of several values, int64 `[rows, T, M]`, -1 where there is none."""
    places = [[r, t, m] for r, row in enumerate(rows) for t, step in enumerate(row) for m in range(len(step))]
    values = [word for row in rows for step in row for word in step]
    shape = [len(rows), max(map(len, rows)), max([len(step) for row in rows for step in row], default=0)]
    kind = column.parse_example_spec["x"].dtype
    features = {"x": tf.SparseTensor(np.array(places, np.int64).reshape(-1, 3), tf.constant(values, kind), shape)}
    found = column.get_sparse_tensors(FeatureTransformationCache(features), None).id_tensor
    return tf.sparse.to_dense(tf.cast(found, tf.int64), default_value=-1).numpy()


def looked_up(path: str, words: list[Any], **arguments: Any) -> list[int]:
    """What TensorFlow finds for words in a file."""
    column = fc.sequence_categorical_column_with_vocabulary_file("x", path, **arguments)
    return tensorflow_ids(column, [[[word] for word in words]])[0, :, 0].tolist()


# --- files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb\n", ["a", "b", "a ", "A", ""]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b", "b\r"]),
        (b"a\rb\r\nc\r\r\n\r\r\n", ["a\rb", "ab", "c", "c\r", "\r", ""]),
        (b" a\n b \n\tc\n \n", ["a", " a", " b ", "\tc", " "]),
        (b"\xef\xbb\xbfa\n\xc3\xa9\n", ["a", "\ufeffa", "é"]),
        (b"a\0b\n\0\nc\n", ["a\0b", "a", "\0", "c"]),
        (b"a\x0bb\nc\x1cd\n\xe2\x80\xa8\n", ["a\x0bb", "a", "c\x1cd", "\u2028"]),
    ],
    ids=repr,
)
def test_files_are_read_as_tensorflow_reads_them(tmp_path, content, words):
    path = written(tmp_path, content)
    for more in ({}, {"num_oov_buckets": 3}, {"default_value": 0}, {"vocabulary_size": 1}):
        made = apply([{"x": words}], [in_file("x", path, **more)])
        assert made["x"][0].tolist() == looked_up(path, words, **more)


def test_a_file_of_any_bytes_has_the_dtype_bytes(tmp_path):
    path = written(tmp_path, b"\xff\xfe\n\xc3\n")
    words = [b"\xc3", b"\xff\xfe", b"\xff"]
    assert apply([{"x": words}], [in_file("x", path, dtype="bytes")])["x"][0].tolist() == looked_up(path, words)
    with pytest.raises(ValueError, match=r"words.txt' line 1: expected UTF-8 text, got b'\\xff\\xfe'"):
        in_file("x", path)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_a_file_of_integers(tmp_path, dtype):
    path = written(tmp_path, b"7\n 12\n+8 \n009\r\n0")
    words = [7, 12, 8, 9, 0, 5, 100]
    for more in ({}, {"num_oov_buckets": 3}, {"default_value": 2}):
        made = apply([{"x": words}], [in_file("x", path, dtype=dtype, **more)])
        assert made["x"][0].tolist() == looked_up(path, words, dtype=tf.as_dtype(dtype), **more)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"a\nb\na\n", {}, "line 3: expected every word once, got 'a', which is word 0, too"),
        (b"a\n\nb\n", {}, "line 2: expected a word, got a blank line"),
        (b"a\n\r\n", {}, "line 2: expected a word, got a blank line"),
        (b"a\nb\n\n", {}, "line 3: expected a word, got a blank line"),
        (b"a\nb\n", {"vocabulary_size": 3}, r"expected 3 words \(vocabulary_size\) in '.*words.txt', got 2"),
        (b"7\n07\n", {"dtype": tf.int64}, "line 2: expected every word once, got '7', which is word 0, too"),
        (b"7\nx\n", {"dtype": tf.int64}, "line 2: expected an integer, got 'x'"),
        (b"7\n\n", {"dtype": tf.int64}, "line 2: expected a word, got a blank line"),
    ],
)
def test_what_tensorflow_finds_only_when_it_looks_up_fails_at_once(tmp_path, content, arguments, message):
    path = written(tmp_path, content)
    with pytest.raises(tf.errors.OpError):
        looked_up(path, [7 if "dtype" in arguments else "a"], **arguments)
    with pytest.raises(ValueError, match=f"^vocabulary_file: .*{message}$"):
        in_file("x", path, **arguments)


def test_faults_past_the_vocabulary_size_are_none(tmp_path):
    path = written(tmp_path, b"a\nb\na\n\n\xff\n")
    made = apply([{"x": ["b", "a", "c"]}], [in_file("x", path, 2)])
    assert made["x"].tolist() == [looked_up(path, ["b", "a", "c"], vocabulary_size=2)] == [[1, 0, -1]]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path, why in (
        (tmp_path / "none.txt", "no such file or directory"),
        (tmp_path, "expected a file"),
        ("nofs://a", "unknown file system"),
    ):
        with pytest.raises(ValueError, match=f"^vocabulary_file: cannot read {str(path)!r}: {why}"):
            in_file("x", path)
    with pytest.raises(ValueError, match="which is empty"):
        in_file("x", written(tmp_path, b""))


@pytest.mark.parametrize("name", ["words.tfrecord.gz", "words.bin"])
def test_records_of_a_gzipped_tfrecord(tmp_path, name):
    """Found by the end of the name, or told; each record is a word, with whatever bytes it has."""
    path, words = str(tmp_path / name), [b"b ", b"a\r", b"c\nd", b"\xc3\xa9"]
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for word in words:
            writer.write(word)
    more: dict[str, Any] = {} if name.endswith(".gz") else {"file_format": "tfrecord_gzip"}
    in_context = constructor("categorical_column_with_vocabulary_file")
    theirs = fc.categorical_column_with_vocabulary_file("x", path, **more)
    asked = [*words, b"b", b"a"]
    for column in (in_context("x", path, dtype="bytes", **more), theirs):
        assert apply([{"x": word} for word in asked], [column])["x"].tolist() == [0, 1, 2, 3, -1, -1]
    assert tensorflow_ids(theirs, [[[word] for word in asked]])[0, :, 0].tolist() == [0, 1, 2, 3, -1, -1]
    with pytest.raises(ValueError, match=r"expected 5 words \(vocabulary_size\)"):
        in_context("x", path, 5, **more)


@pytest.mark.parametrize(
    "content", [b"a\nb\n", gzip.compress(b"a\nb\n", mtime=0), gzip.compress(framed([b"a"]), mtime=0)[:-9], b""]
)
def test_what_is_no_gzipped_tfrecord_is_said(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=r"expected a gzipped TFRecord file \(file_format\)|which is empty"):
        in_file("x", path, file_format="tfrecord_gzip")
    path = written(tmp_path, gzip.compress(framed([b"a", b"a"])))
    with pytest.raises(ValueError, match=r"record 2: expected every word once"):
        in_file("x", path, file_format="tfrecord_gzip")


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    path = written(tmp_path, b"a\nb\n")
    opened: list[Any] = []
    real = builtins.open

    def counting(*given: Any, **more: Any) -> Any:
        opened.append(given[0])
        return real(*given, **more)

    monkeypatch.setattr(builtins, "open", counting)
    columns = [in_file(f"x{k}", path, num_oov_buckets=k) for k in range(5)]
    columns += [in_file("y", path, vocabulary_size=1), in_file("z", path, dtype="bytes")]
    assert opened.count(path) == 1
    assert columns[0]._list is columns[4]._list  # pickled once with a spec
    assert [column.id_count for column in columns] == [2, 3, 4, 5, 6, 1, 2]
    written(tmp_path, b"a\nb\nc\n")
    assert in_file("x", path).id_count == 3
    assert opened.count(path) == 2


# --- ids


def arguments_of(rng: np.random.Generator, size: int) -> list[dict[str, Any]]:
    return [{}, {"num_oov_buckets": int(rng.integers(1, 5))}, {"default_value": int(rng.integers(size))}]


@pytest.mark.parametrize("most", slow_but([1, 3], 3))
@pytest.mark.parametrize("dtype", ["string", "int64", "int32", "int8"])
@pytest.mark.parametrize("family", ["hash_bucket", "vocabulary_list", "vocabulary_file"])
def test_ids_are_tensorflows(tmp_path, family, dtype, most):
    """The ids, and as a second oracle TensorFlow's own indicator over its own sequence layer."""
    rng = np.random.default_rng([most, *family.encode(), *dtype.encode()])
    everything: Any = (
        [b"", b" ", "é".encode(), b"007", b"7", b"x" * 70, b"a\tb"] if dtype == "string" else range(-9, 12)
    )
    for turn in range(3):
        words = [word for word in rng.permutation(np.array(list(everything), object)) if word != b""][:6]
        kind = tf.as_dtype(dtype)
        (tmp_path / str(turn)).mkdir()  # TensorFlow keeps the table of a file by the file's name
        lines = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        path = written(tmp_path / str(turn), b"".join(b"%b\n" % line for line in lines))
        by_family: dict[str, dict[str, Any]] = {
            "hash_bucket": {"hash_bucket_size": int(rng.integers(1, 100))},
            "vocabulary_list": {"vocabulary_list": words},
            "vocabulary_file": {"vocabulary_file": path},
        }
        ids = by_family[family]
        for more in arguments_of(rng, len(words)) if family != "hash_bucket" else [{}]:
            name = f"sequence_categorical_column_with_{family}"
            ours = constructor(name)("x", dtype=dtype, max_ids=most, **ids, **more)
            theirs = getattr(fc, name)("x", dtype=kind, **ids, **more)
            count = int(rng.integers(1, 6))
            rows = [
                [[everything[k] for k in rng.integers(0, len(everything), rng.integers(1, most + 1))] for _ in range(n)]
                for n in rng.integers(0, 6, count)
            ]
            if not any(rows):
                continue
            made = apply([{"x": row} for row in rows], [ours])
            expected = tensorflow_ids(theirs, rows)
            wide = made["x"].reshape(count, -1, most)
            np.testing.assert_array_equal(wide[:, :, : expected.shape[2]], expected)
            assert (wide[:, :, expected.shape[2] :] == -1).all()
            assert wide.max() < ours.id_count == theirs._num_buckets
            flat = [[word for step in row for word in step[:1]] for row in rows]
            places = [[r, t] for r, row in enumerate(flat) for t in range(len(row))]
            values = tf.constant([word for row in flat for word in row], kind)
            features = {"x": tf.SparseTensor(places, values, [count, max(map(len, flat))])}
            dense, lengths = tf_keras.experimental.SequenceFeatures([fc.indicator_column(theirs)])(features)
            np.testing.assert_array_equal(made.lengths(), lengths)
            np.testing.assert_array_equal(wide[:, :, 0, None] == np.arange(ours.id_count), dense.numpy() > 0)


def test_words_of_a_list_may_hold_anything():
    words = ["", "\n", "a\r", "\0", "a\0", " ", "x" * 10_000, "\U0001f600"]
    column = listed("x", words)
    assert apply([{"x": words[::-1]}], [column])["x"].tolist() == [list(range(len(words)))[::-1]]
    assert tensorflow_ids(getattr(fc, LISTED)("x", words), [[[w] for w in words]])[0, :, 0].tolist() == list(range(8))


def test_lists_of_any_kind():
    for words in (("b", "a"), np.array(["b", "a"]), np.array([b"b", b"a"]), [np.str_("b"), b"a"]):
        column = listed("x", words)
        assert column.vocabulary_list == ("b", "a")
        assert column.word_dtype == "string"
        assert column == listed("x", ["b", "a"])
    for numbers in (range(2, 4), np.array([2, 3], np.int8), [np.int64(2), 3]):
        assert listed("x", numbers).vocabulary_list == (2, 3)
        assert listed("x", numbers).word_dtype == "int64"
    assert listed("x", [b"\xff", "a"]).word_dtype == "bytes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_list": ["a", "b", b"a"]}, "vocabulary_list: word 2: expected every word once, got 'a'"),
        ({"vocabulary_list": [1, "a"]}, "vocabulary_list: expected either words or integers, got 1 and 'a'"),
        ({"vocabulary_list": ["a", None]}, "vocabulary_list: expected words or integers, got None at place 1"),
        ({"vocabulary_list": ["a", 1.5]}, "vocabulary_list: expected words or integers, got 1.5 at place 1"),
        ({"vocabulary_list": [True]}, "vocabulary_list: expected words or integers, got True at place 0"),
        ({"vocabulary_list": [300], "dtype": "int8"}, "vocabulary_list: word 0: expected -128 to 127"),
        ({"vocabulary_list": [2**64]}, r"vocabulary_list: word 0: expected -\d+ to \d+ \(int64\), got '1844"),
        ({"vocabulary_list": [b"\xff"], "dtype": "string"}, "vocabulary_list: word 0: expected UTF-8 text"),
        ({"vocabulary_list": ["a"], "dtype": "int64"}, "dtype: int64 does not fit a vocabulary_list of words"),
        ({"vocabulary_list": ["a"], "dtype": "strin"}, "dtype: .*did you mean 'string'"),
        ({"vocabulary_list": ["a"], "default_value": 1}, r"default_value: 1 is no id: expected one in \[0, 1\)"),
        ({"vocabulary_list": ["a"], "default_value": -2}, "default_value: -2 is no id"),
        ({"vocabulary_list": ["a"], "default_value": 0, "num_oov_buckets": 1}, "default_value: 0 does not apply"),
        ({"vocabulary_list": []}, "vocabulary_list: expected one or more words, got none"),
    ],
)
def test_wrong_lists_fail_at_once(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        listed("x", **arguments)


# --- where the words are needed


def test_the_words_travel_with_the_column(tmp_path):
    path = written(tmp_path, b"a\nb\n")
    spec = make_spec([in_file("x", path, num_oov_buckets=1)])
    folder = tmp_path / "many"
    folder.mkdir()
    packed = [pickle.dumps(spec), cloudpickle.dumps(spec)]
    many = in_file("x", written(folder, b"".join(b"/some/path/%07d\n" % k for k in range(10_000))))
    assert len(pickle.dumps(many)) < 60_000
    Path(path).unlink()
    vocabularies._words.cache_clear()
    for data in packed:
        made = apply([{"x": ["b", "c", "a"]}], pickle.loads(data))
        assert made["x"].tolist() == [[1, 2, 0]]
    with pytest.raises(ValueError, match="no such file"):
        in_file("x", path)


def test_one_graph_with_many_vocabularies(tmp_path):
    """Op by op and compiled: tables have names of their own, and those of the same words are one."""
    columns = [
        listed("a", ["u", "v"]),
        listed("b", ["v", "u"]),
        listed("c", ["u", "v"], default_value=1),
        listed("d", ["u", "v"], num_oov_buckets=1),
        listed("e", ["u", "v"]),
        in_file("f", written(tmp_path, b"u\nv\n")),
    ]
    rows = [{name: ["u", "v", "w"] for name in "abcdef"}]
    expected = dict(a=[0, 1, -1], b=[1, 0, -1], c=[0, 1, 1], d=[0, 1, 2], e=[0, 1, -1], f=[0, 1, -1])
    made = apply(rows, columns)
    assert {name: made[name][0].tolist() for name in expected} == expected
    tables: dict[str, Any] = {}
    made_names = []

    def track(make: Any, name: str) -> Any:
        made_names.append(name)
        if name not in tables:
            with tf.init_scope():
                tables[name] = make()
        return tables[name]

    assert made.fitted is not None
    function = graph.fitted_graph(replace(made.fitted, track=track))
    words = pa.large_list(pa.large_string())
    batch = pa.RecordBatch.from_pydict({name: pa.array([["u", "v", "w"]], words) for name in expected})
    for _ in range(2):
        out = function(batch)
        assert {name: out[name][0].numpy().tolist() for name in expected} == expected
    assert len(made_names) == 6  # traced once
    assert len(tables) == 4


SERVE = """
import sys
import tensorflow as tf
import tensorflow_transform as tft
graph = tft.TFTransformOutput(sys.argv[1])
raw = {key: tf.ragged.constant([["b", "zz", "a"]], row_splits_dtype=tf.int64) for key in ("l", "f", "v")}
out = graph.transform_raw_features(raw)
print([out[key].numpy().tolist() for key in ("l", "f", "v")])
"""


@pytest.mark.slow
def test_the_saved_graph_has_the_words_in_another_process(tmp_path):
    source = tmp_path / "in.parquet"
    learned = constructor("sequence_categorical_column_with_learned_vocabulary")
    words = written(tmp_path, b"a\nb\n")
    rows: list[dict[str, Any]] = [{"l": ["a"], "f": ["b", "c"], "v": ["a", "b", "b"]}, {"l": [], "f": [], "v": []}]
    pq.write_table(pa.Table.from_pylist(rows), source)
    columns = [
        listed("l", ["a", "b"], default_value=0, group="l"),
        in_file("f", words, num_oov_buckets=4, group="f"),
        learned("v", group="v"),
    ]
    spec = make_spec(columns, {name: SequenceGroup(max_length=3) for name in "lfv"})
    done(spec, source, tmp_path / "out")
    made = apply(rows, spec)
    written_arrays = read_arrays(tmp_path / "out")
    for name in "lfv":
        np.testing.assert_array_equal(written_arrays[name], made[name])
    Path(words).unlink()
    moved = tmp_path / "elsewhere"
    (tmp_path / "out" / "transform").rename(moved)
    ran = subprocess.run([sys.executable, "-c", SERVE, str(moved)], capture_output=True, text=True, check=True)
    expected = apply([{key: ["b", "zz", "a"] for key in "lfv"}], spec, fitted=made.fitted)
    assert ran.stdout.strip().splitlines()[-1] == str([expected[key].tolist() for key in "lfv"])
    assert expected["l"].tolist() == [[1, 0, 0]] and expected["v"].tolist() == [[0, -1, 1]]


# --- columns files


def test_a_relative_path_begins_beside_the_columns_file(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "elsewhere").mkdir()
    written(tmp_path / "conf", b"a\nb\n")
    columns = tmp_path / "conf" / "columns.yaml"
    columns.write_text(f"columns: [{{type: {IN_FILE}, key: x, vocabulary_file: words.txt}}]\n")
    for folder in ("elsewhere", "conf", "."):
        monkeypatch.chdir(tmp_path / folder)
        column: Any = load(columns).columns[0]
        assert column.vocabulary_file == str(tmp_path / "conf" / "words.txt")
        assert column.id_count == 2
    monkeypatch.chdir(tmp_path / "conf")
    assert load("columns.yaml").columns == [column]
    text = dumps(load(columns))
    assert f"vocabulary_file: {tmp_path / 'conf' / 'words.txt'}" in text
    assert loads(text) == load(columns)
    columns.write_text(f"columns:\n- {{type: {IN_FILE}, key: x, vocabulary_file: wrds.txt}}\n")
    with pytest.raises(SpecError) as caught:
        load(columns)
    (fault,) = caught.value.faults
    assert (fault.line, fault.path) == (2, "columns[0].vocabulary_file")
    assert fault.message == f"cannot read {str(tmp_path / 'conf' / 'wrds.txt')!r}: no such file or directory"


def test_lists_in_a_columns_file():
    text = f"columns: [{{type: {LISTED}, key: x, vocabulary_list: [yes, '7', 'null'], num_oov_buckets: 2}}]"
    column: Any = loads(text).columns[0]
    assert column.vocabulary_list == ("yes", "7", "null")
    assert loads(dumps(loads(text))) == loads(text)
    numbers: Any = loads(f"columns: [{{type: {LISTED}, key: x, vocabulary_list: [3, -1]}}]").columns[0]
    assert numbers.vocabulary_list == (3, -1)
    with pytest.raises(SpecError) as caught:
        loads(f"columns:\n- {{type: {LISTED}, key: x,\n   vocabulary_list: [a, a]}}")
    assert (caught.value.faults[0].line, caught.value.faults[0].path) == (3, "columns[0].vocabulary_list")
