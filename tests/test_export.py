"""`seqcols export`: the serving model without columns that requests do not have, and with the words of ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import UsageError, export_model, read_manifest
from tests import rest
from tests.jobs import Arrays, call, listing, read_arrays
from tests.test_rest import DRAWN, ROWS, asked, data_set, json_of, padded, record, same  # noqa: F401, a fixture
from transforms import (
    SequenceGroup,
    bucketized_column,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.serve.left_out import spec_without
from transforms.serve.model import VALID

LEFT_OUT = ("label", "exact", "tags")
"""A context column, one of several columns of a group, and all of a group."""

GONE = {*LEFT_OUT, "tags_length", "tags_mask"}


@pytest.fixture(scope="module")
def written(data_set: Path) -> Arrays:  # noqa: F811
    return read_arrays(data_set, sort_by="row")


@pytest.fixture(scope="module")
def without(data_set: Path) -> rest.Model:  # noqa: F811
    models = data_set.parent / "models" / "without"
    export_model(str(data_set), str(models / "1"), without=LEFT_OUT)
    assert listing(models)[0].startswith("1/"), "nothing but versions"
    return rest.Model(str(models / "1"))


@pytest.fixture(scope="module")
def wordy(data_set: Path) -> rest.Model:  # noqa: F811
    made = export_model(str(data_set), str(data_set.parent / "wordy"), words=True)
    assert made.takes["x"] == ("float32", (None, None, 2)) and made.takes["tags_step_length"][0] == "int64"
    assert made.gives["tags_words"] == ("string", (None, 3, 2)) and made.gives[VALID] == ("bool", (None,))
    return rest.Model(made.path)


def left(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Instances without what requests do not have."""
    return [{name: value for name, value in one.items() if name.split("_")[0] not in LEFT_OUT} for one in rows]


def test_requests_without_columns(without, written):
    """The bits of the others; groups that lose a column, too, and in invalid rows."""
    rest_of = {name: array for name, array in written.items() if name not in GONE}
    instances = left(padded(DRAWN))
    same(asked(without, "padded", instances=instances), rest_of, range(ROWS))
    instances[3]["ids_length"] = -1
    made = asked(without, "padded", instances=instances)
    assert not made.pop(3)[VALID]
    same(made, rest_of, [k for k in range(ROWS) if k != 3])


def test_records_without_columns_and_with_ones_of_any_kind(without, written):
    """A feature that the model does not take is not looked at."""
    rest_of = {name: array for name, array in written.items() if name not in GONE}
    odd = [{**row, "exact": [1.0] * 9, "tags": [["a"] * 9], "label": []} for row in DRAWN]
    for rows in (odd, [{**row, "exact": [], "tags": []} for row in odd]):
        same(asked(without, "serving_default", instances=[json_of(record(row)) for row in rows]), rest_of, range(ROWS))


def test_words_beside_ids(wordy, written, data_set):  # noqa: F811
    made = asked(wordy, "padded", instances=padded(DRAWN))
    found = read_manifest(str(data_set)).vocabularies
    for name, group in (("tags", "tags"), ("raw", "other"), ("label", None)):
        as_bytes = name == "raw"
        words, seen = found[name].to_words(written[name]), []
        for k, one in enumerate(made):
            expected = [json_of_words(word, as_bytes) for word in np.atleast_1d(words[k])]
            if group is not None:
                steps = written[f"{group}_length"][k]
                nothing = np.full(words.shape[2:], "", object)
                expected[steps:] = [json_of_words(nothing[()], as_bytes)] * (len(expected) - steps)
            assert one.pop(f"{name}_words{'_bytes' * as_bytes}") == (expected if group else expected[0]), (k, name)
            seen += expected
        assert json_of_words(None, as_bytes) in np.array(seen, object).ravel().tolist(), "an unknown word was drawn"
    same(made, written, range(ROWS))


def json_of_words(word: Any, is_bytes: bool) -> Any:
    """A word as the answer has it; of a step with several ids a list."""
    if isinstance(word, np.ndarray):
        return [json_of_words(one, is_bytes) for one in word]
    word = "[UNK]" if word is None else word
    return json_of(word if isinstance(word, bytes) else word.encode()) if is_bytes else word


def test_the_command(data_set, tmp_path, command_line):  # noqa: F811
    done = call("export", data_set, tmp_path / "models/watch/7", "--words", "--without", "label", "--without", "row_")
    assert done.exit_code == 2 and "no column 'row_'; did you mean 'row'?" in done.stderr
    assert listing(tmp_path) == []
    done = call("export", data_set, tmp_path / "models/watch/7", "--without", "label")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"model: {tmp_path}/models/watch/7"
    assert ["x", "float32", "(None, None, 2)"] in [line.split(None, 2) for line in lines]
    assert "label" not in done.stdout
    again = call("export", data_set, tmp_path / "models/watch/7")
    assert again.exit_code == 2 and "is there already" in again.stderr
    assert call("verify", data_set, "--rows", 0).exit_code == 0


SPEC = make_spec(
    [
        passthrough_column("name"),
        sequence_categorical_column_with_identity("ids", 5, group="a"),
        sequence_numeric_column("x", group="b"),
        numeric_column("age"),
        bucketized_column(numeric_column("age"), [1.0]),
    ],
    {"a": SequenceGroup(max_length=2), "b": SequenceGroup(max_length=2, concatenate=True)},
)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["idz"], "no column 'idz'; did you mean 'ids'?"),
        (["q"], "no column 'q'; there are name, ids, x, age, age_bucketized"),
        (["name"], "column 'name' is passed through: a request need not have it anyway"),
        (["x"], "column 'x' is a part of 'b_input'"),
        (["ids", "age"], "column 'age' cannot be left out: another column reads 'age', too"),
    ],
)
def test_what_cannot_be_left_out(names, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        spec_without(SPEC, names)


def test_one_name_is_no_list_of_letters(data_set, tmp_path):  # noqa: F811
    with pytest.raises(UsageError, match=r"no column 'sd'"):  # not of `s` and `d`
        export_model(str(data_set), str(tmp_path / "models" / "1"), without="sd")
    assert not (tmp_path / "models").exists()


def test_one_column_has_to_be_left():
    spec = make_spec([sequence_categorical_column_with_identity("ids", 5)], SequenceGroup(max_length=2))
    with pytest.raises(ValueError, match="no column is left that a request could have"):
        spec_without(spec, ["ids"])


@pytest.mark.parametrize("model", ["s3://bucket/1", "", "a*"])
def test_places_for_a_model(data_set, model):  # noqa: F811
    with pytest.raises(UsageError, match="MODEL"):
        export_model(str(data_set), model)


def test_no_model_in_a_folder_that_a_run_replaces(data_set):  # noqa: F811
    for folder in ("serving", "transform", "examples/models"):
        with pytest.raises(UsageError, match=r"^MODEL .* is a folder of the data set in .*, choose another directory$"):
            export_model(str(data_set), f"{data_set}/{folder}/2")
        assert not Path(f"{data_set}/{folder}/2").exists()


def test_no_data_set(tmp_path):
    with pytest.raises(JobError, match="manifest"):
        export_model(str(tmp_path), str(tmp_path / "model"))
