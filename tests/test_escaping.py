"""Text from outside in all that people read: 150 payloads in every place where one can come in, none of them live."""

from __future__ import annotations

import io
import json
import os
import re
import string
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import load, loads
from pipeline.command import summary
from pipeline.command.tf_examples import encode
from pipeline.dataset import layout
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job import failures, progress
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.sources.tfrecord.framing import framed
from pipeline.verify import verify
from tests import prepared
from tests.faults.figures import note
from tests.jobs import call
from tests.marks import slow_but
from transforms import (
    JobError,
    SequenceGroup,
    SpecError,
    apply,
    escaping,
    make_spec,
    numeric_column,
    sequence_numeric_column,
)

pytestmark = pytest.mark.usefixtures("command_line")

TERMINAL = [
    "\x1b[31mred\x1b[0m", "\x1b[2J", "\x1b[H", "\x1b[?25l", "\x1b[9999A", "\x1b[K", "\x1b[1;1H", "\x1b[6n", "\x1b[>c",
    "\x1b[21t", "\x1b[5i", "\x1b[?1049h", "\x1b[8m", "\x1b]0;title\x07", "\x1b]0;title\x1b\\", "\x1b]52;c;aGk=\x07",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07", "\x1bP$q\x1b\\", "\x1b_x\x1b\\", "\x1b^x\x1b\\", "\x1bX\x1b\\", "\x1bc",
    "\x1b#8", "\x1b(0", "\x1b=", "\x1b", "\x9b31m", "\x9d0;t\x9c", "\x90q\x9c", "\x98", "\x9e", "\x9f", "\x84", "\x85", "\x88",
    "\x8d", "\x8e", "\x8f", "\x05", "\x07", "\x0e", "\x0f", "\x7f", "ok\x08\x08no", "\x00", "a\x00b", "\x11", "\x13", "\x1a",
]  # fmt: skip
LINES = ["a\nb", "a\r\nb", "a\rseqcols: all is well", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1db", "a\x1eb", "a\x85b", "a\u2028b",
         "a\u2029b", "\n\n\nseqcols: error: not mine", "a\tb"]  # fmt: skip
DIRECTION = ["\u202a", "\u202b", "\u202c", "\u202d", "a\u202egpj.exe", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f",
             "\u061c"]  # fmt: skip
UNSEEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\u2063", "\ufeff", "\u00ad", "\u180e", "\u034f", "\u115f", "\u1160", "\u3164",
          "\uffa0", "\ufe0f", "\u17b5", "\ufff9", "\U000e0041", "\U000e0101", "\xa0", "\u3000", "\u2003", "\ue000", "\uffff",
          "\U0010ffff", "\u0378"]  # fmt: skip
MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "'\"><b>", "&lt;b&gt;",
    "&#x3c;b&#x3e;", "javascript:alert(1)", "<!--", "]]>", "<?php ?>", "[a](http://evil.example)", "![a](x)", "`rm`", "# head",
    "| a | b |", "**bold**", "~~no~~", "[bold]loud[/bold]", "[bold]loud", "[link=http://evil.example]x[/link]", "[/]", "[red",
    "\\[x]", "[@click=app.bell]x[/]", "[blink on red]x", ":smile:", "{}", "{0.__class__}", "{row[file]}", "%s%s%n", "%(x)s",
    "${HOME}", "$(id)", "`id`", "; rm -rf /", "--output", "-x", "~root", "\\", "\\n", "\\x1b[31m", "'", '"', "''' + '''",
]  # fmt: skip
BYTES = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\x80", b"a\xffb", b"\xe2\x82"]
SURROGATES = ["\ud800", "\udfff", "a\ud83d", "\udc1b[31m", *(data.decode(errors="surrogateescape") for data in BYTES)]
HUGE = ["A" * 1_000_000, "\x1b[31m" * 50_000, "\U0001f642" * 20_000, "\n" * 100_000]

PAYLOADS = [*TERMINAL, *LINES, *DIRECTION, *UNSEEN, *MARKUP, *SURROGATES, *HUGE]
ENCODABLE = [payload for payload in PAYLOADS if payload not in SURROGATES]
NAMES = [p for p in ENCODABLE if p and len(p.encode()) < 200 and "\x00" not in p and "/" not in p]
"""What can be the name of a file."""

LIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""Written down here by code point, and not as the package finds out: C0, C1, line ends, direction, no width, no text."""


def alive(text: str) -> list[str]:
    """What of a text a terminal would act on, or nobody would see; line ends are ours."""
    return LIVE.findall(text.replace("\n", ""))


def safe(line: str) -> bool:
    return not alive(line) and "\n" not in line and len(line) <= escaping.LONGEST_LINE + 100


def test_there_are_enough_payloads():
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 150
    assert all(alive(payload) for payload in [*TERMINAL, *DIRECTION]) and alive("\x1b") and not alive("é ok\n")


def test_the_rule(capsys):
    live = 0
    for payload in PAYLOADS:
        for made in (escaping.one_line(payload), escaping.value(payload)):
            live += not safe(made)
            assert made.encode().decode() == made
        assert len(escaping.value(payload).encode()) <= escaping.MAX_VALUE_BYTES
    note("report and messages", trials=2 * len(PAYLOADS), live=live)
    assert not live


def test_what_can_be_seen_stays():
    for text in ("größe", "東京", "Ω ≈ 3", "🙂", string.printable.strip(), "C:\\temp", "[bold]"):
        assert escaping.one_line(text) == text
        assert escaping.value(text) == text.replace("\\", "\\\\")


def test_escaping_can_be_undone():
    for payload in ("\x1b[31m\n\u202e é", "\\x1b", "\\", "\u2028"):
        shown = escaping.value(payload)
        back = re.sub(r"\\(\\|x..|u....|n)", lambda m: m[0].encode().decode("unicode_escape"), shown)
        assert back == payload
    assert escaping.value("a\udcff") == "a\\xff" == escaping.value(escaping.of_bytes(b"a\xff"))


@pytest.mark.parametrize("kind", [JobError, UsageError, SpecError])
def test_exceptions(kind):
    for payload in PAYLOADS:
        assert safe(str(kind(f"file {payload}: broken")))


def test_what_other_peoples_functions_raise():
    for payload in PAYLOADS:
        for error in (RuntimeError(payload), ValueError(payload), KeyError(payload)):
            assert safe(failures.message_of(error))
            assert safe(str(failures.of_function(error)))


def quoted(payload: str) -> str:
    """A payload as YAML can say it: JSON, which writes everything but ASCII as escapes."""
    return json.dumps(payload)


FILES = [
    "columns: []\n{}: 1",
    "{}: [{{type: passthrough_column, key: a}}]",
    "columns: [{{type: {}, key: a}}]",
    "columns: [{{type: passthrough_column, key: a, {}: 1}}]",
    "columns: [{{type: passthrough_column, key: a, dtype: {}}}]",
    "columns: [{{type: passthrough_column, key: {0}}}, {{type: passthrough_column, key: {0}}}]",
    "columns: [{{type: sequence_numeric_column, key: a, group: {}, shape: 0}}]",
    "columns: [{{type: sequence_numeric_column, key: a, normalizer_fn: {}}}]",
    "columns: [{{type: sequence_numeric_column, key: a}}]\nsequence_groups: {{{}: {{max_length: 0}}}}",
    "columns: [{{type: sequence_categorical_column_with_vocabulary_list, key: a, vocabulary_list: [{0}, {0}]}}]",
    "columns: [{{type: sequence_categorical_column_with_vocabulary_file, key: a, vocabulary_file: {}}}]",
    "columns: !<{}> 1",
]


@pytest.mark.parametrize("text", slow_but(FILES, FILES[2], FILES[6], FILES[9]))
def test_columns_files(text):
    told = 0
    for payload in PAYLOADS:
        if len(payload) > 200_000 and payload in HUGE:
            continue
        try:
            loads(text.format(quoted(payload)), "c.yaml")
        except SpecError as error:
            told += 1
            assert all(safe(str(fault)) for fault in error.faults), error.faults
            assert len(str(error).split("\n")) == len(error.faults)
    assert told > 100


def test_names_of_columns_files(tmp_path):
    for name in NAMES:
        try:
            load(tmp_path / name)
        except SpecError as error:
            assert safe(str(error))
        result = call("check", name, "--input", "x")
        assert result.exit_code == 2 and safe(result.stderr.removesuffix("\n")), name


ARGUMENTS = [
    ["run", "c.yaml", "--input", "in.jsonl", "--output"],
    ["run", "c.yaml", "--output", "out", "--input"],
    ["run", "c.yaml", "--input", "in.jsonl", "--output", "out", "--format"],
    ["run", "c.yaml", "--input", "in.jsonl", "--output", "out", "--max-rejected"],
    ["run", "c.yaml", "--input", "in.jsonl", "--output", "a/..", "--cache"],
    ["verify"],
    ["verify", "out", "--rows"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda a: f"{a[0]} {a[-1]}")
def test_arguments(tmp_path, monkeypatch, arguments):
    """On their way to an error; what would not be one is not run."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("columns: [{type: numeric_column, key: featura}]")  # refused late, with one line
    Path("in.jsonl").write_text('{"feature": 1}\n')
    for payload in [*NAMES, *SURROGATES, "a" * 5000]:
        result = call(*arguments, payload)
        assert result.exit_code in (1, 2), (payload, result.output)
        assert safe(result.stderr.removesuffix("\n")), payload
        assert result.stderr.startswith("seqcols: error: ")
    assert sorted(os.listdir()) == ["c.yaml", "in.jsonl"]


