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
]
