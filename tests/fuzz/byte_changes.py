"""What a broken disk or link does to bytes that it knows nothing of."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random

_WORDS = (
    *(b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xfe\xff\0\xe0\xff\xff\xff\xff"),
    *(b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"\x7f\xff\xff\xff", b"SQ\0\0"),
    *(b"\xe0\x7f\x10\0", b"\x10\0\xe0\x7f", b"UN\0\0\xff\xff\xff\xff", b"DICM", b"\x01\x80"),
)


def change_bytes(random: Random, data: bytes) -> tuple[bytes, str]:
    """Do one thing to bytes; what it was."""
    name = random.choice(tuple(CHANGES))
    return CHANGES[name](random, data), name


def deflated(random: Random, data: bytes, *, sound: bool) -> bytes:
    """A raw deflate stream (PS3.5 A.5), or what is left of one."""
    compressor = zlib.compressobj(random.choice((1, 9)), zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = compressor.compress(data) + compressor.flush()
    if sound:
        return stream
    if random.random() < 0.2:  # a header, and then more than anybody should inflate
        bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return bomb.compress(data + bytes(3 << 20)) + bomb.flush()
    return change_bytes(random, stream)[0]


def _place(random: Random, data: bytes) -> int:
    """Any place; half of the time in the first 400 bytes, where the identity is."""
    return random.randrange(min(len(data), random.choice((400, 1 << 30))) + 1)


def _flip(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return (
        data[:at]
        + bytes(b ^ (1 << random.randrange(8)) for b in data[at : at + 1])
        + data[at + 1 :]
    )


def _overwrite(random: Random, data: bytes) -> bytes:
    at, word = _place(random, data), random.choice(_WORDS)
    return data[:at] + word + data[at + len(word) :]


def _insert(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.choice(_WORDS) + data[at:]


def _remove(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at + random.choice((1, 2, 4, 8, 100)) :]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: _place(random, data)]


def _repeat(random: Random, data: bytes) -> bytes:
    at, size = _place(random, data), random.choice((1, 8, 100))
    return data[:at] + data[at : at + size] * random.choice((1, 2, 50)) + data[at:]


def _append(random: Random, data: bytes) -> bytes:
    return data + random.choice(_WORDS) * random.choice((1, 3, 100))


def _replace(random: Random, _data: bytes) -> bytes:
    return b"".join(random.choice(_WORDS) for _ in range(random.randrange(8)))


CHANGES: dict[str, Callable[[Random, bytes], bytes]] = {
    "a bit flipped": _flip,
    "bytes overwritten": _overwrite,
    "bytes inserted": _insert,
    "bytes missing": _remove,
    "cut off": _cut,
    "bytes repeated": _repeat,
    "bytes at the end": _append,
    "something else altogether": _replace,
}
