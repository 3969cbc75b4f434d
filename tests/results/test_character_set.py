"""Objects are written in the destination's character set, and no name is ever garbled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from mome_node.results.character_set import settle_character_set
from mome_node.results.context import ResultContext
from mome_node.results.profile import CharacterSet, ResultProfile
from mome_node.results.result_set import encode, make_results

LATIN = ("Müller^Zoë", "ISO_IR 100")
GREEK = ("Διονυσιος", "ISO_IR 126")
JAPANESE = ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"])
PLAIN = ("Doe^Jane", "ISO_IR 100")


def _made(exam: Any, context: ResultContext, character_set: CharacterSet) -> dict[str, Dataset]:
    wanted = replace(context, profile=ResultProfile(character_set=character_set))
    results = make_results(exam.findings, wanted, exam.headers)
    return {o.kind: dcmread(BytesIO(encode(o.dataset))) for o in results.objects}


def _texts(sr: Dataset) -> str:
    return "\n".join(str(e.value) for e in sr.iterall() if e.keyword == "TextValue")


@pytest.mark.parametrize(
    ("patient", "wanted", "written"),
    [
        (PLAIN, "ISO_IR 6", None),
        (PLAIN, "ISO_IR 100", "ISO_IR 100"),
        (PLAIN, "ISO_IR 192", "ISO_IR 192"),
        (LATIN, "ISO_IR 6", "ISO_IR 192"),
        (LATIN, "ISO_IR 100", "ISO_IR 100"),
        (GREEK, "ISO_IR 100", "ISO_IR 192"),
        (JAPANESE, "ISO_IR 100", "ISO_IR 192"),
        (JAPANESE, "ISO_IR 6", "ISO_IR 192"),
    ],
)
def test_the_destinations_character_set_is_used_where_the_name_can_be_written_in_it(
    patient: tuple[str, Any],
    wanted: CharacterSet,
    written: str | None,
    make_exam: Callable[..., Any],
    context: ResultContext,
) -> None:
    exam = make_exam(name=patient[0], character_set=patient[1])
    for dataset in _made(exam, context, wanted).values():
        assert dataset.get("SpecificCharacterSet") == written
        assert str(dataset.PatientName) == patient[0]
        assert dataset.StudyDescription == "MRI breast"


def test_signs_of_our_own_sentences_become_plain_where_the_repertoire_lacks_them(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    task = exam.findings.tasks[0]
    ensemble = replace(task, prediction=replace(task.prediction, networks=5, spread=0.03))
    exam = replace(exam, findings=replace(exam.findings, tasks=(ensemble,)))
    plain = _texts(_made(exam, context, "ISO_IR 6")["sr"])
    assert plain.isascii()
    assert "DWI b-value: 800 s/mm2" in plain
    assert "spread +/-3 percentage points" in plain
    latin = _texts(_made(exam, context, "ISO_IR 100")["sr"])
    assert "DWI b-value: 800 s/mm²" in latin
    assert "spread ±3 percentage points" in latin


def test_a_procedure_that_the_repertoire_cannot_write_is_not_changed_either(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "MR – Μαστός"
    exam = make_exam(character_set="ISO_IR 192", ProcedureCodeSequence=[code])
    sr = _made(exam, context, "ISO_IR 100")["sr"]
    assert sr.SpecificCharacterSet == "ISO_IR 192"
    assert sr.ProcedureCodeSequence[0].CodeMeaning == "MR – Μαστός"


@settings(deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="\\=^")),
    own=st.text(st.sampled_from("abcßé²±…×–“”Ωя"), max_size=64),
    wanted=st.sampled_from(["ISO_IR 6", "ISO_IR 100", "ISO_IR 192"]),
)
def test_copied_text_is_never_changed_and_ours_fits_its_element(
    name: str, own: str, wanted: CharacterSet
) -> None:
    dataset, item = Dataset(), Dataset()
    item.TextValue = own
    dataset.PatientID, dataset.SeriesDescription = name[:60].strip(), own.strip()
    dataset.ContentSequence = [item]
    settle_character_set(dataset, ResultProfile(character_set=wanted))
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    read = dcmread(BytesIO(buffer.getvalue()), force=True)
    assert read.PatientID == dataset.PatientID == name[:60].strip()
    assert read.ContentSequence[0].TextValue == item.TextValue
    assert len(read.SeriesDescription) <= 64
    if read.get("SpecificCharacterSet") is None:
        assert name[:60].isascii()
