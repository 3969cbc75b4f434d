"""The worked example of docs/examples is valid, says what it is, and is what the program makes now.

Not byte for byte: another processor rounds otherwise, and pixels, scores and UIDs follow from that.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from conformance import validators
from conformance.examples import DOCUMENTS, FOLDER, make_examples

MOST_BYTES = 3_000_000
FILES = sorted(FOLDER.glob("*.dcm"))
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")
POINTS = re.compile(r"#([/,]#)+")


def without_numbers(text: str) -> str:
    return POINTS.sub("#", NUMBER.sub("#", text))


def header_of(path: Path) -> tuple[str, ...]:
    header = dcmread(path, stop_before_pixels=True)
    words = ("SeriesDescription", "SeriesNumber", "ImageComments", "ContentLabel")
    told = (without_numbers(str(header.get(keyword, ""))) for keyword in words)
    return (header.SOPClassUID, header.file_meta.TransferSyntaxUID, *told)


def test_everything_of_a_study_is_there_and_small_enough_for_a_repository() -> None:
    names = {path.name for path in FILES}
    assert names >= {"sr.dcm", "seg.dcm", "summary-1.dcm", "map.dcm", "key_objects.dcm"}
    assert names >= {"rejection.dcm", "not_evaluated.dcm"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_the_page_tells_every_file_and_no_other() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w-]+\.(?:dcm|png|txt))`", page))
    assert told == {path.name for path in FOLDER.iterdir() if path.name != "README.md"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_says_that_it_is_synthetic_and_not_for_diagnosis(path: Path) -> None:
    header = dcmread(path, stop_before_pixels=True)
    assert header.SyntheticData == "YES"
    assert header.SeriesDescription.endswith("not for diagnosis")
    assert str(header.PatientName).startswith("Phantom^")


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_is_valid(path: Path) -> None:
    assert [line for line in validators.dciodvfy(path) if line.startswith("Error")] == []


@pytest.mark.peer("DCMTK")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_text_is_what_dsrdump_prints_of_its_document(name: str) -> None:
    told = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert validators.dsrdump(FOLDER / f"{name}.dcm") == told


def test_each_picture_is_that_of_its_file() -> None:
    pictures = sorted(FOLDER.glob("*.png"))
    assert len(pictures) >= 3
    for path in pictures:
        with Image.open(path) as picture:
            shown = np.asarray(picture)
        np.testing.assert_array_equal(shown, dcmread(path.with_suffix(".dcm")).pixel_array)


@pytest.mark.long
@pytest.mark.peer("DCMTK")
def test_what_is_made_now_says_the_same_but_for_numbers(tmp_path, record_property) -> None:
    made = {path.name: path for path in make_examples(tmp_path)}
    assert set(made) == {path.name for path in FOLDER.iterdir() if path.name != "README.md"}
    for name in DOCUMENTS:
        now, before = (folder / f"{name}.txt" for folder in (tmp_path, FOLDER))
        assert without_numbers(now.read_text("utf-8")) == without_numbers(before.read_text("utf-8"))
    for path in FILES:
        assert header_of(made[path.name]) == header_of(path)
    same = [n for n, path in made.items() if path.read_bytes() == (FOLDER / n).read_bytes()]
    record_property("examples made with the same bytes", f"{len(same)} of {len(made)}")
