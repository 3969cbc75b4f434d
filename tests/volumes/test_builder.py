from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

import mome_node.volumes.builder as builder
from mome_node.dicom.header import FrameRef
from mome_node.errors import (
    DoubledSlicesError,
    MissingSlicesError,
    MixedMatrixError,
    TiledImageError,
    UnreadableSliceError,
    VolumeTooLargeError,
)
from mome_node.volumes.builder import build_volume

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
ROWS, COLUMNS = 4, 6

Series = tuple[list[FrameRef], Callable[[str], Path]]


def image(uid: str, sop_class: str = MRImageStorage, rows: int = ROWS) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.8", "1.2.9"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, COLUMNS, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    return ds


def stored(depth: float, rows: int = ROWS) -> np.ndarray:
    """Stored values that tell slice, row and column apart."""
    return (np.arange(rows * COLUMNS) + 100 * depth).astype("<u2").reshape(rows, COLUMNS)


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def write_series(
    folder: Path, depths: list[float], orientation: tuple[int, ...] = AXIAL, **values: object
) -> Series:
    """Write one classic image for each depth along the normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    references = []
    for index, depth in enumerate(depths):
        ds = image(f"1.2.3.{index}")
        ds.ImagePositionPatient = [float(v) for v in normal * depth]
        ds.ImageOrientationPatient = list(orientation)
        ds.PixelSpacing = [0.7, 0.8]
        ds.PixelData = stored(depth).tobytes()
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        ds.save_as(folder / ds.SOPInstanceUID, enforce_file_format=True)
        references.append(FrameRef(ds.SOPInstanceUID))
    return references, lambda uid: folder / uid


def write_enhanced(folder: Path, depths: list[float]) -> Series:
    """Write one Enhanced MR image whose frames lie at these depths."""
    ds = image("1.2.3.100", EnhancedMRImageStorage)
    ds.NumberOfFrames = len(depths)
    ds.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
            PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.8])],
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=1)],
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, depth])]) for depth in depths
    ]
    ds.PixelData = b"".join(stored(depth).tobytes() for depth in depths)
    ds.save_as(folder / ds.SOPInstanceUID, enforce_file_format=True)
    frames = [FrameRef(ds.SOPInstanceUID, n) for n in range(1, len(depths) + 1)]
    return frames, lambda uid: folder / uid


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL])
def test_classic_series_becomes_one_array_in_slice_order(
    orientation: tuple[int, ...], tmp_path: Path
) -> None:
    volume = build_volume(*write_series(tmp_path, [4, 0, 6, 2], orientation))
    assert volume.array.dtype == np.float32
    assert volume.array.shape == volume.grid.shape == (COLUMNS, ROWS, 4)
    assert volume.grid.spacing == pytest.approx((0.8, 0.7, 2.0))
    for index, depth in enumerate((0, 2, 4, 6)):
        np.testing.assert_array_equal(volume.array[:, :, index], stored(depth).T)
    assert [f.sop_instance_uid for f in volume.frames] == [f"1.2.3.{k}" for k in (1, 3, 0, 2)]


def test_rescale_of_each_image_is_applied(tmp_path: Path) -> None:
    series = write_series(tmp_path, [0, 2, 4], RescaleSlope="0.5", RescaleIntercept="10")
    volume = build_volume(*series)
    np.testing.assert_array_equal(volume.array[:, :, 1], stored(2).T * 0.5 + 10)


def test_enhanced_object_is_decoded_once_for_all_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counting(path: Path, *arguments: object) -> object:
        decoded.append(path)
        return decode(path, *arguments)  # type: ignore[arg-type]  # passed on as they came

    decode = builder.decode_frames
    monkeypatch.setattr(builder, "decode_frames", counting)
    volume = build_volume(*write_enhanced(tmp_path, [6, 0, 2, 4]))
    assert len(decoded) == 1
    for index, depth in enumerate((0, 2, 4, 6)):
        np.testing.assert_array_equal(volume.array[:, :, index], stored(depth).T * 2.0 + 1)


def test_only_the_named_frames_are_read(tmp_path: Path) -> None:
    frames, path_of = write_enhanced(tmp_path, [0, 0, 2, 2, 4, 4])
    volume = build_volume(frames[1::2], path_of)
    assert volume.grid.shape[2] == 3
    assert [f.frame_number for f in volume.frames] == [2, 4, 6]
    with pytest.raises(DoubledSlicesError):
        build_volume(frames, path_of)


def test_array_and_its_slices_are_not_copied_apart(tmp_path: Path) -> None:
    array = build_volume(*write_series(tmp_path, [0, 2, 4])).array
    assert array.T.flags.c_contiguous


def test_missing_slice_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(MissingSlicesError):
        build_volume(*write_series(tmp_path, [0, 2, 6, 8]))


def test_mosaic_is_refused(tmp_path: Path) -> None:
    series = write_series(tmp_path, [0, 2, 4], ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"])
    with pytest.raises(TiledImageError):
        build_volume(*series)


def test_images_of_other_size_are_refused(tmp_path: Path) -> None:
    frames, path_of = write_series(tmp_path, [0, 2, 4])
    other = image("1.2.3.2", rows=8)
    other.ImagePositionPatient = [0, 0, 4]
    other.ImageOrientationPatient = list(AXIAL)
    other.PixelSpacing = [0.7, 0.8]
    other.PixelData = stored(4, rows=8).tobytes()
    other.save_as(tmp_path / "1.2.3.2", enforce_file_format=True)
    with pytest.raises(MixedMatrixError):
        build_volume(frames, path_of)


def test_undecodable_image_is_named(tmp_path: Path) -> None:
    frames, path_of = write_series(tmp_path, [0, 2, 4])
    broken = tmp_path / "1.2.3.1"
    broken.write_bytes(broken.read_bytes()[:-8])
    with pytest.raises(UnreadableSliceError, match=r"1\.2\.3\.1: pixel data has 40 bytes"):
        build_volume(frames, path_of)


def test_missing_file_is_named(tmp_path: Path) -> None:
    frames, path_of = write_series(tmp_path, [0, 2, 4])
    (tmp_path / "1.2.3.1").unlink()
    with pytest.raises(UnreadableSliceError, match=r"1\.2\.3\.1"):
        build_volume(frames, path_of)


def test_file_of_another_instance_is_refused(tmp_path: Path) -> None:
    frames, _ = write_series(tmp_path, [0, 2, 4])
    with pytest.raises(UnreadableSliceError, match="another instance"):
        build_volume(frames, lambda _uid: tmp_path / "1.2.3.0")


def test_frame_that_the_object_lacks_is_refused(tmp_path: Path) -> None:
    frames, path_of = write_enhanced(tmp_path, [0, 2, 4])
    with pytest.raises(UnreadableSliceError, match="not one of number 9"):
        build_volume([*frames, FrameRef("1.2.3.100", 9)], path_of)


def test_volume_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MAX_VOXELS", 50)
    with pytest.raises(VolumeTooLargeError, match="at most 50"):
        build_volume(*write_series(tmp_path, [0, 2, 4]))
