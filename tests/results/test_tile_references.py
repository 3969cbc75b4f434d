"""A slice of a tiled image is referred to as the image: DICOM has no name for a tile."""

import numpy as np
from pydicom.dataset import Dataset

from mome_node.dicom.geometry import Grid
from mome_node.dicom.header import FrameRef
from mome_node.results.sources import SourceImages
from mome_node.volumes.volume import Volume


def test_slice_of_a_tiled_image_is_referred_to_as_the_whole_image():
    header = Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    header.SOPInstanceUID, header.SeriesInstanceUID, header.StudyInstanceUID = "1.3", "1.2", "1.1"
    key = Volume(np.zeros((2, 2, 1), np.float32), Grid((2, 2, 1), np.eye(4)), (FrameRef("1.9"),))
    sources = SourceImages(lambda _frame: header, key)
    references = {sources.reference(FrameRef("1.3", 1, tile)) for tile in (1, 2, 20)}
    (reference,) = references
    assert reference.sop_instance_uid == "1.3"
    assert "ReferencedFrameNumber" not in reference.item()
