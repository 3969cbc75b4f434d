"""QIDO-RS and WADO-RS: what is asked, what is taken of an answer, what a failure is called."""

from __future__ import annotations

import itertools
import json
import threading
import zlib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    ContradictoryAnswerError,
    MalformedAnswerError,
    QueryError,
    QueryRefusedError,
)
from mome_node.query.answers import SERIES_KEYS, STUDY_KEYS, series_record, study_record
from mome_node.query.dicom_json import JsonEntry, parse_answer
from mome_node.query.qido import PAGE, QidoQuery
from mome_node.query.records import QueryLimits
from mome_node.query.wado import WadoSource
from tests.query.conftest import Answer

DAY = date(2026, 3, 2)


def tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


def entry(**values: object) -> dict[str, Any]:
    return {
        tag(k): {"vr": "UN", "Value": v if isinstance(v, list) else [v]} for k, v in values.items()
    }


def study(uid: str = "1.2.3", **values: object) -> dict[str, Any]:
    told = {"StudyDate": "20260302", "ModalitiesInStudy": ["MR", "SR"], **values}
    return entry(StudyInstanceUID=uid, **told)


def paged(entries: list[dict[str, Any]], page: int = PAGE):
    """An archive that honours limit and offset, and allows no more than ``page`` at a time."""

    def answer(_: str, parameters: dict[str, list[str]]) -> Answer:
        offset, limit = int(parameters.get("offset", "0")[0]), int(parameters["limit"][0])
        part = entries[offset : offset + min(limit, page)]
        more = offset + len(part) < len(entries)
        return Answer(part, headers={"Warning": '299 - "more"'} if more and page < PAGE else {})

    return answer


def studies(archive, since: date = DAY, until: date = DAY, limits: QueryLimits | None = None):
    return list(QidoQuery(archive.web(limits)).studies(since=since, until=until))


def test_every_day_is_asked_for_alone_with_its_fields(serve):
    archive = serve(lambda *_: Answer(status=204))
    assert studies(archive, date(2026, 2, 28), date(2026, 3, 1)) == []
    paths, parameters = zip(*archive.asked, strict=True)
    assert set(paths) == {"/dicom-web/studies"}
    assert [p["StudyDate"] for p in parameters] == [["20260228"], ["20260301"]]
    assert {p["ModalitiesInStudy"][0] for p in parameters} == {"MR"}
    assert parameters[0]["includefield"] == list(STUDY_KEYS)


def test_all_pages_are_fetched(serve):
    archive = serve(paged([study(f"1.2.{n}") for n in range(2 * PAGE)]))
    assert len(studies(archive)) == 2 * PAGE
    assert len(archive.asked) == 3


def test_an_archive_that_allows_less_than_a_page_and_says_so_is_asked_on(serve):
    archive = serve(paged([study(f"1.2.{n}") for n in range(25)], page=10))
    assert len(studies(archive)) == 25


def test_an_archive_that_ignores_limit_and_offset_gives_each_study_once(serve):
    everything = [study(f"1.2.{n}") for n in range(3 * PAGE)]
    archive = serve(lambda *_: Answer(everything))
    assert len(studies(archive)) == 3 * PAGE
    assert len(archive.asked) == 2


def test_what_an_archive_sends_beyond_the_question_is_left_out(serve):
    found = studies(serve(paged([
        study("1.2.1", StudyDate="20200101"),
        study("1.2.2", ModalitiesInStudy=["CT"]),
        study("1.2.3"),
        study("1.2.3"),
        study("1.2.4", ModalitiesInStudy=[], StudyDate=[]),
        study("*"), study("../../admin"), entry(PatientID="7"),
    ])))  # fmt: skip
    assert [s.study_uid for s in found] == ["1.2.3", "1.2.4"]


def test_names_are_read_from_their_groups(serve):
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    (found,) = studies(serve(paged([study(PatientName=name, StudyDescription="乳房 MRI")])))
    assert (found.patient_name, found.description) == ("Yamada^Tarou=山田^太郎", "乳房 MRI")


