"""Messages hold what stood in broken files: they stay one line that a terminal can bear."""

from __future__ import annotations

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from transforms import apply, sequence_numeric_column
from transforms.errors import JobError, SpecError, SpecFault
from transforms.escaping import LONGEST_LINE

DANGEROUS = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, halves of surrogate pairs, and line and paragraph separators."""

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
texts = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["\x1b]0;title\x07", "\x9b31m", "a\r\nb", TURNING, "\ud800"]
)


@pytest.mark.parametrize(
    "make", [JobError, UsageError, lambda text: SpecFault("a", text), lambda text: SpecFault(text, "a", 3)]
)
@given(text=texts)
def test_a_message_is_one_line_without_control_characters(make, text):
    shown = str(make(text))
    assert not {unicodedata.category(character) for character in shown} & DANGEROUS
    assert not set(shown) & set(TURNING)
    kept = "".join(c for c in text if unicodedata.category(c) not in DANGEROUS and c not in TURNING)
    assert len(shown) >= len(kept)


@given(name=texts.filter(lambda text: "\ud800" not in text))
def test_what_rejected_rows_say_is_one_line_too(name):
    """It names types, and a type names the fields in it, which stood in the file."""
    (found,) = apply([{"x": [{name: 1}]}], sequence_numeric_column("x")).rejected.to_pylist()
    assert found["reason"] == "wrong_type" and found["message"].startswith("expected numbers (float32), got struct<")
    for what in ("message", "value"):
        assert not {unicodedata.category(character) for character in found[what]} & DANGEROUS
        assert not set(found[what]) & set(TURNING)


def test_what_is_harmless_stays_as_it_is():
    text = "/data/two  spaces/é 日本.csv: row 3: 'a\\b', 😀"
    assert str(JobError(text)) == text and str(UsageError(text)) == text
    assert str(JobError("a\nb\x1b[31m\u202ec")) == r"a\nb\x1b[31m\u202ec"


def test_a_message_is_bounded():
    assert len(str(JobError("x" * 20_000))) == LONGEST_LINE
    assert str(JobError("x" * 20_000)).endswith("x...")


@pytest.mark.parametrize("error", [JobError("a\nb"), UsageError("a\x00"), SpecError([SpecFault("a", "b\n")])])
def test_errors_travel_from_workers_as_they_are(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error)
