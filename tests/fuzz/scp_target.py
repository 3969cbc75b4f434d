"""Fuzzed conversations with a real receiver over loopback, and what is promised of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from random import Random

from pydicom.uid import UID

from mome_node.ingest.availability import NoticeReception
from mome_node.ingest.peers import Admission
from mome_node.ingest.scp import ScpSettings, StorageScp
from tests.fuzz import pdus
from tests.fuzz.conversations import (
    CONTEXTS,
    ECHO_CONTEXT,
    Conversation,
    conversation,
    data_set,
)
from tests.fuzz.elements import Coding, encode
from tests.fuzz.messages import echo_command, fragments_of, store_command
from tests.fuzz.peer import Heard, converse, is_sound
from tests.fuzz.receipt_target import FuzzedNode, fuzzed_node
from tests.fuzz.stream_reading import C_ECHO_RQ, C_STORE_RQ, RESPONSE, Message, read_stream
from tests.fuzz.watch import eventually

SETTINGS = ScpSettings(
    host="127.0.0.1",
    port=0,
    max_associations=64,
    acse_timeout_s=4.0,
    dimse_timeout_s=4.0,
    network_timeout_s=6.0,
)
_SYNTAXES = {context.context_id: context.transfer_syntaxes[0] for context in CONTEXTS}
_SUCCESS = 0


@dataclass
class FuzzedScp:
    """A receiver with all that it keeps."""

    node: FuzzedNode
    scp: StorageScp
    told: set[str] = field(default_factory=set)  # SOP Instance UIDs answered with success
    unread: set[str] = field(default_factory=set)  # their roots, where no answer need come

    def settle(self) -> None:
        """Wait until nothing is on its way any more."""
        eventually(lambda: self.node.incoming() == [], "the last temporary file is gone")


@contextmanager
def fuzzed_scp() -> Iterator[FuzzedScp]:
    """A receiver on a free port."""
    with fuzzed_node() as node:
        notices = NoticeReception(node.catalog, partial(datetime.now, UTC))
        with StorageScp(SETTINGS, node.reception, Admission(), notices=notices) as scp:
            yield FuzzedScp(node, scp)


def hold(target: FuzzedScp, conversations: Sequence[Conversation], at_once: int = 8) -> list[Heard]:
    """Hold conversations, several at a time; AssertionError where a promise is broken."""
    with ThreadPoolExecutor(at_once) as pool:
        heard = list(pool.map(lambda said: _checked(target.scp.port, said), conversations))
    target.settle()
    return heard


def check_kept(
    target: FuzzedScp, conversations: Sequence[Conversation], heard: Sequence[Heard]
) -> None:
    """Compare what peers were told with what is in the store and in the catalogue."""
    # Of a connection that was reset, an instance may still be on its way from its file to its row.
    eventually(target.node.is_consistent, "files and rows are the same")
    rows = {(r.sop_instance_uid, r.sha256): r for r in target.node.records()}
    for row in rows.values():
        assert target.node.store.path(row.key).stat().st_size > row.size, "not stored whole"
    for said, answered in zip(conversations, heard, strict=True):
        sent = read_stream(said.stream)
        for answer in answered.answers:
            if answer.field == C_STORE_RQ | RESPONSE and answer.number(0x0900) == _SUCCESS:
                uid = answer.text(0x1000)
                target.told.add(uid)
                assert any(kept == uid for kept, _ in rows), (uid, "answered and not kept")
                _check_whole(sent.messages, answer, rows.keys(), said)
        if not answered.was_read or not is_sound(said, sent):
            target.unread.add(said.uid_root)  # it may have ended before an answer could be read
    for uid, _ in rows:
        known = uid in target.told or uid.rpartition(".")[0] in target.unread
        said_by = {c.uid_root: h for c, h in zip(conversations, heard, strict=True)}
        assert known, (uid, "kept, and nobody was told", said_by.get(uid.rpartition(".")[0]))


def sound_conversation(uid_root: str, max_length: int | None = 16_384) -> Conversation:
    """A C-ECHO and two C-STOREs as they should be, of a peer that takes PDUs of this length."""
    random, parts = Random(0), []
    parts += fragments_of(random, ECHO_CONTEXT, pdus.command_set(echo_command(1)), None)
    for number in (2, 3):
        uid = f"{uid_root}.{number}"
        data = encode(data_set(uid), Coding(implicit=False))
        command = pdus.command_set(store_command(number, uid))
        parts += fragments_of(random, 1, command, data)
    stream = b"".join(pdus.pdu(pdus.P_DATA, part) for part in parts)
    request = pdus.associate_rq(CONTEXTS, max_length)
    return Conversation(uid_root, request, stream)


def check_serves(target: FuzzedScp, uid_root: str) -> None:
    """The receiver still does its work, as if nothing had happened."""
    said = sound_conversation(uid_root)
    (heard,) = hold(target, [said])
    check_kept(target, [said], [heard])
    # It did not wait for one answer before the next request: in which order they come is open.
    answered = sorted(a.field or 0 for a in heard.answers)
    assert answered == [*[C_STORE_RQ | RESPONSE] * 2, C_ECHO_RQ | RESPONSE]
    assert [a.number(0x0900) for a in heard.answers] == [_SUCCESS] * 3
    assert heard.other_pdus == [pdus.ASSOCIATE_AC, pdus.RELEASE_RP]
    kept = {r.sop_instance_uid for r in target.node.records()}
    assert {f"{uid_root}.2", f"{uid_root}.3"} <= kept


def numbered(seed: int, number: int) -> Conversation:
    """The conversation of this number; its instances are its own."""
    return conversation(Random(f"{seed}/{number}"), f"2.25.{seed}.{number}")


def _checked(port: int, said: Conversation) -> Heard:
    try:
        return converse(port, said)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said.made}, {said.ending}") from error


def _check_whole(
    messages: Sequence[Message],
    answer: Message,
    kept: Sequence[tuple[str, str]] | object,
    said: Conversation,
) -> None:
    """What was sent under the rules is kept byte for byte."""
    requests = [
        m
        for m in messages
        if m.field == C_STORE_RQ
        and m.text(0x1000) == answer.text(0x1000)
        and m.number(0x0110) == answer.number(0x0120)
    ]
    if len(requests) != 1 or requests[0].context_id not in _SYNTAXES:
        return  # a stream that broke the rules says no more than that something was kept
    (request,) = requests
    syntax = UID(_SYNTAXES[request.context_id]).encode("ascii")
    digest = sha256(syntax + b"\0" + (request.data_set or b"")).hexdigest()
    assert (answer.text(0x1000), digest) in kept, ("not kept whole", said.made)  # type: ignore[operator]
