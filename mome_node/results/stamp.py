"""What every result object carries whatever its IOD: equipment, label, dates, coding scheme."""

from __future__ import annotations

from typing import Any, Protocol

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.uid import UID

from mome_node.dicom import codes
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from mome_node.results.character_set import UTF_8, settle_character_set
from mome_node.results.context import MANUFACTURER, MODEL_NAME, ResultContext


def equipment(context: ResultContext) -> dict[str, Any]:
    """Arguments of highdicom's constructors that are the same for every object."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": context.software_version,
        "device_serial_number": context.device_serial,
        "specific_character_set": UTF_8,  # settled by stamp()
        "content_date": context.date,
        "content_time": context.time,
        "series_date": context.date,
        "series_time": context.time,
        "coding_schemes": [
            CodingSchemeIdentificationItem(
                designator=codes.PRIVATE_SCHEME,
                name=codes.PRIVATE_SCHEME_NAME,
                responsible_organization=codes.PRIVATE_SCHEME_ORGANIZATION,
            )
        ],
    }


def without_names(identity: Dataset) -> Dataset:
    """Patient and study for highdicom's constructors, which would warn and log odd names."""
    quiet = Dataset()
    quiet.update(identity)
    quiet.add_new("PatientName", "PN", None)  # another element: identity keeps its own
    return quiet


class Marked(Protocol):
    """What a result object is made from, be it artificial or not."""

    @property
    def synthetic(self) -> bool:
        """Whether the object must say Synthetic Data (0008,001C) = YES."""
        ...


def stamp(dataset: Dataset, findings: Marked, context: ResultContext, identity: Dataset) -> None:
    """Set patient and study, replace what highdicom takes from the clock, add what it lacks.

    Comes last: it settles the character set by all the text that the object has then.
    """
    dataset.update(identity)
    dataset.InstanceCreationDate = context.date
    dataset.InstanceCreationTime = context.time
    dataset.InstanceCreatorUID = context.device_uid
    dataset.StationName = context.station_name
    if findings.synthetic:
        dataset.SyntheticData = "YES"
    for item in dataset.get("ContributingEquipmentSequence", ()):
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = context.date + context.time
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    settle_character_set(dataset, context.profile)
