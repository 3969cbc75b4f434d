"""Bodies and files as bytes: whatever their pieces are, the same comes of them, or a refusal."""

from __future__ import annotations

import gzip
import itertools
import struct
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.errors import HeaderError
from mome_node.ingest.content_coding import BodyDecoder
from mome_node.ingest.http_refusal import RequestRefusal
from mome_node.ingest.media_types import answer_type, payload_of
from mome_node.ingest.multipart_parts import MultipartReader
from mome_node.ingest.part10 import MAX_FILE_META_BYTES, FileMetaReader
from mome_node.storage.store import InstanceIdentity
from tests.ingest.stow_client import BOUNDARY, EXPLICIT, MR, multipart

DELIMITER = f"\r\n--{BOUNDARY}".encode()
IDENTITY = InstanceIdentity(MR, "1.2.3", EXPLICIT)
META = IDENTITY.file_meta()

nearly_boundaries = st.sampled_from(
    [
        *(DELIMITER[:n] for n in range(1, len(DELIMITER))),
        *(DELIMITER[1:] + end for end in (b"", b"--", b"\r\n")),
        *(DELIMITER + end for end in (b"x", b"-x", b"-", b"\r", b"\rx", b"0")),
        *(b"\r\n--", b"\r", b"\n", b"--", b"\r\r\n", DELIMITER[2:]),
    ]
)
contents = st.lists(st.one_of(nearly_boundaries, st.binary(max_size=20)), max_size=8).map(b"".join)


def is_one_part(content: bytes) -> bool:
    """No line of it begins with the boundary: RFC 2046 5.1.1 asks that of a sender."""
    around = b"\r\n" + content + b"\r\n"
    return not any(around.find(DELIMITER + end) >= 0 for end in (b"\r\n", b"--", b" ", b"\t"))


parts = st.lists(contents.filter(is_one_part), min_size=1, max_size=4)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[a:b] for a, b in itertools.pairwise(places)]


cuts = st.lists(st.integers(0, 1 << 16), max_size=30)


def refusal_of(call):
    """The HTTP status that a call is refused with, or what it returns."""
    try:
        return call()
    except RequestRefusal as refusal:
        return int(refusal.status)


class Collector:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.parts: list[bytes] = []
        self.whole = 0

    def begin(self, headers) -> None:
        self.headers.append(dict(headers))
        self.parts.append(b"")

    def write(self, data: bytes) -> None:
        self.parts[-1] += data

    def end(self) -> None:
        self.whole += 1


def read(pieces: list[bytes]) -> Collector:
    collector = Collector()
    reader = MultipartReader(BOUNDARY, collector)
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return collector


# Multipart


@given(parts, cuts)
def test_any_chunking_of_a_body_gives_the_same_parts(contents: list[bytes], cuts: list[int]):
    found = read(pieces_of(multipart(contents), cuts))
    assert found.parts == contents
    assert found.whole == len(contents)
    assert found.headers == [{"content-type": "application/dicom"}] * len(contents)


@given(parts, st.binary(max_size=40), st.binary(max_size=40), cuts)
def test_what_stands_before_and_behind_the_parts_is_left_out(contents, before, behind, cuts):
    if DELIMITER in b"\r\n" + before + b"\r\n":
        return
    body = before + b"\r\n" + multipart(contents) + behind
    assert read(pieces_of(body, cuts)).parts == contents


@given(parts, st.integers(1, 10_000), cuts)
def test_a_body_that_is_cut_off_is_never_taken_for_a_whole_one(contents, missing, cuts):
    body = multipart(contents).removesuffix(b"--\r\n")
    body = body[: -min(missing - 1, len(body)) or None]
    with pytest.raises(RequestRefusal):
        read(pieces_of(body, cuts))


@given(st.binary(max_size=300), cuts)
def test_any_bytes_at_all_are_parts_or_a_refusal(body, cuts):
    for beginning in (b"", f"--{BOUNDARY}\r\n".encode()):
        pieces = pieces_of(beginning + body, cuts)
        found = refusal_of(partial(read, pieces))
        assert found == 400 or sum(map(len, found.parts)) <= len(body)


def test_header_fields_are_bounded_in_number_and_length():
    for fields in ("A: b\r\n" * 17, f"A: {'b' * 4200}\r\n", f"{'A' * 4200}: b\r\n"):
        with pytest.raises(RequestRefusal):
            read([multipart([b""], headers=fields)])
    endless = MultipartReader(BOUNDARY, Collector())
    endless.feed(f"--{BOUNDARY}\r\nA: ".encode() + b"b" * 4000)
    with pytest.raises(RequestRefusal):
        endless.feed(b"b" * 1000)