def test_options_that_there_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("columns: [{type: numeric_column, key: a}]")
    for payload in NAMES[::8]:  # Beam's 300 options are read each time
        result = call("check", "c.yaml", "--input", "x", f"--{payload}")
        assert result.exit_code in (1, 2) and safe(result.stderr.removesuffix("\n")), payload
    for payload in NAMES:
        result = call(payload)
        assert result.exit_code in (0, 2) and not alive(result.stderr), payload


def of_check(spec: Any, *patterns: Any) -> tuple[list[str], Any]:
    """Returns what a person reads of a check, and its outcome."""
    request = Request(spec, [str(pattern) for pattern in patterns], max_rejected=1.0)
    outcome = check(request)
    return summary.lines("check", request, outcome), outcome


def test_rejected_rows_and_their_summary(tmp_path):
    """Payloads as values: text that is no number, in JSON and as bytes in a tf.Example; and as records that are none."""
    lines = [json.dumps({"x": payload}) for payload in ENCODABLE]
    (tmp_path / "a.jsonl").write_text("".join(line + "\n" for line in lines))
    records = [encode({"x": payload.encode()}) for payload in ENCODABLE] + [encode({"x": data}) for data in BYTES]
    (tmp_path / "b.tfrecord").write_bytes(framed([*records, *(payload.encode() for payload in ENCODABLE[:150])]))
    rows = [{"x": payload} for payload in ENCODABLE]
    table = apply(rows, [sequence_numeric_column("x", delimiter=",")]).rejected
    assert table.num_rows > 140
    for row in table.to_pylist():
        assert safe(row["value"]) and safe(row["message"]) and len(row["value"].encode()) <= 256
    spec = make_spec([sequence_numeric_column("x", delimiter=",")])
    for name in ("a.jsonl", "b.tfrecord"):
        shown, outcome = of_check(spec, tmp_path / name)
        assert {"not_a_number"} <= set(outcome.rejected_examples)
        assert all(safe(line) for line in shown)


@pytest.mark.slow
def test_names_of_files_columns_and_groups(tmp_path):
    """A data set in which everything that has a name is named by a payload."""
    folder = tmp_path / "in"
    folder.mkdir()
    keys = [payload for payload in ENCODABLE if payload and len(payload) < 1000]
    columns = [sequence_numeric_column(key, group=key) for key in keys]
    bad = {key: ["no number"] for key in keys}
    batch = pa.Table.from_pylist(
        [bad, *({key: ["1"]} for key in keys)], schema=pa.schema([(k, pa.list_(pa.string())) for k in keys])
    )
    names = [name for name in NAMES if "\\" not in name][::6]  # to Beam's file systems a backslash parts folders
    for name in names:
        pq.write_table(batch, folder / f"{name}.parquet")
    spec = make_spec(columns, {key: SequenceGroup(max_length=2) for key in keys})
    shown, outcome = of_check(spec, folder / "*", folder / "*")
    assert len(names) == len(outcome.repeated) > 15
    assert outcome.ledger["rows"]["read"] == batch.num_rows * len(names)
    assert all(safe(line) for line in shown)
    heads = [line for line in shown if line.startswith("column ")]
    assert len(heads) == 1 and len(shown) > len(keys)


