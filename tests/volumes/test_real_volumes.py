"""Volumes out of real files: stacks that are one, and those that only look like one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mome_node.dicom.header import FrameFacts, FrameRef, InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.dicom.pixels import decode_frame
from mome_node.errors import (
    DoubledSlicesError,
    MissingSlicesError,
    MixedMatrixError,
    MixedOrientationError,
    PlaneGeometryError,
    TiledImageError,
    TooFewSlicesError,
    UnreadableSliceError,
)
from mome_node.volumes.builder import build_volume

DATA = Path(__file__).parents[1] / "data" / "dicom"

Wanted = Callable[[InstanceFacts, FrameFacts], bool]


class Files:
    """Some files and their planes, named by SOP Instance UID."""

    def __init__(self, *folders: str) -> None:
        paths = [p for folder in folders for p in sorted((DATA / folder).rglob("*.dcm"))]
        facts = [read_facts(path) for path in paths]
        self._planes = [(i, f) for i in facts for f in i.frames]
        self.paths = {i.sop_instance_uid: p for i, p in zip(facts, paths, strict=True)}

    def refs(self, wanted: Wanted = lambda _instance, _frame: True) -> list[FrameRef]:
        """The planes wanted, the last first: their order must not matter."""
        planes = [(i, f) for i, f in self._planes if wanted(i, f)]
        return [FrameRef(i.sop_instance_uid, f.frame_number) for i, f in reversed(planes)]

    def path_of(self, uid: str) -> Path:
        return self.paths[uid]


STACKS = [
    ("vendor-mr/philips-achieva-dynamic-three", lambda _, f: f.temporal_position == 2,
     (64, 64, 9), (3.75, 3.75, 8.0)),
    ("vendor-mr/hitachi-echelon-t1", lambda *_: True, (64, 64, 4), (2.34, 2.34, 4.0)),
    ("vendor-mr/ge-mr750-dwi", lambda _, f: f.b_value == 1000, (128, 128, 3), (2.0, 2.0, 2.0)),
    ("vendor-mr/ge-architect-multiphase", lambda _, f: f.temporal_position == 1,
     (64, 64, 3), (3.75, 3.75, 3.0)),
    ("enhanced/siemens-xa30-dwi", lambda *_: True, (72, 72, 39), (3.0, 3.0, 3.0)),
    ("enhanced/siemens-xa10-dynamic", lambda i, _: i.acquisition_number == 2,
     (64, 64, 6), (3.375, 3.375, 2.4)),
    ("enhanced/philips-achieva-dwi", lambda _, f: f.b_value == 0,
     (128, 128, 8), (2.73, 2.73, 2.7)),
    ("enhanced/philips-achieva-temporal", lambda _, f: f.temporal_position == 4,
     (64, 64, 8), (3.31, 3.31, 3.31)),
    ("enhanced/hyperfine", lambda *_: True, (112, 138, 8), (1.59, 1.61, 5.0)),
    # Image Type says NON_PARALLEL; positions and orientations say otherwise, and they decide.
    ("enhanced/bruker", lambda *_: True, (256, 128, 4), (0.1, 0.2, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "wanted", "shape", "spacing"), STACKS, ids=[s[0].split("/")[1] for s in STACKS]
)
def test_real_stack_becomes_one_volume_in_slice_order(folder, wanted, shape, spacing):
    files = Files(folder)
    volume = build_volume(files.refs(wanted), files.path_of)
    assert volume.array.shape == volume.grid.shape == shape
    assert volume.array.dtype == np.float32
    assert volume.grid.spacing == pytest.approx(spacing, abs=0.01)
    for index in (0, shape[2] - 1):
        ref = volume.frames[index]
        pixels = decode_frame(files.path_of(ref.sop_instance_uid), ref.frame_number)
        np.testing.assert_array_equal(volume.array[:, :, index], pixels.T)


def test_affine_takes_each_slice_to_its_own_position():
    files = Files("vendor-mr/hitachi-echelon-t1")
    volume = build_volume(files.refs(), files.path_of)
    for index, ref in enumerate(volume.frames):
        (frame,) = read_facts(files.path_of(ref.sop_instance_uid)).frames
        corner = volume.grid.affine @ np.array([0, 0, index, 1.0])
        np.testing.assert_allclose(corner[:3], frame.image_position, atol=0.02)


FAULTS = [
    ("mosaic", ["vendor-mr/siemens-skyra-mosaic"], TiledImageError),
    ("tiles of united imaging", ["vendor-mr/uih-umr770-dwi-vframe"], TiledImageError),
    ("two slices", ["vendor-mr/two-slices-only"], TooFewSlicesError),
    ("one slice", ["breast-mr"], TooFewSlicesError),
    ("two acquisitions that are not parallel",
     ["vendor-mr/ge-architect-multiphase", "vendor-mr/philips-achieva-dynamic-three"],
     MixedOrientationError),
    # Two orientations, and pixel spacings that differ besides: either is a reason.
    ("two orientations in one series", ["vendor-mr/two-orientations-one-series"],
     (MixedOrientationError, MixedMatrixError)),
    ("label and control", ["vendor-mr/philips-elition-dynamic-label-control"],
     DoubledSlicesError),
    ("three dynamics at once", ["vendor-mr/philips-achieva-dynamic-three"], DoubledSlicesError),
    ("two b-values at once", ["vendor-mr/ge-mr750-dwi"], DoubledSlicesError),
    ("phases of one object at once", ["enhanced/philips-achieva-temporal"], DoubledSlicesError),
    ("no positions", ["enhanced/small"], PlaneGeometryError),
    ("no orientation", ["vendor-mr/siemens-xa30-classic-dwi/15001-colfa"], PlaneGeometryError),
    ("two scanners", ["vendor-mr/ge-mr750-dwi", "vendor-mr/hitachi-echelon-t1"],
     MixedMatrixError),
]  # fmt: skip


@pytest.mark.parametrize(("folders", "error"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_what_is_no_volume_is_named(folders, error):
    files = Files(*folders)
    with pytest.raises(error):
        build_volume(files.refs(), files.path_of)


def test_slice_that_is_missing_is_noticed():
    files = Files("vendor-mr/philips-achieva-dynamic-three")
    refs = files.refs(lambda _, f: f.temporal_position == 1)
    assert len(refs) == 9
    del refs[4]
    with pytest.raises(MissingSlicesError):
        build_volume(refs, files.path_of)


def test_slice_whose_file_is_cut_off_is_named(tmp_path):
    files = Files("vendor-mr/hitachi-echelon-t1")
    refs = files.refs()
    uid = refs[1].sop_instance_uid
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(files.paths[uid].read_bytes()[:-100])
    files.paths[uid] = cut
    with pytest.raises(UnreadableSliceError, match=uid):
        build_volume(refs, files.path_of)


def test_file_of_another_instance_is_noticed():
    files = Files("vendor-mr/hitachi-echelon-t1")
    refs = files.refs()
    first, second = refs[0].sop_instance_uid, refs[1].sop_instance_uid
    files.paths[first] = files.paths[second]
    with pytest.raises(UnreadableSliceError):
        build_volume(refs, files.path_of)
