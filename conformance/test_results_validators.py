"""What validators and DCMTK say of SR and SEG that the pipeline made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite

from conformance import validators
from conformance.report_kinds import WANTED, every_kind_of_report
from conformance.study_results import EvaluatedStudy, StudyMaker
from mome_node.phantom.exam import Vendor

FORMS = [(vendor, enhanced) for vendor in Vendor for enhanced in (False, True)]
NAMES = [f"{vendor}-{'enhanced' if enhanced else 'classic'}" for vendor, enhanced in FORMS]

IOD_WARNINGS = re.compile(
    "|".join(
        (
            "Unrecognized defined term <99MOME> .* <Coding Scheme Designator>",  # our own scheme
            # Frame Anatomy, which the SEG IOD does not list, says the side of each frame.
            r"not present in standard DICOM IOD - \((0x0008,0x010[024]|0x0008,0x2218)\)",
            r"not present in standard DICOM IOD - \(0x0020,0x907[12]\)",
            "Dicom dataset contains attributes not present .* Standard Extended SOP Class",
        )
    )
)
"""What dciodvfy warns of and we mean."""

ENTITY_WARNINGS = re.compile(
    # For this tool Accession Number is of the series in every SR, of the study in images.
    r"Different information entities for attribute - Element=<AccessionNumber> "
    r"IE <(Series> versus <Study|Study> versus <Series)>"
)
"""What dcentvfy warns of and cannot be otherwise."""

TEMPLATE_WARNINGS = re.compile(
    "|".join(
        (
            r"(CODE|TEXT|NUM|UIDREF|CONTAINER) .*: Content Item not in template$",
            # highdicom writes "Source Series for Segmentation".
            r"\(121232,DCM,\"Source series for segmentation\"\)",
            "Unrecognized defined term :ISO_IR 192:",
        )
    )
)
"""What PixelMed's validators warn of: rows that TID 1500 lets us add, and what is newer."""


@pytest.fixture(params=FORMS, ids=NAMES)
def study(request: pytest.FixtureRequest, make_study: StudyMaker) -> EvaluatedStudy:
    """A study with regions, as each vendor writes it in each form."""
    vendor, enhanced = request.param
    return make_study(vendor, enhanced=enhanced)


def lines_of(severity: str, lines: Iterable[str]) -> list[str]:
    return [line for line in lines if line.startswith(severity)]


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_finds_no_error_and_no_warning_but_those_listed(study: EvaluatedStudy) -> None:
    for path, iod in zip(study.results, ("Comprehensive3DSR", "Segmentation"), strict=True):
        said = validators.dciodvfy(path)
        assert iod in said
        assert lines_of("Error", said) == []
        assert [w for w in lines_of("Warning", said) if not IOD_WARNINGS.search(w)] == []


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize(
    "vendor",
    [
        Vendor.GE,
        *(pytest.param(v, marks=pytest.mark.long) for v in (Vendor.SIEMENS, Vendor.PHILIPS)),
    ],
)
def test_dciodvfy_finds_no_error_in_a_report_without_regions(
    make_study: StudyMaker, vendor: Vendor
) -> None:
    study = make_study(vendor, with_regions=False)
    assert study.seg is None
    assert lines_of("Error", validators.dciodvfy(study.sr)) == []


@pytest.mark.peer("dcentvfy")
def test_results_are_of_the_same_patient_study_and_frame_of_reference_as_the_exam(
    study: EvaluatedStudy,
) -> None:
    alone = validators.dcentvfy(study.images)
    together = validators.dcentvfy([*study.images, *study.results])
    added = [line for line in together if line not in alone]
    assert [line for line in added if not ENTITY_WARNINGS.search(line)] == []


@pytest.mark.peer("dcentvfy")
def test_dcentvfy_would_see_a_result_of_another_patient(
    make_study: StudyMaker, tmp_path: Path
) -> None:
    study = make_study()
    other = dcmread(study.sr)
    other.PatientBirthDate = "19010101"
    dcmwrite(tmp_path / "other.dcm", other)
    assert lines_of("Error", validators.dcentvfy([*study.images, tmp_path / "other.dcm"]))


def pixelmed_finds_nothing(folder: Path, studies: Iterable[EvaluatedStudy]) -> None:
    made = list(studies)
    pixelmed_finds_nothing_in(
        folder,
        reports=[s.sr for s in made],
        segmentations=[s.seg for s in made if s.seg is not None],
    )


def pixelmed_finds_nothing_in(
    folder: Path, reports: Sequence[Path], segmentations: Sequence[Path] = ()
) -> None:
    said = validators.pixelmed(folder, sr=reports, other=segmentations)
    for path, lines in said.items():
        assert lines[0] in ("Found Comprehensive3DSR IOD", "Found Segmentation IOD"), path
        assert lines[-1] == "IOD validation complete", path
        assert lines_of("Error", lines) == [], path
        assert [w for w in lines_of("Warning", lines) if not TEMPLATE_WARNINGS.search(w)] == []
        if path in reports:
            assert "Found Root Template TID_1500 (MeasurementReport)" in lines
            assert "Root Template Validation Complete" in lines


