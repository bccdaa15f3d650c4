"""TFRecord files of tf.Examples and tf.SequenceExamples."""
