"""What an engine cannot do is said before anything is read."""

from __future__ import annotations

import os
import re
import tempfile
from typing import Any

import pytest

from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.job import engines, scratch
from pipeline.job.executing import options_for
from pipeline.job.request import Request
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


IN_S3 = {"inputs": ["s3://bucket/a.tfrecord"], "output": "s3://bucket/out"}
ON_A_CLUSTER = ["--runner=PortableRunner", "--environment_type=EXTERNAL"]


@pytest.mark.parametrize(
    ("args", "got"),
    [
        (ON_A_CLUSTER, ""),
        (["--runner=DataflowRunner"], ""),
        ([*ON_A_CLUSTER, "--temp_location=s3://bucket/tmp"], ", got --temp_location 's3://bucket/tmp'"),
    ],
)
def test_tf_transform_needs_a_place_that_tensorflow_knows(args, got):
    expected = re.escape(
        "--output 's3://bucket/out': TensorFlow does not know s3://, and tf.Transform works with its file systems; expected "
        "--temp_location with a folder that TensorFlow and all workers reach, such as gs://bucket/path or a folder of a shared "
        f"disk{got}"
    )
    with pytest.raises(UsageError, match=f"^{expected}$"):
        refuse(IN_S3, *args)


@pytest.mark.parametrize(
    ("paths", "args", "where"),
    [
        (HERE, [], ""),
        (HERE, ON_A_CLUSTER, ""),
        (THERE, [], "/temporary"),
        (IN_S3, [], "/temporary"),
        (THERE, ["--runner=DataflowRunner", "--temp_location=gs://bucket/tmp"], ""),
        (IN_S3, [*ON_A_CLUSTER, "--temp_location=gs://bucket/tmp"], "gs://bucket/tmp"),
        (IN_S3, [*ON_A_CLUSTER, "--temp_location=/mnt/shared"], "/mnt/shared"),
    ],
)
def test_where_tf_transform_works(paths, args, where, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/temporary")
    request = Request(SPEC, beam_args=args, **paths)
    assert scratch.location(request, options_for(request)) == where
    engines.refuse(request, options_for(request))


def test_a_place_on_this_machine_is_refused_where_workers_have_their_own_disks():
    with pytest.raises(
        UsageError, match=r"^--temp_location '/mnt/shared': is of this machine, and Dataflow's workers have"
    ):
        refuse(IN_S3, "--runner=DataflowRunner", "--temp_location=/mnt/shared")


def test_a_scratch_folder_goes_with_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    request = Request(SPEC, **IN_S3)
    place = scratch.placed(Layout("s3://bucket/out", "20260101T000000-00000000"), request, options_for(request))
    assert os.listdir(tmp_path) == [os.path.basename(place.scratch)] and os.stat(place.scratch).st_mode & 0o077 == 0
    scratch.remove(place)
    assert os.listdir(tmp_path) == []
    scratch.remove(Layout("s3://bucket/out", "20260101T000000-00000000"))
