"""Results carry one patient and one accession, as the images or a person say."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mome_node.dicom.header import InstanceFacts
from mome_node.jobs.identified import Identified, stated_by


def header(**elements: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def facts(uid: str, **values: str) -> InstanceFacts:
    return InstanceFacts(uid, "1.2.840.10008.5.1.4.1.1.4", "1.2", "1.2.9", **values)


def test_released_image_is_told_with_the_whole_identity_of_the_one_that_was_named() -> None:
    headers = {
        "1": header(PatientID="P-1", PatientName="A^B", AccessionNumber="A-1", Rows=8),
        "2": header(PatientID="P-2", PatientName="C^D", PatientComments="of P-2", Rows=9),
    }
    identified = Identified(headers.__getitem__, {"2": "1"}, {})
    found = identified.header("2")
    assert (found.PatientID, str(found.PatientName), found.AccessionNumber) == ("P-1", "A^B", "A-1")
    assert "PatientComments" not in found
    assert found.Rows == 9  # what is not of the patient stays
    assert headers["2"].PatientID == "P-2"  # and the source as it was


def test_what_one_image_leaves_empty_is_taken_from_those_that_state_it() -> None:
    stated = stated_by([facts("1", patient_id="P-1"), facts("2", accession_number="A-1")])
    identified = Identified(
        {"1": header(PatientID="P-1", AccessionNumber="")}.__getitem__, {}, stated
    )
    found = identified.header("1")
    assert (found.PatientID, found.AccessionNumber) == ("P-1", "A-1")


def test_header_that_states_all_is_not_touched() -> None:
    whole = header(PatientID="P-1", AccessionNumber="A-1")
    identified = Identified({"1": whole}.__getitem__, {}, {"PatientID": "P-1"})
    assert identified.header("1") is whole
