"""What Dataflow would get: the job's graph, built with `--dry_run`, and the template's parameters. Nothing here has a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_context import PipelineContext

from pipeline import launch
from pipeline.command import template
from pipeline.command.beam_options import SeqcolsOptions
from pipeline.command.options import of_a_job
from pipeline.dataset import layout
from pipeline.dataset.layout import Layout
from pipeline.inputs.match import InputFile, Inputs
from pipeline.job import cache, wiring
from pipeline.job.batch_coder import RecordBatchCoder
from pipeline.job.plan import Plan
from tests.benchmarks import wide
from tests.marks import slow_but
from transforms import SequenceGroup, categorical_column_with_identity, make_spec, sequence_numeric_column
from transforms.spec.spec import Spec

ROOT = Path(__file__).parents[1]
DATAFLOW = ROOT / "deploy" / "dataflow"

ARGS = [
    "--runner=DataflowRunner",
    "--dry_run=true",
    "--sdk_location=container",
    "--experiments=disable_logging_submission_environment",
    "--project=some-project",
    "--region=europe-west4",
    "--temp_location=gs://some-bucket/tmp",
    "--no_save_main_session",
]

MOST_BYTES = 10 << 20
"""What Dataflow takes of a job (https://cloud.google.com/dataflow/quotas)."""

SHUFFLED = [
    "(Analyse|Transform)Read/Deal",  # names of splits
    "(AnalysisLedger|Ledger)/CombinePerKey",  # tallies
    "Distributions/CombinePerKey",  # how many values lie in which bin, for the report
    "FirstOfAll/CombinePerKey",  # some rejected rows, as text for people
    r"Fit/PTransform\[seqcols_\w+#\w+\]/Combined/Merge/CombinePerKey",  # accumulators of statistics
]
"""The steps that may shuffle, and what."""


@dataclass
class Graph:
    """A job as Dataflow gets it."""

    proto: Any

    def coder(self, pcollection: str) -> Any:
        context = PipelineContext(self.proto.components)
        return context.coders.get_by_id(self.proto.components.pcollections[pcollection].coder_id)

    @property
    def transforms(self) -> list[Any]:
        return list(self.proto.components.transforms.values())


def graph_of(spec: Spec, folder: Path) -> Graph:
    # tf.Transform makes its temporary folder when the graph is built, so this one is local.
    place = Layout(str(folder), layout.new_run_id())
    layout.make_dirs(place.staging)
    files = [InputFile(f"gs://some-bucket/day={k}/part-{k:05d}.tfrecord", 1 << 30) for k in range(50)]
    analysis = cache.plan("", spec, files, 10**6)
    plan = Plan(place, spec, "", Inputs(tuple(files)), "tfrecord", 0.1, False, 2, analysis=analysis)
    root = beam.Pipeline(options=PipelineOptions(ARGS))
    wiring.build(root, plan, wiring.Tuning(spread=True))
    root.run()
    return Graph(root.runner.proto_pipeline)


def wide_spec() -> Spec:
    from pipeline.columns_file.reader import loads

    return loads(wide.columns_file())


@pytest.fixture(scope="module", params=slow_but(["few", "buckets", "wide"], "few"))
def graph(request, tmp_path_factory) -> Graph:
    few = make_spec(
        [sequence_numeric_column("x", normalizer_fn="z_score"), categorical_column_with_identity("y", 2)],
        SequenceGroup(max_length=8, bucket_by_length=(2, 4) if request.param == "buckets" else None),
    )
    return graph_of(wide_spec() if request.param == "wide" else few, tmp_path_factory.mktemp("out"))


def test_batches_have_our_coder(graph):
    steps = ("AnalyseRead/Read", "TransformRead/Read", "AnalyseValidate/", "TransformValidate/", "Densify/")
    seen = set()
    for transform in graph.transforms:
        if transform.spec.urn != "beam:transform:pardo:v1" or not transform.unique_name.startswith(steps):
            continue
        (good,) = (pc for tag, pc in transform.outputs.items() if tag in ("None", "good"))
        assert isinstance(graph.coder(good), RecordBatchCoder), transform.unique_name
        assert isinstance(graph.coder(transform.outputs["rejected"]), RecordBatchCoder), transform.unique_name
        seen.add(transform.unique_name.split("/")[0])
    assert len(seen) == len(steps)


def test_no_shuffle_carries_rows(graph):
    names = []
    for transform in graph.transforms:
        if transform.spec.urn in ("beam:transform:group_by_key:v1", "beam:transform:reshuffle:v1"):
            names.append(transform.unique_name)
            for pcollection in transform.inputs.values():
                assert "RecordBatchCoder" not in repr(graph.coder(pcollection)), transform.unique_name
    assert names
    assert [name for name in names if not any(re.match(allowed, name) for allowed in SHUFFLED)] == []


def test_no_side_input_carries_rows(graph):
    count = 0
    for transform in graph.transforms:
        if transform.spec.urn != "beam:transform:pardo:v1":
            continue
        payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
        for tag in payload.side_inputs:
            count += 1
            assert "RecordBatchCoder" not in repr(graph.coder(transform.inputs[tag])), transform.unique_name
    assert count


def test_it_is_within_the_services_limits(graph):
    """Beam 2.77 stages the graph as this message; the request beside it names that file."""
    assert 10_000 < graph.proto.ByteSize() < MOST_BYTES / 10


def test_labels_stay(graph):
    """A job can be compared with an earlier one only if its steps have the names that they had."""
    top = {transform.unique_name.split("/")[0] for transform in graph.transforms if transform.unique_name}
    assert top >= {"Files", "AnalyseRead", "AnalyseValidate", "Fit", "SaveTransform", "Gate", "TransformRead"}
    assert top >= {"TransformValidate", "Densify", "Write", "WriteRejected0", "Ledger", "Finish"}
    assert not [name for name in top if re.search(r"lambda|0x|\d{4}", name)]


def test_the_package_is_small(tmp_path):
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "sdist", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*.tar.gz")
    assert made.stat().st_size < 2 << 20


# The template


def test_the_metadata_are_those_of_the_options():
    assert json.loads((DATAFLOW / "metadata.json").read_text()) == template.metadata(), "run make template"


def test_every_parameter_is_an_option_and_back():
    names = {parameter["name"] for parameter in template.metadata()["parameters"]}
    assert all(re.fullmatch("[a-zA-Z][a-zA-Z0-9_]*", name) for name in names)
    known = {
        name.lstrip("-").replace("-", "_")
        for option in of_a_job()
        if option.name not in template.NOT_OF_A_TEMPLATE
        for name in option.opts
    }
    assert names == known | {"columns"}
    given = {name: {"overwrite": "true", "allow_empty": "true"}.get(name, "1") for name in names}
    given |= {"format": "parquet", "on_bad_file": "skip"}
    options = SeqcolsOptions([f"--{name}={value}" for name, value in given.items()]).view_as(SeqcolsOptions)
    assert (options.format, options.overwrite, options.max_steps, options.inputs) == ("parquet", True, 1, ["1"])


def test_the_launcher_hands_over_what_it_is_given(tmp_path, monkeypatch):
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "pipeline.command.actions.carry_out", lambda what, columns, **more: asked.update(more, columns=columns)
    )
    launch.hand_over(
        ["--columns=gs://b/c.yaml", "--input=gs://b/x,gs://b/y", "--output=gs://b/o", "--region=r", "--overwrite=true"]
    )
    assert asked == {
        "columns": "gs://b/c.yaml",
        "inputs": ["gs://b/x", "gs://b/y"],
        "output": "gs://b/o",
        "overwrite": True,
        "wait": False,
        "beam_args": ["--region=r"],
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--input=a"], "--columns: expected a columns file"),
        (["--columns=c", "--format=parqet"], "argument --format: 'parqet' is not one of"),
    ],
)
def test_the_launcher_says_what_is_wrong_in_one_line(arguments, line, capsys):
    with pytest.raises(SystemExit) as ended:
        launch.hand_over(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"seqcols: error: {line}") and said.count("\n") == 1


def test_the_launcher_asks_for_a_run_as_the_command_does(tmp_path, capsys):
    """As far as what is refused before anything is loaded: there is no context of the command line to ask."""
    (tmp_path / "c.yaml").write_text("columns: [{type: numeric_column, key: x}]\n")
    with pytest.raises(SystemExit) as ended:
        launch.hand_over([f"--columns={tmp_path}/c.yaml", "--input=a", f"--output={tmp_path}/o"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("seqcols: error: --no-wait: the job runs here, in this process")


def test_the_image_is_made_from_the_lock():
    text = (DATAFLOW.parent / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py" in text
    assert not re.search(r"^ENV .*REQUIREMENTS_FILE", text, re.MULTILINE)
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE))
    assert all((ROOT / name).exists() for names in copied for name in names.split())
