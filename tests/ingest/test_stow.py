"""The HTTP door: what a DICOMweb sender is promised, over real HTTP."""

from __future__ import annotations

import gzip
import socket
import zlib

import pytest

from mome_node.ingest.outcome import Status
from mome_node.ingest.receipt import Reception
from mome_node.storage.local import LocalStore
from tests.ingest.stow_client import (
    BOUNDARY,
    STUDIES,
    TOKEN,
    multipart,
    part10,
    told,
    until_closed,
)

STUDY = "1.2.3.4"
MIB = 1 << 20


def assert_nothing_is_left(node, door, instances: int = 0) -> None:
    """When all that was being received has ended, there are only so many instances."""
    door.close()
    assert [*node.root.glob("incoming/*")] == []
    assert len(node.files()) == instances


# What is kept


def test_acknowledged_instances_are_stored_byte_for_byte_and_indexed(node, door, file):
    uids = [f"1.2.3.4.5.{n}" for n in range(1, 4)]
    answer = told(door.post(multipart(file(uid) for uid in uids)))
    assert (answer.status, answer.stored) == (200, tuple(uids))
    records = {r.sop_instance_uid: r for r in node.catalog.instances_of(STUDY)}
    assert sorted(records) == uids
    for uid in uids:
        kept = node.store.path(records[uid].key).read_bytes()
        assert kept.endswith(file(uid)[-records[uid].size :])
        assert records[uid].calling_ae == "stow:gateway"


def test_one_instance_may_come_as_the_whole_body(node, door, file):
    answer = told(door.post(file(), Content_Type="application/dicom"))
    assert (answer.status, answer.stored) == (200, ("1.2.3.4.5.1",))
    assert len(node.catalog.instances_of(STUDY)) == 1


def test_the_same_instance_again_is_success_and_kept_once(node, door, file):
    body = multipart([file(), file()])
    assert told(door.post(body)).status == 200
    assert told(door.post(body)).stored == ("1.2.3.4.5.1",) * 2
    assert len(node.files()) == 1


def test_instance_with_other_bytes_is_kept_beside_the_first(node, door, file):
    body = multipart([file(), file(PatientComments="corrected")])
    assert told(door.post(body)).status == 200
    assert len(node.files()) == 2


def test_study_in_the_url_keeps_instances_of_others_out_one_by_one(node, door, file):
    other = file("1.9.1", StudyInstanceUID="1.9")
    answer = told(door.post(multipart([other, file()]), path=f"{STUDIES}/{STUDY}"))
    assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
    assert answer.failed == {"1.9.1": Status.DOES_NOT_MATCH}
    assert [s.study_uid for s in node.catalog.studies()] == [STUDY]
    answer = told(door.post(multipart([other]), path=f"{STUDIES}/{STUDY}"))
    assert (answer.status, answer.stored) == (409, ())


def test_bad_instance_fails_alone_with_its_reason(node, door, file):
    broken = file("1.2.3.4.5.2")[:-40]
    no_uid = part10(b"", "not a uid")
    no_dicom = b"%PDF-1.7" + bytes(200)
    body = multipart([broken, file(), no_uid, no_dicom, b""])
    answer = told(door.post(body))
    assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
    assert answer.failed == {"1.2.3.4.5.2": Status.CANNOT_UNDERSTAND}
    assert answer.others == (
        Status.INVALID_UID,
        Status.CANNOT_UNDERSTAND,
        Status.CANNOT_UNDERSTAND,
    )
    assert len(node.files()) == 1


def test_file_meta_information_that_names_another_instance_is_refused(door, make_dataset, encode):
    mislabelled = part10(encode(make_dataset("1.2.3.4.5.1")), "1.2.3.4.5.9")
    answer = told(door.post(multipart([mislabelled])))
    assert (answer.status, answer.failed) == (409, {"1.2.3.4.5.9": Status.DOES_NOT_MATCH})


def test_part_of_another_media_type_fails_alone(door, file):
    parts = multipart([file()])[: -len(f"--{BOUNDARY}--\r\n")]
    strange = multipart([b"{}"], headers="Content-Type: application/dicom+json\r\n")
    answer = told(door.post(parts + strange))
    assert (answer.status, answer.others) == (202, (Status.CANNOT_UNDERSTAND,))


# How it may be sent


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("identity", bytes),
    ],
)
def test_compressed_bodies_are_taken(door, file, coding, encoded):
    body = encoded(multipart([file()]))
    assert told(door.post(body, Content_Encoding=coding)).status == 200


def test_boundary_may_be_longer_than_the_standard_has_it_as_orthancs_is(door, file):
    boundary = "c96b8352-d7ba-410a-9d75-fa1a39c944da-" * 2
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    answer = told(door.post(multipart([file()], boundary), Content_Type=content_type))
    assert answer.stored == ("1.2.3.4.5.1",)


def test_chunked_bodies_are_taken(door, file):
    body = multipart([file()])
    pieces = (body[n : n + 7] for n in range(0, len(body), 7))
    assert told(door.post(pieces)).stored == ("1.2.3.4.5.1",)


