"""C-FIND: what is asked, what is taken of an answer, and what a failure is called."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from datetime import date
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.sop_class import Verification

from mome_node.dicom.element_values import FOREIGN_ERRORS, Elements
from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    ContradictoryAnswerError,
    QueryRefusedError,
)
from mome_node.query.answers import SERIES_KEYS, STUDY_KEYS, series_record, study_record
from mome_node.query.records import QueryLimits

DAY = date(2026, 3, 2)


def study(uid: str = "1.2.3", **values: object) -> Dataset:
    entry = Dataset()
    entry.StudyInstanceUID = uid
    entry.StudyDate = "20260302"
    entry.ModalitiesInStudy = ["MR", "SR"]
    for keyword, value in values.items():
        setattr(entry, keyword, value)
    return entry


def answering(*entries: Dataset):
    def answer(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        yield from ((0xFF00, entry) for entry in entries)
        yield 0x0000, None

    return answer


def studies(peer, since: date = DAY, until: date = DAY, limits: QueryLimits | None = None):
    return list(peer.query(limits).studies(since=since, until=until))


def test_every_day_is_asked_for_alone_with_modality_and_study_root_keys(find_peer):
    peer = find_peer(answering())
    assert studies(peer, date(2026, 2, 28), date(2026, 3, 2)) == []
    assert [i.StudyDate for i in peer.asked] == ["20260228", "20260301", "20260302"]
    assert {i.ModalitiesInStudy for i in peer.asked} == {"MR"}
    assert {i.QueryRetrieveLevel for i in peer.asked} == {"STUDY"}


def test_a_study_comes_once_with_what_the_archive_says(find_peer):
    entry = study(PatientID="7", PatientName="Doe^Jane", StudyDescription="MRT Mamma",
                  NumberOfStudyRelatedInstances=12)  # fmt: skip
    (found,) = studies(find_peer(answering(entry, entry)), date(2026, 3, 1), DAY)
    assert (found.study_uid, found.study_date, found.modalities) == ("1.2.3", DAY, ("MR", "SR"))
    assert (found.description, found.instance_count) == ("MRT Mamma", 12)
    assert (found.patient_id, found.patient_name) == ("7", "Doe^Jane")
    assert "Doe" not in repr(found)
    assert "MRT" not in repr(found)


def test_what_an_archive_sends_beyond_the_question_is_left_out(find_peer):
    answer = answering(
        study("1.2.1", StudyDate="20200101"),
        study("1.2.2", ModalitiesInStudy="CT"),
        study("1.2.3"),
        study("1.2.4", ModalitiesInStudy=None),  # not told: kept, its series will tell
        study("1.2.5", StudyDate=""),
    )
    assert [s.study_uid for s in studies(find_peer(answer))] == ["1.2.3", "1.2.4", "1.2.5"]


def test_entries_without_a_uid_that_could_be_asked_for_are_left_out(find_peer):
    nameless = Dataset()
    nameless.StudyDate = "20260302"
    answer = answering(study(""), study("*"), study("1.2.3"), nameless)
    assert [s.study_uid for s in studies(find_peer(answer))] == ["1.2.3"]


@pytest.mark.parametrize(
    ("charset", "encoded", "text"),
    [
        (["", "ISO 2022 IR 87"], b"\x1b$B\x46\x7d\x4b\x3c\x1b(B MRI", "乳房 MRI"),
        (["ISO_IR 192"], "乳房 MRI".encode(), "乳房 MRI"),
        (["ISO_IR 100"], b"Br\xf6st", "Bröst"),
        (["NO SUCH SET"], b"MRI\xff", None),
        (["ISO_IR 192"], b"\xff\xfe\xfd MRI", None),
        (["ISO 2022 IR 149", "ISO 2022 IR 87"], b"\x1b$\x1b\x1b MRI", None),
    ],
)
def test_text_comes_in_its_character_set_and_a_broken_one_ends_nothing(
    find_peer, charset, encoded, text
):
    entry = study(StudyInstanceUID="1.2.3")
    entry.SpecificCharacterSet = charset if len(charset) > 1 else charset[0]
    entry.add_new("StudyDescription", "UN", encoded)
    (found,) = studies(find_peer(answering(entry)))
    assert isinstance(found.description, str)
    if text is not None:
        assert found.description == text


def test_series_come_once_and_those_of_another_study_never(find_peer):
    def series(uid: str, **values: object) -> Dataset:
        return study("1.2.3", SeriesInstanceUID=uid, Modality="MR", **values)

    answer = answering(
        series("1.2.3.1", SeriesNumber="4", SeriesDescription="t1_fl3d_dyn"),
        series("1.2.3.1"),
        series("1.2.3.2", NumberOfSeriesRelatedInstances="80", BodyPartExamined="BREAST"),
        series("", SeriesDescription="no UID"),
        study("9.9.9", SeriesInstanceUID="9.9.9.1"),
    )
    peer = find_peer(answer)
    found = peer.query().series_of_study("1.2.3")
    assert [s.series_uid for s in found] == ["1.2.3.1", "1.2.3.2"]
    assert (found[1].instance_count, found[1].body_part, found[1].number) == (80, "BREAST", None)
    assert peer.asked[0].QueryRetrieveLevel == "SERIES"


def test_one_study_comes_with_what_identifies_patient_and_order(find_peer):
    told = study(PatientID="7", AccessionNumber="", IssuerOfPatientID="H")
    peer = find_peer(answering(study("1.2.4", PatientID="8"), told, told))
    found = peer.query().study("1.2.3")
    assert found is not None
    assert (found.patient_id, found.issuer_of_patient_id, found.accession_number) == ("7", "H", "")
    (asked,) = peer.asked
    assert (asked.QueryRetrieveLevel, asked.StudyInstanceUID) == ("STUDY", "1.2.3")
    assert {"PatientID", "IssuerOfPatientID", "AccessionNumber"} <= {e.keyword for e in asked}


def test_what_an_archive_leaves_out_is_none_and_what_it_gives_empty_is_empty(find_peer):
    found = find_peer(answering(study(PatientID=""))).query().study("1.2.3")
    assert found is not None
    assert (found.patient_id, found.issuer_of_patient_id, found.accession_number) == (
        "",
        None,
        None,
    )


def test_a_study_that_is_gone_is_none_and_one_of_two_patients_is_told(find_peer):
    assert find_peer(answering()).query().study("1.2.3") is None
    assert find_peer(answering(study("1.2.4"))).query().study("1.2.3") is None
    twice = answering(study(PatientID="7"), study(PatientID="8"))
    with pytest.raises(ContradictoryAnswerError, match="different patients") as caught:
        find_peer(twice).query().study("1.2.3")
    assert "7" not in str(caught.value)


def test_instances_of_a_series_are_asked_for_at_the_image_level(find_peer):
    def image(uid: str, **values: object) -> Dataset:
        return study("1.2.3", SeriesInstanceUID="1.2.3.1", SOPInstanceUID=uid, **values)

    bare = Dataset()
    bare.SOPInstanceUID = "1.2.3.1.2"
    elsewhere = study("1.2.3", SeriesInstanceUID="1.2.3.9", SOPInstanceUID="1.2.3.9.1")
    peer = find_peer(answering(image("1.2.3.1.1"), bare, image(""), elsewhere))
    found = peer.query().instances_of_series("1.2.3", "1.2.3.1")
    assert found == {"1.2.3.1.1", "1.2.3.1.2"}
    (asked,) = peer.asked
    assert asked.QueryRetrieveLevel == "IMAGE"
    assert (asked.StudyInstanceUID, asked.SeriesInstanceUID) == ("1.2.3", "1.2.3.1")


@pytest.mark.parametrize("uid", ["", "*", "1.2.*", "1.2.3\\1.2.4", "../1", "1.2.3 ", "1" * 65])
def test_a_uid_that_is_none_is_never_sent(find_peer, uid):
    peer = find_peer(answering())
    with pytest.raises(QueryRefusedError, match="no UID"):
        peer.query().series_of_study(uid)
    with pytest.raises(QueryRefusedError, match="no UID"):
        peer.query().study(uid)
    with pytest.raises(QueryRefusedError, match="no UID"):
        peer.query().instances_of_series("1.2.3", uid)
    assert peer.asked == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, ArchiveUnavailableError),
        (0xC001, ArchiveUnavailableError),
        (0xFE00, ArchiveUnavailableError),
        (0xA900, QueryRefusedError),
        (0x0122, QueryRefusedError),
    ],
)
def test_a_failure_status_is_an_error_of_its_kind(find_peer, status, error):
    peer = find_peer(lambda _: iter([(status, None)]))
    with pytest.raises(error, match=f"0x{status:04X}"):
        studies(peer)


def test_more_entries_than_are_taken_end_the_question(find_peer):
    peer = find_peer(lambda _: ((0xFF00, study(f"1.2.{n}")) for n in range(1000)))
    with pytest.raises(AnswerTooLargeError, match="more than 10 entries"):
        studies(peer, limits=QueryLimits(max_entries=10))


def test_an_endless_value_ends_the_question(find_peer):
    peer = find_peer(answering(study(StudyDescription="x" * 3_000_000)))
    with pytest.raises(AnswerTooLargeError, match="longer than 1000000 bytes"):
        studies(peer, limits=QueryLimits(max_bytes=1_000_000))


def test_an_answer_that_never_comes_is_given_up(find_peer):
    release = threading.Event()

    def silent(_: Dataset) -> Iterator[tuple[int, Dataset | None]]:
        release.wait(30)
        yield 0x0000, None

    peer = find_peer(silent)
    try:
        with pytest.raises(ArchiveUnavailableError, match="no answer to C-FIND"):
            studies(peer)
    finally:
        release.set()


def test_an_archive_that_is_away_or_takes_no_question_is_told_apart(find_peer):
    peer = find_peer(answering(), models=[Verification])
    with pytest.raises(QueryRefusedError):
        studies(peer)
    with pytest.raises(QueryRefusedError, match="takes no C-FIND"):
        peer.query().probe()
    peer.port = 1
    with pytest.raises(ArchiveUnavailableError, match="is the peer running"):
        studies(peer)


def test_probe_tells_that_the_archive_answers(find_peer):
    assert "answered C-ECHO" in find_peer(answering()).query().probe()


KEYS = st.sampled_from([tag_for_keyword(k) for k in (*STUDY_KEYS, *SERIES_KEYS)])
VRS = st.sampled_from([b"LO", b"UI", b"PN", b"DA", b"IS", b"US", b"FD", b"CS", b"UN", b"SQ"])
SETS = st.sampled_from([b"ISO_IR 192", b"\\ISO 2022 IR 87", b"GB18030", b"NONE SUCH", b"\xff\\\\"])


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    long = vr in (b"UN", b"SQ")
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
    return head + length + value


@given(
    SETS,
    st.dictionaries(KEYS, st.tuples(VRS, st.binary(max_size=80)), max_size=8),
    st.binary(max_size=20),
)
def test_no_identifier_however_odd_raises(charset, values, rest):
    """Values of any bytes under any VR, and rubbish behind them."""
    encoded = element(0x00080005, b"CS", charset)
    encoded += b"".join(element(tag, *values[tag]) for tag in sorted(values))
    try:
        entry = Elements(read_dataset(BytesIO(encoded + rest), False, True))
    except FOREIGN_ERRORS:  # the library leaves such an entry out
        return
    study_record(entry)
    series_record(entry, "1.2.3")
