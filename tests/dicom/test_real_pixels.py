"""Pixels of real files: the same image in every encoding, and what cannot be decoded.

``tests/data/dicom/expected.csv`` tells for each file which image it equals, if any.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mome_node.dicom.classes import decodable_transfer_syntaxes
from mome_node.dicom.header import FrameFacts, InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.dicom.pixels import decode_frame, decode_frames
from mome_node.errors import HeaderError, PixelDataError

DATA = Path(__file__).parents[1] / "data" / "dicom"
SINGLE = "transfer-syntaxes/single"
NAMELESS = InstanceFacts("1.1", "1.2", "1.3", "1.4", frames=(FrameFacts(1), FrameFacts(2)))
"""For files whose pixels are of interest, though their header names no study."""


def pixels() -> Mapping[str, str]:
    with (DATA / "expected.csv").open(newline="") as table:
        return {row["file"]: row["pixels"] for row in csv.DictReader(table) if row["pixels"]}


PIXELS = pixels()
EQUAL = {f: p.removeprefix("equal to ") for f, p in PIXELS.items() if p.startswith("equal to ")}
PLAIN = sorted(
    p.relative_to(DATA).as_posix()
    for folder in ("vendor-mr", "enhanced", "breast-mr")
    for p in (DATA / folder).rglob("*.dcm")
    if PIXELS.get(p.relative_to(DATA).as_posix()) != "refused"
)


def decoded(file: str, facts: InstanceFacts | None = None) -> np.ndarray:
    return np.stack(list(decode_frames(DATA / file, facts=facts)))


def facts_for(file: str) -> InstanceFacts:
    try:
        return read_facts(DATA / file)
    except HeaderError:
        return NAMELESS


@pytest.mark.parametrize(("file", "same"), EQUAL.items(), ids=EQUAL)
def test_same_image_decodes_equal_in_every_encoding(file, same):
    np.testing.assert_array_equal(decoded(file), decoded(same))


@pytest.mark.parametrize("file", [f for f, p in PIXELS.items() if p == "decoded"])
def test_what_can_be_decoded_is(file):
    images = decoded(file, facts_for(file))
    assert images.dtype == np.float32
    assert np.isfinite(images).all()


@pytest.mark.parametrize("file", [f for f, p in PIXELS.items() if p == "refused"])
def test_what_cannot_be_decoded_is_a_pixel_data_error(file):
    with pytest.raises(PixelDataError):
        list(decode_frames(DATA / file, facts=facts_for(file)))


@pytest.mark.parametrize("file", PLAIN)
def test_every_frame_of_a_scanner_s_file_decodes_to_its_matrix(file):
    facts = read_facts(DATA / file)
    images = decoded(file, facts)
    assert images.shape == (len(facts.frames), facts.rows, facts.columns)
    assert images.max() > 0


RANGES = [
    ("transfer-syntaxes/mr-small/MR_small.dcm", 127, 2145),
    ("transfer-syntaxes/fragmented-jpeg-lossless/5001001.dcm", 0, 15),
    ("transfer-syntaxes/fragmented-jpeg2000/6001001.dcm", 0, 4),
    ("transfer-syntaxes/signed-ct/CTImage_JPEGProcess14.dcm", -2000, 2402),
    (f"{SINGLE}/J2K_pixelrep_mismatch.dcm", -2000, 1896),
    (f"{SINGLE}/JLSL_16_15_1_1F.dcm", -16384, 16383),
    (f"{SINGLE}/JPEGLSNearLossless_16.dcm", 0, 65535),
    (f"{SINGLE}/JPEGLossless_1s_1f_i_16_16_bad.dcm", -32768, 32767),
    (f"{SINGLE}/JPGExtended.dcm", 0, 264),
    (f"{SINGLE}/image_dfl.dcm", 0, 255),
]


@pytest.mark.parametrize(("file", "lowest", "highest"), RANGES, ids=[f for f, *_ in RANGES])
def test_stored_values_keep_their_sign_and_range(file, lowest, highest):
    facts = facts_for(file)
    frame = facts.frames[0]
    image = decode_frame(DATA / file) if facts is not NAMELESS else decoded(file, facts)
    stored = (image - np.float32(frame.rescale_intercept)) / np.float32(frame.rescale_slope)
    assert (stored.min(), stored.max()) == (lowest, highest)


def test_rescale_slope_of_philips_is_applied():
    file = "vendor-mr/philips-achieva-dynamic-three/0001_01.dcm"
    slope = read_facts(DATA / file).frames[0].rescale_slope
    stored = decode_frame(DATA / file) / np.float32(slope)
    np.testing.assert_allclose(stored, np.rint(stored), atol=1e-3)


def test_transfer_syntaxes_of_the_files_that_decode_are_accepted_and_others_are_not():
    accepted = set(decodable_transfer_syntaxes())
    syntaxes = {
        file: read_facts(DATA / file).transfer_syntax_uid
        for file, expected in PIXELS.items()
        if expected != "refused" and facts_for(file) is not NAMELESS
    }
    without = {f for f, syntax in syntaxes.items() if syntax and syntax not in accepted}
    assert without == set()
    assert "1.2.840.10008.1.2.8.1" not in accepted