# Content codings


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate", ""]), cuts)
def test_any_chunking_of_a_compressed_body_inflates_to_the_same(body, coding, cuts):
    encode = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes}[coding]
    decoder = BodyDecoder(coding, len(body))
    found = b"".join(b"".join(decoder.feed(p)) for p in pieces_of(encode(body), cuts))
    decoder.finish()
    assert found == body


def test_inflating_gives_small_pieces_and_stops_at_the_limit():
    bomb = gzip.compress(bytes(50 << 20))
    decoder = BodyDecoder("gzip", 1 << 20)
    pieces = decoder.feed(bomb)
    assert [len(next(pieces)) for _ in range(16)] == [1 << 16] * 16
    assert refusal_of(lambda: next(pieces)) == 413


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["gzip", "deflate"]), cuts)
def test_bytes_that_are_not_compressed_are_a_bad_request(body, coding, cuts):
    decoder = BodyDecoder(coding, 1 << 20)

    def decode() -> bytes:
        found = b"".join(b"".join(decoder.feed(p)) for p in pieces_of(body, cuts))
        decoder.finish()
        return found

    found = refusal_of(decode)
    assert found == 400 or len(found) <= 1 << 20


# PS3.10 files


def meta_of(pieces: list[bytes]) -> tuple[InstanceIdentity, bytes] | None:
    reader = FileMetaReader()
    for number, piece in enumerate(pieces):
        if (begun := reader.feed(piece)) is not None:
            identity, first = begun
            return identity, first + b"".join(pieces[number + 1 :])
    return None


@given(st.binary(max_size=50), cuts)
def test_any_chunking_of_a_file_gives_its_identity_and_its_data_set(dataset, cuts):
    assert meta_of(pieces_of(META + dataset, cuts)) == (IDENTITY, dataset)


@given(st.data())
def test_a_file_that_is_changed_anywhere_is_read_or_refused(data):
    changed = bytearray(META)
    for place in data.draw(st.lists(st.integers(128, len(META) - 1), max_size=6)):
        changed[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(META)))
    try:
        found = meta_of(pieces_of(bytes(changed[:cut]) + bytes(20), [50, 140, 200]))
    except HeaderError:
        return
    if found is not None:
        assert len(found[1]) <= len(META) + 20


@given(st.binary(max_size=200))
def test_any_elements_in_the_file_meta_information_are_read_or_refused(elements):
    beginning = META[:140] + struct.pack("<I", len(elements))
    try:
        found = meta_of([beginning + elements + b"data set"])
    except HeaderError:
        return
    assert found is not None
    assert found[1] == b"data set"


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (bytes(128) + b"DICN", "no DICOM file"),
        (bytes(128) + b"X", "no DICOM file"),
        (META[:132] + META[144:], "Group Length"),
        (META[:140] + struct.pack("<I", MAX_FILE_META_BYTES + 1), "are allowed"),
        (META[:140] + b"\xff\xff\xff\xff", "are allowed"),
        (META[:140] + struct.pack("<I", 5) + META[144:], "cut off in an element"),
        (META[:140] + struct.pack("<I", 13) + META[144:], "does not end where"),
        (
            META[:140] + struct.pack("<I", 8) + struct.pack("<HH2sH", 8, 8, b"CS", 0),
            "does not end where",
        ),
        (
            META[:140] + struct.pack("<I", 16) + struct.pack("<HH2sH", 2, 2, b"UI", 0) * 2,
            "stands twice",
        ),
        (
            META[:140] + struct.pack("<I", 12) + struct.pack("<HH2s2xI", 2, 2, b"OB", 0xFFFFFFFF),
            "does not end where",
        ),
    ],
)
def test_file_that_is_not_as_ps3_10_has_it_is_refused_in_words(file, told):
    with pytest.raises(HeaderError, match=told):
        meta_of([file])


# Media types


@given(
    st.sampled_from(
        ["", "multipart/related; type=application/dicom; boundary*=", "a/b;", "*/*;q="]
    ),
    st.text(st.characters(max_codepoint=255), max_size=60),  # how ASGI has header fields
)
def test_any_content_type_and_accept_are_read_or_refused(beginning, end):
    text = beginning + end
    for read_header in (payload_of, answer_type):
        found = refusal_of(partial(read_header, text))
        assert not isinstance(found, int) or found in {400, 406, 415}


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/json", "application/dicom+json"),
        ("application/dicom+xml, */*;q=0.1", "application/dicom+xml"),
        ("application/dicom+xml;q=0.5, application/dicom+json;q=0.9", "application/dicom+json"),
        ("text/html, image/gif, */*; q=.2", "application/dicom+json"),
    ],
)
def test_answer_is_in_the_media_type_that_is_liked_best(accept, answered):
    assert answer_type(accept) == answered
