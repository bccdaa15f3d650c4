"""Quantiles and figures by key: against NumPy, merged in any order, and by whole jobs over several files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from apache_beam.internal import cloudpickle
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs import assert_balanced, done, read_arrays, read_json
from tests.marks import tried
from transforms import (
    SequenceGroup,
    Spec,
    apply,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_numeric_column,
)
from transforms.columns.steps import Steps
from transforms.fit.details_analyzer import _PickleCacheCoder
from transforms.normalizers import Normalizer, Statistics, ZScore
from transforms.normalizers.asks import Ask
from transforms.normalizers.chain import Chain
from transforms.rows.ragged import splits_of
from transforms.statistics.by_key import KEYS_SHOWN
from transforms.statistics.contributed import Contribution
from transforms.statistics.details import Details, contribution, statistics_of

PROBABILITIES = (0.01, 0.25, 0.5, 0.999)
BY_KEY = Ask("x", 0, 0, "key", (2,), "k", PROBABILITIES)
WHOLE = Ask("x", 0, 0, "dimension", (2,), "", PROBABILITIES)
COLUMN = Ask("y", 0, 0, "column", (2, 1), "", (0.5,))
KEY_ONLY = Ask("x", 0, 0, "key", (2,), "k")
ASKS = (BY_KEY, WHOLE, COLUMN, KEY_ONLY)


class Spread(Normalizer):
    """(x - median) / (0.9 quantile - 0.1 quantile)."""

    needs_statistics: ClassVar[bool] = True

    @property
    def probabilities(self) -> tuple[float, ...]:
        return (0.1, 0.5, 0.9)

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        low, middle, high = (statistics.quantiles[p] for p in self.probabilities)
        return tf.cast((tf.cast(values, tf.float64) - middle) / (high - low), tf.float32)


class Capped(Normalizer):
    """At most the 0.8 quantile."""

    needs_statistics: ClassVar[bool] = True

    @property
    def probabilities(self) -> tuple[float, ...]:
        return (0.8,)

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        return tf.cast(tf.minimum(tf.cast(values, tf.float64), statistics.quantiles[0.8]), tf.float32)


def empty(asks: Any = ASKS) -> Details:
    return Details(asks, [Contribution("float64", ask.width) for ask in asks])


class Batch:
    """Some rows with a key, as tensors."""

    def __init__(self, rng: np.random.Generator, rows: int, keys: list[Any]):
        lengths = rng.integers(0, 4, rows)
        self.rows = np.repeat(np.arange(rows), lengths)
        self.values = rng.normal(3, 10.0 ** rng.integers(-3, 4), (len(self.rows), 2))
        self.observed = rng.random(self.values.shape) < 0.8
        self.keys = [keys[k] if k < len(keys) else None for k in rng.integers(0, len(keys) + 1, rows)]

    @property
    def steps(self) -> Steps:
        kind = tf.int64 if any(isinstance(key, int) for key in self.keys) else tf.string
        ragged = tf.RaggedTensor.from_row_lengths(
            tf.constant([key for key in self.keys if key is not None], kind),
            [int(key is not None) for key in self.keys],
        )
        splits = splits_of(np.bincount(self.rows, minlength=len(self.keys)))
        return Steps(tf.constant(self.values), tf.constant(self.observed), tf.constant(splits), {"k": ragged})

    def contributed(self, asks: Any = ASKS) -> list[np.ndarray]:
        steps = self.steps
        parts, tensors = contribution(asks, [_shaped(steps, ask) for ask in asks])
        assert parts == empty(asks).parts
        return [np.asarray(t) for t in tensors]


def _shaped(steps: Steps, ask: Ask) -> tuple[tf.Tensor, Steps]:
    shape = [-1, *ask.shape]
    observed = tf.reshape(steps.observed, shape)
    return tf.reshape(steps.values, shape), Steps(steps.values, observed, steps.splits, steps.raw)


def seen(batches: list[Batch], key: Any = None) -> np.ndarray:
    """The observed values of all rows, or of those with a key, NaN elsewhere."""
    parts = []
    for batch in batches:
        chosen = np.array([key is None or k == key for k in batch.keys], bool)[batch.rows]
        parts.append(np.where(batch.observed, batch.values, np.nan)[chosen])
    return np.concatenate(parts)


def figures(values: np.ndarray, probabilities: Any, axis: int | None = 0) -> dict[Any, np.ndarray]:
    """The oracle: NumPy's figures of values with NaN for none."""
    made = {
        "count": np.isfinite(values).sum(axis=axis),
        "mean": np.nanmean(values, axis=axis),
        "variance": np.nanvar(values, axis=axis),
        "min": np.nanmin(values, axis=axis),
        "max": np.nanmax(values, axis=axis),
    }
    return made | {p: np.nanquantile(values, p, axis=axis) for p in probabilities}


