from __future__ import annotations

from tests.harness import Case
from transforms.columns import passthrough_column

CASES = [
    Case(
        "passthrough",
        passthrough_column("x"),
        expected=[("ä", "ä"), (["b"], "b"), (b"c", "c")],
        missing=None,
        out_of_bounds=("", ""),
        rejected=[
            (b"\xff", "invalid_utf8"),
            (["a", "b"], "wrong_value_count"),
            (1, "wrong_type"),
            ([None], "null_value"),
        ],
        empty=None,
        dtype="object",
    ),
    Case(
        "passthrough_bytes",
        passthrough_column("x", dtype="bytes", default_value="none"),
        expected=[(b"\xff", b"\xff"), ("a", b"a")],
        missing=b"none",
        out_of_bounds=(b"", b""),
        rejected=[(1.5, "wrong_type"), ([b"a", b"b"], "wrong_value_count")],
        empty=b"none",
        dtype="object",
    ),
    Case(
        "passthrough_float",
        passthrough_column("x", dtype="float32", default_value=2**24 + 1),
        expected=[(1.5, 1.5), (2**24 + 1, 2**24)],
        missing=2**24,
        out_of_bounds=(2.0**127, 2.0**127),
        rejected=[("a", "not_a_number"), ([1.0, 2.0], "wrong_value_count")],
        empty=2**24,
        dtype="float32",
    ),
]
