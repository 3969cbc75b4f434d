"""The summary's pages can be read on any monitor, show the right places, and name nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mome_node.dicom.geometry import Grid
from mome_node.fitness.checks import CHECKS, Outcome
from mome_node.results import canvas, chart
from mome_node.results.findings import Findings, FitnessFinding, OperatingPoint, Region
from mome_node.results.pages import PAGE, Page, key_slices, summary_pages
from mome_node.results.region_styles import REGION_STYLES
from mome_node.results.sections import cut_to_field, projection_section, slice_section
from mome_node.volumes.volume import Modality, Volume

LABEL = "RESEARCH use only, not for diagnosis"
LEAST_CONTRAST = 4.5  # of text, as web pages for people with weak sight have it (WCAG 1.4.3)
ORIENTATIONS = ["axial", "reversed", "prone", "sagittal", "coronal", "oblique", "oblique tilted"]


def luminance(grey: float) -> float:
    """Relative luminance of a grey level of 0 to 255 (sRGB)."""
    part = grey / 255
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Contrast ratio of two colours on a monitor that shows them as Pillow's grey."""
    greys = (Image.new("RGB", (1, 1), c).convert("L").getpixel((0, 0)) for c in (one, other))
    low, high = sorted(luminance(float(grey)) for grey in greys)  # type: ignore[arg-type]
    return (high + 0.05) / (low + 0.05)


def pixels(page: Page) -> Any:
    return np.asarray(page.picture)


def moved(region: Region, number: int, by: tuple[int, int, int]) -> Region:
    return replace(region, number=number, mask=np.roll(region.mask, by, axis=(0, 1, 2)))


def crowded(findings: Findings) -> Findings:
    """As much as a front page can ever have to say."""
    point = OperatingPoint(
        "rule-in of the northern sites", 0.7, 0.85, (0.8, 0.9), 0.9, (0.88, 0.94), 812, 0.34,
        "consecutive screening exams of two sites",
    )  # fmt: skip
    task = findings.tasks[0]
    dce_only = replace(
        task.prediction, contributions=((Modality.DCE, 0.13),), networks=5, spread=0.03
    )
    told = "on consecutive screening exams of two sites in the north of Europe, prevalence 34 %"
    tasks = tuple(
        replace(
            task, task=name, prediction=dce_only, calibration=told, operating_points=(point, point)
        )
        for name in ("malignancy", "tnbc", "pcr")
    )
    failed = (FitnessFinding("malignancy", c.code, Outcome.WARN, "x") for c in CHECKS)
    return replace(
        findings,
        tasks=tasks,
        modalities_used=(Modality.DCE,),
        modalities_missing=(Modality.DWI, Modality.T2),
        share_outside_breast=0.4,
        warnings=("one", "two"),
        fitness=tuple(failed),
    )


@pytest.mark.parametrize("regions", [0, 1, 3])
def test_every_page_has_its_size_the_label_and_the_synthetic_mark(
    regions: int, make_exam: Callable[..., Any]
) -> None:
    findings = make_exam(regions=regions).findings
    marked = summary_pages(findings, LABEL)
    unmarked = summary_pages(replace(findings, synthetic=False), LABEL)
    unlabelled = summary_pages(replace(findings, synthetic=False), "…")
    for page, plain, bare in zip(marked, unmarked, unlabelled, strict=True):
        assert page.picture.size == (PAGE, PAGE)
        counts = [int((pixels(p) == canvas.ALERT).all(axis=-1).sum()) for p in (page, plain, bare)]
        assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize("background", [canvas.BACKGROUND, canvas.HALO])
@pytest.mark.parametrize(
    "colour",
    [
        *(canvas.INK, canvas.MUTED, canvas.ACCENT, canvas.ALERT, chart.RAISES, chart.LOWERS),
        *(style.colour for style in REGION_STYLES),
    ],
)
def test_everything_drawn_can_be_read_on_a_grey_monitor(
    colour: tuple[int, int, int], background: tuple[int, int, int]
) -> None:
    assert contrast(colour, background) >= LEAST_CONTRAST


def test_regions_are_told_apart_without_colour() -> None:
    assert len({style.pattern for style in REGION_STYLES}) == len(REGION_STYLES)


