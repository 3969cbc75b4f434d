"""Reading a study's results back through DICOMweb: QIDO-RS finds them, WADO-RS brings them."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import requests
from dicomweb_client.api import DICOMwebClient

from mome_node.errors import PacsError

_AS_STORED = (("application/dicom", "*"),)  # media type, any transfer syntax: PS3.18 section 8.7.3
_SERIES_UID = "0020000E"
_SOP_INSTANCE_UID = "00080018"


def retrieve_new(
    base_url: str, study_uid: str, known: Container[str], into: Path
) -> tuple[Path, ...]:
    """Write the study's instances whose SOP Instance UID is not in ``known`` to files in ``into``.

    Sorted by series and instance UID. Raises PacsError when the PACS does not answer as it should.
    """
    client = DICOMwebClient(base_url)
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    try:
        for series_uid, uid in _instances(client, study_uid):
            if uid in known:
                continue
            dataset = client.retrieve_instance(study_uid, series_uid, uid, media_types=_AS_STORED)
            path = into / f"{uid}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    except (requests.RequestException, KeyError, ValueError) as error:
        raise PacsError(f"the PACS does not answer DICOMweb as it should: {error}") from error
    return tuple(paths)


def _instances(client: DICOMwebClient, study_uid: str) -> list[tuple[str, str]]:
    """Return (series, instance) UIDs of a study, sorted; none for a study that is not there."""
    # Orthanc answers a search below an unknown study with an error.
    if not client.search_for_studies(search_filters={"StudyInstanceUID": study_uid}):
        return []
    found = client.search_for_instances(study_uid)
    return sorted(
        (entry[_SERIES_UID]["Value"][0], entry[_SOP_INSTANCE_UID]["Value"][0]) for entry in found
    )