def check(found: Statistics, expected: dict[Any, np.ndarray], at: Any = ...) -> None:
    for name, figure in expected.items():
        ours = np.asarray(found.quantiles[name] if isinstance(name, float) else getattr(found, name))[at]
        exact = isinstance(name, float) or name in ("count", "min", "max")
        np.testing.assert_allclose(ours, figure, rtol=0 if exact else 1e-9, atol=0 if exact else 1e-12, err_msg=name)


def answers(details: Details, batch: Batch) -> list[Statistics]:
    outcome = np.split(details.outcome(), len(details.asks))
    return [statistics_of(part, ask, batch.steps) for part, ask in zip(outcome, details.asks, strict=True)]


@pytest.mark.parametrize("keys", [["a", "", "ü", "b" * 300], [0, -5, 2**63 - 1]], ids=["text", "integers"])
def test_every_figure_is_numpys(keys):
    rng = np.random.default_rng(3)
    batches = [Batch(rng, 40, keys) for _ in range(5)]
    details = empty()
    for batch in batches:
        details.add(*batch.contributed())
    for batch in batches:
        by_key, whole, column, key_only = answers(details, batch)
        check(whole, figures(seen(batches), PROBABILITIES))
        check(column, figures(seen(batches), (0.5,), None))
        for step, row in enumerate(batch.rows):
            of = figures(seen(batches, batch.keys[row]), PROBABILITIES)  # None: no key, so all of them
            check(by_key, of, step)
            check(key_only, {name: figure for name, figure in of.items() if isinstance(name, str)}, step)


def test_keys_that_were_not_seen_and_dimensions_without_values_take_the_whole_columns_figures():
    rng = np.random.default_rng(4)
    first, other = Batch(rng, 60, ["a", "b", "c"]), Batch(rng, 30, ["a", "d", "\0seqcols: no word\0"])
    of_c = np.array([key == "c" for key in first.keys])[first.rows]
    first.observed[of_c, 1] = False
    first.observed[np.array([key == "b" for key in first.keys])[first.rows]] = False
    details = empty((BY_KEY,)).add(*first.contributed((BY_KEY,)))
    whole, of_a = figures(seen([first]), PROBABILITIES), figures(seen([first], "a"), PROBABILITIES)
    (found,) = answers(details, other)
    assert {"a", "d", None} <= {other.keys[row] for row in other.rows}
    for step, row in enumerate(other.rows):
        check(found, of_a if other.keys[row] == "a" else whole, step)
    (found,) = answers(details, first)
    for step, row in enumerate(first.rows):
        if first.keys[row] == "b":
            check(found, whole, step)
        if first.keys[row] == "c":
            check(found, {name: figure[1] for name, figure in whole.items()}, (step, 1))
            mine = seen([first], "c")[:, 0]
            assert float(found.mean[step, 0]) == pytest.approx(np.nanmean(mine))
            assert found.count[step, 0] == np.isfinite(mine).sum()


