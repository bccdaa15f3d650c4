"""Batches of rows: their origin, digests and ragged values, what is rejected of them and why, and the counts of all."""
