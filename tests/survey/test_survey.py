"""The dry run over an archive in memory: who is judged how, named how, looked into, and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series_table import Confidence
from mome_node.assembly.survey_verdict import Forecast, SurveyVerdict
from mome_node.errors import ArchiveUnavailableError, MalformedAnswerError, QueryError
from mome_node.query.doubles import MemoryArchive
from mome_node.query.records import SeriesRecord, StudyRecord
from mome_node.survey.pseudonyms import identities, pseudonyms
from mome_node.survey.report import SurveyedSeries, SurveyedStudy, counts, load_of, shown
from mome_node.survey.rows import COLUMNS, Survey, as_json, csv_rows
from mome_node.survey.run import PAUSES_S, Surveyor
from mome_node.survey.sample import looked_into, sampling_folder, worth_a_look

TODAY = date(2026, 3, 10)
RULES = AssemblyRules()


def study(number: int, *, age: int = 0, **values: object) -> StudyRecord:
    told = {"modalities": ("MR",), "description": "MRI BREAST", "patient_id": f"ID{number}"}
    return StudyRecord(f"1.2.{number}", TODAY - timedelta(days=age), **{**told, **values})


def series(number: int, *descriptions: str, **values: object) -> list[SeriesRecord]:
    told = {"modality": "MR", "instance_count": 10, **values}
    return [
        SeriesRecord(f"1.2.{number}", f"1.2.{number}.{n}", description=d, number=n, **told)
        for n, d in enumerate(descriptions, 1)
    ]


def surveyor(archive: MemoryArchive, sleep: Callable[[float], None] | None = None) -> Surveyor:
    return Surveyor(archive, RULES, pseudonyms(b"key"), TODAY, sleep or (lambda _: None))


def surveyed(archive: MemoryArchive, days: int = 3) -> list[SurveyedStudy]:
    asking = surveyor(archive)
    found = asking.studies(TODAY - timedelta(days=n) for n in range(days))
    return [s for s in map(asking.judge, found) if s is not None]


def test_every_study_is_judged_once_by_its_series():
    undated = replace(study(3), study_date=None)  # listed on every day that is asked for
    archive = MemoryArchive(
        [study(1), study(2, age=1), undated],
        [*series(1, "t2_tse", "dyn pre", "dyn post"), *series(2, "t2_tse"), *series(3, "dyn")],
    )
    found = surveyed(archive)
    assert [s.record.study_uid for s in found] == ["1.2.1", "1.2.3", "1.2.2"]
    assert [s.verdict.forecast for s in found] == [
        Forecast.EVALUATED,
        Forecast.EVALUATED,
        Forecast.MISSING,
    ]
    assert [s.role for s in found[0].series] == [Role.T2, Role.DCE, Role.DCE]


def test_a_study_of_unknown_modalities_without_mr_series_is_left_out():
    archive = MemoryArchive([study(1, modalities=())], series(1, "mammo", modality="MG"))
    assert surveyed(archive) == []


def test_an_archive_that_is_away_for_a_moment_is_asked_again():
    archive = MemoryArchive([study(1)], series(1, "dyn"))
    archive.away = True
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        archive.away = False

    assert len(list(surveyor(archive, sleep).studies([TODAY]))) == 1
    assert slept == [PAUSES_S[0]]


def test_an_archive_that_stays_away_is_given_up():
    archive = MemoryArchive([study(1)])
    archive.away = True
    with pytest.raises(ArchiveUnavailableError):
        list(surveyor(archive).studies([TODAY]))
    verdict = surveyor(archive).judge(study(1))
    assert verdict is not None
    assert verdict.verdict.forecast is Forecast.UNANSWERED


def test_a_study_without_series_is_unknown():
    found = surveyor(MemoryArchive()).judge(study(1))
    assert found is not None
    assert found.verdict.forecast is Forecast.UNKNOWN


# Names


@given(st.text(min_size=1), st.text())
def test_a_pseudonym_holds_within_one_report_and_tells_nothing_outside(patient, name):
    one, other = pseudonyms(), pseudonyms()
    record = StudyRecord("1.2", patient_id=patient, patient_name=name)
    again = StudyRecord("1.3", patient_id=patient, patient_name="other")
    assert one(record) == one(again)
    assert one(record) != other(record)
    assert len(one(record)) == 9


def test_patients_of_two_issuers_are_two_and_those_without_an_id_have_no_name():
    named = pseudonyms()
    mine = StudyRecord("1.2", patient_id="7", issuer_of_patient_id="A")
    yours = StudyRecord("1.2", patient_id="7", issuer_of_patient_id="B")
    assert named(mine) != named(yours)
    assert named(StudyRecord("1.2", patient_name="Doe^Jane")) == ""
    assert identities(StudyRecord("1.2", patient_id="7", patient_name="Doe^Jane")) == "7 Doe^Jane"


# What is shown


@given(st.text())
def test_a_description_is_shown_short_and_without_controls(text):
    assert len(shown(text)) <= 64
    assert all(c.isprintable() for c in shown(text))


def judged(
    number: int, forecast: Forecast, *, age: int = 0, confidence: Confidence = Confidence.LIKELY
) -> SurveyedStudy:
    rows = tuple(
        SurveyedSeries(r, Role.DCE, None, "named so", Confidence.LIKELY)
        for r in series(number, "dyn", '=cmd|"calc"!A1')
    )
    verdict = SurveyVerdict(forecast, "because", confidence)
    return SurveyedStudy(study(number, age=age), f"P{number}", rows, verdict)


def test_the_load_counts_what_is_evaluated_when_it_is_new():
    found = [
        judged(1, Forecast.EVALUATED, age=1),
        judged(2, Forecast.TOO_OLD, age=20),
        judged(3, Forecast.EVALUATED, age=1),
        judged(4, Forecast.NOT_BREAST),
        judged(5, Forecast.UNKNOWN),
    ]
    load = load_of(found, 30)
    assert (load.a_day, load.busiest, load.images_a_study) == (0.1, 2, 20)
    assert load.busiest_day == TODAY - timedelta(days=1)
    assert counts(found)[Forecast.EVALUATED] == 2
    assert sum(counts(found).values()) == len(found)
    assert load_of([], 5).busiest_day is None


def test_a_spreadsheet_takes_no_description_for_a_formula():
    rows = list(csv_rows([judged(1, Forecast.EVALUATED)]))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 2
    assert rows[1][COLUMNS.index("SeriesDescription")] == '\'=cmd|"calc"!A1'
    assert rows[0][COLUMNS.index("instances")] == "10"


def test_studies_of_other_parts_are_counted_and_not_listed():
    found = (judged(1, Forecast.EVALUATED), judged(2, Forecast.NOT_BREAST))
    told = as_json(Survey("pacs", TODAY, TODAY, found, complete=True))
    assert [s["StudyInstanceUID"] for s in told["studies"]] == ["1.2.1"]
    assert (told["mr_studies"], told["not_breast"]) == (2, {"because": 1})
    (bare,) = csv_rows([replace(found[0], series=())])
    assert len(bare) == len(COLUMNS)


# A closer look


class Source:
    """An archive whose instances are these files, by Series Instance UID."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files
        self.fault: QueryError | None = None

    def one_of_series(self, study_uid: str, series_uid: str, into: Path) -> bool:
        if self.fault is not None:
            into.write_bytes(b"half")
            raise self.fault
        if series_uid not in self.files:
            return False
        into.write_bytes(self.files[series_uid].read_bytes())
        return True