@settings(max_examples=tried(10), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.data())
def test_merged_in_any_order_and_pickled(seed, count, data):
    rng = np.random.default_rng(seed)
    batches = [Batch(rng, int(rng.integers(0, 12)), ["a", "b", "c"]) for _ in range(count)]
    together = empty()
    for batch in batches:
        together.add(*batch.contributed())
    parts = [empty().add(*batch.contributed()) for batch in batches]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        two = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        way = data.draw(st.sampled_from([pickle, cloudpickle, None]))
        two = (
            way.loads(way.dumps(two.compact()))
            if way
            else _PickleCacheCoder().decode_cache(_PickleCacheCoder().encode_cache(two))
        )
        parts.append(empty().merge([one, two]))
    for batch in batches:
        for ours, theirs in zip(answers(parts[0], batch), answers(together, batch), strict=True):
            for name in ("count", "mean", "variance", "min", "max"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            for p, figure in ours.quantiles.items():
                np.testing.assert_array_equal(figure, theirs.quantiles[p])


def test_nothing_at_all():
    no_rows = Batch(np.random.default_rng(0), 0, ["a"])
    for details in (empty(), empty().add(*no_rows.contributed())):
        by_key, whole, column, _ = answers(details, Batch(np.random.default_rng(1), 9, ["a"]))
        assert by_key.mean.shape[1:] == (2,) and whole.mean.shape == (2,) and column.mean.shape == (1,)
        for found in (by_key, whole, column):
            assert (np.asarray(found.count) == 0).all() and (np.asarray(found.mean) == 0).all()
            assert (np.asarray(found.min) == np.inf).all() and np.isnan(found.quantiles[0.5]).all()
        shown = details.readable()[0]
        assert shown["keys"] == 0 and shown["mean"] == [None, None] and shown["quantiles"]["0.5"] == [None, None]
        json.dumps(shown, allow_nan=False)


def test_many_keys_merge_in_time_and_the_most_frequent_are_shown():
    rng = np.random.default_rng(8)
    ask = Ask("x", 0, 0, "key", (), "k", (0.5,))
    ids = rng.integers(0, 3000, 60_000) ** 2 // 3000  # some are much more frequent than others
    values = rng.normal(size=len(ids))
    details = empty((ask,))
    for part in np.split(np.arange(len(ids)), 60):
        words, places = np.unique(ids[part], return_inverse=True)
        keys = np.array([b"%d" % word for word in words], object)
        there = np.ones(len(part), bool)
        details.add(values[part], there, np.array([0, len(part)]), places, keys, np.array([len(words)]))
    (shown,) = details.readable()
    counts = np.bincount(ids)
    assert shown["keys"] == (counts > 0).sum() > KEYS_SHOWN
    assert len(shown["by_key"]) == KEYS_SHOWN
    assert min(one["count"] for one in shown["by_key"].values()) >= np.sort(counts)[-KEYS_SHOWN]
    some = list(shown["by_key"])[::100]
    for key in some:
        mine = values[ids == int(key)]
        assert shown["by_key"][key]["mean"] == pytest.approx(mine.mean(), abs=1e-12)
        assert shown["by_key"][key]["variance"] == pytest.approx(mine.var(), rel=1e-9)
        assert shown["by_key"][key]["quantiles"]["0.5"] == np.quantile(mine, 0.5)
    assert len(some) == 10


ROWS = 300


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(21)
    made = []
    for number in range(ROWS):
        steps = int(rng.integers(0, 7))
        x = rng.normal([1, -50], [2, 9], (steps, 2)).astype(np.float32)
        x[rng.random(x.shape) < 0.1] = np.nan
        made.append(
            {
                "row": [number],
                "who": [["ann", "bob", "carol"][rng.integers(3)]] if rng.random() < 0.9 else None,
                "shop": [int(rng.integers(0, 4))] if rng.random() < 0.9 else None,
                "x": x.ravel().tolist(),
                "y": rng.exponential(size=steps).astype(np.float32).tolist(),
                "z": [float(np.float32(rng.normal()))],
            }
        )
    return made


DATA = rows()
WHO = [row["who"] and row["who"][0] for row in DATA]
SHOPS = [row["shop"] and row["shop"][0] for row in DATA]


def spec() -> Spec:
    chain = Chain(members=(Capped(), Spread(per="key", key="who"), ZScore()))
    return make_spec(
        [
            passthrough_column("row", "int64"),
            passthrough_column("who", default_value="nobody"),
            categorical_column_with_identity("shop", 4),
            sequence_numeric_column("x", 2, -9.0, normalizer_fn=Spread(per="key", key="who"), non_finite="fill"),
            sequence_numeric_column("y", (), normalizer_fn=chain),
            numeric_column("z", normalizer_fn=ZScore(per="key", key="shop")),
        ],
        SequenceGroup(max_length=4, truncate="tail"),
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """Where a job over four files wrote."""
    folder = tmp_path_factory.mktemp("details")
    kinds = {
        "row": pa.int64(),
        "who": pa.string(),
        "shop": pa.int64(),
        "x": pa.float32(),
        "y": pa.float32(),
        "z": pa.float32(),
    }
    schema = pa.schema([pa.field(key, pa.list_(kind)) for key, kind in kinds.items()])
    for part in range(4):
        pq.write_table(pa.Table.from_pylist(DATA[part::4], schema), folder / f"{part}.parquet", row_group_size=20)
    outcome = done(spec(), str(folder / "*.parquet"), folder / "out", format="parquet")
    assert_balanced(outcome.ledger)
    return folder / "out"


@pytest.mark.slow
def test_the_job_gives_what_memory_gives(job):
    arrays = read_arrays(job, sort_by="row")
    here = apply(DATA, spec())
    assert arrays["row"].tolist() == list(range(ROWS)) == here["row"].tolist()
    for name in ("x", "y", "z"):
        np.testing.assert_allclose(arrays[name], here[name], rtol=1e-6, atol=1e-6, err_msg=name)


def kept(key: str, width: int) -> list[np.ndarray]:
    return [np.reshape(np.float64(np.float32(row[key])), (-1, width))[-4:] for row in DATA]


@pytest.mark.slow
def test_quantiles_by_key_of_the_job_are_numpys(job):
    arrays = read_arrays(job, sort_by="row")
    steps = kept("x", 2)
    compared = 0
    for own, key, made in zip(steps, WHO, arrays["x"], strict=True):
        mine = [s for s, other in zip(steps, WHO, strict=True) if key is None or other == key]
        low, middle, high = np.nanquantile(np.concatenate(mine), [0.1, 0.5, 0.9], axis=0)
        expected = np.where(np.isfinite(own), (own - middle) / (high - low), -9.0)
        np.testing.assert_allclose(made[: len(own)], expected, rtol=1e-5, atol=1e-6)
        compared += len(own)
    assert compared > 500 and set(WHO) == {"ann", "bob", "carol", None}


@pytest.mark.slow
def test_a_chain_has_the_statistics_of_what_came_before(job):
    arrays = read_arrays(job, sort_by="row")
    steps = [s[:, 0] for s in kept("y", 1)]
    cap = np.quantile(np.concatenate(steps), 0.8)
    capped = [np.minimum(s, cap) for s in steps]
    by_key: dict[str | None, np.ndarray] = {None: np.quantile(np.concatenate(capped), [0.1, 0.5, 0.9])}
    for who in ("ann", "bob", "carol"):
        mine = [s for s, other in zip(capped, WHO, strict=True) if other == who]
        by_key[who] = np.quantile(np.concatenate(mine), [0.1, 0.5, 0.9])
    spread = []
    for values, who in zip(capped, WHO, strict=True):
        low, middle, high = by_key[who]
        spread.append((values - middle) / (high - low))
    flat = np.concatenate(spread)
    for values, made in zip(spread, arrays["y"], strict=True):
        np.testing.assert_allclose(made[: len(values)], (values - flat.mean()) / flat.std(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_integer_keys_of_a_context_column(job):
    arrays = read_arrays(job, sort_by="row")
    z = np.array([row["z"][0] for row in DATA])
    for row, made in enumerate(arrays["z"]):
        mine = z[[SHOPS[row] is None or shop == SHOPS[row] for shop in SHOPS]]
        np.testing.assert_allclose(made, [(z[row] - mine.mean()) / mine.std()], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_statistics_json_shows_quantiles_and_keys(job):
    manifest = json.loads((job / "manifest.json").read_text())
    name = next(path for path in job.rglob("*statistics*.json"))
    columns = read_json(job, str(name.relative_to(job)))["columns"]
    assert manifest["examples"]["rows"] == ROWS
    (x,) = columns["x"]["fitted"]
    assert x["per"] == "key" and x["key"] == "who" and x["keys"] == 3 and set(x["by_key"]) == {"ann", "bob", "carol"}
    steps = kept("x", 2)
    np.testing.assert_array_equal(x["quantiles"]["0.9"], np.nanquantile(np.concatenate(steps), 0.9, axis=0))
    mine = np.concatenate([s for s, who in zip(steps, WHO, strict=True) if who == "ann"])
    np.testing.assert_array_equal(x["by_key"]["ann"]["quantiles"]["0.1"], np.nanquantile(mine, 0.1, axis=0))
    np.testing.assert_array_equal(x["by_key"]["ann"]["count"], np.isfinite(mine).sum(axis=0))
    assert [(one["link"], one["level"], one["per"]) for one in columns["y"]["fitted"]] == [
        (0, 0, "dimension"),
        (1, 1, "key"),
    ]
    assert columns["z"]["fitted"][0]["keys"] == 4
    assert "fitted" not in columns["row"]


def test_large_batches_do_not_pile_up():
    """Memory stays flat: a batch whose values went into sketches waits no longer than one of few values."""
    details = empty((Ask("x", 0, 0, "dimension", (1,), probabilities=(0.5,)),))
    for _ in range(30):
        numbers = np.arange(20_000, dtype=np.float64)
        none = (np.zeros(0, np.int64), np.zeros(0, object), np.array([0]))
        details = details.add(numbers, np.ones(20_000, bool), np.array([0, 20_000]), *none)
        assert len(details.waiting) <= 3
