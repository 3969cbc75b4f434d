"""A study that was not evaluated gets a report that says why, and nothing that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from mome_node.dicom.reason_codes import NO_DYNAMIC, REASONS, TOO_OLD, Reason, with_codes
from mome_node.errors import ResultError
from mome_node.fitness.checks import CHECKS
from mome_node.results.context import Predecessor, Replaced, ResultContext
from mome_node.results.findings import ModelAsked, NotEvaluableStudy, SeriesUse
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode
from mome_node.results.wording_not_evaluated import not_evaluated_statements
from tests.results.test_conclusion import FORBIDDEN

STUDY = "1.2.826.0.1.3680043.8.498.1"
SAID = NotEvaluableStudy(
    study_uid=STUDY,
    reasons=(
        Reason(TOO_OLD, "the study is 400 days old"),
        Reason("vendor-outside-package", "not validated for this vendor"),
        Reason("vendor-outside-package", "pcr: not validated for this vendor"),
    ),
    series=(SeriesUse("1.2.3", 4, "dyn", "dce", None, "contrast and 3 phases"),),
    models=(ModelAsked("MOME malignancy", "1.0", "malignancy", "not validated for this vendor"),),
    warnings=("the Study Date lies in the future",),
    synthetic=True,
)


def _report(
    make_exam: Callable[..., Any],
    context: ResultContext,
    said: NotEvaluableStudy = SAID,
    **exam: Any,
) -> Dataset:
    header = make_exam(**exam).sources[0]
    return dcmread(BytesIO(encode(make_not_evaluable_report(said, context, header))))


def _evaluations(report: Dataset) -> list[Dataset]:
    (container,) = [
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    ]
    return list(container.ContentSequence)


def _codes(report: Dataset) -> list[tuple[str, str]]:
    found = [i.ConceptCodeSequence[0] for i in _evaluations(report) if i.ValueType == "CODE"]
    return [(c.get("CodeValue") or c.LongCodeValue, c.CodingSchemeDesignator) for c in found]


def test_the_report_says_why_in_words_and_codes(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    report = _report(make_exam, context)
    texts = [str(i.TextValue) for i in _evaluations(report) if i.ValueType == "TEXT"]
    assert texts == [
        "RESEARCH use only, not for diagnosis",
        (
            "Conclusion: the study was not evaluated: older than the site has evaluated; a vendor "
            "that the package does not know. This is no statement about the presence of disease."
        ),
        "Synthetic: the exam is artificial. Not a statement about a patient.",
        "Not evaluated: the study is 400 days old",
        "Not evaluated: not validated for this vendor",
        "Not evaluated: pcr: not validated for this vendor",
        "Exam malignancy score by MOME malignancy 1.0: not run: not validated for this vendor",
        'Series 4 "dyn": role dce: contrast and 3 phases',
        "Warning: the Study Date lies in the future",
    ]
    assert _codes(report) == [("too-old", "99MOME"), ("vendor-outside-package", "99MOME")]
    assert (report.SyntheticData, report.SOPClassUID.name) == (
        "YES",
        "Comprehensive 3D SR Storage",
    )
    assert not any(e.keyword == "MeasuredValueSequence" for e in report.iterall())


def test_it_is_of_the_patient_and_study_of_the_image(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    report = _report(make_exam, context, name="Διονυσιος", character_set="ISO_IR 126")
    assert str(report.PatientName) == "Διονυσιος"
    assert (report.StudyInstanceUID, report.AccessionNumber) == (STUDY, "ACC42")
    assert (report.SeriesNumber, report.ContentDate) == (9901, "20261102")
    assert report.SeriesDescription.startswith("MOME not evaluated: RESEARCH")
    assert report.SeriesDescription.endswith("not for diagnosis")


def test_the_same_reasons_make_the_same_bytes_and_others_another_object(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    one, same = (encode(_report(make_exam, context)) for _ in range(2))
    assert one == same
    others = [
        _report(make_exam, context, replace(SAID, reasons=SAID.reasons[:1])),
        _report(make_exam, replace(context, revision=2)),
        _report(make_exam, replace(context, issue=1)),
        _report(make_exam, replace(context, profile=ResultProfile(series_name="X"))),
    ]
    uids = {str(report.SOPInstanceUID) for report in (_report(make_exam, context), *others)}
    assert len(uids) == 5


def test_it_replaces_the_report_of_an_earlier_revision(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    before = replace(
        context,
        predecessor=Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3"),
        replaces=Replaced(
            0, datetime(2026, 11, 1, tzinfo=UTC), "images were rejected", (("malignancy", 0.4),)
        ),
    )
    report = _report(make_exam, before)
    series = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    texts = [i.TextValue for i in _evaluations(report) if i.ValueType == "TEXT"]
    assert "Exam malignancy score was 40 %, is not given now." in texts


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("character_set", ["ISO_IR 192", "ISO_IR 100", "ISO_IR 6"])
def test_dciodvfy_finds_no_error_whatever_the_reasons(
    character_set: Any,
    make_exam: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    all_reasons = (*(r.code.value for r in REASONS), *(c.code for c in CHECKS))
    said = replace(SAID, reasons=tuple(Reason(code, "words") for code in all_reasons))
    wanted = replace(context, profile=ResultProfile(character_set=character_set))
    report = _report(make_exam, wanted, said)
    assert len(_codes(report)) == len(all_reasons)
    path = tmp_path / "sr.dcm"
    path.write_bytes(encode(report))
    assert dciodvfy(path) == []


@pytest.mark.parametrize("reason", REASONS, ids=lambda r: r.code.value)
def test_no_reason_reassures(reason: Any) -> None:
    said = replace(SAID, reasons=(Reason(reason.code.value, reason.definition),))
    for statement in not_evaluated_statements(said, ResultProfile()):
        assert not FORBIDDEN.search(statement.text.replace("volume", "")), statement.text
    assert 0 < len(reason.code.value) <= 16
    assert 0 < len(reason.code.meaning) <= 64


def test_codes_of_reasons_and_checks_are_one_vocabulary() -> None:
    values = [*(r.code.value for r in REASONS), *(c.code for c in CHECKS)]
    assert len(set(values)) == len(values)


def test_a_reason_without_a_code_is_another_reason() -> None:
    assert with_codes(("a", "b"), (NO_DYNAMIC,)) == ((NO_DYNAMIC, "a"), ("other-reason", "b"))
    assert with_codes(("a",), ("", TOO_OLD)) == (("other-reason", "a"),)


@pytest.mark.parametrize(
    "change",
    [
        {"reasons": ()},
        {"reasons": (Reason("unheard-of", "x"),)},
        {"study_uid": "1.2.9"},
    ],
)
def test_what_cannot_be_told_is_refused(
    change: dict[str, Any], make_exam: Callable[..., Any], context: ResultContext
) -> None:
    with pytest.raises(ResultError):
        _report(make_exam, context, replace(SAID, **change))