def listed(files: dict[str, Path], study_uid: str) -> SurveyedStudy:
    rows = tuple(
        SurveyedSeries(
            SeriesRecord(study_uid, uid, modality="MR"), Role.OTHER, None, "", Confidence.UNKNOWN
        )
        for uid in files
    )
    record = StudyRecord(study_uid, TODAY, ("MR",), "MRI BREAST")
    return SurveyedStudy(record, "P1", rows, SurveyVerdict(Forecast.UNKNOWN, "no names"))


def test_an_image_of_each_series_tells_the_roles_that_names_do_not(exam_files, tmp_path):
    study_uid, files, roles = exam_files
    told: list[str] = []
    closer = looked_into(listed(files, study_uid), Source(files), RULES, tmp_path, told.append)
    assert {s.record.series_uid: s.role for s in closer.series} == roles
    assert closer.is_sampled
    again = surveyor(MemoryArchive()).judged(closer)
    assert again.verdict.forecast is Forecast.EVALUATED
    assert (told, list(tmp_path.iterdir())) == ([], [])


def test_a_series_whose_image_does_not_come_keeps_what_the_list_says(exam_files, tmp_path):
    study_uid, files, _ = exam_files
    source = Source(files)
    source.fault = MalformedAnswerError("broken")
    told: list[str] = []
    before = listed(files, study_uid)
    assert looked_into(before, source, RULES, tmp_path, told.append) == before
    assert len(told) == len(files)
    assert list(tmp_path.iterdir()) == []


def test_an_image_of_another_series_is_not_taken(exam_files, tmp_path):
    study_uid, files, _ = exam_files
    one, other = list(files)[:2]
    told: list[str] = []
    before = listed({one: files[one]}, study_uid)
    assert looked_into(before, Source({one: files[other]}), RULES, tmp_path, told.append) == before
    assert "of another series" in told[0]


def test_a_folder_of_samples_is_gone_however_the_look_ends():
    seen: list[Path] = []

    def look() -> None:
        with sampling_folder() as folder:
            seen.append(folder)
            (folder / "instance.dcm").write_bytes(b"x")
            assert folder.stat().st_mode & 0o077 == 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look()
    assert not seen[0].exists()


def test_studies_in_doubt_are_looked_into_first():
    found = [
        judged(1, Forecast.EVALUATED, confidence=Confidence.PLAIN),
        judged(2, Forecast.NOT_BREAST),
        judged(3, Forecast.EVALUATED, age=2),
        judged(4, Forecast.EVALUATED, age=1),
        judged(5, Forecast.BIOPSY),
        judged(6, Forecast.UNKNOWN),
    ]
    chosen = [s.record.study_uid for s in worth_a_look(found, 4)]
    assert chosen == ["1.2.6", "1.2.4", "1.2.3", "1.2.1"]
    assert worth_a_look(found, 0) == ()