@pytest.mark.peer("PixelMed")
def test_pixelmed_finds_reports_and_segmentations_valid(
    make_study: StudyMaker, tmp_path: Path
) -> None:
    pixelmed_finds_nothing(
        tmp_path,
        [make_study(Vendor.PHILIPS, enhanced=True), make_study(Vendor.GE, with_regions=False)],
    )


@pytest.mark.peer("dciodvfy")
@pytest.mark.peer("PixelMed")
def test_a_report_with_coded_failed_checks_is_valid(make_study: StudyMaker, tmp_path: Path) -> None:
    study = make_study(Vendor.SIEMENS, doubtful=True)
    failed = {check["code"] for check in study.findings["fitness"]}
    assert {"supine-in-header", "contrast-agent-not-named"} <= failed
    assert lines_of("Error", validators.dciodvfy(study.sr)) == []
    assert "contrast-agent-not-named" in validators.dsrdump(study.sr)
    pixelmed_finds_nothing(tmp_path, [study])


@pytest.mark.peer("DCMTK")
@pytest.mark.peer("dciodvfy")
@pytest.mark.peer("PixelMed")
def test_every_kind_of_report_that_a_destination_may_want_is_valid(
    make_study: StudyMaker, tmp_path: Path
) -> None:
    reports = every_kind_of_report(
        make_study, tmp_path, (WANTED[0], WANTED[-1]), vendor=Vendor.PHILIPS, enhanced=True
    )
    assert len(reports) == 3
    for path in reports:
        assert lines_of("Error", validators.dciodvfy(path)) == []
        printed = validators.dsrdump(path)
        assert "Conclusion: " in printed
        assert "This report replaces the report of revision 0" in printed
        if path.name.startswith("not-evaluable"):
            assert "This is no statement about the presence of disease." in printed
    pixelmed_finds_nothing_in(tmp_path, reports)


@pytest.mark.long
@pytest.mark.peer("dciodvfy")
@pytest.mark.peer("PixelMed")
@pytest.mark.parametrize("with_regions", [True, False])
def test_every_kind_of_report_is_valid_for_every_vendor(
    make_study: StudyMaker, tmp_path: Path, with_regions: bool
) -> None:
    reports = [
        path
        for (vendor, enhanced), name in zip(FORMS, NAMES, strict=True)
        for path in every_kind_of_report(
            make_study,
            tmp_path / name,
            WANTED,
            vendor=vendor,
            enhanced=enhanced,
            with_regions=with_regions,
        )
    ]
    for path in reports:
        assert lines_of("Error", validators.dciodvfy(path)) == []
    pixelmed_finds_nothing_in(tmp_path, reports)


@pytest.mark.long
@pytest.mark.peer("PixelMed")
def test_pixelmed_finds_the_results_of_every_vendor_valid(
    make_study: StudyMaker, tmp_path: Path
) -> None:
    pixelmed_finds_nothing(
        tmp_path,
        [
            make_study(vendor, enhanced=enhanced, with_regions=with_regions)
            for vendor, enhanced in FORMS
            for with_regions in (True, False)
        ],
    )


@pytest.mark.long
@pytest.mark.peer("PixelMed")
def test_pixelmed_would_see_what_the_template_forbids(
    make_study: StudyMaker, tmp_path: Path
) -> None:
    report = dcmread(make_study().sr)
    container = next(
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Procedure reported"
    )
    container.ConceptCodeSequence[0].CodeValue = "241615005"  # MRI of breast: not of CID 100
    container.ConceptCodeSequence[0].CodingSchemeDesignator = "SCT"
    broken = tmp_path / "broken.dcm"
    dcmwrite(broken, report)
    assert lines_of("Error", validators.pixelmed(tmp_path, sr=[broken])[broken])


@pytest.mark.peer("DCMTK")
def test_dsrdump_prints_what_a_radiologist_has_to_read(study: EvaluatedStudy) -> None:
    printed = validators.dsrdump(study.sr)
    task = study.findings["tasks"][0]
    score = round(100 * task["probability"])
    sentences = [
        study.findings["label"],
        f'"Exam malignancy score")="{score}" (%,UCUM,"Percent")',
        f"Exam malignancy score: {score} %, calibrated: no. This score has no side.",
        "against a reference of 50 %",
        "Modalities used: DCE, DWI, T2. Missing: none.",
        "DWI b-value: 800 s/mm²",
        "Regions are areas that influenced the score; not an outline, a size or a biopsy target.",
        "Triple-negative: not run",
        "Not assessed: implants",
        "Not a statement about a patient.",
        task["model"]["digest"],
    ]
    for number, region in enumerate(study.findings["regions"], start=1):
        side = {"L": "left", "R": "right"}[region["laterality"]]
        sentences.append(f"Region {number}: {side} breast, {round(100 * region['share'])} % of")
    missing = [sentence for sentence in sentences if sentence not in printed]
    assert missing == [], printed


@pytest.mark.peer("DCMTK")
def test_dsrdump_prints_that_no_region_is_no_all_clear(make_study: StudyMaker) -> None:
    printed = validators.dsrdump(make_study(Vendor.GE, with_regions=False).sr)
    assert "That says nothing about whether there is a lesion" in printed
    for false_comfort in ("negative finding", "no cancer", "benign", "BI-RADS"):
        assert false_comfort not in printed.lower()
