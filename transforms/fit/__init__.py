"""Fit: tf.Transform's analyzers over a data set, and the graph that they become."""
