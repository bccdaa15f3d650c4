"""The serving model: serialized records or ragged tensors in, what the job wrote for such rows out."""
