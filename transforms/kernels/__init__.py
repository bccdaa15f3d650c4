"""Compiled loops over buffers: the one room for compiled code. See `transforms.kernels.compiled`."""
