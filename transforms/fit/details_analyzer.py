"""The tf.Transform analyzer of `transforms.statistics.details`: its accumulators are `Details`, pickled in its cache."""

from __future__ import annotations

import base64
import functools
import json
import pickle
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems

from transforms.fit.combining import Combined, Extracted
from transforms.normalizers.asks import Ask
from transforms.statistics.contributed import Contribution
from transforms.statistics.details import PARTS, Details
from transforms.statistics.saved import outcome_file
from transforms.stored.files import naming


def _written(details: Details, path: str) -> np.ndarray:
    outcome = details.outcome()
    if path:
        with naming(path), FileSystems.create(path) as file:
            file.write(json.dumps({"details": details.readable()}).encode())
        parts = [base64.b64encode(bytes(part)).decode() for part in outcome.reshape(-1)]
        with naming(outcome_file(path)), FileSystems.create(outcome_file(path)) as file:
            file.write(json.dumps({"outcome": parts}).encode())
    return outcome


class _PickleCacheCoder(tft.experimental.PTransformAnalyzerCacheCoder):
    """Keeps accumulators in tf.Transform's analysis cache. Only a cache that the user wrote may be read."""

    def encode_cache(self, accumulator: Details) -> bytes:
        return pickle.dumps(accumulator.compact())

    def decode_cache(self, encoded_accumulator: bytes) -> Details:
        found = pickle.loads(encoded_accumulator)
        assert isinstance(found, Details)
        return found


def analyze_details(
    level: int, asks: Sequence[Ask], parts: Sequence[Contribution], contributed: Sequence[tf.Tensor], path: str
) -> list[tf.Tensor]:
    """Adds the analyzer to the graph that tf.Transform traces.

    Args:
      level: the number of the level.
      asks: the statistics that are collected.
      parts: the description of the values of each.
      contributed: the results of `details.contribution` for a batch.
      path: the file to also write the results to; an empty string for none.

    Returns:
      For each ask its part of `Details.outcome`, text `[PARTS]`.
    """
    make = Combined(functools.partial(Details, tuple(asks), tuple(parts)), repr((asks, parts)))
    analyzer = tft.experimental.CacheablePTransformAnalyzer(
        make_accumulators_ptransform=make,
        merge_accumulators_ptransform=make,
        extract_output_ptransform=Extracted(_written, path),
        cache_coder=_PickleCacheCoder(),
    )
    # One output: tf.Transform 1.21 refuses to cache an analyzer with several.
    (found,) = tft.experimental.ptransform_analyzer(
        list(contributed), analyzer, [tf.string], [[PARTS * len(asks)]], name=f"seqcols_details_{level}"
    )
    return by_ask(found, asks)


def by_ask(found: tf.Tensor, asks: Sequence[Ask]) -> list[tf.Tensor]:
    """Returns the analyzer's output `[PARTS * asks]` by ask."""
    return [found[k * PARTS : (k + 1) * PARTS] for k in range(len(asks))]
