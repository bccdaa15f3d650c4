"""Embedding layers of Keras and PyTorch that take ids as a data set holds them."""
