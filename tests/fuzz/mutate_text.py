"""Seeded ways to spoil text (JSON, CSV, YAML) so that a parser goes on for a while, and JSON so that it stays JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

Rng = random.Random

_PLAIN: Final = (
    "NaN nan -nan Infinity -Infinity inf Inf 1e999 -1e400 1e-400 -0 0.1 00 1_0 0x10 0o7 +5 .5 5. 1e5 9223372036854775807 "
    "9223372036854775808 -9223372036854775809 18446744073709551616 340282366920938463463374607431768211456 "
    "9007199254740993 16777217 3.4e38 3.5e38 null None true false ~ yes { } [ ] [] {} [[]] [[],[1]] [null] [[null]] "
    '"" "\\u0000" "\\ud800" "\\ud83d\\ude00" "\\x1b[31m" \\ " \' `` , ; : :: - -- # & * ! | > % @ << --- ... '
    '{"\\u001b[31m\\u202e":1} '
    "? !!python/object:os.system !!str !!binary &a *a *b &a[*a] &b{<<:*b} "
    "type key shape dtype group num_buckets default_value normalizer_fn columns sequence_groups version z_score longest "
    "float64 int8 uint64 string bytes bfloat16 math:sqrt os:system id name raw ids x n words t csv w label steps many "
    "path files rows format_version examples rejected run ../../x /etc/passwd sha256 bytes C:\\x __row__ __record__"
)
_ODD: Final = "\0|\x1b[2J|\x7f|\u2028|\ufeff|\u202e|\x85|\r|\n|\r\n|\t| |\n\n|é|😀"

TOKENS: Final = (*_PLAIN.split(), *_ODD.split("|"), "|")
"""What a parser of text may stumble over."""

RAW_TOKENS: Final = (
    b"\xff",
    b"\xfe\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
)
"""What is no UTF-8 text, or a mark at its start."""

_WORD_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")


def _token(rng: Rng) -> bytes:
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice(RAW_TOKENS)
    if kind == 1:
        return rng.choice((b"[", b'{"a":', b"- ", b"(", b"1", b'"', b" ", b"a: ", b"'")) * rng.choice(
            (3, 60, 1500, 9000)
        )
    return rng.choice(TOKENS).encode()


def _word(data: bytes, rng: Rng) -> tuple[int, int]:
    """Returns where a word or a number stands."""
    start = rng.randint(0, len(data))
    while start > 0 and data[start - 1] in _WORD_BYTES:
        start -= 1
    end = start
    while end < len(data) and data[end] in _WORD_BYTES:
        end += 1
    return start, end


def change_word(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Puts something else in place of a word or a number."""
    start, end = _word(data, rng)
    return data[:start] + _token(rng) + data[end:]


def put_token(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Puts something between two characters."""
    at = rng.randint(0, len(data))
    return data[:at] + _token(rng) + data[at:]


def copy_word(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Puts a word from elsewhere in place of another: a key twice, a value of another type."""
    source = rng.choice(others) if others and rng.random() < 0.3 else data
    start, end = _word(data, rng)
    first, last = _word(source, rng)
    return data[:start] + source[first:last] + data[end:]


def drop_character(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Leaves out a character that means something."""
    places = [k for k, byte in enumerate(data) if byte in b"\"'[]{},:;\n\t- "]
    at = rng.choice(places) if places else 0
    return data[:at] + data[at + 1 :]


def shuffle_lines(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Leaves out a line, repeats it, swaps it with another, takes one from another file, or indents it otherwise."""
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines[at:at] = [lines[other]] * rng.choice((1, 1, 1, 1, 1, 20))
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3 and others:
        lines[at] = rng.choice(rng.choice(others).split(b"\n"))
    elif kind == 4:
        lines[at] = b" " * rng.randrange(5) + lines[at].lstrip(b" ")
    else:
        lines[at] = lines[at] * 2
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r")).join(lines)


TEXT: Final = (change_word, change_word, put_token, copy_word, drop_character, shuffle_lines)


def changed_json(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns JSON in which values are exchanged for others, so that it stays JSON."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 2))):
        holder, key = rng.choice(_places(content))
        kind = rng.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = rng.choice(_VALUES)
        elif kind == 2:
            other, place = rng.choice(_places(json.loads(data)))
            holder[key] = other[place]
        else:
            holder[key] = [holder[key]] * rng.choice((1, 2))
        if not content:
            break
    return json.dumps(content).encode("utf-8", "surrogatepass")


_VALUES: Final = (
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    1e308,
    "",
    "x",
    "../x",
    "/x",
    "x\x1b[31m",
    "*",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    for key in keys:
        places.append((data, key))
        places += _places(data[key])
    return places