def test_series_come_with_counts_and_those_of_another_study_never(serve):
    archive = serve(paged([
        entry(SeriesInstanceUID="1.2.3.1", Modality="MR", NumberOfSeriesRelatedInstances=80,
              SeriesNumber=4, SeriesDescription="dyn", Manufacturer="SIEMENS"),
        entry(SeriesInstanceUID="1.2.3.1"),
        entry(SeriesInstanceUID="9.9.1", StudyInstanceUID="9.9"),
        entry(Modality="MR"),
    ]))  # fmt: skip
    (series,) = QidoQuery(archive.web()).series_of_study("1.2.3")
    assert (series.study_uid, series.series_uid, series.modality) == ("1.2.3", "1.2.3.1", "MR")
    assert (series.number, series.instance_count, series.description) == (4, 80, "dyn")
    assert archive.asked[0][0] == "/dicom-web/studies/1.2.3/series"
    assert archive.asked[0][1]["includefield"] == list(SERIES_KEYS)


def test_instances_of_a_study_come_with_their_series(serve):
    archive = serve(paged([
        entry(SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1"),
        entry(SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1"),
        entry(SeriesInstanceUID="1.2.3.2", SOPInstanceUID="1.2.3.2.1"),
        entry(SeriesInstanceUID="..", SOPInstanceUID="1.2.3.3.1"),
    ]))  # fmt: skip
    found = QidoQuery(archive.web()).instances_of_study("1.2.3")
    assert found == (("1.2.3.1", "1.2.3.1.1"), ("1.2.3.2", "1.2.3.2.1"))
    gone = serve(lambda *_: Answer(status=404))
    assert QidoQuery(gone.web()).instances_of_study("1.2.3") == ()


def test_one_study_comes_with_what_identifies_patient_and_order(serve):
    empty = {tag("AccessionNumber"): {"vr": "SH"}}
    archive = serve(lambda *_: Answer([study("1.2.4"), study(PatientID="7") | empty]))
    found = QidoQuery(archive.web()).study("1.2.3")
    assert found is not None
    assert (found.patient_id, found.issuer_of_patient_id, found.accession_number) == ("7", None, "")
    ((path, parameters),) = archive.asked
    assert (path, parameters["StudyInstanceUID"]) == ("/dicom-web/studies", ["1.2.3"])
    assert {"PatientID", "AccessionNumber"} <= set(parameters["includefield"])


def test_a_study_that_is_gone_is_none_and_one_of_two_patients_is_told(serve):
    assert QidoQuery(serve(lambda *_: Answer(status=204)).web()).study("1.2.3") is None
    twice = serve(lambda *_: Answer([study(PatientID="7"), study(PatientID="8")]))
    with pytest.raises(ContradictoryAnswerError, match="different patients"):
        QidoQuery(twice.web()).study("1.2.3")


def test_an_address_without_a_service_is_not_taken_for_a_study_that_is_gone(serve):
    with pytest.raises(QueryRefusedError, match="no DICOMweb service"):
        QidoQuery(serve(lambda *_: Answer(status=404)).web()).study("1.2.3")


def test_instances_of_a_series_come_page_by_page(serve):
    archive = serve(paged([
        *(entry(SOPInstanceUID=f"1.2.3.1.{n}") for n in range(PAGE + 1)),
        entry(SOPInstanceUID="../x"),
        entry(SOPInstanceUID="1.2.3.9.1", SeriesInstanceUID="1.2.3.9"),
    ]))  # fmt: skip
    found = QidoQuery(archive.web()).instances_of_series("1.2.3", "1.2.3.1")
    assert found == {f"1.2.3.1.{n}" for n in range(PAGE + 1)}
    assert archive.asked[0][0] == "/dicom-web/studies/1.2.3/series/1.2.3.1/instances"
    gone = serve(lambda *_: Answer(status=404))
    assert QidoQuery(gone.web()).instances_of_series("1.2.3", "1.2.3.1") == frozenset()


def test_a_study_that_the_archive_does_not_have_has_no_series(serve):
    assert QidoQuery(serve(lambda *_: Answer(status=404)).web()).series_of_study("1.2.3") == ()


@pytest.mark.parametrize("uid", ["", "*", "1.2/../..", "..", "1.2.3?x=1", "1.2.3%2f"])
def test_a_uid_that_is_none_is_never_sent(serve, uid):
    archive = serve(paged([]))
    with pytest.raises(QueryRefusedError, match="no UID"):
        QidoQuery(archive.web()).series_of_study(uid)
    with pytest.raises(QueryRefusedError, match="no UID"):
        QidoQuery(archive.web()).study(uid)
    with pytest.raises(QueryRefusedError, match="no UID"):
        QidoQuery(archive.web()).instances_of_series("1.2.3", uid)
    assert archive.asked == []


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (301, QueryRefusedError, "final url"),
        (400, QueryRefusedError, "does not understand"),
        (401, QueryRefusedError, "token_file"),
        (403, QueryRefusedError, "token_file"),
        (404, QueryRefusedError, "no DICOMweb service"),
        (413, AnswerTooLargeError, "too much"),
        (429, ArchiveUnavailableError, "busy"),
        (500, ArchiveUnavailableError, "failed"),
        (503, ArchiveUnavailableError, "failed"),
    ],
)
def test_a_status_is_an_error_of_its_kind(serve, status, error, words):
    archive = serve(lambda *_: Answer(b"secret page", status, {"Location": "http://elsewhere/"}))
    with pytest.raises(error, match=words) as caught:
        studies(archive)
    assert "secret" not in str(caught.value)


