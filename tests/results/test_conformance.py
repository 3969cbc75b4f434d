"""The conformance statement says of the objects what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from mome_node.dicom.reason_codes import NO_DYNAMIC, Reason
from mome_node.dicom.rejection_note import RejectionTitle
from mome_node.results.classes import STORAGE_CLASSES
from mome_node.results.context import ResultContext
from mome_node.results.findings import NotEvaluableStudy
from mome_node.results.iod_tables import modules_in
from mome_node.results.modules import FROM_THE_IMAGES, written_modules
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.profile import KINDS, Kind, ResultProfile, StudyScores
from mome_node.results.rejection import RejectedInstance, make_rejection
from mome_node.results.result_set import ResultObject, make_results
from mome_node.results.templates import TEMPLATES
from mome_node.volumes.volume import Volume

STATEMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture
def made(make_exam: Callable[..., Any], context: ResultContext) -> list[tuple[Kind, Dataset]]:
    """Every kind of object, with the scores in either group; reports and notes of all sorts."""
    exam = make_exam(regions=3)
    grid = exam.findings.key_volume.grid
    array = np.random.default_rng(5).normal(0, 1e-4, grid.shape).astype(np.float32)
    findings = replace(exam.findings, attribution=Volume(array, grid))

    def objects(study_scores: StudyScores) -> tuple[ResultObject, ...]:
        profile = ResultProfile(objects=KINDS, study_scores=study_scores)
        return make_results(findings, replace(context, profile=profile), exam.headers).objects

    results = (*objects("field"), *objects("group"))
    header = exam.sources[0]
    unevaluated = NotEvaluableStudy(
        study_uid=context.study_uid,
        reasons=(Reason(NO_DYNAMIC, "no dynamic"),),
        models=(),
        series=(),
        synthetic=True,
    )
    first = results[0]
    rejected = RejectedInstance(
        context.study_uid, first.series_uid, first.sop_class_uid, first.sop_instance_uid
    )
    notes = [
        make_rejection(
            title,
            [rejected],
            header,
            recorded_at=context.recorded_at,
            profile=context.profile,
            synthetic=True,
        )
        for title in (RejectionTitle.QUALITY, RejectionTitle.PATIENT_SAFETY)
    ]
    return [
        *((each.kind, each.dataset) for each in results),
        ("sr", make_not_evaluable_report(unevaluated, context, header)),
        *(("key_objects", note) for note in notes),
    ]


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """A data set and every item in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def test_every_template_that_an_object_names_stands_in_the_table(
    made: list[tuple[Kind, Dataset]],
) -> None:
    named = {
        str(item.TemplateIdentifier)
        for _, dataset in made
        for item in _items(dataset)
        if "TemplateIdentifier" in item
    }
    assert named == {template.tid for template in TEMPLATES if template.identified}
    assert len({template.tid for template in TEMPLATES}) == len(TEMPLATES)


def test_objects_have_the_modules_that_are_stated(made: list[tuple[Kind, Dataset]]) -> None:
    always = {kind: {m.key for m in written_modules(kind) if m.when == "always"} for kind in KINDS}
    stated = {kind: {m.key for m in written_modules(kind)} for kind in KINDS}
    found: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
    for kind, dataset in made:
        assert dataset.SOPClassUID == STORAGE_CLASSES[kind]
        modules = set(modules_in(dataset))
        assert always[kind] <= modules <= stated[kind], kind
        found[kind] |= modules
    for kind in KINDS:
        assert stated[kind] - found[kind] <= FROM_THE_IMAGES, kind


def test_every_code_in_an_object_is_stated(made: list[tuple[Kind, Dataset]]) -> None:
    page = STATEMENT.read_text(encoding="utf-8")
    private = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    public = set(re.findall(r"^\| (\w+) \| `([^`]+)` \|", page, re.MULTILINE))
    used = {
        (
            str(item.CodingSchemeDesignator),
            str(item.get("CodeValue") or item.LongCodeValue),
            str(item.CodeMeaning),
        )
        for _, dataset in made
        for item in _items(dataset)
        if "CodeMeaning" in item
    }
    unstated = sorted(
        code
        for code in used
        if (code[1] not in private if code[0] == "99MOME" else code[:2] not in public)
    )
    assert not unstated


def test_no_object_holds_a_private_attribute(made: list[tuple[Kind, Dataset]]) -> None:
    for _, dataset in made:
        assert not [e.tag for item in _items(dataset) for e in item if e.tag.is_private]