def test_several_requests_may_come_over_one_connection(door, file):
    body = multipart([file()])
    request = door.head(f"Content-Length: {len(body)}") + body
    last = door.head(f"Content-Length: {len(body)}", "Connection: close") + body
    with door.connect() as connection:
        connection.sendall(request + request + last)
        assert until_closed(connection).count(b"HTTP/1.1 200 OK") == 3


def test_sender_that_asks_first_is_told_to_go_on_only_if_its_body_is_wanted(door, file):
    body = multipart([file()])
    length = f"Content-Length: {len(body)}"
    with door.connect() as connection:
        connection.sendall(door.head(length, "Expect: 100-continue", "Connection: close"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(body)
        assert until_closed(connection).startswith(b"HTTP/1.1 200 OK")
    with door.connect() as connection:
        wrong = door.head(length, "Expect: 100-continue").replace(TOKEN.encode(), b"guessed")
        connection.sendall(wrong)
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).startswith(b"HTTP/1.1 401 Unauthorized")


def test_answer_comes_in_xml_where_that_is_asked_for(door, file):
    answer = door.post(multipart([file(), b""]), Accept="application/dicom+xml")
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/dicom+xml")
    assert '<DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID">' in (
        answer.text
    )
    assert f'<Value number="1">{Status.CANNOT_UNDERSTAND.value}</Value>' in answer.text


@pytest.mark.parametrize("accept", ["image/png", "application/dicom+json;q=0", "text/*"])
def test_answer_that_nobody_has_is_not_acceptable(node, door, file, accept):
    answer = door.post(multipart([file()]), Accept=accept)
    assert answer.status_code == 406
    assert node.files() == []


# Who may send


@pytest.mark.parametrize("token", ["x", "guessed", TOKEN[:-1], TOKEN + "x", "é" * 30])
def test_nobody_comes_in_without_a_valid_token(node, door, file, token):
    answer = door.post(multipart([file()]), Authorization=f"Bearer {token}".encode())
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.text == "a valid bearer token is needed\n"
    assert node.files() == []


def test_unknown_paths_and_methods_tell_strangers_nothing(door):
    assert door.post(b"", path="/status", token="guessed").status_code == 401
    assert door.post(b"", path="/status").status_code == 404


# What is refused as a whole


@pytest.mark.parametrize(
    ("content_type", "status", "words"),
    [
        ('multipart/related; type="application/dicom+json"; boundary=x', 415, "bulk data"),
        ('multipart/related; type="application/dicom+xml"; boundary=x', 415, "bulk data"),
        ("application/dicom+json", 415, "bulk data"),
        ("multipart/form-data; boundary=x", 415, "application/dicom"),
        ("text/plain", 415, "application/dicom"),
        ("", 415, "application/dicom"),
        ('multipart/related; type="application/dicom"', 400, "boundary"),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 201}', 400, "boundary"),
    ],
)
def test_other_media_types_are_refused_in_words(door, content_type, status, words):
    answer = door.post(b"whatever", Content_Type=content_type)
    assert answer.status_code == status
    assert words in answer.text


def test_study_in_the_url_must_be_a_uid(door, file):
    answer = door.post(multipart([file()]), path=f"{STUDIES}/..%2f..%2fetc")
    assert answer.status_code in {400, 404}
    answer = door.post(multipart([file()]), path=f"{STUDIES}/1.02")
    assert (answer.status_code, "UID" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        f"--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nno header\r\n\r\n".encode(),
        f"--{BOUNDARY}\r\nA: {'b' * 9000}\r\n\r\n".encode(),
        f"--{BOUNDARY}\r\n{'A: b' * 1}\r\n".encode() + b"A: b\r\n" * 100 + b"\r\n",
        b"x" * (1 << 18) + multipart([b""]),
    ],
)
def test_body_that_is_no_multipart_is_a_bad_request(node, door, body):
    answer = told(door.post(body))
    assert (answer.status, answer.stored) == (400, ())
    assert node.files() == []


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_corrupt_or_cut_compressed_body_is_a_bad_request(node, door, file, coding):
    encoded = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](multipart([file()]))
    for useless in (encoded[:20], b"\x1f\x8b" + b"junk" * 10, b"x\x9cjunk"):
        assert told(door.post(useless, Content_Encoding=coding)).status == 400
    assert_nothing_is_left(node, door)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_instance_before_the_compression_breaks_stays_and_the_break_is_told(door, file, coding):
    encoded = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](multipart([file()]))
    for body in (encoded[:-3], encoded + b"junk"):
        answer = told(door.post(body, Content_Encoding=coding))
        assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
        assert answer.others == (Status.CANNOT_UNDERSTAND,)


def test_content_coding_that_is_not_known_is_refused(door, file):
    assert door.post(multipart([file()]), Content_Encoding="br").status_code == 415


# Limits


def test_request_that_announces_too_much_is_refused_before_its_body(node, door):
    with door.connect() as connection:
        connection.sendall(door.head(f"Content-Length: {(16 * MIB) + 1}"))
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).startswith(b"HTTP/1.1 413 ")


