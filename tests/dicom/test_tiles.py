"""Tiled images taken apart: where each slice lies in the image and in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.dicom.tiles import cut_tile, instance_of_tiles, one_tile, plane_of
from mome_node.errors import TiledImageError
from mome_node.volumes.builder import build_volume

DATA = Path(__file__).parents[1] / "data" / "dicom" / "vendor-mr"
VFRAME = DATA / "uih-umr770-dwi-vframe/00000002.dcm"
MOSAIC = DATA / "siemens-skyra-mosaic/epi_pe_ap-00001.dcm"

Save = Callable[..., Path]


def tiles_of(facts: InstanceFacts) -> list[FrameRef]:
    (frame,) = facts.frames
    assert frame.tiling is not None
    return [
        FrameRef(facts.sop_instance_uid, 1, tile)
        for tile in range(1, len(frame.tiling.positions) + 1)
    ]


def test_slices_of_united_imaging_lie_where_their_headers_say() -> None:
    facts = read_facts(VFRAME)
    (frame,) = facts.frames
    assert frame.tiling is not None
    assert (frame.tiling.rows, frame.tiling.columns, frame.tiling.across) == (64, 64, 5)
    items = dcmread(VFRAME, stop_before_pixels=True)[0x0065, 0x1051].value
    told = [tuple(float(v) for v in item.ImagePositionPatient) for item in items]
    assert list(frame.tiling.positions) == told
    # The first slice was not the first to be acquired: the image began with the earliest.
    times = [float(str(item.AcquisitionTime)[4:]) for item in items]
    assert frame.acquired_s is not None
    assert frame.acquired_s % 60 == pytest.approx(min(times) % 60, abs=1e-3)


def test_volume_of_united_imaging_holds_every_tile_at_its_place() -> None:
    facts = read_facts(VFRAME)
    volume = build_volume(tiles_of(facts), lambda _uid: VFRAME)
    assert volume.grid.shape == (64, 64, 20)
    assert volume.grid.spacing == pytest.approx((3.5, 3.5, 4.2), abs=1e-3)
    image = dcmread(VFRAME).pixel_array
    for tile in (1, 5, 6, 20):
        down, right = divmod(tile - 1, 5)
        expected = image[down * 64 : (down + 1) * 64, right * 64 : (right + 1) * 64]
        (z,) = (z for z, ref in enumerate(volume.frames) if ref.tile == tile)
        np.testing.assert_array_equal(volume.array[:, :, z].T, expected)
        position = one_tile(facts.frames[0], tile).image_position
        assert volume.grid.to_patient((0, 0, z)) == pytest.approx(position, abs=0.01)


def test_neighbouring_slices_look_alike_so_the_tiles_are_in_order() -> None:
    for path, tiles in ((VFRAME, 20), (MOSAIC, 5)):
        facts = read_facts(path)
        array = build_volume(tiles_of(facts), lambda _uid, p=path: p).array  # type: ignore[misc]
        alike = [np.corrcoef(array[..., z].ravel(), array[..., z + 1].ravel())[0, 1]
                 for z in range(tiles - 1)]  # fmt: skip
        assert min(alike) > 0.5


def test_first_slice_of_a_mosaic_lies_around_the_middle_of_the_mosaic() -> None:
    facts = read_facts(MOSAIC)
    volume = build_volume(tiles_of(facts), lambda _uid: MOSAIC)
    assert volume.grid.shape == (72, 72, 5)
    # The header puts the mosaic's corner at (-324, -324, 16): 216 × 216 pixels of 3 mm.
    assert volume.grid.to_patient((0, 0, 0)) == pytest.approx((-108, -108, 16))
    assert volume.grid.to_patient((0, 0, 4)) == pytest.approx((-108, -108, 16 + 4 * 12))


def test_slices_of_a_mosaic_may_run_against_the_normal(
    save: Save, csa_header: Callable[..., bytes]
) -> None:
    ds = dcmread(MOSAIC)
    ds[0x0029, 0x1010].value = csa_header({"SliceNormalVector": ["0", "0", "-1"]})
    path = save(ds)
    facts = read_facts(path)
    assert one_tile(facts.frames[0], 1).image_position == pytest.approx((-108, -108, 16))
    assert one_tile(facts.frames[0], 5).image_position == pytest.approx((-108, -108, 16 - 48))
    volume = build_volume(tiles_of(facts), lambda _uid: path)
    assert [ref.tile for ref in volume.frames] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("lost", [(0x0029, 0x1010), (0x0018, 0x0088), (0x0020, 0x0032)])
def test_mosaic_whose_header_does_not_tell_the_places_is_not_taken_apart(
    lost: tuple[int, int], save: Save
) -> None:
    ds = dcmread(MOSAIC)
    del ds[lost]
    (frame,) = read_facts(save(ds)).frames
    assert frame.tiled
    assert frame.tiling is None


def test_mosaic_with_a_slice_direction_beside_its_normal_is_not_taken_apart(
    save: Save, csa_header: Callable[..., bytes]
) -> None:
    ds = dcmread(MOSAIC)
    ds[0x0029, 0x1010].value = csa_header({"SliceNormalVector": ["0", "0.7071", "0.7071"]})
    (frame,) = read_facts(save(ds)).frames
    assert frame.tiling is None


def test_vframe_that_lost_a_position_is_not_taken_apart(save: Save) -> None:
    ds = dcmread(VFRAME)
    del ds[0x0065, 0x1051].value[3].ImagePositionPatient
    (frame,) = read_facts(save(ds)).frames
    assert frame.tiled
    assert frame.tiling is None


def test_vframe_without_private_creator_is_taken_apart(save: Save) -> None:
    ds = dcmread(VFRAME)
    del ds[0x0065, 0x0010]
    (frame,) = read_facts(save(ds)).frames
    assert frame.tiling is not None


def test_tiles_become_planes_of_one_object() -> None:
    facts = read_facts(VFRAME)
    apart = instance_of_tiles(facts)
    assert (apart.rows, apart.columns, len(apart.frames)) == (64, 64, 20)
    assert {(f.frame_number, f.tiled, f.b_value) for f in apart.frames} == {(1, False, 1000.0)}
    assert [f.tile for f in apart.frames] == list(range(1, 21))
    assert instance_of_tiles(replace(facts, frames=())) == replace(facts, frames=())


def test_a_tile_that_is_not_there_is_refused() -> None:
    facts = read_facts(VFRAME)
    assert plane_of(FrameRef("1.2", 1), facts) == (facts.frames[0], 256, 320)
    for tile in (0, 21):
        with pytest.raises(TiledImageError, match="no slice"):
            plane_of(FrameRef("1.2", 1, tile), facts)


def test_an_ordinary_image_has_no_tiles(classic: Dataset, save: Save) -> None:
    (frame,) = read_facts(save(classic)).frames
    assert (frame.tiled, frame.tiling) == (False, None)


def test_a_tile_is_cut_row_by_row() -> None:
    (frame,) = read_facts(MOSAIC).frames
    assert frame.tiling is not None
    image = np.arange(216 * 216, dtype=np.float32).reshape(216, 216)
    np.testing.assert_array_equal(cut_tile(image, frame.tiling, 4), image[72:144, :72])
