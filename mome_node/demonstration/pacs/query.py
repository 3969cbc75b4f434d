"""C-FIND and C-GET SCU at the IMAGE level (PS3.4 annex C): a study's instances, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from mome_node.delivery.association import DEFAULT_TIMEOUTS, association
from mome_node.delivery.destination import Destination
from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.errors import PacsError

_CALLING_AE_TITLE = "PHANTOM"
_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """One answer of a query at the IMAGE level."""

    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def find_instances(peer: DicomAddress, study_uid: str) -> tuple[FoundInstance, ...]:
    """Return the study's instances. Raises PacsError when the query fails."""
    model = StudyRootQueryRetrieveInformationModelFind
    identifier = _identifier(study_uid, "")
    identifier.SeriesInstanceUID = ""
    identifier.SOPClassUID = ""
    found = []
    with association(_destination(peer), [build_context(model)], DEFAULT_TIMEOUTS) as assoc:
        for status, entry in assoc.send_c_find(identifier, model):
            code = status.get("Status")
            if code in _PENDING and entry is not None:
                found.append(
                    FoundInstance(entry.SeriesInstanceUID, entry.SOPClassUID, entry.SOPInstanceUID)
                )
            elif code != _SUCCESS:
                raise PacsError(f"C-FIND at {peer.ae_title} failed with status {code}")
    return tuple(sorted(found, key=lambda entry: (entry.series_uid, entry.sop_instance_uid)))


def get_instances(
    peer: DicomAddress, study_uid: str, wanted: Sequence[FoundInstance], into: Path
) -> tuple[Path, ...]:
    """Bring ``wanted`` as files to ``into``, in their order. Raises PacsError if one is missing."""
    into.mkdir(parents=True, exist_ok=True)
    if not wanted:
        return ()
    model = StudyRootQueryRetrieveInformationModelGet
    classes = sorted({entry.sop_class_uid for entry in wanted})
    contexts = [build_context(model), *(build_context(u, ts) for u in classes for ts in _SYNTAXES)]

    def on_store(event: evt.Event) -> int:
        uid = stored_instance_uid(event)
        (into / f"{uid}.dcm").write_bytes(event.encoded_dataset())
        return _SUCCESS

    identifier = _identifier(study_uid, [entry.sop_instance_uid for entry in wanted])
    with association(
        _destination(peer),
        contexts,
        DEFAULT_TIMEOUTS,
        handlers=[(evt.EVT_C_STORE, on_store)],
        roles=[build_role(uid, scp_role=True) for uid in classes],
    ) as assoc:
        for status, _ in assoc.send_c_get(identifier, model):
            code = status.get("Status")
            if code not in (*_PENDING, _SUCCESS):
                raise PacsError(f"C-GET at {peer.ae_title} failed with status {code}")
    paths = tuple(into / f"{entry.sop_instance_uid}.dcm" for entry in wanted)
    missing = sum(not path.exists() for path in paths)
    if missing:
        raise PacsError(f"C-GET at {peer.ae_title} left out {missing} of {len(paths)} instances")
    return paths


def stored_instance_uid(event: evt.Event) -> str:
    """Return the Affected SOP Instance UID of a C-STORE request, fit to name a file."""
    uid = UID(getattr(event.request, "AffectedSOPInstanceUID", ""))
    if not uid.is_valid:
        raise PacsError("C-STORE of an instance whose UID is not valid")
    return str(uid)


def _identifier(study_uid: str, sop_instance_uids: str | list[str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = study_uid
    identifier.SOPInstanceUID = sop_instance_uids
    return identifier


def _destination(peer: DicomAddress) -> Destination:
    return Destination(peer.ae_title, peer.ae_title, peer.host, peer.port, _CALLING_AE_TITLE)