def test_request_that_grows_too_large_is_refused_and_what_was_stored_stays(node, door, file):
    def body():
        yield multipart([file()])[: -len(f"--{BOUNDARY}--\r\n")]
        yield multipart([part10(bytes(1), "1.2.9")])[: -len(f"\r\n--{BOUNDARY}--\r\n")]
        for _ in range(20):
            yield bytes(MIB)

    answer = told(door.post(body()))
    assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
    assert answer.others == (Status.TOO_LARGE,)
    assert_nothing_is_left(node, door, instances=1)


def test_compressed_bomb_is_refused_and_leaves_nothing(node, door):
    bomb = gzip.compress(multipart([part10(bytes(64 * MIB))]))
    assert len(bomb) < MIB
    answer = told(door.post(bomb, Content_Encoding="gzip"))
    assert (answer.status, answer.stored) == (413, ())
    assert_nothing_is_left(node, door)


def test_instance_larger_than_allowed_fails_alone(node, door, file):
    large = file("1.2.3.4.5.2", PixelData=bytes(5 * MIB))
    answer = told(door.post(multipart([large, file()])))
    assert answer.stored == ("1.2.3.4.5.1",)
    assert answer.failed == {"1.2.3.4.5.2": Status.TOO_LARGE}
    assert told(door.post(multipart([large]))).status == 413


def test_more_parts_than_allowed_are_refused(door, file):
    answer = told(door.post(multipart([file()] * 21)))
    assert (answer.status, len(answer.stored)) == (202, 20)
    assert answer.others == (Status.TOO_LARGE,)


# No room


def test_full_disk_asks_the_sender_to_come_again(node, open_door, file):
    full = LocalStore(node.root, min_free_bytes=10, free_bytes=lambda _: 9)
    door = open_door(Reception(full, node.catalog, lambda: None))
    response = door.post(multipart([file(), file("1.2.3.4.5.2")]))
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")
    assert told(response).failed == {"1.2.3.4.5.1": Status.OUT_OF_RESOURCES}
    assert node.files() == []


def test_disk_that_fills_up_in_between_fails_only_what_came_after(node, open_door, file):
    class FillingReception(Reception):
        def receive(self, arriving, calling_ae, **how):
            outcome = super().receive(arriving, calling_ae, **how)
            free[0] = 9
            return outcome

    free = [100]
    store = LocalStore(node.root, min_free_bytes=10, free_bytes=lambda _: free[0])
    door = open_door(FillingReception(store, node.catalog, node.reception._clock))
    answer = told(door.post(multipart([file(), file("1.2.3.4.5.2")])))
    assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
    assert answer.failed == {"1.2.3.4.5.2": Status.OUT_OF_RESOURCES}


# Senders that fail


@pytest.mark.parametrize("chunked", [False, True])
def test_request_cut_in_the_middle_leaves_what_was_whole_and_nothing_else(
    node, door, file, chunked
):
    first = multipart([file()])[: -len(f"--{BOUNDARY}--\r\n")]
    second = multipart([file("1.2.3.4.5.2", PixelData=bytes(MIB))])[: MIB // 2]
    data = first + second
    with door.connect() as connection:
        if chunked:
            connection.sendall(door.head("Transfer-Encoding: chunked"))
            connection.sendall(b"%x\r\n" % len(data) + data + b"\r\n")
        else:
            connection.sendall(door.head(f"Content-Length: {2 * MIB}") + data)
        connection.shutdown(socket.SHUT_WR)
        until_closed(connection)
    assert [r.sop_instance_uid for r in node.catalog.instances_of(STUDY)] == ["1.2.3.4.5.1"]
    assert_nothing_is_left(node, door, instances=1)


def test_sender_that_falls_silent_is_told_what_was_kept_and_leaves_nothing_else(
    node, open_door, file
):
    door = open_door(node.reception, patience_s=0.5)
    first = multipart([file()])[: -len(f"--{BOUNDARY}--\r\n")]
    second = multipart([file("1.2.3.4.5.2", PixelData=bytes(MIB))])[: MIB // 2]
    with door.connect() as connection:
        connection.sendall(door.head(f"Content-Length: {2 * MIB}") + first + second)
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert b'"1.2.3.4.5.1"' in answer
    assert_nothing_is_left(node, door, instances=1)


def test_body_without_its_closing_boundary_is_told_apart_from_a_whole_one(node, door, file):
    whole = multipart([file(), file("1.2.3.4.5.2")])
    answer = told(door.post(whole[: -len(f"\r\n--{BOUNDARY}--\r\n")]))
    assert (answer.status, answer.stored) == (202, ("1.2.3.4.5.1",))
    assert answer.others == (Status.CANNOT_UNDERSTAND,)


def test_failure_of_ours_is_not_the_senders(node, open_door, file):
    class BrokenReception(Reception):
        def receive(self, arriving, calling_ae, **how):
            raise RuntimeError("a fault of ours")

    door = open_door(BrokenReception(node.store, node.catalog, node.reception._clock))
    assert door.post(multipart([file()])).status_code == 500
    assert_nothing_is_left(node, door)
