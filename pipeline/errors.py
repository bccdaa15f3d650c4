"""The error of a request that cannot be carried out as asked. Imports nothing: help must not wait."""

from __future__ import annotations


class UsageError(ValueError):
    """The request itself cannot be carried out: one line a person can act on (see `transforms.escaping.one_line`)."""

    def __init__(self, message: str):
        from transforms.escaping import one_line  # loads the columns, which help need not

        super().__init__(one_line(message))
