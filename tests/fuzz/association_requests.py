"""A-ASSOCIATE-RQ PDUs that no sound peer sends (PS3.8 section 9.3.2, PS3.7 annex D)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz import pdus
from tests.fuzz.byte_changes import change_bytes
from tests.fuzz.pdus import Context, item

_LIES = (0, 1, 3, 4, 5, 0x7FFF, 0xFFFF)


def broken_request(random: Random, contexts: Sequence[Context], made: list[str]) -> bytes:
    """An A-ASSOCIATE-RQ with one thing wrong, or unusual."""
    name = random.choice(tuple(CHANGES))
    made.append(f"in the association request: {name}")
    return CHANGES[name](random, contexts)


def _assembled(
    contexts: Sequence[bytes],
    users: Sequence[bytes] | None = None,
    *,
    head: bytes | None = None,
    application: bytes = pdus.APPLICATION_CONTEXT,
    declared: int | None = None,
) -> bytes:
    items = [item(0x10, application), *contexts]
    items.append(item(0x50, b"".join(pdus.user_items() if users is None else users)))
    body = (pdus.associate_head() if head is None else head) + b"".join(items)
    return pdus.pdu(pdus.ASSOCIATE_RQ, body, declared)


def _items(contexts: Sequence[Context]) -> list[bytes]:
    return [pdus.context_item(context) for context in contexts]


def _head(random: Random, contexts: Sequence[Context]) -> bytes:
    head = random.choice(
        (
            pdus.associate_head(version=random.choice((0, 2, 3, 0xFFFF))),
            pdus.associate_head(called=random.choice(("", "NOBODY", "\0" * 16, "\xe9" * 16))),
            pdus.associate_head(calling=random.choice(("", "\\", "\0" * 16, "\xff" * 16, "\n\r"))),
            pdus.associate_head()[: random.randrange(68)],
        )
    )
    return _assembled(_items(contexts), head=head)


def _pdu_length(random: Random, contexts: Sequence[Context]) -> bytes:
    lies = (*_LIES, 67, 68, 69, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
    return _assembled(_items(contexts), declared=random.choice(lies))


def _item_length(random: Random, contexts: Sequence[Context]) -> bytes:
    items = _items(contexts)
    at = random.randrange(len(items))
    body = items[at][4:]
    lies = (*_LIES, len(body) - 1, len(body) + 1)
    items[at] = item(random.choice((0x20, 0x20, 0x21, 0x99)), body, random.choice(lies))
    return _assembled(items)


def _sub_item_length(random: Random, contexts: Sequence[Context]) -> bytes:
    syntax = item(random.choice((0x40, 0x30, 0x51)), b"1.2.840.10008.1.2", random.choice(_LIES))
    name = item(0x30, b"1.2.840.10008.1.1", random.choice((17, *_LIES)))
    return _assembled([*_items(contexts), item(0x20, b"\x63\0\0\0" + name + syntax)])


def _contexts(random: Random, contexts: Sequence[Context]) -> bytes:
    items = _items(contexts)
    return _assembled(
        random.choice(
            (
                [],
                [*items, *items],
                items * random.choice((15, 200)),
                [pdus.context_item(Context(n, "1.2.840.10008.1.1", ())) for n in range(256)],
                [pdus.context_item(Context(1, "", ("",)))],
                [pdus.context_item(Context(0, "1." * 300, ("x" * 400,) * 40))],
                [item(0x20, b"")],
                random.sample(items, len(items)),
            )
        )
    )


def _users(random: Random, contexts: Sequence[Context]) -> bytes:
    sop_class = b"1.2.840.10008.5.1.4.1.1.4"
    sized = struct.pack(">H", len(sop_class)) + sop_class
    strangers = (
        item(0x51, struct.pack(">L", random.choice((0, 1, 6, 7, 12, 0xFFFFFFFF)))),
        item(0x51, random.choice((b"", b"\0", bytes(8)))),
        item(0x52, random.choice((b"", b"x", b"1." * 200, b"\xff" * 10))),
        item(0x53, struct.pack(">HH", random.choice((0, 1, 0xFFFF)), 5)),
        item(0x54, sized + bytes((random.randrange(3), random.randrange(3)))),
        item(0x54, struct.pack(">H", random.choice(_LIES)) + sop_class),
        item(0x55, random.choice((b"", b"V" * 17, b"\xff" * 16, b"\n"))),
        item(0x56, sized + b"\x02\0\0\0"),
        item(0x56, random.choice((b"", b"\xff\xff", sized))),
        item(0x57, sized + sized + struct.pack(">H", len(sized)) + sized),
        item(0x57, random.choice((b"", sized, sized + b"\xff\xff"))),
        item(0x58, b"\x02\x01\0\x04user\0\x08password"),
        item(0x58, random.choice((b"", b"\x09\x01", b"\x01\x01\xff\xffx"))),
        item(0x99, bytes(30)),
    )
    users = [*pdus.user_items(), *random.sample(strangers, random.randrange(1, 6))]
    if random.random() < 0.3:
        users.pop(random.randrange(3))
    return _assembled(_items(contexts), users)


def _application(random: Random, contexts: Sequence[Context]) -> bytes:
    names = (b"", b"1.2.3", b"1." * 100, b"\xff" * 20, b"x")
    return _assembled(_items(contexts), application=random.choice(names))


def _items_missing(random: Random, contexts: Sequence[Context]) -> bytes:
    items = [item(0x10, pdus.APPLICATION_CONTEXT), *_items(contexts)]
    items.append(item(0x50, b"".join(pdus.user_items())))
    kept = random.sample(items, random.randrange(len(items)))
    return pdus.pdu(pdus.ASSOCIATE_RQ, pdus.associate_head() + b"".join(kept))


def _bytes(random: Random, contexts: Sequence[Context]) -> bytes:
    return change_bytes(random, pdus.associate_rq(contexts))[0]


def _cut(random: Random, contexts: Sequence[Context]) -> bytes:
    whole = pdus.associate_rq(contexts)
    return whole[: random.randrange(len(whole))]


def _no_request(random: Random, _contexts: Sequence[Context]) -> bytes:
    return random.choice(
        (
            b"",
            b"\0",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40),
            bytes(500),
            b"\xff" * 500,
            pdus.release_rq(),
            pdus.abort(),
            pdus.pdu(pdus.P_DATA, pdus.pdv(1, 3, bytes(20))),
            pdus.pdu(random.randrange(256), bytes(random.choice((0, 4, 100)))),
        )
    )


CHANGES: dict[str, Callable[[Random, Sequence[Context]], bytes]] = {
    "what precedes its items": _head,
    "its length": _pdu_length,
    "the length of an item": _item_length,
    "the length of a sub-item": _sub_item_length,
    "its presentation contexts": _contexts,
    "its user information": _users,
    "its application context": _application,
    "items missing or out of order": _items_missing,
    "bytes": _bytes,
    "its end": _cut,
    "everything": _no_request,
}
