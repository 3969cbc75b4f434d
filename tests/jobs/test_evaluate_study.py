"""The real evaluation of small exams, with the bundled demonstration package."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.reason_codes import Reason
from mome_node.errors import InvalidResultError
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import Known
from mome_node.fitness.policy import SiteFitness
from mome_node.jobs.evaluate_study import evaluate_study, sources_from
from mome_node.jobs.models import LoadedModel, ModelChoice, load_models
from mome_node.jobs.requests import (
    NOT_TRIED_AGAIN,
    Evaluated,
    EvaluationRequest,
    NotEvaluated,
)
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.context import Predecessor
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode
from mome_node.volumes.volume import Volume

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


SMALL = Protocol((64, 64, 10), (32, 32, 5), (64, 64, 6))
Files = tuple[Path, ...]


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return render_exam(3, protocol=SMALL, with_lesions=False)


@pytest.fixture(scope="module")
def files(exam, tmp_path_factory) -> Files:
    """The exam, written once. Who changes a file works on a copy."""
    return written(exam, tmp_path_factory.mktemp("exam"))


@pytest.fixture(scope="module")
def files_turned(exam, tmp_path_factory) -> Files:
    return written(turned(exam), tmp_path_factory.mktemp("turned"))


@pytest.fixture(scope="module")
def models() -> tuple[LoadedModel, ...]:
    return load_models((ModelChoice(),))


def written(exam: PhantomExam, folder: Path) -> Files:
    return write_study(exam, folder, vendor=Vendor.SIEMENS, study_date=NOW.date())


def of_a_patient(files: Files, folder: Path) -> Files:
    """Copies that do not say that they are synthetic."""
    copies = []
    for number, path in enumerate(files):
        dataset = dcmread(path)
        del dataset.SyntheticData
        copies.append(folder / f"{number}.dcm")
        dataset.save_as(copies[-1])
    return tuple(copies)


def request(files: Files, folder: Path) -> EvaluationRequest:
    headers = {path: dcmread(path, stop_before_pixels=True) for path in files}
    return EvaluationRequest(
        study_uid=str(headers[files[0]].StudyInstanceUID),
        revision=1,
        instances=sources_from({str(ds.SOPInstanceUID): path for path, ds in headers.items()}),
        rules=AssemblyRules(),
        profiles=(ResultProfile(label="research use only"),),
        station_name="MOME",
        recorded_at=NOW,
        out_dir=folder / "out",
    )


def test_same_request_gives_the_same_bytes(files, models, tmp_path):
    first = request(files, tmp_path)
    second = replace(first, out_dir=tmp_path / "again")
    made = [evaluate_study(r, models) for r in (first, second)]
    assert all(isinstance(m, Evaluated) for m in made)
    files = [{o.kind: o.path.read_bytes() for o in m.objects} for m in made]
    assert files[0] == files[1]
    assert "sr" in files[0]
    assert json.loads(made[0].findings_path.read_text())["tasks"]
    report = dcmread(made[0].objects[0].path)
    assert (report.ContentDate, report.ContentTime[:6]) == ("20260101", "120000")


def test_an_object_that_is_not_valid_fails_the_evaluation_and_is_not_tried_again(
    files, models, tmp_path, monkeypatch
):
    def without_manufacturer(dataset):
        del dataset.Manufacturer
        return encode(dataset)

    monkeypatch.setattr("mome_node.jobs.evaluate_study.encode", without_manufacturer)
    with pytest.raises(InvalidResultError) as caught:
        evaluate_study(request(files, tmp_path), models)
    told = str(caught.value)
    assert told.startswith("the sr object is not valid and is not sent: Manufacturer is missing")
    assert told.endswith(NOT_TRIED_AGAIN)


def test_phases_that_the_model_read_are_told_with_their_seconds(files, models, tmp_path):
    outcome = evaluate_study(request(files, tmp_path), models)
    told = json.loads(outcome.findings_path.read_text())["channels"]
    assert [(c.channel, c.phase, c.time_s) for c in outcome.channels] == [
        (c["channel"], c["phase"], c["seconds"]) for c in told
    ]
    assert any(c.time_s for c in outcome.channels)


def test_report_of_a_later_revision_names_its_predecessor(files, models, tmp_path):
    first = evaluate_study(request(files, tmp_path), models)
    old = first.objects[0]
    later = replace(
        request(files, tmp_path / "later"),
        revision=2,
        predecessors=(
            (old.profile, Predecessor(old.sop_class_uid, old.sop_instance_uid, old.series_uid)),
        ),
    )
    new = evaluate_study(later, models).objects[0]
    assert new.sop_instance_uid != old.sop_instance_uid
    (named,) = dcmread(new.path).PredecessorDocumentsSequence
    (series,) = named.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.sop_instance_uid


def test_report_warns_of_what_the_study_was_evaluated_without(files, models, tmp_path):
    lacking = ("evaluated although this is missing: 3 images",)
    made = evaluate_study(replace(request(files, tmp_path), lacking=lacking), models)
    assert json.loads(made.findings_path.read_text())["warnings"][0] == lacking[0]
    assert lacking[0].encode() in made.objects[0].path.read_bytes()


def test_synthetic_package_refuses_a_patient(files, models, tmp_path):
    outcome = evaluate_study(request(of_a_patient(files, tmp_path), tmp_path), models)
    assert outcome == NotEvaluated(
        "[synthetic-weights] no clinical model installed",
        reasons=(Reason("synthetic-weights", "no clinical model installed"),),
    )
    assert not (tmp_path / "out").exists()


def test_every_object_is_marked_where_a_site_lets_it_evaluate_a_patient(files, models, tmp_path):
    choice = ModelChoice(allow_synthetic_on_patients=True)
    allowed = tuple(replace(m, choice=choice) for m in models)
    outcome = evaluate_study(request(of_a_patient(files, tmp_path), tmp_path), allowed)
    assert isinstance(outcome, Evaluated)
    for made in outcome.objects:
        assert "DEMONSTRATION" in dcmread(made.path).SeriesDescription


def test_image_that_cannot_be_decoded_quarantines_the_study(files, models, tmp_path):
    sound = next(path for path in files if "dyn" in dcmread(path).SeriesDescription)
    broken = tmp_path / "broken.dcm"
    dataset = dcmread(sound)
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(broken)
    copies = tuple(broken if path == sound else path for path in files)
    outcome = evaluate_study(request(copies, tmp_path), models)
    assert isinstance(outcome, NotEvaluated)
    assert outcome.quarantine


def test_study_without_dynamic_says_so(files, models, tmp_path):
    outcome = evaluate_study(request(files[:10], tmp_path), models)
    assert isinstance(outcome, NotEvaluated)
    assert "no dynamic" in outcome.reason


# Fitness


def turned(exam: PhantomExam) -> PhantomExam:
    """The exam as it is written where the scanner was told the opposite position."""

    def of(volume: Volume) -> Volume:
        return Volume(np.ascontiguousarray(volume.array[::-1, ::-1]), volume.grid)

    return replace(
        exam,
        dce=tuple(of(v) for v in exam.dce),
        dwi=tuple((b, of(v)) for b, v in exam.dwi),
        adc=of(exam.adc),
        t2=of(exam.t2),
    )


def at_a_site(models: tuple[LoadedModel, ...], **site: object) -> tuple[LoadedModel, ...]:
    choice = ModelChoice(fitness=SiteFitness(**site))
    return tuple(replace(m, choice=choice) for m in models)


def findings_of(outcome: object) -> dict[str, Any]:
    assert isinstance(outcome, Evaluated), outcome
    return json.loads(outcome.findings_path.read_text())


def test_exam_registered_in_the_opposite_position_is_not_evaluated(files_turned, models, tmp_path):
    outcome = evaluate_study(request(files_turned, tmp_path), models)
    assert isinstance(outcome, NotEvaluated)
    assert outcome.reason.startswith("[position-contradicts-anatomy] the breasts point to where")
    assert not outcome.quarantine


def test_a_site_that_only_wants_a_warning_gets_it_and_no_sides(files_turned, models, tmp_path):
    loose = at_a_site(models, outcomes={"position-contradicts-anatomy": Outcome.WARN})
    found = findings_of(evaluate_study(request(files_turned, tmp_path), loose))
    assert [(f["code"], f["outcome"]) for f in found["fitness"]] == [
        ("position-contradicts-anatomy", "warn")
    ]
    assert sum("patient position" in w for w in found["warnings"]) == 1
    assert all(region["laterality"] is None for region in found["regions"])


def test_a_sound_exam_fails_no_check_and_says_what_was_not_assessed(files, models, tmp_path):
    known = (Known(("no implants",)),)
    found = findings_of(evaluate_study(request(files, tmp_path), at_a_site(models, known=known)))
    assert found["fitness"] == []
    assert found["known"] == ["no implants"]
    assert not any("implants" in told for told in found["not_assessed"])
    assert "contrast dose" in found["not_assessed"]


def test_noise_that_says_breast_is_never_evaluated(exam, models, tmp_path):
    rng = np.random.default_rng(5)

    def of(volume: Volume) -> Volume:
        noise = np.hypot(*rng.normal(0, 100, (2, *volume.array.shape)))
        return Volume(noise.astype(np.float32), volume.grid)

    noise = replace(exam, dce=tuple(of(v) for v in exam.dce))
    outcome = evaluate_study(request(written(noise, tmp_path / "exam"), tmp_path), models)
    assert isinstance(outcome, NotEvaluated)
    assert outcome.reason.startswith("[no-breasts-in-image] no breasts are seen in the image: ")