def test_features_that_a_file_holds(tmp_path):
    """Listed where a file lacks the column."""
    for payload in ENCODABLE:
        if len(payload) < 1000:
            pq.write_table(pa.table({payload: [1], f"{payload}2": [1]}), tmp_path / "a.parquet")
            with pytest.raises(JobError) as caught:
                of_check(make_spec([numeric_column("key")]), tmp_path / "a.parquet")
            assert safe(str(caught.value))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


def drawn(name: str) -> str:
    stream = Terminal()
    with progress.counted(10, stream) as tell:
        tell(f"folder/{name}", 5)
        tell(f"folder/{name}", 5)
    return stream.getvalue()


def test_progress_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "400")
    usual = set(SEQUENCE.findall(drawn("part-0.parquet"))) | {"\x1b[1A"}
    assert usual
    for name in NAMES:
        text = drawn(name)
        assert set(SEQUENCE.findall(text)) <= usual, name
        assert not alive(SEQUENCE.sub("", text).replace("\r", "")), name
    for name in ("[bold]loud", "[red", "[link=http:evil.example]x", ":smile:"):
        assert name in drawn(name)


def test_verify(tmp_path):
    prepared.prepare(str(tmp_path / "out")).publish()
    path = tmp_path / "out" / "manifest.json"
    whole = json.loads(path.read_text())
    for payload in ENCODABLE:
        if len(payload) > 1000:
            continue
        changed = json.loads(json.dumps(whole))
        changed["examples"]["files"][0]["path"] = f"examples/{payload}"
        prepared.put_manifest(tmp_path / "out", changed)
        try:  # most are no names of files of a data set
            assert verify.files(str(tmp_path / "out")).faults
        except JobError as error:
            assert "manifest.json': damaged: examples.files[0].path: " in str(error) and safe(str(error))
        changed["examples"]["files"][0]["path"] = whole["examples"]["files"][0]["path"]
        changed["examples"]["features"][payload] = changed["examples"]["features"].pop("small")
        prepared.put_manifest(tmp_path / "out", changed)
        done = verify.files(str(tmp_path / "out"))
        assert done.faults and all(safe(line) for line in [*verify.messages(done), *verify.lines(done)])
    for name in NAMES:
        (tmp_path / "out" / f"left {name}").write_text("left")
    prepared.put_manifest(tmp_path / "out", whole)
    result = call("verify", tmp_path / "out", "--rows", 0)
    assert result.exit_code == 0 and not alive(result.output)
    assert len(result.stdout.splitlines()) == 1 + verify.MOST_LINES + 1 + 1


def test_a_ledger_of_payloads_that_does_not_balance(tmp_path):
    prepared.prepare(str(tmp_path / "out")).publish()
    book = json.loads((tmp_path / "out" / "ledger.json").read_text())
    entry = {**book["files"]["in"], "rows": {**book["files"]["in"]["rows"], "read": 99}}
    book["files"] = {payload: entry for payload in ENCODABLE if len(payload) < 1000}
    layout.write_json(str(tmp_path / "out" / "ledger.json"), book)
    done = verify.files(str(tmp_path / "out"))
    assert len(done.faults) > 100 and all(safe(line) for line in done.faults)
    assert read_manifest(str(tmp_path / "out")).rows


def test_a_traceback_is_safe_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES[::4]:
        result = call("verify", f"no {name}", "--debug")
        assert "Traceback" in result.stderr and not alive(result.stderr)


@pytest.mark.parametrize(
    ("things", "noun", "said"),
    [
        (["a"], "file", "a"),
        (["a", "b"], "file", "a (and 1 more file)"),
        ([str(k) for k in range(1002)], "file", "0 (and 1,001 more files)"),
        (["a", "b"], "", "a (and 1 more)"),
    ],
)
def test_the_first_of_many(things, noun, said):
    assert escaping.first_of(things, noun) == said
