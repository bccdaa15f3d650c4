"""Vocabularies that keep their ids: `extends` and `reserve`, against `collections.Counter` and TensorFlow's own tables."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline import read_manifest
from pipeline.columns_file.reader import load, loads
from pipeline.loaders import numpy_batches
from tests.jobs import call, done, read_arrays, read_json
from tests.object_store import SCHEME, Objects
from transforms.columns import constructor, embedding_column, indicator_column
from transforms.columns.learned_vocabulary import LearnedVocabularyBase, learners
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.spec import text
from transforms.spec.make_spec import make_spec
from transforms.stored import learned_words
from transforms.stored.learned_words import Choice, Counted
from transforms.stored.vocabularies import WordList
from transforms.stored.word_files import Extended, Kept, digest_of

learned = constructor("sequence_categorical_column_with_learned_vocabulary")
WORDS = [b"a", b"b", b"bb", b"B", "é".encode(), b" ", b"c d", b"e\nf", b"g\r", b"", b"\0", b"\xff"]


def by_hand(
    counts: Counter[bytes], known: list[bytes], top_k: int | None, threshold: int | None, reserve: int | None
) -> tuple[list[bytes], int]:
    """The definition: the words, and how many are left out."""
    fit = [w for w in counts if w and not {10, 13} & set(w) and w not in known and counts[w] >= (threshold or 0)]
    new = sorted(fit, key=lambda word: (-counts[word], word))[:top_k]
    room = len(new) if reserve is None else reserve - len(known)
    return [*known, *new[:room]], len(new) - len(new[:room])


@given(data=st.data())
def test_what_is_learned_however_it_is_counted(data):
    """Words come in any order, in parts that are merged and pruned anyhow."""
    counts = data.draw(st.dictionaries(st.sampled_from(WORDS) | st.binary(max_size=2), st.integers(1, 5), max_size=30))
    usable = [word for word in WORDS if word and not {10, 13} & set(word)]
    known = data.draw(st.lists(st.sampled_from(usable), unique=True, max_size=4))
    top_k, threshold = (data.draw(st.none() | st.integers(1, 5)) for _ in range(2))
    reserve = data.draw(st.none() | st.integers(max(1, len(known)), 12))
    choice = Choice(tuple(known), top_k, threshold, reserve)
    pairs = data.draw(st.permutations(list(counts.items())))
    at = data.draw(st.sampled_from([1, 3, 100]))
    parts = [Counted(_prune_at=at) for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned_words, "PRUNED_AT", at)
        for pair in pairs:
            k = data.draw(st.integers(0, 2))
            parts[k] = pickle.loads(pickle.dumps(parts[k].add([pair[0]], [pair[1]], choice)))
        merged = Counted(dropped=sum(part.dropped for part in parts), _prune_at=at)
        for part in parts:
            merged.add(part.words, part.counts, choice)
        found = merged.pruned(choice).learned(choice)
    words, left_out = by_hand(Counter(counts), known, top_k, threshold, reserve)
    assert (found.words, found.left_out, found.known) == (words, left_out, len(known))
    assert np.asarray(found.counts).tolist() == [counts.get(word, 0) for word in words]


def test_many_words_are_pruned(monkeypatch):
    monkeypatch.setattr(learned_words, "PRUNED_AT", 100)
    choice, held, counted = Choice((b"known",), top_k=20), 0, Counted(_prune_at=100)
    for k in range(5_000):
        counted.add([b"%d" % k], [k % 7 + 1], choice)
        held = max(held, len(counted.words))
    assert held <= 100
    words, _ = by_hand(Counter({b"%d" % k: k % 7 + 1 for k in range(5_000)}), [b"known"], 20, None, None)
    assert counted.learned(choice).words == words


# --- what is extended


def file_of(folder: Path, content: bytes, name: str = "words.txt") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.mark.parametrize("more", [{}, {"num_oov_buckets": 7}, {"default_value": 3}])
def test_ids_are_those_of_tensorflows_tables(tmp_path, more):
    """With `reserve` as if the words were filled up to it with words that nobody has."""
    rng = np.random.default_rng(3)
    rows = [{"x": [f"w{k}" for k in rng.zipf(1.3, 40) % 60]} for _ in range(50)]
    known = ["w59", "never", "w1"]
    column = learned(
        "x", extends=file_of(tmp_path, "\n".join(known).encode()), reserve=20, frequency_threshold=3, **more
    )
    counts = Counter(word.encode() for row in rows for word in row["x"])
    words, left_out = by_hand(counts, [word.encode() for word in known], None, 3, 20)
    assert len(words) == 20 and left_out > 5
    keys = tf.lookup.KeyValueTensorInitializer(tf.constant(words), tf.range(20, dtype=tf.int64))
    if "num_oov_buckets" in more:
        table: Any = tf.lookup.StaticVocabularyTable(keys, 7)
    else:
        table = tf.lookup.StaticHashTable(keys, more.get("default_value", -1))
    expected = table.lookup(tf.constant([row["x"] for row in rows])).numpy()
    np.testing.assert_array_equal(apply(rows, [column])["x"], expected)
    assert column.id_count == 20 + more.get("num_oov_buckets", 0)
    every = by_hand(counts, [word.encode() for word in known], None, 3, None)[0]
    room = apply(rows, [learned("x", extends=column.extends, reserve=1000, frequency_threshold=3, **more)])["x"]
    ids = dict(zip([word for row in rows for word in row["x"]], room.reshape(-1).tolist(), strict=True))
    assert all(ids.get(word.decode(), k) == k for k, word in enumerate(every))
    assert len(every) == 20 + left_out


def test_buckets_stay_at_reserve():
    columns = [learned("x", reserve=100, num_oov_buckets=10, top_k=k) for k in (1, 2)]
    for column in columns:
        made = apply([{"x": ["omar", "b", "b"]}, {"x": ["b", "b", "c"]}], [column], SequenceGroup(max_length=3))
        other = apply([{"x": ["omar", "stringer"]}], [column], SequenceGroup(max_length=3), fitted=made.fitted)
        assert other["x"].tolist()[0][1] == 100 + 4 and other["x"].tolist()[0][2] == -1
    assert apply([{"x": ["omar"]}], [learned("x", reserve=9, num_oov_buckets=10, frequency_threshold=2)])["x"] == [
        [9 + 6]
    ]


def test_indicators_and_embeddings_have_the_size_that_is_reserved():
    column = learned("x", reserve=3, num_oov_buckets=2)
    assert apply([{"x": ["a"]}], [indicator_column(column)])["x_indicator"].tolist() == [[[1, 0, 0, 0, 0]]]
    assert embedding_column(column, 4).metadata["id_count"] == 5
    assert learned("x", top_k=4, num_oov_buckets=1).id_count == 5


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (b"", {}, "extends: expected a word in every line of .*words.txt', which is empty"),
        (b"a\n\nb\n", {}, "extends: .*words.txt' line 2: expected a word, got a blank line"),
        (b"a\nb\na\n", {}, "extends: .*words.txt' line 3: expected every word once, got 'a', which is word 0, too"),
        (b"a\rb\n", {}, r"extends: .*words.txt' word 1: expected a word without a line break, got b'a\\rb'"),
        (b"\xff\n", {}, "extends: .*words.txt' line 1: expected UTF-8"),
        (b"1\nx\n", {"dtype": "int64"}, "extends: .*words.txt' line 2: expected"),
        (b"a\nb\n", {"reserve": 1}, "reserve: 1 is too small: expected at least the 2 words of .*words.txt'"),
        (b"a\nb\n", {"reserve": 0}, "reserve: expected an int >= 1, got 0"),
        (
            b"a\nb\n",
            {"reserve": 5, "top_k": 6},
            r"top_k: 6 is more than there can be words: expected at most reserve \(5\)",
        ),
        (b"a\nb\n", {"reserve": 5, "default_value": 5}, r"default_value: 5 is no id: expected one in \[0, 5\)"),
        (b"a\nb\n", {"top_k": 5, "default_value": 7}, r"default_value: 7 is no id: expected one in \[0, 7\)"),
    ],
)
def test_what_cannot_be_extended(tmp_path, content, more, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        learned("x", extends=file_of(tmp_path, content), **more)


def test_nothing_to_extend(tmp_path):
    with pytest.raises(ValueError, match=r"^extends: cannot read '/nowhere': no such file"):
        learned("x", extends="/nowhere")
    with pytest.raises(ValueError, match=r"^extends: expected a data set or a file of words, got .* no manifest.json"):
        learned("x", extends=str(tmp_path))
    with pytest.raises(ValueError, match=r"^extends: expected 1 or more characters, got ''"):
        learned("x", extends="")


def test_all_faults_of_a_columns_file_at_once(tmp_path):
    file_of(tmp_path, b"a\nb\n")
    kind = "type: sequence_categorical_column_with_learned_vocabulary"
    (tmp_path / "c.yaml").write_text(
        f"columns:\n  - {{{kind}, key: x, extends: words.txt, reserve: 1}}\n  - {{{kind}, key: y, extends: gone.txt}}\n"
        f"  - {{{kind}, key: z, reserve: 0}}\n"
    )
    with pytest.raises(SpecError) as error:
        load(tmp_path / "c.yaml")
    assert [(fault.line, fault.path) for fault in error.value.faults] == [
        (2, "columns[0].reserve"),
        (3, "columns[1].extends"),
        (4, "columns[2].reserve"),
    ]


def test_one_vocabulary_extends_one(tmp_path):
    one, other = file_of(tmp_path, b"a\n"), file_of(tmp_path, b"b\n", "other.txt")
    with pytest.raises(
        SpecError, match=r"columns\[1\].categorical_column.extends: expected .*words.txt', as columns\[0\]"
    ):
        make_spec([learned("x", extends=one), embedding_column(learned("x", extends=other), 2)])
    same = file_of(tmp_path, b"a\n", "same.txt")
    make_spec([learned("x", extends=one), embedding_column(learned("x", extends=same), 2)])


def test_the_words_count_in_the_digest(tmp_path):
    path = file_of(tmp_path, b"a\nb\n")
    digests = [text.digest(make_spec([learned("x", extends=path)]))]
    file_of(tmp_path, b"a\nc\n")
    digests.append(text.digest(make_spec([learned("x", extends=path)])))
    digests.append(text.digest(make_spec([learned("x")])))
    assert len(set(digests)) == 3


def data_set_of(folder: Path, vocabularies: dict[str, dict[str, Any]], words: list[bytes]) -> str:
    """As much of a data set as is read: the manifest, and a file of words."""
    (folder / "transform/vocabularies").mkdir(parents=True)
    (folder / "transform/vocabularies/v.parquet").write_bytes(Kept(words, np.ones(len(words), np.int64)).to_bytes())
    (folder / "transform/v").write_bytes(b"".join(word + b"\n" for word in words))
    known = {"table": "vocabularies/v.parquet", "words": len(words), "sha256": digest_of(words)}
    entries = {name: {**known, **entry} for name, entry in vocabularies.items()}
    (folder / "manifest.json").write_text(json.dumps({"transform": "transform", "vocabularies": entries}))
    return str(folder)


def test_which_vocabulary_of_a_data_set(tmp_path):
    def words_of(name: str, entries: dict[str, dict[str, Any]], words: tuple[bytes, ...] = (b"a", b"b")) -> Any:
        path = data_set_of(tmp_path / name, entries, list(words))
        return learned("x", extends=path).extended.words.words

    assert words_of("its own", {"x": {}, "x_indicator": {"key": "x", "table": "other"}}) == (b"a", b"b")
    assert words_of("of a wrapper", {"x_embedding": {"key": "x"}, "y": {"key": "y"}}) == (b"a", b"b")
    assert words_of("shared", {"x_embedding": {"key": "x"}, "x_indicator": {"key": "x"}}) == (b"a", b"b")
    assert words_of("older", {"x": {"table": None, "file": "v", "words": 2}}) == (b"a", b"b")
    assert words_of("none", {"x": {}}, ()) == ()
    for name, entries, message in [
        (
            "two",
            {"x_embedding": {"key": "x"}, "x_indicator": {"key": "x", "table": "t"}},
            "has 2 vocabularies of .* 'x', of x_emb",
        ),
        ("misspelt", {"xx": {"key": "xx"}}, "has no vocabulary of a column 'x'; did you mean 'xx'"),
        ("nothing", {}, "has no vocabulary of a column 'x'; it has none"),
        ("other words", {"x": {"sha256": "0"}}, "is damaged: it does not hold the 2 words of the manifest"),
        ("fewer words", {"x": {"words": 3}}, "is damaged"),
        ("gone", {"x": {"table": "gone"}}, "cannot read .*gone': no such file"),
        ("outside", {"x": {"table": "../v"}}, "expected paths inside the data set"),
    ]:
        with pytest.raises(ValueError, match=f"^extends: .*{message}"):
            words_of(name, entries)
    (tmp_path / "none/manifest.json").write_text("{")
    with pytest.raises(ValueError, match="expected that of a data set, undamaged"):
        learned("x", extends=str(tmp_path / "none"))


# --- jobs


def day_of(folder: Path, day: int) -> tuple[Path, Counter[bytes]]:
    """Two files of a day, whose words come and go; and their counts."""
    rng, counts = np.random.default_rng(day), Counter[bytes]()
    for part in range(2):
        rows = [[f"w{k}" for k in rng.integers(day * 7, day * 7 + 25, 12)] for _ in range(20)]
        counts.update(word.encode() for row in rows for word in row)
        pq.write_table(pa.table({"w": rows}), folder / f"day{day}-{part}.parquet")
    return folder / f"day{day}-*.parquet", counts


def test_five_days_and_all_of_them_at_once(tmp_path):
    group = SequenceGroup(max_length=12)
    more = {"reserve": 40, "num_oov_buckets": 5, "frequency_threshold": 12}
    days, known, every = [day_of(tmp_path, day) for day in range(5)], list[bytes](), Counter[bytes]()
    for day, (files, counts) in enumerate(days):
        before = {"extends": str(tmp_path / f"out{day - 1}")} if day else {}
        outcome = done(make_spec([learned("w", **more, **before)], group), files, tmp_path / f"out{day}")
        words, left_out = by_hand(counts, known, None, 12, 40)
        entry = read_json(tmp_path / f"out{day}", "manifest.json")["vocabularies"]["w"]
        assert [entry[name] for name in ("words", "known", "new", "left_out", "reserve", "first_bucket")] == [
            *(len(words), len(known), len(words) - len(known), left_out, 40, 40)
        ]
        found = read_manifest(str(tmp_path / f"out{day}")).vocabularies["w"]
        assert found.texts == words and np.asarray(found.counts).tolist() == [counts[word] for word in words]
        if day:
            assert words[: len(known)] == known  # every id stays
            assert entry["extends"] == {**before_of(tmp_path, day), "sha256": digest_of(known)}
        assert [note for note in outcome.notes if "reserve has room" in note] == [
            f"column 'w': {left_out:,} word{'s' * (left_out > 1)} more would be learned, but reserve has room for 40 in all"
        ] * bool(left_out)
        known = words
        every += counts
    assert len(known) == 40 and left_out
    spec = make_spec([learned("w", **more, extends=str(tmp_path / "out0"))], group)
    first = read_manifest(str(tmp_path / "out0")).vocabularies["w"].texts
    for workers in (1, 4):
        out = tmp_path / f"all{workers}"
        done(spec, tmp_path / "day*.parquet", out, workers=workers)
        found = read_manifest(str(out)).vocabularies["w"]
        assert found.texts == by_hand(every, list(first), None, 12, 40)[0]
        assert np.asarray(found.counts).tolist() == [every[word] for word in found.texts]
        asset = out / "transform" / found.entry["file"]
        assert asset.read_bytes() == b"".join(word + b"\n" for word in found.texts)
    ones, fours = (np.sort(read_arrays(tmp_path / f"all{n}")["w"], axis=0) for n in (1, 4))
    np.testing.assert_array_equal(ones, fours)


def test_what_was_extended_may_go_or_grow(tmp_path):
    """A finished data set is read back by its own words: transformed, appended to, repaired, verified, compared, loaded."""
    for day in range(3):
        day_of(tmp_path, day)
    pq.write_table(pa.table({"w": pa.array([None], pa.list_(pa.string()))}), tmp_path / "day1-none.parquet")
    text = (
        "columns: [{type: indicator_column, categorical_column: {type: sequence_categorical_column_with_learned_vocabulary, "
        "key: w, top_k: 9, num_oov_buckets: 2, extends: out0, REQUIRED}}]\nsequence_groups: {sequence: {max_length: 12}}\n"
    )
    columns, mended = tmp_path / "columns.yaml", tmp_path / "mended.yaml"
    columns.write_text(text.replace("REQUIRED", "required: true"))
    mended.write_text(text.replace("REQUIRED", "required: false"))
    out0, out1, out2 = (tmp_path / f"out{k}" for k in range(3))
    done(make_spec([learned("w", top_k=20)], SequenceGroup(max_length=12)), tmp_path / "day0-*.parquet", out0)
    arguments = "--format", "parquet", "--max-rejected", "1", "--output", out1
    assert not call("run", columns, "--input", tmp_path / "day1-*.parquet", *arguments).exit_code
    known = read_json(out1, "manifest.json")["vocabularies"]["w_indicator"]["known"]
    assert known == 20 and read_manifest(str(out1)).outputs[0].shape == (12, 31)

    more = tmp_path / "day2-*.parquet"
    done(make_spec([learned("w", top_k=30)], SequenceGroup(max_length=12)), more, out0, overwrite=True)
    done(load(columns), more, out1, append=True)  # with columns that were read after it had grown
    shutil.rmtree(out0)
    for asked in (("--append", "--again", "--output", out1), (columns, "--transform", out1, "--output", out2)):
        result = call("run", *asked, "--input", more)
        assert not result.exit_code, result.output
    assert sum(len(batch["w_indicator"]) for batch in numpy_batches([str(out1), str(out2)], 50)) == 4 * 40
    assert not call("repair", out1 / "rejected", "--columns", mended).exit_code
    assert read_manifest(str(out1)).content["rejected"]["rows"] == 0 and read_manifest(str(out1)).rows == 3 * 40 + 1
    for root in (out1, out2):
        assert not call("verify", root).exit_code and not call("compare", root, root, "--max-drift", "0").exit_code


def test_what_a_columns_file_extends_is_asked_for_once(tmp_path):
    """A column by itself, and in another: a spec that is made of them must not read again what may be gone, or have grown."""
    one = f"{{type: sequence_categorical_column_with_learned_vocabulary, key: w, extends: {tmp_path / 'gone'}}}"
    embedded = f"{{type: embedding_column, dimension: 2, categorical_column: {one}}}"
    target = "{type: categorical_column_with_learned_vocabulary, key: t, vocabulary_of: w}"
    asked = []

    def once(name: str, path: str, dtype: str) -> Extended:
        asked.append(path)
        return Extended(WordList.of((b"tea", b"rum"), dtype), path, 2)

    for column in (one, embedded):
        spec = loads(f"columns: [{column}, {target}]", once=once)
        assert all(own.choice.known == (b"tea", b"rum") for own in learners(spec.columns).values())
        made = make_spec(spec.columns)
        assert made == spec
        for bound in (spec.columns[1], made.columns[1]):
            assert isinstance(bound, LearnedVocabularyBase) and bound.extended.words.words == (b"tea", b"rum")
        with pytest.raises(SpecError, match="gone': no such file"):
            loads(f"columns: [{column}, {target}]")
    assert asked == [str(tmp_path / "gone")] * 2


def before_of(folder: Path, day: int) -> dict[str, Any]:
    return {"path": str(folder / f"out{day - 1}"), "first_bucket": 40}


@pytest.mark.slow
def test_without_reserve_buckets_move_and_the_run_says_so(tmp_path):
    """In place of the data set that is extended; with the cache, which keeps what is counted, whatever is extended."""
    files, counts = day_of(tmp_path, 0)
    out, cache, group = tmp_path / "out", str(tmp_path / "cache"), SequenceGroup(max_length=12)
    known, extends = [b"w3", b"new"], file_of(tmp_path, b"w3\nnew\n")
    for before, now in ((2, 6), (6, 10)):
        spec = make_spec([learned("w", top_k=4, num_oov_buckets=2, extends=extends)], group)
        outcome = done(spec, files, out, overwrite=True, cache=cache)
        note = f"column 'w': the ids of unknown words begin at {now}, no longer at {before}: reserve keeps them where they are"
        assert note in outcome.notes
        known, extends = by_hand(counts, known, 4, None, None)[0], str(out)
        found = read_manifest(str(out)).vocabularies["w"]
        assert found.texts == known and np.asarray(found.counts).tolist() == [counts[word] for word in known]


def test_the_same_in_an_object_store(tmp_path, monkeypatch):
    monkeypatch.setattr(Objects, "held", {})
    store = f"{SCHEME}://bucket"
    here = Path(data_set_of(tmp_path / "set", {"x": {"first_bucket": 7}}, [b"b", b"a"]))
    for path in (path for path in here.rglob("*") if path.is_file()):
        Objects.put(f"{store}/set/{path.relative_to(here)}", path.read_bytes())
    Objects.put(f"{store}/words.txt", b"c\n")
    column = learned("x", extends=f"{store}/set/")
    assert column.extended.words.words == (b"b", b"a") and column.extended.first_bucket == 7
    assert learned("x", extends=f"{store}/words.txt").extended.words.words == (b"c",)
    digests = [text.digest(make_spec([learned("x", extends=f"{store}/words.txt")]))]
    Objects.put(f"{store}/words.txt", b"d\n")
    digests.append(text.digest(make_spec([learned("x", extends=f"{store}/words.txt")])))
    assert len(set(digests)) == 2
    with pytest.raises(ValueError, match=rf"^extends: cannot read '{store}/gone'"):
        learned("x", extends=f"{store}/gone")
    for worker in (pickle.loads(pickle.dumps(column)), column.model_copy()):
        Objects.held.clear()
        assert worker.extended == column.extended and worker.choice == column.choice