def test_the_token_goes_to_the_archive_and_into_no_representation(serve):
    archive = serve(paged([]))
    web = archive.web(token="s3cr3t")
    QidoQuery(web).probe()
    assert archive.headers[0]["Authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in repr(vars(web))


def test_no_token_goes_out_where_none_is_set_whatever_the_environment_says(
    serve, monkeypatch, tmp_path
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    archive = serve(paged([]))
    QidoQuery(archive.web()).probe()
    assert "Authorization" not in archive.headers[0]


def test_a_long_answer_is_cut_off(serve):
    archive = serve(lambda *_: Answer([study(StudyDescription="x" * 100_000)]))
    with pytest.raises(AnswerTooLargeError, match="50000 bytes"):
        studies(archive, limits=QueryLimits(max_bytes=50_000))


def test_an_answer_that_grows_when_it_is_inflated_is_cut_off(serve):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b" " * 50_000_000) + packer.flush()
    archive = serve(lambda *_: Answer(bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(AnswerTooLargeError):
        studies(archive, limits=QueryLimits(max_bytes=1_000_000))


def test_an_archive_that_trickles_is_given_up(serve):
    release, times = threading.Event(), itertools.count(step=100)
    begun = Answer(b"[{", headers={"Content-Length": "1000"}, then=lambda: release.wait(30))
    web = serve(lambda *_: begun).web(QueryLimits(total_s=50), lambda: float(next(times)))
    try:
        with pytest.raises(ArchiveUnavailableError, match="an answer takes more than 50 s"):
            QidoQuery(web).probe()
    finally:
        release.set()


def test_an_archive_that_says_nothing_is_given_up(serve):
    release = threading.Event()
    silent = Answer(b"", headers={"Content-Length": "10"}, then=lambda: release.wait(30))
    try:
        with pytest.raises(ArchiveUnavailableError, match="no answer in time"):
            QidoQuery(serve(lambda *_: silent).web(timeout_s=0.2)).probe()
    finally:
        release.set()


@pytest.mark.parametrize(
    "broken",
    [
        Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
        Answer(b"[", headers={"Content-Length": "10", "Connection": "close"}),
    ],
)
def test_an_answer_that_is_not_as_its_header_says_is_told(serve, broken):
    with pytest.raises(QueryError):
        QidoQuery(serve(lambda *_: broken).web()).probe()


def test_an_answer_in_chunks_is_read_whole(serve):
    body = json.dumps([study(f"1.2.{n}") for n in range(3)]).encode()
    pieces = [body[:50], body[50:51], body[51:]]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    answer = Answer(chunked, headers={"Transfer-Encoding": "chunked"})
    assert len(studies(serve(lambda *_: answer))) == 3


def test_endless_pages_are_cut_off(serve):
    def endless(_: str, parameters: dict[str, list[str]]) -> Answer:
        offset = int(parameters["offset"][0])
        return Answer([study(f"1.2.{n}") for n in range(offset, offset + PAGE)])

    with pytest.raises(AnswerTooLargeError, match="more than 250 entries"):
        studies(serve(endless), limits=QueryLimits(max_entries=250))


def test_an_archive_that_is_away_is_told(serve):
    archive = serve(paged([]))
    archive.port = 1
    with pytest.raises(ArchiveUnavailableError, match="is the archive running"):
        QidoQuery(archive.web()).probe()


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 100_000, b"7", b'"x"', b"\xff\xfe", b"[1e", b"1" * 5000]
)
def test_what_is_no_list_of_objects_is_told(serve, body):
    with pytest.raises(MalformedAnswerError):
        studies(serve(lambda *_: Answer(body)))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = st.dictionaries(
    st.sampled_from([tag(k) for k in (*STUDY_KEYS, *SERIES_KEYS)]) | st.text(),
    st.fixed_dictionaries({"Value": st.lists(JSON, max_size=3) | JSON}) | JSON,
    max_size=8,
)


@given(ELEMENTS)
def test_no_entry_however_odd_raises(attributes):
    found = JsonEntry(attributes)
    study_record(found)
    series_record(found, "1.2.3")
    for keyword in (*STUDY_KEYS, *SERIES_KEYS):
        assert all(c.isprintable() for c in found.text(keyword))
        found.text(keyword).encode("utf-8")
        found.integer(keyword)


@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_every_body_is_parsed_or_refused(body):
    try:
        entries = parse_answer(body)
    except MalformedAnswerError:
        return
    assert all(isinstance(e, JsonEntry) for e in entries)


def multipart(*parts: bytes, boundary: str = "B0") -> Answer:
    body = b"".join(
        b"--" + boundary.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n" + p + b"\r\n"
        for p in parts
    )
    told = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    return Answer(body + f"--{boundary}--\r\n".encode(), headers={"Content-Type": told})


def instances(retrieved: Answer):
    def answer(path: str, _: dict[str, list[str]]) -> Answer:
        return Answer([entry(SOPInstanceUID="1.2.3.1.1")]) if path.endswith("s") else retrieved

    return answer


def test_one_instance_of_a_series_becomes_a_file(serve, tmp_path):
    content = b"\0" * 128 + b"DICM--\r\n\r\n--B1\r\n"
    archive = serve(instances(multipart(content)))
    path = tmp_path / "one.dcm"
    assert WadoSource(archive.web()).one_of_series("1.2.3", "1.2.3.1", path)
    assert path.read_bytes() == content
    assert [p for p, _ in archive.asked] == [
        "/dicom-web/studies/1.2.3/series/1.2.3.1/instances",
        "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1",
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_an_instance_that_comes_without_its_wrapping_is_taken(serve, tmp_path):
    bare = Answer(b"content", headers={"Content-Type": "application/dicom"})
    path = tmp_path / "one.dcm"
    assert WadoSource(serve(instances(bare)).web()).one_of_series("1.2.3", "1.2.3.1", path)
    assert path.read_bytes() == b"content"


def test_a_series_without_instances_gives_no_file(serve, tmp_path):
    source = WadoSource(serve(lambda *_: Answer(status=204)).web())
    assert not source.one_of_series("1.2.3", "1.2.3.1", tmp_path / "one.dcm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "broken",
    [
        Answer(b"<html>", headers={"Content-Type": "text/html"}),
        Answer(b"", headers={"Content-Type": "multipart/related; boundary=B"}),
        Answer(b"--B\r\n\r\nno end", headers={"Content-Type": "multipart/related; boundary=B"}),
        Answer(b"content", headers={"Content-Type": "multipart/related"}),
        Answer(b"", 500),
    ],
)
def test_a_broken_retrieval_leaves_nothing_behind(serve, tmp_path, broken):
    source = WadoSource(serve(instances(broken)).web())
    with pytest.raises(QueryError):
        source.one_of_series("1.2.3", "1.2.3.1", tmp_path / "one.dcm")
    assert list(tmp_path.iterdir()) == []
