from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mome_node.dicom.codestream import codestream_size
from mome_node.dicom.pixels import decode_frame, decode_frames
from mome_node.errors import PixelDataError

Save = Callable[..., Path]
Item = Callable[..., Dataset]

LARGE = (np.arange(64 * 64) % 4_000).astype(np.float32).reshape(64, 64)
COUNTING = np.arange(24, dtype=np.float32).reshape(4, 6)


def test_stored_values_come_as_rows_and_columns(classic: Dataset, save: Save) -> None:
    pixels = decode_frame(save(classic))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, COUNTING)


def test_rescale_is_applied(classic: Dataset, save: Save) -> None:
    classic.RescaleSlope, classic.RescaleIntercept = "1.29", "-3"
    np.testing.assert_allclose(decode_frame(save(classic)), COUNTING * 1.29 - 3, rtol=1e-6)


def test_signed_values_keep_their_sign(classic: Dataset, save: Save) -> None:
    classic.BitsStored, classic.HighBit, classic.PixelRepresentation = 16, 15, 1
    classic.PixelData = (COUNTING - 12).astype("<i2").tobytes()
    np.testing.assert_array_equal(decode_frame(save(classic)), COUNTING - 12)


def test_bits_above_the_stored_ones_are_no_signal(classic: Dataset, save: Save) -> None:
    classic.PixelData = (COUNTING.astype("<u2") | 0xF000).tobytes()
    np.testing.assert_array_equal(decode_frame(save(classic)), COUNTING)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_native_encodings_give_equal_pixels(syntax: str, classic: Dataset, save: Save) -> None:
    classic.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(decode_frame(save(classic)), COUNTING)


def test_big_endian_gives_equal_pixels(classic: Dataset, save: Save) -> None:
    classic.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    classic.PixelData = COUNTING.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode_frame(save(classic)), COUNTING)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_encodings_give_equal_pixels(syntax: str, enhanced: Dataset, save: Save) -> None:
    frames = [LARGE, LARGE // 2, LARGE[::-1]]
    enhanced.Rows = enhanced.Columns = 64
    enhanced.PixelData = np.stack(frames).astype("<u2").tobytes()
    enhanced.compress(syntax, generate_instance_uid=False)
    decoded = list(decode_frames(save(enhanced)))
    np.testing.assert_array_equal(np.stack(decoded), np.stack(frames))


def test_frames_are_rescaled_each_by_its_own_values(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence, start=1):
        frame.PixelValueTransformationSequence = [item(RescaleSlope=number, RescaleIntercept=1)]
    path = save(enhanced)
    assert [float(f.mean()) for f in decode_frames(path)] == [2, 5, 10]
    assert [float(f.mean()) for f in decode_frames(path, [3, 1])] == [2, 10]


@pytest.mark.parametrize("undefined", [True, False])
def test_pixel_data_is_found_behind_functional_groups(
    undefined: bool, enhanced: Dataset, save: Save
) -> None:
    enhanced["PerFrameFunctionalGroupsSequence"].is_undefined_length = undefined
    assert float(decode_frame(save(enhanced), 2).mean()) == 2


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("Rows", 5, "48 bytes"),
        ("BitsAllocated", 64, "bits"),
        ("BitsStored", 17, "bits"),
        ("PhotometricInterpretation", "RGB", "monochrome"),
        ("SamplesPerPixel", 3, "monochrome"),
        ("NumberOfFrames", 2, "need 96"),
        ("PixelData", b"", "0 bytes"),
    ],
)
def test_pixels_that_contradict_the_header_are_refused(
    keyword: str, value: object, said: str, classic: Dataset, save: Save
) -> None:
    setattr(classic, keyword, value)
    with pytest.raises(PixelDataError, match=said):
        decode_frame(save(classic))


def test_large_declared_matrix_allocates_nothing(classic: Dataset, save: Save) -> None:
    classic.Rows = classic.Columns = 65_535
    with pytest.raises(PixelDataError, match="65535 rows"):
        decode_frame(save(classic))


def test_object_without_pixel_data_is_refused(classic: Dataset, save: Save) -> None:
    del classic.PixelData
    with pytest.raises(PixelDataError, match="no integer Pixel Data"):
        decode_frame(save(classic))


def test_frame_that_does_not_exist_is_refused(enhanced: Dataset, save: Save) -> None:
    with pytest.raises(PixelDataError, match="do not exist"):
        decode_frame(save(enhanced), 4)


def test_truncated_file_is_refused(classic: Dataset, save: Save) -> None:
    path = save(classic)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PixelDataError, match="38 bytes"):
        decode_frame(path)


def test_truncated_compressed_frame_is_refused(classic: Dataset, save: Save) -> None:
    classic.compress(JPEGLSLossless, generate_instance_uid=False)
    path = save(classic)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(PixelDataError):
        decode_frame(path)


def test_frames_missing_from_encapsulated_data_are_told(enhanced: Dataset, save: Save) -> None:
    enhanced.compress(RLELossless, generate_instance_uid=False)
    enhanced.NumberOfFrames = 5
    with pytest.raises(PixelDataError):
        list(decode_frames(save(enhanced)))


def test_native_pixels_in_a_compressed_syntax_are_refused(classic: Dataset, save: Save) -> None:
    path = save(classic)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    with pytest.raises(PixelDataError, match="native"):
        decode_frame(path)


def test_codestream_larger_than_declared_meets_no_decoder(classic: Dataset, save: Save) -> None:
    classic.Rows = classic.Columns = 64
    classic.PixelData = LARGE.astype("<u2").tobytes()
    classic.compress(JPEG2000Lossless, generate_instance_uid=False)
    path = save(classic)
    content = path.read_bytes()
    at = content.index(b"\xff\x4f\xff\x51") + 8
    path.write_bytes(content[:at] + struct.pack(">2L", 60_000, 60_000) + content[at + 8 :])
    with pytest.raises(PixelDataError, match="60000 × 60000"):
        decode_frame(path)


def test_rubbish_in_place_of_a_codestream_is_refused(classic: Dataset, save: Save) -> None:
    classic.compress(JPEGLSLossless, generate_instance_uid=False)
    classic.PixelData = encapsulate([b"no image at all!"])
    with pytest.raises(PixelDataError, match="not what its transfer syntax says"):
        decode_frame(save(classic))


def test_codestream_size_of_nothing_is_none() -> None:
    assert codestream_size(b"") is None
    assert codestream_size(b"\xff\xd8\xff\xe0\x00\x10") is None
    assert codestream_size(b"\xff\x4f\xff\x51\x00\x29") is None
