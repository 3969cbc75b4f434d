"""What OHIF draws of the results lies on the phantom's lesion, slice by slice, to a voxel.

The region of these results is the lesion itself, and the lesion comes from the phantom's truth: a
results' outline or colour elsewhere is an error of ours, or the viewer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from scipy import ndimage

from conformance.lesion_results import (
    NEGATIVE_SCORE,
    SCORE,
    SHARE,
    LesionStudy,
    LesionStudyMaker,
    inside,
)
from conformance.ohif.colours import is_tint
from conformance.ohif.drawn import ShownImage
from conformance.ohif.overlay import Mask, ShownSlice, dice, farthest, outlines, shown_slice
from conformance.ohif.reading import assert_nothing_is_broken, assert_score_is_readable
from conformance.ohif.viewer import Viewer
from conformance.planes import plane_of
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.phantom.exam import Lesion
from mome_node.results.outline import largest_slice
from mome_node.results.region_styles import style_of

pytestmark = pytest.mark.peer("Chromium")

LEAST_DICE = 0.85
"""Of what is drawn and the lesion; an ellipsoid in voxels is not all of it. Measured: 0.92."""

FARTHEST_PX = 2.0
"""How far the edge of what is drawn may lie from the lesion's, besides one voxel."""

LEAST_SEEN = 0.5
"""Part of an outline that is coloured on the page: it is dashed."""

EDGE_PX = 1
"""So far a SEG's edge, which is drawn as a line, reaches out of its region."""

SEVERAL_OBJECTS = "enhanced-object-a-phase"
"""OHIF may lay the SEG over the same slice of another object of the series."""

LONG_FORMS = (
    "degraded", "enhanced-one-object", SEVERAL_OBJECTS, "sagittal", "prone", "feet-first",
    "two-lesions",
)  # fmt: skip


def open_study(viewer: Viewer, orthanc: Orthanc, study: LesionStudy) -> None:
    results = [path for paths in study.results().values() for path in paths]
    orthanc.store_study([*study.images, *results])
    viewer.open_study(study.study_uid)


def key_image(study: LesionStudy, slice_index: int) -> ShownImage:
    """One slice of the series that the results were made from."""
    frame = study.findings.key_volume.frames[slice_index]
    series = str(study.headers(frame).SeriesInstanceUID)
    return ShownImage(series, frame.sop_instance_uid, frame.frame_number)


def slice_of(viewer: Viewer, study: LesionStudy) -> ShownSlice:
    shown = viewer.shown_image()
    return shown_slice(viewer, plane_of(study.image(shown.sop_instance_uid), shown.frame))


def assert_lies_on(drawn: Mask, lesions: Sequence[Lesion], shown: ShownSlice) -> str:
    """Returns how well, in words."""
    truth = shown.project(lambda points: inside(lesions, points))
    assert truth.any(), "the slice that is shown meets no lesion"
    overlap, away = dice(drawn, truth), farthest(drawn, truth)
    assert overlap >= LEAST_DICE
    assert away <= FARTHEST_PX + shown.voxel_px
    for axis in (0, 1):  # what is mirrored would not pass for right
        assert dice(np.flip(drawn, axis), truth) < LEAST_DICE / 2
    return f"{overlap:.2f}, {away:.1f} of {shown.voxel_px:.1f} px"


def assert_is_seen(viewer: Viewer, outline: Mask) -> None:
    """The outline is not only in the page's tree: its pixels have a colour."""
    edge = outline & ~ndimage.binary_erosion(outline)
    page = np.asarray(viewer.picture(), dtype=np.int16)[: edge.shape[0], : edge.shape[1]]
    coloured = page.max(axis=-1) - page.min(axis=-1) > 60
    assert np.mean(ndimage.binary_dilation(coloured)[edge]) >= LEAST_SEEN


def assert_outlines_lie_on_the_lesions(
    viewer: Viewer, study: LesionStudy
) -> Iterator[tuple[str, Mask]]:
    """Each region is outlined where its lesion is, on the slice where it is largest.

    Yields how well, and the voxels inside each outline, (columns, rows) of that slice.
    """
    for region, lesion in zip(study.findings.regions, study.lesions, strict=True):
        if region.number > 1:  # the SR opens on the first one's
            viewer.scroll_to(key_image(study, largest_slice(region.mask)))
        shown = slice_of(viewer, study)
        outline = outlines(viewer, shown.size)[0]
        how_well = assert_lies_on(outline, [lesion], shown)
        assert_is_seen(viewer, outline)
        yield how_well, shown.voxels(outline, study.findings.key_volume.grid.shape[:2])


