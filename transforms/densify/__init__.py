"""Densify and normalise: windows of the kept steps, columns alike side by side, and the TensorFlow graph of it all."""
