"""No object leaves that a validator finds fault with; a validator that hangs holds up nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from structlog.testing import capture_logs

from mome_node.errors import InvalidResultError, ResultError
from mome_node.results import dciodvfy
from mome_node.results.context import ResultContext
from mome_node.results.dciodvfy import MOST_OUTPUT, dciodvfy_errors, find_dciodvfy
from mome_node.results.result_set import encode, make_results
from mome_node.results.sources import SourceImages
from mome_node.results.validation import MOST_TOLD, validate, validate_objects


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a program that stands in for dciodvfy, from the lines of a shell script."""

    def make(script: str) -> Path:
        path = tmp_path / "tool"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def objects(exam: Any, context: ResultContext, folder: Path) -> list[tuple[str, Path]]:
    written = []
    for made in make_results(exam.findings, context, exam.headers).objects:
        path = folder / f"{made.kind}.dcm"
        path.write_bytes(encode(made.dataset))
        written.append((made.kind, path))
    return written


def sources(exam: Any) -> SourceImages:
    return SourceImages(exam.headers, exam.findings.key_volume)


def change(path: Path, how: Callable[[Dataset], None]) -> None:
    dataset = dcmread(path)
    how(dataset)
    path.write_bytes(encode(dataset))


def test_valid_objects_are_let_through(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam()
    written = objects(exam, context, tmp_path)
    validate_objects(written, exam.findings, sources(exam))
    for _, path in written:
        assert validate(path) == validate(path.read_bytes()) == ()


def test_an_object_that_is_not_valid_is_refused_by_its_kind_and_faults_without_values(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam(name="Doe^Jane")
    written = objects(exam, context, tmp_path)

    def spoil(dataset: Dataset) -> None:
        del dataset.Manufacturer
        dataset.add_new(0x00090010, "LO", "Doe^Jane")

    change(tmp_path / "sr.dcm", spoil)
    with pytest.raises(InvalidResultError) as caught:
        validate_objects(written, exam.findings, sources(exam))
    told = str(caught.value)
    assert told.startswith("the sr object is not valid and is not sent: ")
    assert "Manufacturer is missing" in told
    assert "is private" in told
    assert "Doe" not in told
    assert isinstance(caught.value, ResultError)


def test_many_faults_are_told_in_few_words(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam()
    written = objects(exam, context, tmp_path)

    def spoil(dataset: Dataset) -> None:
        for item in dataset.ContentSequence:
            del item.ValueType

    change(tmp_path / "sr.dcm", spoil)
    with pytest.raises(InvalidResultError, match=r"; and \d+ more$") as caught:
        validate_objects(written, exam.findings, sources(exam))
    assert str(caught.value).count("; ") == MOST_TOLD
    assert len(str(caught.value)) < 1000


def test_a_segmentation_of_other_regions_is_refused_though_its_iod_is_valid(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam()
    written = objects(exam, context, tmp_path)
    first, second = exam.findings.regions
    swapped = replace(
        exam.findings,
        regions=(replace(first, mask=second.mask), replace(second, mask=first.mask)),
    )
    with pytest.raises(InvalidResultError, match="read back"):
        validate_objects(written, swapped, sources(exam))


@pytest.mark.parametrize("kept", [0, 200, 2000])
def test_a_file_that_is_cut_off_is_refused(
    kept: int, make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam()
    written = objects(exam, context, tmp_path)
    path = tmp_path / "sr.dcm"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InvalidResultError, match="the sr object"):
        validate_objects(written, exam.findings, sources(exam))


@pytest.mark.parametrize("kind", ["summary", "map", "key_objects", "rejection"])
def test_every_further_kind_of_object_is_checked_alike(
    kind: str, make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam(regions=0)
    ((_, path),) = objects(exam, context, tmp_path)
    validate_objects([(kind, path)], exam.findings, sources(exam))
    change(path, lambda dataset: dataset.pop("SeriesInstanceUID"))
    with pytest.raises(InvalidResultError, match=f"the {kind} object"):
        validate_objects([(kind, path)], exam.findings, sources(exam))


@pytest.mark.peer("dciodvfy")
def test_what_dciodvfy_alone_sees_is_refused(
    make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam()
    written = objects(exam, context, tmp_path)
    change(tmp_path / "sr.dcm", lambda dataset: setattr(dataset, "CompletionFlag", "PERHAPS"))
    assert validate(tmp_path / "sr.dcm")
    with pytest.raises(InvalidResultError, match="Completion Flag"):
        validate_objects(written, exam.findings, sources(exam))


def test_errors_of_dciodvfy_are_told_without_values(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    tool = program(
        """cat <<'END'
Warning - Unrecognized defined term <99MOME> for value 1 of attribute <Coding Scheme Designator>
Error - Value invalid for this VR - (0x0008,0x0060) CS Modality  CS [1] = <Doe> - Character
Error - Value invalid for this VR - (0x0008,0x103e) LO Series Description  LO [1] = <Doe> - Length
Error - Unrecognized enumerated value <Doe> for value 1 of attribute <Completion Flag>
Error - Illegal root for UID uses non-existent ISO arc - "Doe" in (0x0020,0x000d) Study Instance UID
Error - Value invalid for this VR - (0x0010,0x0010) PN Patient's Name  PN [1] = <Doe> - Length
Error - Missing attribute Type 1C Conditional Element=<DeidentificationMethod> Module=<Patient>
Error - Missing attribute Type 2 Required Element=<SegmentLabel> Module=<SegmentDescriptionMacro>
Error - Dicom dataset contains invalid data values for Value Representations
Segmentation
END"""
    )
    assert dciodvfy_errors(tmp_path, tool) == (
        "Value invalid for this VR - (0x0008,0x0060) CS Modality CS",
        "Value invalid for this VR - (0x0008,0x103e) LO Series Description LO",
        "Unrecognized enumerated value for value 1 of attribute <Completion Flag>",
        "Missing attribute Type 2 Required Element=<SegmentLabel> Module=<SegmentDescriptionMacro>",
    )


def test_a_dciodvfy_that_takes_too_long_is_ended_noted_and_no_failure(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    tool = program(f"sleep 600 &\necho $! $$ > {note}\necho 'Error - half an answer'\nwait")
    with capture_logs() as logs:
        assert dciodvfy_errors(tmp_path, tool, time_limit_s=0.5) == ()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    pids = [int(pid) for pid in note.read_text().split()]
    assert len(pids) == 2
    assert not any(runs(pid) for pid in pids)


def runs(pid: int) -> bool:
    """Whether a process is more than what waits to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_a_dciodvfy_that_never_stops_talking_is_ended(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    line = "Error - Missing attribute Type 1 Required Element=<SegmentLabel>"
    errors = dciodvfy_errors(tmp_path, program(f"exec yes '{line}'"))
    assert errors[0] == line.removeprefix("Error - ")
    assert sum(map(len, errors)) < MOST_OUTPUT


def test_a_dciodvfy_that_crashes_is_noted_and_no_failure(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    with capture_logs() as logs:
        assert dciodvfy_errors(tmp_path, program("kill -SEGV $$")) == ()
    assert len(logs) == 1


def test_nothing_is_said_where_dciodvfy_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_dciodvfy() is None
    assert dciodvfy_errors(tmp_path / "no such file") == ()


@pytest.mark.parametrize("place", ["PATH", "beside Python"])
def test_dciodvfy_is_found_on_the_path_and_beside_the_running_python(
    place: str, program: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program("true").rename(tmp_path / "dciodvfy")
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path if place == "PATH" else elsewhere))
    python = (elsewhere if place == "PATH" else tmp_path) / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    assert find_dciodvfy() == tool
    assert os.access(dciodvfy.find_dciodvfy() or "", os.X_OK)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(part=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["sr", "seg"]))
def test_a_file_that_breaks_off_anywhere_is_no_valid_one(
    part: float, kind: str, make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    path = tmp_path / f"{kind}.dcm"
    if not path.exists():
        objects(make_exam(), context, tmp_path)
    broken = tmp_path / "broken.dcm"
    whole = path.read_bytes()
    broken.write_bytes(whole[: int(part * len(whole))])
    assert validate(broken)
