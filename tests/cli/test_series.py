from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

VOLUME_KEYS = {"phase", "b_value", "time_s", "slices"}
SERIES_KEYS = {"SeriesInstanceUID", "SeriesDescription", "role", "reason", "volumes", "problems"}


def test_json_tells_role_phases_and_reason_of_every_series(run, exam: Path, rendered) -> None:
    done = run("series", exam, "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert all(set(series) == SERIES_KEYS for series in found)
    assert all(set(v) == VOLUME_KEYS for series in found for v in series["volumes"])
    assert all(series["reason"] for series in found)
    roles = {series["role"] for series in found}
    assert {"dce", "dwi", "adc", "t2", "localizer"} <= roles
    dynamic = [v for series in found if series["role"] == "dce" for v in series["volumes"]]
    assert [v["phase"] for v in dynamic] == list(range(len(rendered.dce)))
    assert [v["time_s"] for v in dynamic] == pytest.approx(rendered.phase_times_s, abs=1)
    assert {v["slices"] for v in dynamic} == {24}
    diffusion = next(series for series in found if series["role"] == "dwi")
    assert {v["b_value"] for v in diffusion["volumes"]} == {b for b, _ in rendered.dwi}
    assert all(v["phase"] is None for v in diffusion["volumes"])


def test_the_table_has_a_line_a_series(run, exam: Path) -> None:
    lines = [line.split("\t") for line in run("series", exam).out.splitlines()]
    head = ["number", "description", "role", "volumes", "reason", "problems"]
    assert lines[0] == head
    assert {len(line) for line in lines} == {len(head)}
    assert len(lines) - 1 == len(json.loads(run("series", exam, "--json").out))


def test_one_file_is_enough(run, exam: Path) -> None:
    done = run("series", sorted(exam.iterdir())[-1], "--json")
    assert done.status == 0
    (series,) = json.loads(done.out)
    assert [v["slices"] for v in series["volumes"]] == [1]


def test_folders_are_searched_to_the_bottom_and_copies_count_once(
    run, exam_copy: Path, exam: Path
) -> None:
    shutil.copytree(exam_copy, exam_copy / "deep" / "deeper")
    (exam_copy / "notes.txt").write_text("no DICOM")
    done = run("series", exam_copy, "--json")
    assert done.status == 0
    count = len(list(exam.iterdir()))
    assert done.err.splitlines() == [
        "left out: 1 file, no readable DICOM",
        f"left out: {count} files, copies",
    ]
    assert done.out == run("series", exam, "--json").out


def test_a_missing_slice_is_a_problem_of_its_series_alone(run, exam_copy: Path) -> None:
    before = json.loads(run("series", exam_copy, "--json").out)
    assert [s["problems"] for s in before] == [[] for _ in before]
    in_the_middle = sorted(exam_copy.glob("0007-*"))[10]
    uid = pydicom.dcmread(in_the_middle, stop_before_pixels=True).SeriesInstanceUID
    in_the_middle.unlink()
    after = json.loads(run("series", exam_copy, "--json").out)
    assert {s["SeriesInstanceUID"] for s in after if s["problems"]} == {uid}


@pytest.mark.parametrize("name", ["empty", "text", "missing", "zeros"])
@pytest.mark.parametrize("command", ["series", "analyze"])
def test_nothing_to_read_is_told(run, tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no DICOM")
    (tmp_path / "zeros").write_bytes(bytes(10_000))
    target = tmp_path / name
    arguments = ("--out", tmp_path / "out") if command == "analyze" else ()
    done = run(command, target, *arguments)
    assert (done.status, done.out) == (1, "")
    words = "no such folder or file" if name == "missing" else "holds no readable DICOM file"
    assert f"mome-node {command}: {target}" in done.err
    assert words in done.err
    assert not (tmp_path / "out").exists()


def test_a_device_without_end_is_not_read_to_its_end(run) -> None:
    assert run("series", "/dev/zero").status == 1
