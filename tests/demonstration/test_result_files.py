"""The files that a demonstration leaves of what came back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.demonstration.run import CONFIGURATION, DemonstrationError, _collect
from mome_node.results.classes import STORAGE_CLASSES
from mome_node.results.profile import Kind
from mome_node.settings import parse_settings


def result(folder: Path, kind: Kind, number: int = 1) -> Path:
    """A header of a result of this kind, as the PACS gives it back."""
    dataset = Dataset()
    dataset.SOPClassUID = STORAGE_CLASSES[kind]
    dataset.SOPInstanceUID = generate_uid()
    dataset.InstanceNumber = number
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Where it came back to, what the node kept, and where it goes."""
    back, kept, out = (tmp_path / name for name in ("back", "kept", "out"))
    for folder in (back, kept, out):
        folder.mkdir()
    return back, kept, out


def test_each_result_is_named_for_its_kind_and_pictures_by_number(folders) -> None:
    back, kept, out = folders
    (out / "old.dcm").touch()
    (kept / "findings.json").write_text("{}")
    came = (
        result(back, "sr"),
        result(back, "seg"),
        *(result(back, "summary", number) for number in (1, 2)),
    )
    files = _collect(came, kept, out)
    assert [path.name for path in files] == [
        *("findings.json", "seg.dcm", "sr.dcm", "summary-1.dcm", "summary-2.dcm"),
    ]


def test_without_a_report_the_demonstration_has_failed(folders) -> None:
    back, kept, out = folders
    with pytest.raises(DemonstrationError, match="the SR did not come back"):
        _collect((result(back, "seg"),), kept, out)
    with pytest.raises(DemonstrationError, match="holds no result"):
        _collect((), kept, out)


def test_the_demonstration_sends_its_results(tmp_path: Path) -> None:
    pacs = DicomAddress("PACS", "127.0.0.1", 104)
    text = CONFIGURATION.format(ae_title="MOME", data_dir="x", port=105, quiet_s=3, pacs=pacs)
    (destination,) = parse_settings(tomllib.loads(text), base=tmp_path).destination
    assert destination.visibility == "research"
    assert destination.objects == ("sr", "seg", "summary")
