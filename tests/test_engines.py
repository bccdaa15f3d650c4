"""What an engine cannot do is said before anything is read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipeline import engines
from pipeline.executing import options_for
from pipeline.request import Request, UsageError
from transforms import make_spec, sequence_numeric_column

SPEC = make_spec([sequence_numeric_column("x")])
HERE = {"inputs": ["/data/a.tfrecord"], "output": "/data/out"}
THERE = {"inputs": ["gs://bucket/a.tfrecord"], "output": "gs://bucket/out"}


def refuse(paths: dict[str, Any], *beam_args: str) -> None:
    request = Request(SPEC, beam_args=beam_args, **paths)
    engines.refuse(request, options_for(request))


@pytest.mark.parametrize(
    ("args", "whose"),
    [
        (["--runner=DataflowRunner"], "Dataflow's workers"),
        (["--runner=DataflowRunner", "--environment_type=LOOPBACK"], "Dataflow's workers"),
        (["--runner=PortableRunner"], "DOCKER"),
        (["--runner=PortableRunner", "--environment_type=DOCKER"], "DOCKER"),
        (["--runner=FlinkRunner", "--flink_master=host:8081"], "DOCKER"),
        (["--runner=apache_beam.runners.portability.flink_runner.FlinkRunner", "--flink_master=host:8081"], "DOCKER"),
    ],
)
def test_a_path_of_this_machine_is_refused_where_workers_have_their_own_disks(args, whose):
    for paths, named in (
        (HERE, "--output '/data/out'"),
        (THERE | {"inputs": ["gs://bucket/a", "b"]}, "--input 'b'"),
        (THERE | {"statistics_inputs": ["c"]}, "--statistics-input 'c'"),
        (THERE | {"cache": "d"}, "--cache 'd'"),
    ):
        with pytest.raises(UsageError, match=f"^{re.escape(named)}: is of this machine, and .*{re.escape(whose)}"):
            refuse(paths, *args)
    refuse(THERE, *args)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--runner=FlinkRunner"],  # starts Flink here
        ["--runner=FlinkRunner", "--flink_master=host:8081", "--environment_type=EXTERNAL"],
        ["--runner=PortableRunner", "--environment_type=LOOPBACK"],
        ["--runner=PortableRunner", "--environment_type=PROCESS"],
    ],
)
def test_workers_that_may_see_this_disk_are_trusted_to(args):
    refuse(HERE, *args)


@pytest.mark.parametrize("args", [["--streaming"], ["--runner=PortableRunner", "--streaming"]])
def test_a_stream_is_refused(args):
    with pytest.raises(UsageError, match=r"^--streaming: seqcols is a batch job; every input ends$"):
        refuse(THERE, *args)
