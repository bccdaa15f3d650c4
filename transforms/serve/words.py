"""The words that ids stand for, beside the ids, for whoever reads a server's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import tensorflow as tf

from transforms.columns import Output
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.columns.window import mask_of
from transforms.spec.spec import Spec, length_name

UNKNOWN: Final = "[UNK]"
"""The text for a step without a known word: its word is unknown, or it has none. As in Keras' `StringLookup`."""


class WordsBeside(tf.Module):
    """Outputs with the words of a model's ids.

    Args:
      words: the words by column, in the order of their ids; they are variables of the model, so that it may have many.
      outputs: the outputs of the model.
      spec: the columns.

    Attributes:
      names: the names of the outputs: that of the ids with `_words` behind it, or `_words_bytes` if the words are of dtype
        `bytes`: by such a name TensorFlow Serving knows what JSON cannot hold, and sends base64.
    """

    def __init__(self, words: Mapping[str, Sequence[bytes]], outputs: Sequence[Output], spec: Spec):
        super().__init__()
        columns = {column.name: column for column in spec.columns}
        taken = {output.name for output in outputs}
        self._spec, self._outputs = spec, dict[str, Output]()
        self._variables = dict[str, tf.Variable]()
        for output in outputs:
            if output.kind != "ids" or output.source not in words:
                continue
            vocabulary = vocabulary_of(columns[output.source])
            name, ending = f"{output.name}_words", "_bytes" if vocabulary and vocabulary.word_dtype == "bytes" else ""
            while f"{name}{ending}" in taken:
                name += "_"
            taken.add(f"{name}{ending}")
            own = np.array(words[output.source] or [UNKNOWN.encode()], object)  # without any word, 0 is an id of none
            self._outputs[f"{name}{ending}"] = output
            self._variables[f"{name}{ending}"] = tf.Variable(tf.constant(own, tf.string), trainable=False)

    @property
    def names(self) -> list[str]:
        """See the class."""
        return list(self._outputs)

    def of(self, dense: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the words of ids, string in the shape of the ids: `UNKNOWN` where there is no known word, `""` for padding.

        Args:
          dense: the outputs by name, with the lengths of groups.
        """
        made = {}
        for name, output in self._outputs.items():
            ids, words = dense[output.name], self._variables[name]
            count = words.shape[0]
            known = (ids >= 0) & (ids < count)
            found = tf.where(known, tf.gather(words, tf.where(known, ids, 0)), UNKNOWN)
            group = self._spec.group_of(output)
            if group is not None:
                there = mask_of(dense[length_name(group)], output.shape[0], self._spec.group(group).padding)
                found = tf.where(there if len(output.shape) == 1 else there[..., tf.newaxis], found, "")
            made[name] = found
        return made
