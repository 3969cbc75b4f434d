"""What validators, DCMTK and Orthanc make of summary, map, key images and rejection notes.

PixelMed's instance validator knows neither Secondary Capture nor Parametric Map: it judges the
Key Object documents, down to TID 2010.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from conformance import peers, validators
from conformance.dcmtk import dcmsend, run_tool
from conformance.study_results import MALIGNANT_SEED, SMALL_EXAM, write_model
from mome_node.assembly.rules import AssemblyRules
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.dicom.rejection_note import read_rejection_note
from mome_node.jobs.evaluate_study import evaluate_study, sources_from
from mome_node.jobs.models import ModelChoice, load_models
from mome_node.jobs.requests import Evaluated, EvaluationRequest
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.results.rejection import TITLES, RejectedInstance, make_rejection
from mome_node.results.result_set import encode

EVERYTHING = ResultProfile(objects=KINDS)
COMPRESSED = ResultProfile(objects=("summary",), encoding="rle")
MOST_BYTES = 5_000_000
"""Of SR, SEG and summary of one study."""

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
IODS = {"summary": "SCImage", "map": "ParametricMap", "key_objects": "KeyObjectSelectionDocument"}

WARNINGS = re.compile("Unrecognized defined term <99MOME> .* <Coding Scheme Designator>")
"""What dciodvfy warns of and we mean: our own coding scheme."""

ENTITY_WARNINGS = re.compile(
    # For this tool Accession Number is of the series in every SR, of the study in images.
    r"Different information entities for attribute - Element=<AccessionNumber> "
    r"IE <(Series> versus <Study|Study> versus <Series)>"
)
"""What dcentvfy warns of and cannot be otherwise."""


@dataclass(frozen=True)
class Made:
    """A study's images and findings, all its objects, and its summary once more, compressed."""

    images: tuple[Path, ...]
    files: tuple[Path, ...]
    compressed: tuple[Path, ...]
    findings: dict[str, Any]

    def of(self, kind: str) -> tuple[Path, ...]:
        return tuple(path for path in self.files if path.stem.partition("-")[0] == kind)


