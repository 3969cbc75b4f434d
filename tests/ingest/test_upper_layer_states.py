"""PS3.8 table 9-10 from outside: every event that a peer can cause, in every state of an acceptor.

The states are told by what was said before; what happens is told by the PDUs that come back and
by the end of the connection. Whatever it was, nothing half-received stays.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from mome_node.ingest.peers import Admission
from mome_node.ingest.scp import ScpSettings, StorageScp
from tests.fuzz import pdus
from tests.fuzz.conversations import CONTEXTS, ECHO_CONTEXT, data_set
from tests.fuzz.elements import Coding, encode
from tests.fuzz.messages import echo_command, fragments_of, store_command
from tests.fuzz.pdus import Context
from tests.fuzz.peer import Heard, Line
from tests.fuzz.receipt_target import fuzzed_node
from tests.fuzz.stream_reading import C_ECHO_RQ, RESPONSE
from tests.fuzz.watch import eventually, watching

UID = "2.25.77.1"
SETTINGS = ScpSettings(
    host="127.0.0.1",
    port=0,
    max_associations=8,
    acse_timeout_s=0.5,
    dimse_timeout_s=0.5,
    network_timeout_s=0.5,
    pdu_timeout_s=0.5,
)
REQUEST = pdus.associate_rq(CONTEXTS)
_COMMAND, _DATA = fragments_of(
    Random(0),
    1,
    pdus.command_set(store_command(1, UID)),
    encode(data_set(UID), Coding(implicit=False)),
)
_HALF = len(_DATA) // 2
COMMAND_BEGUN = pdus.pdu(pdus.P_DATA, pdus.pdv(1, pdus.COMMAND, _COMMAND[6:20]))
COMMAND = pdus.pdu(pdus.P_DATA, _COMMAND)
DATA_BEGUN = pdus.pdu(pdus.P_DATA, pdus.pdv(1, 0, _DATA[6:_HALF]))
DATA_ENDED = pdus.pdu(pdus.P_DATA, pdus.pdv(1, pdus.LAST, _DATA[_HALF:]))
ECHO = pdus.pdu(
    pdus.P_DATA, *fragments_of(Random(0), ECHO_CONTEXT, pdus.command_set(echo_command(2)), None)
)
UNKNOWN = pdus.pdu(0x47, b"")
SERVICE_USER, SERVICE_PROVIDER = 0, 2

EVENTS = {
    "A-ASSOCIATE-RQ": REQUEST,
    "A-ASSOCIATE-AC": pdus.pdu(pdus.ASSOCIATE_AC, pdus.associate_head()),
    "A-ASSOCIATE-RJ": pdus.pdu(pdus.ASSOCIATE_RJ, b"\0\1\1\1"),
    "P-DATA-TF": ECHO,
    "A-RELEASE-RQ": pdus.release_rq(),
    "A-RELEASE-RP": pdus.pdu(pdus.RELEASE_RP, bytes(4)),
    "A-ABORT": pdus.abort(),
    "an unrecognised PDU": UNKNOWN,
    "an invalid PDU": pdus.pdu(pdus.P_DATA, pdus.pdv(1, 0, b"", declared=1000)),
    "the connection closed": None,
    "nothing until a timeout": b"",
}
"""What a peer can say: Evt6, 3, 4, 10, 12, 13, 16, 19, 19, 17; and Evt18."""

IN_A_MESSAGE = {
    "in a command": COMMAND_BEGUN,
    "before a data set": COMMAND,
    "between two fragments": COMMAND + DATA_BEGUN,
    "in a PDU": COMMAND + DATA_BEGUN + DATA_ENDED[:9],
}
STATES = {
    "awaiting a request": b"",
    "established": b"",
    **IN_A_MESSAGE,
    "awaiting the close": UNKNOWN,
}

NOTHING, ABORTED = [()], [(pdus.ABORT,)]
ACCEPTED, RELEASED = [(pdus.ASSOCIATE_AC, pdus.ABORT)], [(pdus.RELEASE_RP,)]
_SILENT = dict.fromkeys(("A-ABORT", "the connection closed"), NOTHING)

STA2 = dict.fromkeys(EVENTS, ABORTED) | _SILENT  # AA-1, AA-2, AA-5
STA2 |= {"A-ASSOCIATE-RQ": ACCEPTED, "nothing until a timeout": NOTHING}  # AE-6, AA-2
STA6 = dict.fromkeys(EVENTS, ABORTED) | _SILENT  # AA-8, AA-3, AA-4
STA6 |= {"A-RELEASE-RQ": RELEASED}  # AR-2
STA13 = {event: [(pdus.ABORT,), (pdus.ABORT,) * 2] for event in EVENTS}  # AA-6, AA-7, AA-2
EXPECTED = {"awaiting a request": STA2, "awaiting the close": STA13}
NOT_EVENTS = {"the connection closed", "nothing until a timeout"}
CASES = [
    (state, event)
    for state in STATES
    for event in EVENTS
    # What comes in the middle of a PDU is part of it, whatever it looks like.
    if state != "in a PDU" or event in NOT_EVENTS
]


@dataclass(frozen=True)
class Acceptor:
    """A receiver, and what it keeps."""

    scp: StorageScp
    files: Callable[[], list[Path]]

    def hears(self, said: bytes, *, associated: bool) -> Heard:
        """Say this, on an association or before one, and listen until the connection ends."""
        line = self.line(associated=associated)
        try:
            line.say(said, 1 << 20)
            line.until_ended()
            return line.heard
        finally:
            line.close()

    def line(self, *, associated: bool) -> Line:
        """Connect and, if wanted, associate."""
        line = Line(self.scp.port)
        if associated:
            line.say(REQUEST, len(REQUEST))
            line.until_established(surely=True)
            line.heard.other_pdus.clear()
        return line


@contextmanager
def heap_at_rest() -> Iterator[None]:
    """Leave out of collections what other tests hold: passing over it all takes 0.8 s."""
    gc.collect()
    gc.freeze()  # as a node does before it serves
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def acceptor() -> Iterator[Acceptor]:
    """One for all of it: it has to stay up."""
    with heap_at_rest(), watching() as watch, fuzzed_node() as node:
        with StorageScp(SETTINGS, node.reception, Admission()) as scp:
            yield Acceptor(scp, node.files)
        assert watch.findings == []


@pytest.mark.parametrize(("state", "event"), CASES)
def test_every_event_in_every_state_is_answered_as_the_standard_says(acceptor, state, event):
    data = EVENTS[event]
    line = acceptor.line(associated=state != "awaiting a request")
    try:
        line.say(STATES[state] + (data or b""), 1 << 20)
        if data is None:
            line.finish_writing()
        line.until_ended()
    finally:
        line.close()
    heard = line.heard
    assert tuple(heard.other_pdus) in EXPECTED.get(state, STA6)[event]
    assert [a.field for a in heard.answers] == (
        [C_ECHO_RQ | RESPONSE] if (state, event) == ("established", "P-DATA-TF") else []
    )
    if state == "awaiting a request" and heard.abort_sources and event != "A-ASSOCIATE-RQ":
        assert heard.abort_sources == [SERVICE_USER]  # AA-1
    elif state in ("established", *IN_A_MESSAGE) and event not in (*NOT_EVENTS, "P-DATA-TF"):
        assert set(heard.abort_sources) <= {SERVICE_PROVIDER}  # AA-8
    eventually(lambda: acceptor.files() == [], "nothing half-received stays")


@pytest.mark.parametrize("event", EVENTS)
def test_what_follows_a_release_request_changes_nothing_that_matters(acceptor, event):
    """Sta8 and, once we have answered, Sta13: which of them it meets is a matter of moments."""
    heard = acceptor.hears(pdus.release_rq() + (EVENTS[event] or b""), associated=True)
    allowed = [[pdus.RELEASE_RP], [pdus.ABORT], [pdus.RELEASE_RP, pdus.ABORT]]
    assert heard.other_pdus in ([*allowed, []] if event == "A-ABORT" else allowed)
    assert heard.answers == []
    eventually(lambda: acceptor.files() == [], "nothing half-received stays")


def test_request_that_cannot_be_negotiated_is_aborted(acceptor):
    """A presentation context without a transfer syntax, and one whose ID is even."""
    for context in (Context(1, "1.2.840.10008.1.1", ()), Context(2, "1.2.840.10008.1.1", ("1.2",))):
        heard = acceptor.hears(pdus.associate_rq([context]), associated=False)
        assert heard.other_pdus == [pdus.ABORT]


def test_request_of_another_protocol_version_is_rejected(acceptor):
    """AE-6: by the service provider, Protocol version not supported."""
    body = pdus.associate_head(version=2) + REQUEST[6 + 68 :]
    heard = acceptor.hears(pdus.pdu(pdus.ASSOCIATE_RQ, body), associated=False)
    assert heard.other_pdus == [pdus.ASSOCIATE_RJ]


def test_instance_is_stored_when_its_last_fragment_came_and_not_before(acceptor):
    parts = COMMAND + DATA_BEGUN
    line = acceptor.line(associated=True)
    line.say(parts, len(parts))
    eventually(lambda: len(acceptor.files()) == 1, "the instance is on its way")
    assert line.heard.answers == []
    line.say(DATA_ENDED, 1)
    line.until_answered(1, surely=True)
    assert [a.number(0x0900) for a in line.heard.answers] == [0]
    line.say(pdus.release_rq(), 1 << 20)
    line.until_ended()
    line.close()
    (kept,) = acceptor.files()
    assert kept.read_bytes().endswith(_DATA[6:])
    kept.unlink()
