"""Requests that an engine cannot carry out, refused before anything is read: they would fail hours later, or vanish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from pipeline.errors import UsageError
from pipeline.job import scratch
from pipeline.job.failures import message_of
from pipeline.job.request import Request
from transforms.errors import nearest

FLINK_HERE: Final = ("[local]", "[auto]")
"""Masters for which Beam's `FlinkRunner` starts Flink on this machine, with workers in this process."""

CONTAINERS: Final = {
    "DataflowRunner": "Dataflow's workers",
    "PortableRunner": "the workers' containers (--environment_type DOCKER, which is Beam's default)",
    "FlinkRunner": "the workers' containers (--environment_type DOCKER, which is Beam's default)",
    "SparkRunner": "the workers' containers (--environment_type DOCKER, which is Beam's default)",
}
"""Runners whose workers may have disks of their own, and how to call these workers."""


def refuse(request: Request, options: PipelineOptions) -> None:
    """Refuses what cannot work where a request would run.

    Args:
      request: the request.
      options: all of Beam's options for it.

    Raises:
      UsageError: the runner cannot be loaded, or cannot do what is asked.
    """
    if options.view_as(StandardOptions).streaming:
        raise UsageError("--streaming: seqcols is a batch job; every input ends")
    if request.runs_here:
        return
    name = str(options.view_as(StandardOptions).runner)
    try:
        create_runner(name)
    except Exception as error:  # a name is imported, which may raise anything
        hint = nearest(name, StandardOptions.KNOWN_RUNNER_NAMES)
        raise UsageError(f"--runner {name!r}: cannot be loaded{hint or f' ({message_of(error)})'}") from error
    works_in = scratch.location(request, options)
    short = name.rpartition(".")[2]
    if short in CONTAINERS and not _shares_this_disk(short, options):
        for option, path in [*_paths(request), ("--temp_location", works_in)]:
            if path and "://" not in path:
                raise UsageError(
                    f"{option} {path!r}: is of this machine, and {CONTAINERS[short]} have disks of their own; expected "
                    f"a path in an object store, such as gs://bucket/path"
                )


def _shares_this_disk(runner: str, options: PipelineOptions) -> bool:
    """Whether workers may see this machine's files: as processes, or on a disk that is mounted everywhere."""
    if runner == "DataflowRunner":
        return False
    kind = options.view_as(PortableOptions).environment_type
    if not kind and runner == "FlinkRunner":
        return options.view_as(FlinkRunnerOptions).flink_master in FLINK_HERE
    return bool(kind) and kind != "DOCKER"


def _paths(request: Request) -> Iterator[tuple[str, str]]:
    yield "--output", request.output
    for pattern in request.inputs:
        yield "--input", pattern
    for pattern in request.statistics_inputs:
        yield "--statistics-input", pattern
    for option, path in (("--cache", request.cache), ("--transform", request.transform)):
        if path:
            yield option, path
