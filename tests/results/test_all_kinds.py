"""A profile gets every kind of object that it wants, in order, of one patient, the same always."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement
from pydicom.config import IGNORE

from mome_node.results.context import ResultContext
from mome_node.results.profile import KINDS, Kind, ResultProfile
from mome_node.results.result_set import ResultSet, encode, make_results
from mome_node.results.sources import SourceImages
from mome_node.results.validation import validate_objects
from mome_node.volumes.volume import Volume

EVERYTHING = ResultProfile(objects=KINDS)


@pytest.fixture
def exam(make_exam: Callable[..., Any]) -> Any:
    """An exam with regions and the attribution that they were found in."""
    return with_attribution(make_exam(regions=2))


def with_attribution(exam: Any) -> Any:
    findings = exam.findings
    array = np.random.default_rng(5).normal(0, 1e-4, findings.key_volume.grid.shape)
    volume = Volume(array.astype(np.float32), findings.key_volume.grid)
    return replace(exam, findings=replace(findings, attribution=volume))


def results_of(exam: Any, context: ResultContext, profile: ResultProfile) -> ResultSet:
    return make_results(exam.findings, replace(context, profile=profile), exam.headers)


def test_every_kind_is_made_in_the_order_in_which_it_is_sent(
    exam: Any, context: ResultContext
) -> None:
    made = results_of(exam, context, EVERYTHING).objects
    kinds = [result.kind for result in made]
    assert sorted(kinds, key=KINDS.index) == kinds
    assert set(kinds) == set(KINDS)
    series = {result.series_uid: result.kind for result in made}
    assert len(series) == len(KINDS)
    numbers = [result.dataset.SeriesNumber for result in made]
    assert numbers == [EVERYTHING.number_of(result.kind) for result in made]
    assert len({result.sop_instance_uid for result in made}) == len(made)


@pytest.mark.parametrize("wanted", [*combinations(KINDS, 1), ("sr", "summary"), ("seg", "map")])
def test_a_profile_gets_what_it_wants_and_nothing_else(
    wanted: tuple[Kind, ...], exam: Any, context: ResultContext
) -> None:
    made = results_of(exam, context, ResultProfile(objects=wanted)).objects
    assert {result.kind for result in made} == set(wanted)


@pytest.mark.parametrize("encoding", ["explicit", "implicit", "rle"])
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_kind_in_every_encoding_is_let_through(
    iod: str,
    encoding: Any,
    make_exam: Callable[..., Any],
    context: ResultContext,
    tmp_path: Path,
) -> None:
    exam = with_attribution(make_exam(iod=iod, regions=2))
    profile = replace(EVERYTHING, encoding=encoding, character_set="ISO_IR 100")
    written = []
    for number, made in enumerate(results_of(exam, context, profile).objects):
        written.append((made.kind, tmp_path / f"{number}.dcm"))
        written[-1][1].write_bytes(encode(made.dataset))
    assert {kind for kind, _ in written} == set(KINDS)
    sources = SourceImages(exam.headers, exam.findings.key_volume)
    validate_objects(written, exam.findings, sources)


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_object_has_the_same_bytes_whatever_clock_and_chance_say(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    first, second = (_bytes(make_exam(iod=iod), context) for _ in range(2))
    assert first == second


def _bytes(exam: Any, context: ResultContext) -> list[bytes]:
    random.seed()
    made = results_of(with_attribution(exam), context, EVERYTHING).objects
    return [encode(result.dataset) for result in made]


def test_no_date_of_an_object_comes_from_the_clock(exam: Any, context: ResultContext) -> None:
    later = replace(context, recorded_at=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
    for result in results_of(exam, later, EVERYTHING).objects:
        dates = {
            str(element.value)[:8]
            for element in result.dataset.iterall()
            if element.VR in ("DA", "DT")
            and element.keyword not in ("StudyDate", "PatientBirthDate")
        }
        assert dates == {"20310506"}, result.kind


def test_every_object_is_of_the_patient_and_marked(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = with_attribution(make_exam(name="Διονυσιος", character_set="ISO_IR 126"))
    for result in results_of(exam, context, EVERYTHING).objects:
        dataset = result.dataset
        assert str(dataset.PatientName) == "Διονυσιος", result.kind
        assert (dataset.PatientID, dataset.AccessionNumber) == ("PID-7", "ACC42")
        assert dataset.StudyInstanceUID == context.study_uid
        assert dataset.SyntheticData == "YES"
        assert "RESEARCH use only" in dataset.SeriesDescription


def test_without_regions_and_explanation_there_is_neither_seg_nor_map(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    findings = replace(exam.findings, explanation=None, not_explained="the score is low")
    made = results_of(replace(exam, findings=findings), context, EVERYTHING).objects
    assert {result.kind for result in made} == {"sr", "summary", "key_objects"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["single", "", "a" * 70, "a^b^c^d^e"])
def test_odd_names_are_kept_in_every_object_and_neither_logged_nor_warned_about(
    name: str,
    make_exam: Callable[..., Any],
    context: ResultContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exam = with_attribution(make_exam(regions=1))
    for source in exam.sources:
        del source["PatientName"]
        source.add(DataElement("PatientName", "PN", name, validation_mode=IGNORE))
    for result in results_of(exam, context, EVERYTHING).objects:
        assert str(result.dataset.PatientName) == name, result.kind
    assert not name or name not in caplog.text