def assert_colour_lies_on_the_lesions(viewer: Viewer, study: LesionStudy) -> tuple[str, Mask]:
    """What the SEG colours on the shown slice is the lesions; returns the same as above."""
    shown = slice_of(viewer, study)
    coloured = viewer.coloured()
    how_well = assert_lies_on(coloured, study.lesions, shown)
    region = ndimage.binary_erosion(coloured, iterations=EDGE_PX)
    return how_well, shown.voxels(region, study.findings.key_volume.grid.shape[:2])


def assert_tinted_as_in_the_pictures(viewer: Viewer, study: LesionStudy) -> None:
    """The first region has the colour in which the summary outlines it."""
    labels, _ = ndimage.label(viewer.coloured())
    first = slice_of(viewer, study).project(lambda points: inside(study.lesions[:1], points))
    patch = labels == np.bincount(labels[first]).argmax()
    inner = viewer.canvas()[ndimage.binary_erosion(patch, iterations=EDGE_PX)]
    assert is_tint(inner, style_of(study.findings.regions[0]).colour)


@pytest.mark.parametrize(
    "form", ["classic", *(pytest.param(form, marks=pytest.mark.long) for form in LONG_FORMS)]
)
def test_outline_and_colour_lie_on_the_lesion_and_on_each_other(
    viewer: Viewer,
    orthanc: Orthanc,
    make_lesion_study: LesionStudyMaker,
    form: str,
    record_property: Callable[[str, object], None],
) -> None:
    study = make_lesion_study(form)
    open_study(viewer, orthanc, study)
    first = key_image(study, study.findings.key_slice)
    viewer.open_sr()
    viewer.decline_prompt()
    viewer.screenshot(f"truth-{form}-sr")
    assert viewer.shown_image() == first
    assert_score_is_readable(viewer, round(100 * SCORE), len(study.findings.modalities_used))
    assert any(f"Share of attribution: {100 * SHARE:.2f} %" in each.text for each in viewer.texts())
    outlined = list(assert_outlines_lie_on_the_lesions(viewer, study))
    record_property("outline", "; ".join(how_well for how_well, _ in outlined))
    assert_nothing_is_broken(viewer)
    viewer.open_seg()
    viewer.screenshot(f"truth-{form}-seg")
    assert viewer.shown_image().series_uid == first.series_uid
    how_well, coloured = assert_colour_lies_on_the_lesions(viewer, study)
    record_property("colour", how_well)
    if form != SEVERAL_OBJECTS:
        viewer.scroll_to(first)
        _, coloured = assert_colour_lies_on_the_lesions(viewer, study)
        # Another lesion may be coloured on this slice, too.
        inside_first = coloured & ndimage.binary_dilation(outlined[0][1])
        np.testing.assert_array_equal(outlined[0][1], inside_first)
        assert_tinted_as_in_the_pictures(viewer, study)
    assert_nothing_is_broken(viewer)


@pytest.mark.long
def test_colour_lies_on_the_lesion_where_pixels_are_no_squares(
    viewer: Viewer, orthanc: Orthanc, make_lesion_study: LesionStudyMaker
) -> None:
    """OHIF 3.13.2 puts an SR's outline elsewhere there: it swaps the two spacings."""
    study = make_lesion_study("sagittal-flat")
    open_study(viewer, orthanc, study)
    viewer.open_seg()
    assert_colour_lies_on_the_lesions(viewer, study)
    assert_nothing_is_broken(viewer)


@pytest.mark.long
def test_negative_study_shows_the_score_and_points_at_nothing(
    viewer: Viewer, orthanc: Orthanc, make_lesion_study: LesionStudyMaker
) -> None:
    study = make_lesion_study("negative")
    open_study(viewer, orthanc, study)
    assert [label.split()[0] for label in viewer.objects()] == ["SR"]
    viewer.open_sr()
    viewer.decline_prompt()
    viewer.screenshot("truth-negative-sr")
    assert viewer.shown_image() == key_image(study, study.findings.key_slice)
    assert_score_is_readable(viewer, round(100 * NEGATIVE_SCORE), 3)
    assert len(viewer.outlines()) == 1  # the field's
    assert len(viewer.texts()) == 1
    assert not viewer.coloured().any()
    assert_nothing_is_broken(viewer)
