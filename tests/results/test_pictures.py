"""Pictures show the right side at the right side, in proportion, with their marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mome_node.dicom.geometry import Grid
from mome_node.results.canvas import ALERT, wrapped
from mome_node.results.display import grey_slice, view_of
from mome_node.results.pictures import draw_pictures, write_pictures
from mome_node.results.region_styles import REGION_STYLES
from mome_node.volumes.volume import Modality, Volume

NAMES = ("slice.png", "overlay.png", "contributions.png")


def _count(path: Path, colour: tuple[int, int, int]) -> int:
    pixels = np.array(Image.open(path).convert("RGB"))
    return int((pixels == colour).all(axis=-1).sum())


@pytest.mark.parametrize("regions", [0, 3])
def test_three_pictures_are_written_each_with_label_and_synthetic_mark(
    regions: int, make_exam: Callable[..., Any], tmp_path: Path
) -> None:
    findings = make_exam(regions=regions).findings
    paths = write_pictures(draw_pictures(findings, "research use only"), tmp_path / "new")
    assert tuple(p.name for p in paths) == NAMES
    real = write_pictures(draw_pictures(replace(findings, synthetic=False)), tmp_path / "real")
    for path, unmarked in zip(paths, real, strict=True):
        with_mark, without = _count(path, ALERT), _count(unmarked, ALERT)
        assert with_mark > without > 0  # the label alone is in the same colour
        assert min(Image.open(path).size) >= 300


def test_the_same_findings_give_the_same_pictures(
    make_exam: Callable[..., Any], tmp_path: Path
) -> None:
    one = write_pictures(draw_pictures(make_exam().findings), tmp_path / "1")
    two = write_pictures(draw_pictures(make_exam().findings), tmp_path / "2")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_only_regions_on_the_key_slice_are_outlined(
    make_exam: Callable[..., Any], tmp_path: Path
) -> None:
    findings = make_exam(regions=2).findings
    on_slice = [bool(r.mask[:, :, findings.key_slice].any()) for r in findings.regions]
    _, overlay, _ = write_pictures(draw_pictures(findings), tmp_path)
    drawn = [_count(overlay, style.colour) > 0 for style in REGION_STYLES[:2]]
    assert drawn == on_slice
    assert True in on_slice


def test_a_missing_modality_is_named_in_the_chart(
    make_exam: Callable[..., Any], tmp_path: Path
) -> None:
    findings = make_exam().findings
    task = findings.tasks[0]
    alone = replace(task.prediction, contributions=((Modality.DCE, 0.13),))
    only_dce = replace(findings, tasks=(replace(task, prediction=alone),))
    full = write_pictures(draw_pictures(findings), tmp_path / "1")[2].read_bytes()
    assert write_pictures(draw_pictures(only_dce), tmp_path / "2")[2].read_bytes() != full


def test_an_ensemble_is_named_on_the_pictures_with_the_score(
    make_exam: Callable[..., Any], tmp_path: Path
) -> None:
    findings = make_exam().findings
    task = findings.tasks[0]
    of_five = replace(task.prediction, networks=5, spread=0.03)
    ensemble = replace(findings, tasks=(replace(task, prediction=of_five),))
    single, several = (
        write_pictures(draw_pictures(f), tmp_path / n)
        for f, n in ((findings, "1"), (ensemble, "5"))
    )
    for one, five in zip(single[1:], several[1:], strict=True):
        assert one.read_bytes() != five.read_bytes()


LPS = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "H": (0, 0, 1),
    "F": (0, 0, -1),
}
EXPECTED = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}


@pytest.mark.parametrize(
    ("across", "down", "plane"),
    [
        ("L", "P", "axial"),
        ("R", "P", "axial"),
        ("R", "A", "axial"),
        ("P", "L", "axial"),
        ("A", "R", "axial"),
        ("P", "F", "sagittal"),
        ("A", "H", "sagittal"),
        ("F", "P", "sagittal"),
        ("L", "F", "coronal"),
        ("H", "R", "coronal"),
    ],
)
def test_every_orientation_is_shown_in_the_radiological_convention(
    across: str, down: str, plane: str
) -> None:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = np.array(LPS[across]) * 2.0, np.array(LPS[down]) * 1.0
    affine[:3, 2] = np.cross(LPS[across], LPS[down])
    grid = Grid((20, 30, 3), affine)
    view = view_of(grid, 400)
    assert "".join(view.edges) == EXPECTED[plane]
    # One bright corner: picture and polygon must agree on where it is.
    spot = np.zeros((20, 30), dtype=np.uint8)
    spot[:4, :4] = 255
    shown = np.array(view.image(spot))
    y, x = (float(np.mean(v)) for v in np.nonzero(shown > 128))
    (px, py), *_ = view.points(np.array([[2.0, 2.0]]))
    assert abs(px - x) < 8
    assert abs(py - y) < 8
    # And it is at the patient's place: towards the picture's right means towards its letter.
    corner = np.array(grid.to_patient((2, 2, 0))) - np.array(grid.to_patient((10, 15, 0)))
    assert np.sign(px - view.size[0] / 2) == np.sign(corner @ LPS[view.edges[1]])
    assert np.sign(py - view.size[1] / 2) == np.sign(corner @ LPS[view.edges[3]])
    width, height = view.size
    physical = (20 * 2.0, 30 * 1.0)
    expected = physical[::-1] if view.transposed else physical
    assert width / height == pytest.approx(expected[0] / expected[1], rel=0.02)


def test_a_few_extreme_voxels_do_not_darken_the_picture() -> None:
    rng = np.random.default_rng(0)
    array = rng.uniform(100, 1000, (40, 40, 5)).astype(np.float32)
    grid = Grid(array.shape, np.eye(4))
    clean = grey_slice(Volume(array, grid), 2)
    spiked = array.copy()
    spiked[0, 0, 0], spiked[1, 0, 0] = 1e7, np.nan
    noisy = grey_slice(Volume(spiked, grid), 2)
    assert abs(clean.astype(int) - noisy.astype(int)).max() <= 3


def test_an_image_without_signal_is_black_and_no_error() -> None:
    empty = Volume(np.zeros((4, 4, 2), dtype=np.float32), Grid((4, 4, 2), np.eye(4)))
    assert not grey_slice(empty, 1).any()


def test_long_labels_are_wrapped_to_the_width() -> None:
    lines = wrapped("only for research " * 12, 512)
    assert len(lines) > 1
    assert " ".join(lines) == ("only for research " * 12).strip()


@pytest.mark.parametrize("value", ["1 %", "12.5 mm", "93 s"])
def test_a_number_and_its_unit_stay_on_one_line(value: str) -> None:
    for width in range(80, 400, 7):
        lines = wrapped(f"with an error below {value}; more of it", width)
        assert any(value in line for line in lines)
        assert " ".join(lines) == f"with an error below {value}; more of it"