Maker = Callable[..., Made]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Evaluate each wanted study once, for two profiles."""
    exam = cache(lambda: render_exam(MALIGNANT_SEED, protocol=SMALL_EXAM))

    @cache
    def model(raises_the_score: bool) -> str:
        folder = tmp_path_factory.mktemp("model") / "package"
        return str(write_model(folder, raises_the_score=raises_the_score))

    @cache
    def make(vendor: Vendor, *, enhanced: bool = False, with_regions: bool = True) -> Made:
        folder = tmp_path_factory.mktemp("everything")
        images = write_study(
            exam(), folder / "exam", vendor=vendor, enhanced=enhanced, study_date=AT.date()
        )
        headers = {path: dcmread(path, stop_before_pixels=True) for path in images}
        request = EvaluationRequest(
            study_uid=str(headers[images[0]].StudyInstanceUID),
            revision=0,
            instances=sources_from({str(ds.SOPInstanceUID): path for path, ds in headers.items()}),
            rules=AssemblyRules(),
            profiles=(EVERYTHING, COMPRESSED),
            station_name="MOME",
            recorded_at=AT,
            out_dir=folder / "results",
        )
        models = load_models((ModelChoice(model(with_regions), device="cpu"),))
        outcome = evaluate_study(request, models)
        assert isinstance(outcome, Evaluated), outcome
        paths = [(made.profile, made.path) for made in outcome.objects]
        return Made(
            images=images,
            files=tuple(path for profile, path in paths if profile == EVERYTHING.digest),
            compressed=tuple(path for profile, path in paths if profile == COMPRESSED.digest),
            findings=json.loads(outcome.findings_path.read_text()),
        )

    return make


FORMS = {
    "classic": {"vendor": Vendor.SIEMENS},
    "enhanced": {"vendor": Vendor.PHILIPS, "enhanced": True},
    "without regions": {"vendor": Vendor.GE, "with_regions": False},
}


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def everything(request: pytest.FixtureRequest, make: Maker) -> Made:
    """Every kind of object of a study: with regions in two forms, and without."""
    return make(**request.param)


def notes_of(made: Made, folder: Path) -> tuple[Path, ...]:
    """A rejection note of each title that is ours, for all objects of a study."""
    headers = [dcmread(path, stop_before_pixels=True) for path in made.files]
    rejected = [
        RejectedInstance(
            *(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID)),
            *(str(ds.SOPClassUID), str(ds.SOPInstanceUID)),
        )
        for ds in headers
    ]
    for title in TITLES:
        note = make_rejection(
            title, rejected, headers[0], recorded_at=AT, profile=EVERYTHING, synthetic=True
        )
        (folder / f"{title.name}.dcm").write_bytes(encode(note))
    return tuple(folder / f"{title.name}.dcm" for title in TITLES)


def lines_of(severity: str, lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(severity)]


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_finds_no_error_and_no_warning_but_those_listed(
    everything: Made, tmp_path: Path
) -> None:
    objects = [(path, iod) for kind, iod in IODS.items() for path in everything.of(kind)]
    objects += [(path, "SCImage") for path in everything.compressed]
    objects += [(path, IODS["key_objects"]) for path in notes_of(everything, tmp_path)]
    has_regions = bool(everything.of("seg"))
    assert len(objects) >= (1 + 1 + 1) + has_regions + 1 + (1 + 1 + 1) + len(TITLES)
    for path, iod in objects:
        said = validators.dciodvfy(path)
        assert iod in said, path.name
        assert lines_of("Error", said) == [], path.name
        assert [w for w in lines_of("Warning", said) if not WARNINGS.search(w)] == [], path.name


@pytest.mark.peer("PixelMed")
def test_pixelmed_finds_key_images_and_rejection_notes_valid(make: Maker, tmp_path: Path) -> None:
    documents = [path for form in FORMS.values() for path in make(**form).of("key_objects")]
    documents += notes_of(make(**FORMS["enhanced"]), tmp_path)
    assert len(documents) == len(FORMS) + len(TITLES)
    for path, said in validators.pixelmed(tmp_path, sr=documents).items():
        assert "Found Root Template TID_2010 (KeyObjectSelection)" in said, path
        assert said[-1] == "IOD validation complete", path
        assert lines_of("Error", said) == [], path
        assert lines_of("Warning", said) == [], path


@pytest.mark.peer("dcentvfy")
def test_all_results_are_of_the_same_patient_study_and_frame_of_reference_as_the_exam(
    everything: Made, tmp_path: Path
) -> None:
    exam = everything.images
    alone = validators.dcentvfy(exam)
    together = validators.dcentvfy([*exam, *everything.files, *notes_of(everything, tmp_path)])
    added = [line for line in together if line not in alone]
    assert [line for line in added if not ENTITY_WARNINGS.search(line)] == []


@pytest.mark.peer("DCMTK")
def test_dcmtk_renders_every_page_to_the_same_pixels(everything: Made, tmp_path: Path) -> None:
    pages = everything.of("summary")
    assert len(pages) == len(everything.compressed) >= 3
    for plain, compressed in zip(pages, everything.compressed, strict=True):
        pixels = dcmread(plain).pixel_array
        for path in (plain, compressed):
            out = tmp_path / "page.ppm"
            done = run_tool(peers.DCMJ2PNM, "--write-raw-pnm", str(path), str(out))
            assert done.returncode == 0, done.stderr
            np.testing.assert_array_equal(np.asarray(Image.open(out)), pixels)


def test_highdicom_reads_the_map_back_and_finds_the_regions_in_it(make: Maker) -> None:
    made = make(**FORMS["classic"])
    (path,) = made.of("map")
    volume = hd.pm.ParametricMap.from_dataset(dcmread(path)).get_volume()
    regions = made.findings["regions"]
    assert regions
    for region in regions:
        place = np.array([region["center_mm"]])
        index = volume.map_reference_to_indices(place)[0]
        reach = 8.0 / np.array(volume.spacing)
        low = np.maximum(0, np.floor(index - reach)).astype(int)
        high = np.ceil(index + reach).astype(int) + 1
        around = volume.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        assert around.mean() > max(0.0, float(volume.array.mean()))


def test_there_is_no_map_where_nothing_was_explained(make: Maker) -> None:
    assert make(**FORMS["without regions"]).of("map") == ()


@pytest.mark.parametrize("form", FORMS)
def test_report_segmentation_and_summary_of_a_study_are_below_five_megabytes(
    form: str, make: Maker
) -> None:
    made = make(**FORMS[form])
    files = [path for kind in ("sr", "seg", "summary") for path in made.of(kind)]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


@pytest.mark.peer("Orthanc")
@pytest.mark.peer("DCMTK")
def test_orthanc_stores_every_kind_and_the_notes_and_gives_them_back_unchanged(
    orthanc: Orthanc, make: Maker, tmp_path: Path
) -> None:
    made = make(**FORMS["enhanced"])
    notes = notes_of(made, tmp_path)
    # Two profiles' summaries are different objects: both are in the PACS.
    files = (*made.files, *made.compressed, *notes)
    for sent in (files, files):  # twice: a note that is sent again is the same note
        done = dcmsend(orthanc.address, sent, "--decompress-never")
        assert done.returncode == 0, done.stderr
    assert orthanc.instance_count(made.findings["study_uid"]) == len(files)
    for path in files:
        back = tmp_path / "back.dcm"
        back.write_bytes(orthanc.file_of(str(dcmread(path).SOPInstanceUID)))
        assert dcmread(back) == dcmread(path)
        if path in notes:
            assert read_rejection_note(back) == read_rejection_note(path) is not None
