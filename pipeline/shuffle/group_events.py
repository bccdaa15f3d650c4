"""`GroupEvents`: events to sequences as a PTransform, through an engine's shuffle or through files of this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import typehints
from apache_beam.pvalue import AsList, TaggedOutput

from pipeline import allocator
from pipeline.shuffle.blocks import Dealt, Gatherer, unpacked
from pipeline.shuffle.files import DealtFile, DealtWriter, read
from pipeline.shuffle.partition import Grouping
from transforms.beam import GOOD, REJECTED, TALLIES, in_global_window, typed
from transforms.errors import SpecError
from transforms.events.checks import schema_faults
from transforms.events.figures import Figures, together
from transforms.events.incoming import Incoming, plain_kinds
from transforms.events.make_events import make_events, resolved
from transforms.events.spec import Events
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import origin
from transforms.rows.frames import is_frame
from transforms.rows.from_python import BATCH_ROWS, batches_of, check_keys, from_dicts
from transforms.rows.tally import Tally, add, count_rejected

DEFAULT_PARTITIONS: Final = 64

BATCH_BYTES: Final = 8 << 20
"""Arrow data in a batch of sequences that comes out, at most; a longer sequence is a batch of its own."""

FIGURES: Final = "figures"

_BLOCKS: Final = "blocks"
_BESIDE: Final = (TALLIES, FIGURES)


class GroupedEvents(NamedTuple):
    """The outputs of `GroupEvents`: the sequences, the rejected events, what was counted, and figures for people."""

    good: beam.PCollection
    rejected: beam.PCollection
    tallies: beam.PCollection
    figures: beam.PCollection


class Shuffle(beam.PTransform):
    """Groups events whose types are decided already; otherwise as `GroupEvents`."""

    def __init__(self, grouping: Grouping, partitions: int, folder: str = ""):
        super().__init__()
        self.grouping, self._partitions, self._folder = grouping, partitions, folder

    def expand(self, events: beam.PCollection) -> GroupedEvents:
        """Partitions, shuffles and groups."""
        as_dicts = _are_dicts(events.element_type)
        partition = _Partition(self.grouping, self._partitions, self._folder)
        found = events | "Partition" >> beam.ParDo(partition).with_outputs(REJECTED, TALLIES, main=_BLOCKS)
        group = _Group(self.grouping, as_dicts)
        if self._folder:
            numbers = events.pipeline | "Partitions" >> beam.Create(range(self._partitions), reshuffle=False)
            numbers |= "Deal" >> beam.Reshuffle()
            grouped = numbers | "Group" >> beam.ParDo(group, AsList(found[_BLOCKS])).with_outputs(*_BESIDE, main=GOOD)
        else:
            found[_BLOCKS].element_type = typehints.KV[int, bytes]
            shuffled = found[_BLOCKS] | "Shuffle" >> beam.GroupByKey()
            grouped = shuffled | "Group" >> beam.ParDo(group).with_outputs(*_BESIDE, main=GOOD)
        if not as_dicts:
            typed(grouped, GOOD)
            typed(found, REJECTED)
        tallies = (found[TALLIES], grouped[TALLIES]) | "Tallies" >> beam.Flatten()
        return GroupedEvents(grouped[GOOD], found[REJECTED], tallies, grouped[FIGURES])


class GroupEvents(Shuffle):
    """Makes sequences of events: all events of a key come together, as in `transforms.sequences`, to the same bits.

    Takes events: RecordBatches, Tables, frames of pandas or Polars, or dicts, one an event. Gives `good`, the sequences, as
    RecordBatches (as dicts where the input's type says that it has dicts); `rejected`, events without a key or a time and those
    with a value of another type (see `transforms.rows.rejection.SCHEMA`); `tallies`, what became of each event (see `Partition`);
    and `figures` of the events, which `transforms.events.figures.together` adds up.

    Blocks of Arrow, one a partition and batch, cross the pipeline's GroupByKey. An engine may hold a partition whole; Beam's
    in-process runner holds all of them in memory, unless `folder` says where they go as files instead.

    >>> shopping = {"key": "user", "order_by": "at", "features": {"items": "item"}}
    >>> schema = pa.schema([("user", pa.string()), ("at", pa.int64()), ("item", pa.string())])
    >>> found = events | GroupEvents(shopping, schema)  # doctest: +SKIP
    >>> found.good, found.rejected  # doctest: +SKIP

    Args:
      events: the section `events:`, or the mapping that it is made of.
      schema: the fields of the events and their types; a field may be more in the data, and is then left out.
      borders: split to where it begins; as in `transforms.sequences`.
      max_steps: most steps of a sequence.
      partitions: how many parts the keys are dealt to, by a hash of the key. Each should fit a worker's memory several times.
      folder: a folder of this machine for files of the events while they are grouped, which workers of the in-process runner
        share; whoever names it removes it. An empty string leaves the shuffle to the engine.

    Attributes:
      schema: that of the sequences.

    Raises:
      SpecError: the section cannot work as written, or not with these events.
    """

    def __init__(
        self,
        events: Events | Mapping[str, Any],
        schema: pa.Schema,
        *,
        borders: Mapping[str, Any] | None = None,
        max_steps: int = MAX_STEPS,
        partitions: int = DEFAULT_PARTITIONS,
        folder: str = "",
    ):
        spec = make_events(events)
        kinds = plain_kinds({field.name: field.type for field in schema})
        faults = schema_faults(spec, pa.schema(list(kinds.items())))
        if faults:
            raise SpecError(faults)
        if partitions < 1:
            raise ValueError(f"partitions: expected 1 or more, got {partitions!r}")
        spec = resolved(spec, list(kinds))
        incoming = Incoming(spec, {name: kinds[name] for name in spec.fields})
        super().__init__(Grouping(incoming, dict(borders or {}), max_steps), partitions, folder)
        self.schema = self.grouping.schema  # which also says now what borders cannot be


def _are_dicts(kind: Any) -> bool:
    """Returns whether elements of a type are dicts, as far as the type says."""
    return kind is dict or "dict" in str(kind).lower()


class _Partition(beam.DoFn):
    """Events to partitions: to an engine as `(partition, bytes)`, or to a file in a folder, of which a `DealtFile` tells."""

    def __init__(self, grouping: Grouping, partitions: int, folder: str):
        self._incoming, self._most = grouping.incoming, grouping.most
        self._partitions, self._folder = partitions, folder

    def start_bundle(self) -> None:
        """Begins with nothing gathered."""
        self._gatherer = Gatherer(self._incoming, self._partitions, self._most)
        self._writer = DealtWriter(self._folder)
        self._tally: Tally = Counter()
        self._rows: list[Mapping[str, Any]] = []

    def process(self, element: Any) -> Iterator[Any]:
        """Takes a RecordBatch, another frame or a dict."""
        if is_frame(element):
            for batch in batches_of(element):
                yield from self._take(batch)
            return
        check_keys(element)
        self._rows.append(element)
        if len(self._rows) >= BATCH_ROWS:
            yield from self._take_rows()

    def _take_rows(self) -> Iterator[Any]:
        rows, self._rows = self._rows, []
        for batch in from_dicts(rows):
            for made in self._take(batch):
                if isinstance(made, TaggedOutput) and made.tag == REJECTED:
                    yield from (TaggedOutput(REJECTED, row) for row in made.value.to_pylist())
                else:
                    yield made

    def _take(self, batch: pa.RecordBatch) -> Iterator[Any]:
        ready, rejected = self._incoming.ready(batch)
        if rejected is not None:
            self._tally.update(count_rejected(rejected))
            yield TaggedOutput(REJECTED, rejected)
        yield from self._out(self._gatherer.add(ready, origin.file_of(batch)))

    def _out(self, dealt: Dealt | None) -> Iterator[tuple[int, bytes]]:
        if dealt is None:
            return
        if self._folder:
            self._writer.write(dealt)
        else:
            yield from ((partition, block.packed().to_pybytes()) for partition, block in dealt.blocks())

    def finish_bundle(self) -> Iterator[Any]:
        """Yields what was still gathered, and what was counted."""
        for made in (*self._take_rows(), *self._out(self._gatherer.flush())):
            if isinstance(made, TaggedOutput):
                yield TaggedOutput(made.tag, in_global_window(made.value))
            else:
                yield in_global_window(made)
        written = self._writer.close()
        if written is not None:
            yield in_global_window(written)
        add(self._tally, self._gatherer.tally)
        if self._tally:
            yield TaggedOutput(TALLIES, in_global_window(self._tally))

    def teardown(self) -> None:
        """Closes the file of a bundle that failed."""
        if hasattr(self, "_writer"):
            self._writer.abandon()


class _Group(beam.DoFn):
    """The blocks of a partition to sequences. Takes `(partition, blocks)`, or a partition and, on the side, all files."""

    def __init__(self, grouping: Grouping, as_dicts: bool):
        self._grouping, self._as_dicts = grouping, as_dicts

    def setup(self) -> None:
        """Prepares the worker's memory for partitions, which are larger than batches."""
        allocator.begin_pass()

    def start_bundle(self) -> None:
        """Begins with nothing counted."""
        self._tally: Tally = Counter()
        self._figures = Figures()

    def process(self, element: Any, files: Sequence[DealtFile] | None = None) -> Iterator[Any]:
        """Groups one partition; yields batches of sequences, or dicts."""
        blocks = map(unpacked, element[1]) if files is None else read(files, element)
        table, tally, figures = self._grouping.grouped(blocks)
        add(self._tally, tally)
        self._figures = together([self._figures, figures])
        if self._as_dicts:
            yield from table.to_pylist()
        elif table.num_rows:
            most = max(1, int(table.num_rows * BATCH_BYTES // max(table.nbytes, 1)))
            yield from table.combine_chunks().to_batches(max_chunksize=most)

    def finish_bundle(self) -> Iterator[Any]:
        """Yields what was counted."""
        if self._tally:
            yield TaggedOutput(TALLIES, in_global_window(self._tally))
            yield TaggedOutput(FIGURES, in_global_window(self._figures))
