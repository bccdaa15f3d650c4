"""What the examples share: the transform of a data set and a trained model, saved as one model for requests."""

import tensorflow as tf

from seqcols import read_manifest


class OneModel(tf.Module):
    """From serialized tf.Examples to predictions. Needs TensorFlow alone once it is saved.

    Args:
      data_set: directory of the data set that the model was trained on.
      predict: from the dense features, by name, to the predictions, by name.
    """

    def __init__(self, data_set, predict, *tracked):
        super().__init__()
        manifest = read_manifest(data_set)
        self.transform = tf.saved_model.load(manifest.path(manifest.content["serving"]))
        self.tracked = tracked  # what holds weights must be an attribute, or they are not saved
        self.predict = predict

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        features = dict(self.transform.signatures["serving_default"](examples=examples))
        # False for a row that the job would have rejected: its prediction means nothing.
        valid = features.pop("__valid__")
        return {**self.predict(features), "valid": valid}


def save(data_set, predict, target, *tracked):
    """Saves the model; `tracked` are the Keras models that `predict` calls."""
    model = OneModel(data_set, predict, *tracked)
    tf.saved_model.save(model, target, signatures={"serving_default": model.serve})


def as_records(table, features):
    """Returns rows of sequences as requests hold them: serialized tf.Examples.

    Args:
      table: as `transforms.sequences` gives it; lists of text or numbers.
      features: names of those that the columns read.
    """
    records = [tf.train.Example() for _ in range(len(table))]
    for name in features:
        for record, values in zip(records, table[name].to_pylist(), strict=True):
            feature = record.features.feature[name]
            if values and isinstance(values[0], str):
                feature.bytes_list.value.extend(value.encode() for value in values)
            else:
                feature.float_list.value.extend(values)
    return [record.SerializeToString() for record in records]
