"""tf.Transform's scratch folder: all workers of a run reach it, on a file system that TensorFlow itself knows.

tf.Transform writes a graph for each phase of an analysis and hands its path from worker to worker. It does so with TensorFlow's
file systems, wherever a worker is; all else that TensorFlow reads or writes goes through `transforms.stored.trees`. So

- a data set on a disk has it in its staging folder;
- local workers have it in a temporary folder of this machine, whatever store the data set is in;
- the workers of an engine have it in the staging folder where TensorFlow knows the store (`gs://`, by its own client), else in
  Beam's `--temp_location`, which must then be of such a store, or of a disk that is mounted everywhere.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.dataset import layout
from pipeline.dataset.layout import STAGING_PREFIX, Layout
from pipeline.dataset.target import refuse_pattern
from pipeline.errors import UsageError
from pipeline.job.request import Request
from transforms.stored import trees


def location(request: Request, options: PipelineOptions) -> str:
    """Returns the folder in which a run's scratch folder is created; an empty string if the staging folder will do.

    Raises:
      UsageError: no place is known that the workers of an engine reach.
    """
    if not trees.is_remote(request.output):
        return ""
    if request.runs_here:
        return tempfile.gettempdir()
    if trees.is_known(request.output):
        return ""
    found = options.view_as(GoogleCloudOptions).temp_location
    scheme = request.output.partition("://")[0]
    if not found or not trees.is_known(found):
        got = f", got --temp_location {found!r}" if found else ""
        raise UsageError(
            f"--output {request.output!r}: TensorFlow does not know {scheme}://, and tf.Transform works with its file systems; "
            f"expected --temp_location with a folder that TensorFlow and all workers reach, such as gs://bucket/path or a "
            f"folder of a shared disk{got}"
        )
    return str(found)


def placed(place: Layout, request: Request, options: PipelineOptions) -> Layout:
    """Returns where a run writes, with its scratch folder; `cleaning.clean` removes that with the rest.

    Raises:
      UsageError: see `location`; or the folder's path has glob characters.
    """
    where = location(replace(request, output=place.output), options)
    if not where:
        return place
    # What is deleted there in the end, Beam 2.77 takes for a pattern (`trees.delete`).
    refuse_pattern("temporary folder", where)
    if request.runs_here:
        return replace(place, scratch=tempfile.mkdtemp(prefix=f"seqcols-{place.run_id}-", dir=where))
    return replace(place, scratch=str(FileSystems.join(where, STAGING_PREFIX + place.run_id)))


def remove(place: Layout) -> None:
    """Removes a run's scratch folder, if it has one."""
    if trees.is_remote(place.scratch):
        layout.delete(place.scratch)
    elif place.scratch:
        shutil.rmtree(place.scratch, ignore_errors=True)
