"""STOW-RS: what is sent, and what of an answer counts as stored."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from mome_node.delivery.destination import Outgoing, Receipt
from mome_node.delivery.stow import MAX_ANSWER_BYTES, StoreBody, StowSender
from mome_node.delivery.stow_answer import MAX_ITEMS, StoreAnswer, outcome, parse_store_answer
from mome_node.errors import PermanentDeliveryError, StorageError, TransientDeliveryError
from mome_node.http_client import Service
from tests.delivery.stow_server import Answer, StoreRequest, StowServer, module, served

Serve = Callable[..., StowServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer=stores, **how: stack.enter_context(served(StowServer(answer, **how)))


def uid_of(request: StoreRequest) -> str:
    return str(dcmread(BytesIO(request.parts[0]), stop_before_pixels=True).SOPInstanceUID)


def stores(request: StoreRequest) -> Answer:
    """What a server answers that has stored the one instance that came."""
    return Answer(module({uid_of(request): None}))


def send(server: StowServer, *objects: Outgoing, **service: object) -> list[Receipt]:
    return list(server.sender(**service).send(objects))


def encoded(content: object) -> bytes:
    return json.dumps(content).encode()


def whole(item: Outgoing) -> bytes:
    with item.open() as file:
        return file.read()


# What is sent


def test_each_instance_goes_whole_in_a_request_of_its_own_over_one_connection(serve, make_object):
    server = serve()
    objects = [make_object() for _ in range(3)]
    receipts = send(server, *objects)
    assert [r.sop_instance_uid for r in receipts] == [o.sop_instance_uid for o in objects]
    assert all(r.stored and r.status == 0x0000 and r.note == "" for r in receipts)
    assert [r.parts for r in server.requests] == [(whole(item),) for item in objects]
    assert {r.path for r in server.requests} == {"/dicom-web/studies"}
    assert server.connections == 1
    headers = server.requests[0].headers
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"; ')
    assert headers["Accept"].startswith("application/dicom+json")
    assert "Transfer-Encoding" not in headers


def test_a_large_file_is_read_while_it_is_sent() -> None:
    class Watched(BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            self.most = max(self.most, size)
            return super().read(size)

    file = Watched(bytes(10_000_000))
    body = StoreBody(file)
    assert sum(map(len, body)) == len(body) > 10_000_000
    assert 0 < file.most <= 65536


def test_the_token_goes_with_each_request_and_into_no_representation(serve, make_object):
    server = serve()
    send(server, make_object(), token="s3cr3t")
    assert server.requests[0].headers["Authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in repr(server.sender(token="s3cr3t"))


def test_neither_proxies_nor_secrets_of_the_environment_are_used(
    serve, make_object, monkeypatch, tmp_path
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = serve()
    (receipt,) = send(server, make_object())
    assert receipt.stored
    assert "Authorization" not in server.requests[0].headers


def test_a_file_that_is_gone_or_another_instance_is_not_sent_and_stops_no_other(serve, make_object):
    def gone() -> BytesIO:
        raise StorageError("no such file")

    server, item = serve(), make_object()
    wrong = Outgoing("1.2.3", item.open)
    first, second, third = send(server, Outgoing("1.2.4", gone), wrong, item)
    assert isinstance(first.error, PermanentDeliveryError)
    assert "cannot be read (StorageError); nothing was sent" in str(first.error)
    assert "the file kept as instance 1.2.3 is instance" in str(second.error)
    assert third.stored
    assert len(server.requests) == 1


def test_a_file_that_becomes_shorter_while_it_is_sent_is_told(serve, make_object):
    item = make_object()
    content = whole(item)

    class Shrinking(BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            found = super().seek(offset, whence)
            return found + 10 if whence == 2 else found

    files = iter([BytesIO(content), Shrinking(content)])
    shrinking = Outgoing(item.sop_instance_uid, lambda: next(files))
    (receipt,) = send(serve(), shrinking)
    assert isinstance(receipt.error, PermanentDeliveryError)
    assert "cannot be read (StorageError)" in str(receipt.error)


# What counts as stored


@pytest.mark.parametrize("status", [200, 202])
def test_a_warning_is_noted_and_stored(serve, make_object, status):
    server = serve(lambda r: Answer(module({uid_of(r): 0xB000}), status))
    (receipt,) = send(server, make_object())
    assert (receipt.stored, receipt.status) == (True, 0xB000)
    assert receipt.note == "0xB000, coercion of data elements"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>stored</html>",
        b"OK",
        b"[]",
        b"{}",
        b'{"00081199": 7}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
        module({"1.2.3": None}),
        module({"1.2.3": None, "1.2.4": None}),
    ],
)
def test_an_instance_that_the_answer_does_not_name_is_not_stored(serve, make_object, body):
    """A proxy between, or a server that counts wrongly, has said 200 and kept nothing."""
    (receipt,) = send(serve(lambda _: Answer(body)), make_object())
    assert isinstance(receipt.error, TransientDeliveryError)
    assert "did not say that it stored" in str(receipt.error)
    assert receipt.status is None


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (0x0122, PermanentDeliveryError),
        (0x0124, PermanentDeliveryError),
        (0xA900, PermanentDeliveryError),
        (0xC122, PermanentDeliveryError),
        (0xA700, TransientDeliveryError),
        (0x0110, TransientDeliveryError),
        (0x0000, TransientDeliveryError),
        (0xB000, TransientDeliveryError),
    ],
)
def test_a_failure_reason_is_told_as_a_status_of_c_store_is(
    serve, make_object, status, reason, kind
):
    server = serve(lambda r: Answer(module(failed={uid_of(r): reason}), status))
    refused, after = send(server, make_object(), make_object())
    assert isinstance(refused.error, kind)
    assert refused.status == reason
    assert f"0x{reason:04X}" in str(refused.error)
    assert len(server.requests) == 2
    assert not after.stored


@pytest.mark.parametrize("status", [200, 409])
def test_an_instance_that_is_there_already_is_there(serve, make_object, status):
    server = serve(lambda r: Answer(module(failed={uid_of(r): 0x0111}), status))
    (receipt,) = send(server, make_object())
    assert receipt.stored
    assert "duplicate" in receipt.note


def test_an_instance_that_is_named_as_stored_and_as_failed_is_not_stored(serve, make_object):
    server = serve(lambda r: Answer(module({uid_of(r): None}, {uid_of(r): 0xA700})))
    (receipt,) = send(server, make_object())
    assert isinstance(receipt.error, TransientDeliveryError)


def test_a_failure_without_a_name_is_that_of_the_one_instance_that_was_sent(serve, make_object):
    (receipt,) = send(serve(lambda _: Answer(module(others=(0xC000,)), 202)), make_object())
    assert isinstance(receipt.error, PermanentDeliveryError)
    assert receipt.status == 0xC000


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "does not understand the request"),
        (406, "neither in DICOM JSON nor in XML"),
        (409, "refuses the instance"),
        (411, "is there a proxy between"),
        (413, "too large for it"),
        (415, "does not take the instance's transfer syntax"),
        (422, "refuses the request"),
    ],
)
def test_a_refusal_of_one_instance_waits_for_a_person_and_stops_no_other(
    serve, make_object, status, words
):
    refused = make_object()

    def answer(request: StoreRequest) -> Answer:
        is_refused = uid_of(request) == refused.sop_instance_uid
        return Answer(b"secret page", status) if is_refused else stores(request)

    first, second = send(serve(answer), refused, make_object())
    assert isinstance(first.error, PermanentDeliveryError)
    assert words in str(first.error)
    assert "secret" not in str(first.error)
    assert second.stored


def test_a_server_that_fails_on_one_instance_may_take_the_next(serve, make_object):
    answers = iter([Answer(b"<html>", 500), None])
    server = serve(lambda r: next(answers) or stores(r))
    first, second = send(server, make_object(), make_object())
    assert isinstance(first.error, TransientDeliveryError)
    assert second.stored


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, PermanentDeliveryError, "final url"),
        (307, PermanentDeliveryError, "final url"),
        (401, PermanentDeliveryError, "token_file"),
        (403, PermanentDeliveryError, "token_file"),
        (404, PermanentDeliveryError, "no STOW-RS service"),
        (405, PermanentDeliveryError, "no STOW-RS service"),
        (408, TransientDeliveryError, "busy"),
        (429, TransientDeliveryError, "busy"),
        (502, TransientDeliveryError, "cannot store now"),
        (503, TransientDeliveryError, "cannot store now"),
        (507, TransientDeliveryError, "cannot store now"),
    ],
)
def test_what_a_service_says_of_itself_holds_for_all_that_was_to_be_sent(
    serve, make_object, status, kind, words
):
    elsewhere = {"Location": "http://127.0.0.1:1/steal"}
    server = serve(lambda _: Answer(b"secret page", status, elsewhere))
    with pytest.raises(kind, match=words) as caught:
        send(server, make_object(), make_object(), token="s3cr3t")
    assert len(server.requests) == 1
    assert "secret" not in str(caught.value)


def test_a_server_that_refuses_before_it_has_read_is_understood(serve, make_object):
    server = serve(lambda _: Answer(b"", 401), reads=False)
    with pytest.raises(PermanentDeliveryError, match="token_file"):
        send(server, make_object())


# Answers that are not as they should be


def test_an_answer_that_is_too_long_is_not_read_to_its_end(serve, make_object):
    long = Answer(b" " * (MAX_ANSWER_BYTES + 1))
    bomb = Answer(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})
    answers = iter([long, bomb])
    for receipt in send(serve(lambda _: next(answers)), make_object(), make_object()):
        assert isinstance(receipt.error, TransientDeliveryError)
        assert "did not say that it stored" in str(receipt.error)


def test_a_server_that_says_nothing_is_given_up(serve, make_object):
    release = threading.Event()
    server = serve(lambda _: Answer(then=release.set if release.wait(30) else None))
    try:
        with pytest.raises(TransientDeliveryError, match="no answer in time"):
            send(server, make_object(), timeout_s=0.2)
    finally:
        release.set()


def test_a_server_whose_answer_trickles_is_given_up(serve, make_object):
    release, times = threading.Event(), itertools.count(step=400)
    begun = Answer(b"{", headers={"Content-Length": "1000"}, then=lambda: release.wait(30))
    service = Service(serve(lambda _: begun).url)
    sender = StowSender("web", service, clock=lambda: float(next(times)))
    try:
        with pytest.raises(TransientDeliveryError, match="takes more than 300 s"):
            list(sender.send([make_object(), make_object()]))
    finally:
        release.set()


def test_a_server_that_is_away_or_hangs_up_is_tried_again(serve, make_object):
    server = serve(lambda _: Answer(b"{", headers={"Content-Length": "9", "Connection": "close"}))
    with pytest.raises(TransientDeliveryError, match="or it was lost"):
        send(server, make_object())
    server.port = 1
    with pytest.raises(TransientDeliveryError, match="no connection"):
        send(server, make_object())


def test_an_answer_that_is_broken_on_its_way_says_nothing(serve, make_object):
    broken = Answer(b"no gzip", headers={"Content-Encoding": "gzip"})
    (receipt,) = send(serve(lambda _: broken), make_object())
    assert isinstance(receipt.error, TransientDeliveryError)


def test_a_server_whose_certificate_nobody_vouches_for_is_refused(serve, make_object, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    server = serve()
    service = Service(server.url.replace("http:", "https:"), ca_file=tmp_path / "ca.pem")
    with pytest.raises((PermanentDeliveryError, TransientDeliveryError)):
        list(StowSender("web", service).send([make_object()]))
    assert server.requests == []


# In XML, as servers answer that know no JSON

XML = """<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">
<DicomAttribute tag="00081190" vr="UR" keyword="RetrieveURL"/>
<DicomAttribute tag="0008119{}" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">{}</Value></DicomAttribute>
<DicomAttribute tag="0008119{}" vr="US"><Value number="1">{}</Value></DicomAttribute>
</Item></DicomAttribute></NativeDicomModel>"""


def test_an_answer_in_xml_is_read(serve, make_object):
    kept = serve(lambda r: Answer(XML.format(9, uid_of(r), 6, 0xB006).encode()))
    (receipt,) = send(kept, make_object())
    assert (receipt.stored, receipt.status) == (True, 0xB006)
    refused = serve(lambda r: Answer(XML.format(8, uid_of(r), 7, 0xA700).encode()))
    (receipt,) = send(refused, make_object())
    assert isinstance(receipt.error, TransientDeliveryError)
    assert receipt.status == 0xA700


def test_entities_in_xml_are_not_expanded() -> None:
    laughs = b'<!DOCTYPE a [<!ENTITY b "x">]><NativeDicomModel>&b;</NativeDicomModel>'
    assert parse_store_answer(laughs) is None


# Whatever is answered

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries({"Value": st.lists(JSON, max_size=3) | JSON}) | JSON
TAGS = st.sampled_from(["00081155", "00081196", "00081197", "0008119a", "00081199"]) | st.text()
ITEM = st.dictionaries(TAGS, VALUES, max_size=4)
ODD = st.dictionaries(
    st.sampled_from(["00081198", "00081199", "0008119A"]) | st.text(),
    st.fixed_dictionaries({"Value": st.lists(ITEM, max_size=3)}) | VALUES,
    max_size=4,
)


@given(
    st.binary(max_size=200)
    | ODD.map(encoded)
    | st.text(max_size=80).map(lambda t: f"<NativeDicomModel>{t}</NativeDicomModel>".encode()),
    st.integers(200, 599),
)
def test_whatever_is_answered_an_instance_is_stored_only_where_it_is_named(body, status):
    answer = parse_store_answer(body)
    receipt = outcome("1.2.3", status, answer, "web")
    assert receipt.sop_instance_uid == "1.2.3"
    if receipt.stored:
        assert answer is not None
        assert "1.2.3" in {*answer.stored, *answer.failed}
    assert receipt.status is None or 0 <= receipt.status <= 0xFFFF


@given(
    stored=st.dictionaries(st.sampled_from(["1.2.3", "1.2.4"]), st.none() | st.integers(0, 65535)),
    failed=st.dictionaries(st.sampled_from(["1.2.3", "1.2.4"]), st.none() | st.integers(0, 65535)),
    status=st.sampled_from([200, 202, 400, 409, 500]),
)
def test_what_is_named_as_failed_is_never_stored_but_for_a_duplicate(stored, failed, status):
    receipt = outcome("1.2.3", status, StoreAnswer(stored, failed), "web")
    if "1.2.3" in failed:
        assert receipt.stored == (failed["1.2.3"] == 0x0111)
    else:
        assert receipt.stored == ("1.2.3" in stored and status < 300)


def test_an_answer_with_very_many_items_is_cut() -> None:
    many = module({f"1.2.{n}": None for n in range(MAX_ITEMS + 1)})
    answer = parse_store_answer(encoded(many))
    assert answer is not None
    assert len(answer.stored) == MAX_ITEMS


# The probe


def test_a_probe_stores_nothing_and_tells_that_the_service_would_store(serve):
    server = serve(lambda _: Answer(b"", 400))
    assert "takes STOW-RS" in server.sender().probe()
    (request,) = server.requests
    assert request.parts == ()


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no STOW-RS"), (401, "token_file"), (500, "HTTP 500")]
)
def test_a_probe_tells_what_is_wrong(serve, status, words):
    server = serve(lambda _: Answer(b"", status))
    with pytest.raises((PermanentDeliveryError, TransientDeliveryError), match=words):
        server.sender().probe()


def test_a_compressed_object_goes_as_it_is(serve, make_object):
    server, item = serve(), make_object(transfer_syntax=JPEG2000Lossless)
    (receipt,) = send(server, item)
    assert receipt.stored
    assert server.requests[0].parts == (whole(item),)