def test_an_outline_stands_out_from_a_bright_and_from_a_dark_image(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam(regions=2).findings
    for brightness in (0.0, 1000.0):
        array = np.full_like(findings.key_volume.array, brightness)
        array[0, 0, 0] = 1000.0 - brightness  # so that the grey levels have two ends
        flat = replace(findings, key_volume=replace(findings.key_volume, array=array))
        for page in summary_pages(flat, LABEL)[1:-1]:
            shown = pixels(page)
            for style in REGION_STYLES[:1]:
                for y, x in np.argwhere((shown == style.colour).all(axis=-1))[::25]:
                    around = shown[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].reshape(-1, 3)
                    darkest = tuple(int(v) for v in around[around.sum(axis=1).argmin()])
                    assert contrast(style.colour, darkest) >= LEAST_CONTRAST  # type: ignore[arg-type]


def test_each_region_has_the_slice_on_which_it_is_largest(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=3).findings
    pages = summary_pages(findings, LABEL)
    assert [page.kind for page in pages] == ["front", *["slice"] * 3, "projection"]
    for page, region in zip(pages[1:-1], findings.regions, strict=True):
        (z,) = page.slices
        areas = region.mask.sum(axis=(0, 1))
        assert areas[z] == areas.max()
        assert f"slice {z + 1} of 10" in page.title
    assert pages[-1].slices == tuple(range(10))


def test_many_regions_make_no_more_than_five_pages_and_one_slice_is_shown_once(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam(regions=1).findings
    (region,) = findings.regions
    many = tuple(moved(region, n, (0, n, n)) for n in range(1, 6))
    assert len(key_slices(replace(findings, regions=many))) == 5
    assert len(summary_pages(replace(findings, regions=many), LABEL)) == 5
    beside = (region, moved(region, 2, (12, 0, 0)))
    assert len(summary_pages(replace(findings, regions=beside), LABEL)) == 3


def test_without_a_region_the_key_slice_is_shown(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=0).findings
    _, page, _ = summary_pages(findings, LABEL)
    assert page.slices == (findings.key_slice,)


def test_pages_differ_where_no_region_was_looked_for(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=0).findings
    unexplained = replace(findings, explanation=None, not_explained="the score is low")
    found, not_looked = (summary_pages(f, LABEL) for f in (findings, unexplained))
    for one, other in zip(found, not_looked, strict=True):
        assert (pixels(one) != pixels(other)).any()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_projection_is_seen_from_the_feet_whatever_plane_was_acquired(
    orientation: str, make_exam: Callable[..., Any]
) -> None:
    *_, projection = summary_pages(make_exam(orientation=orientation).findings, LABEL)
    assert projection.directions == ("L", "P")


@pytest.mark.parametrize(
    ("orientation", "directions"),
    [
        ("axial", ("L", "P")),
        ("prone", ("L", "P")),
        ("sagittal", ("P", "F")),
        ("coronal", ("L", "F")),
    ],
)
def test_slices_are_shown_in_the_radiological_convention_and_say_so(
    orientation: str, directions: tuple[str, str], make_exam: Callable[..., Any]
) -> None:
    front, *slices, _ = summary_pages(make_exam(orientation=orientation).findings, LABEL)
    assert front.directions is None
    assert {page.directions for page in slices} == {directions}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_projection_shows_the_brightest_and_regions_at_its_place(
    orientation: str, make_exam: Callable[..., Any]
) -> None:
    findings = make_exam(orientation=orientation, regions=1).findings
    (region,) = findings.regions
    array = np.where(region.mask, 900.0, 10.0).astype(np.float32)
    bright = replace(findings, key_subtraction=replace(findings.key_subtraction, array=array))
    section = projection_section(bright)
    ((_, mask),) = section.masks
    assert ((section.grey > 128) == mask).all()
    # And the section's grid puts it where it lies in the patient, but for the projection.
    shown = np.array(section.grid.to_patient((*np.argwhere(mask).mean(axis=0), 0)))
    voxels = np.argwhere(region.mask)
    axis = int(np.argmax(np.abs(findings.key_volume.grid.affine[2, :3])))
    kept = [i for i in range(3) if i != axis]
    columns = np.unique(voxels[:, kept], axis=0)
    index = np.zeros(3)
    index[kept] = columns.mean(axis=0)
    assert shown == pytest.approx(findings.key_volume.grid.to_patient(tuple(index)), abs=1e-6)


def test_the_field_of_a_projection_is_that_of_the_attribution_along_the_slices(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam(orientation="sagittal").findings
    whole = projection_section(findings).field
    grid = findings.key_volume.grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_patient((0, 0, 2))
    shape = (*grid.shape[:2], 5)
    part = replace(
        findings, attribution=Volume(np.zeros(shape, dtype=np.float32), Grid(shape, affine))
    )
    # Sagittal: the slices go from right to left, which is across in the projection.
    assert sorted(whole[1::2]) == [0, 10]
    assert sorted(projection_section(part).field[1::2]) == [2, 7]


boxes = st.tuples(*[st.integers(0, 39), st.integers(0, 31)] * 2)


@settings(max_examples=60, deadline=None)
@given(box=boxes, center=st.tuples(st.integers(0, 39), st.integers(0, 31)))
def test_what_is_cut_away_holds_neither_field_nor_region(
    box: tuple[int, ...], center: tuple[int, int]
) -> None:
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    grid = Grid((40, 32, 1), np.diag([7.0, 6.0, 3.5, 1.0]))
    mask = np.zeros((40, 32, 1), dtype=bool)
    mask[center] = True
    region = Region(1, "2.25.1", mask, (0.0, 0.0, 0.0), None, 0.5)
    volume = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    findings = _on(volume, region, (x0, y0, x1 + 1, y1 + 1))
    whole = slice_section(findings, volume, 0)
    part = cut_to_field(whole)
    assert part.masks[0][1].sum() == 1
    place = part.grid.to_patient((*np.argwhere(part.masks[0][1])[0], 0))
    assert place == pytest.approx(grid.to_patient((*center, 0)))
    left, top, right, bottom = part.field
    assert 0 <= left < right <= part.grid.shape[0]
    assert 0 <= top < bottom <= part.grid.shape[1]
    assert part.grey.shape == part.grid.shape[:2]


def _on(volume: Volume, region: Region, field: tuple[int, int, int, int]) -> Findings:
    return Findings(
        *("1.2", (), (), (), (), (), None, (), (region,), 0.0, None, "", (), True),
        *(volume, volume, 0, field),
    )


def test_what_must_be_said_leaves_the_label_its_place(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=3).findings
    little, much = (summary_pages(f, LABEL) for f in (findings, crowded(findings)))
    labels = [pixels(pages[0])[-45:] for pages in (little, much)]
    assert (labels[0] == labels[1]).all()
    assert (labels[0] == canvas.ALERT).all(axis=-1).any()
    # The strip above the label is background: nothing runs into it.
    assert (pixels(much[0])[-47:-45] == canvas.BACKGROUND).all()
    for page in much:
        assert page.picture.size == (PAGE, PAGE)


@pytest.mark.parametrize("words", [3, 60])
def test_no_label_or_calibration_is_too_long_for_a_page(
    words: int, make_exam: Callable[..., Any]
) -> None:
    findings = make_exam().findings
    task = replace(findings.tasks[0], calibration="on " + "many sites " * words)
    for page in summary_pages(replace(findings, tasks=(task,)), "only for research " * words):
        assert page.picture.size == (PAGE, PAGE)


def test_a_modality_that_was_missing_and_another_task_change_the_front_page(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam().findings
    task = findings.tasks[0]
    alone = replace(task, prediction=replace(task.prediction, contributions=((Modality.DCE, 0.1),)))
    variants = [
        findings,
        replace(findings, tasks=(alone,), modalities_missing=(Modality.DWI, Modality.T2)),
        replace(findings, tasks=(task, replace(task, task="tnbc"))),
        replace(findings, share_outside_breast=0.3),
        replace(findings, warnings=("one", "two")),
    ]
    fronts = [summary_pages(variant, LABEL)[0].picture.tobytes() for variant in variants]
    assert len(set(fronts)) == len(variants)


def test_no_text_that_came_from_a_header_is_drawn(make_exam: Callable[..., Any]) -> None:
    findings = make_exam().findings
    (used, left_out) = findings.series
    named = replace(
        findings,
        series=(replace(used, description="Doe Jane"), replace(left_out, reason="of Doe Jane")),
        warnings=("the series Doe Jane is odd",),
        known=("Doe Jane",),
    )
    for one, other in zip(summary_pages(findings, LABEL), summary_pages(named, LABEL), strict=True):
        assert (pixels(one) == pixels(other)).all()


def test_a_dashed_line_goes_on_around_corners_and_ends_where_the_line_ends() -> None:
    square = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)]
    dashes = list(canvas.pieces(square, (8.0, 4.0)))
    lengths = [
        sum(float(np.hypot(x1 - x0, y1 - y0)) for (x0, y0), (x1, y1) in pairwise(dash))
        for dash in dashes
    ]
    assert lengths == pytest.approx([8.0, 8.0, 8.0, 4.0])
    assert (10.0, 10.0) in dashes[1]  # from 12 to 20
    assert dashes[-1][-1] == (0.0, 0.0)
    assert list(canvas.pieces(square, canvas.SOLID)) == [square]
