"""Our options as Beam's `PipelineOptions`."""

from __future__ import annotations

import threading
from dataclasses import fields

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import Request, UsageError, run
from pipeline.command import summary
from pipeline.command.beam_options import SeqcolsOptions, request_of
from pipeline.command.commands import run_command
from pipeline.command.options import of_a_job
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, stores
from pipeline.job.executing import HANDED_OVER, options_for
from tests.jobs import call
from tests.object_store import SCHEME, Objects, ObjectsStore
from transforms import SequenceGroup, make_spec, sequence_numeric_column

COLUMNS = "columns: [{type: sequence_numeric_column, key: x}]\n"
ARGS = [
    "--input=a b/*",
    "--input=c,d",
    "--output=out",
    "--format=parquet",
    "--max_rejected=0.5",
    "--max-record-bytes=1MiB",
    "--overwrite",
    "--allow_empty=false",
    "--statistics_input=s",
    "--runner=DirectRunner",
]


@pytest.fixture
def columns(tmp_path):
    (tmp_path / "c.yaml").write_text(COLUMNS)
    return str(tmp_path / "c.yaml")


def test_they_are_those_of_the_command():
    names = {option.name for option in run_command.params} - {"debug", "columns"}
    assert {option.name for option in of_a_job()} == names
    assert names == {field.name for field in fields(Request)} - {"spec", "columns_file", "beam_args"}
    assert names | {"columns"} == set(SeqcolsOptions([]).get_all_options()) & (names | {"columns"})


def test_options_give_a_request_and_back(columns):
    request = request_of(PipelineOptions([f"--columns={columns}", *ARGS]), ["--runner=DirectRunner"])
    assert (request.inputs, request.output, request.format) == (["a b/*", "c,d"], "out", "parquet")
    assert (request.max_rejected, request.max_record_bytes, request.overwrite) == (0.5, 1 << 20, True)
    assert (request.allow_empty, request.statistics_inputs, request.cache) == (False, ["s"], "")
    assert request == request_of(PipelineOptions(columns=columns, **request.options), ["--runner=DirectRunner"])


def test_what_is_not_given_is_as_in_the_command(columns):
    asked = request_of(PipelineOptions([f"--columns={columns}", "--input=a", "--output=b"]))
    assert asked == Request(asked.spec, ["a"], "b", columns_file=str(columns))


def test_they_stand_in_the_options_of_the_pipeline():
    spec = make_spec([sequence_numeric_column("x")])
    made = options_for(Request(spec, ["a"], "out", max_steps=9, beam_args=["--runner=DirectRunner"]))
    ours = made.view_as(SeqcolsOptions)
    assert (ours.inputs, ours.output, ours.max_steps, ours.overwrite) == (["a"], "out", 9, False)
    assert made.view_as(StandardOptions).runner == "DirectRunner"


MEET = threading.Barrier(2)


def _meet(_):
    from tests.test_beam_options import MEET  # a worker's copy of this module's globals has another one

    MEET.wait(60)


def test_local_workers_work_side_by_side():
    """Beam warns that they do not when its runner calls them directly: each of the two waits here for the other."""
    request = Request(make_spec([sequence_numeric_column("x")]), ["a"], "out")
    with beam.Pipeline(FnApiRunner(), options=options_for(request, workers=2)) as root:
        one_each = root | beam.Create([0, 1], reshuffle=False) | beam.Map(lambda k: (k, k)) | beam.GroupByKey()
        one_each | beam.Map(_meet)


@pytest.mark.parametrize(
    "wrong", ["--format=parqet", "--max_steps=many", "--max_record_bytes=x", "--overwrite=perhaps"]
)
def test_values_are_checked(wrong, capsys):
    with pytest.raises(SystemExit):
        SeqcolsOptions([wrong]).view_as(SeqcolsOptions)
    assert wrong.split("=")[0] in capsys.readouterr().err


def test_an_option_of_ours_spelt_as_beam_does_is_not_swallowed(columns, command_line):
    """`seqcols run` takes ours with hyphens; that Beam knows them by another name must not hide a mistake."""
    result = call("run", columns, "--input", "a", "--output", "b", "--max_rejected=0.5")
    assert result.exit_code == 2
    assert result.stderr.startswith("seqcols: error: unknown option '--max_rejected'; did you mean '--max-rejected'?")


def test_columns_are_asked_for():
    with pytest.raises(UsageError, match="--columns: expected a columns file"):
        request_of(PipelineOptions([]))


def test_a_job_is_handed_over(tmp_path, monkeypatch):
    """Nobody waits for it, and nothing is cleaned up under it."""
    monkeypatch.setattr(Objects, "held", {})
    monkeypatch.setitem(stores.STORES, SCHEME, ObjectsStore())
    monkeypatch.setattr(beam.Pipeline, "run", lambda self: None)  # a result that cannot be waited for
    write_examples(str(tmp_path / "a.tfrecord"), [{"x": [1.0]}])
    output = f"{SCHEME}://bucket/out"
    spec = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=3))
    args = ["--runner=DirectRunner", f"--temp_location={tmp_path / 'shared'}"]
    request = Request(spec, [str(tmp_path / "a.tfrecord")], output, wait=False, beam_args=args)
    outcome = run(request)
    assert (outcome.status, outcome.message) == (HANDED_OVER, "")
    assert [name for name in Objects.held if name.endswith(f"/{layout.ALIVE}")]
    assert summary.lines("run", request, outcome) == [
        f"handed over; when the job is done it publishes {output}/manifest.json"
    ]
