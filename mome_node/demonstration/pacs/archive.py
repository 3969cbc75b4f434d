"""An embedded archive: C-STORE, C-FIND and C-GET SCP for where no Orthanc is installed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    evt,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress
from mome_node.demonstration.pacs.query import find_instances, get_instances, stored_instance_uid
from mome_node.demonstration.pacs.transfer import send_files
from mome_node.errors import PacsError

AE_TITLE = "ARCHIVE"
_SUCCESS = 0x0000
_PENDING = 0xFF00
_OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000
_OF_A_STUDY = (
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "StudyDate",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "AccessionNumber",
)


@dataclass(frozen=True, slots=True)
class _Kept:
    """One instance that the archive holds."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    path: Path


class Archive:
    """A small archive on a free loopback port; its files lie in ``directory``.

    It answers queries of the Study Root model for one study: at the STUDY level whose it is, at
    the IMAGE level what it has, of one series or all. That is what sending results and reading
    them back need. It is no PACS.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: ThreadedAssociationServer | None = None
        self._port = 0
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        self._exam_uids: set[str] = set()

    @property
    def name(self) -> str:
        """See Pacs."""
        return "embedded archive"

    @property
    def address(self) -> DicomAddress:
        """See Pacs."""
        if not self._port:
            raise PacsError("the archive has not been started")
        return DicomAddress(AE_TITLE, LOOPBACK, self._port)

    def start(self) -> None:
        """Listen. Raises PacsError when the port cannot be had."""
        self._directory.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=AE_TITLE)
        entity.add_supported_context(Verification)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(
                str(context.abstract_syntax),
                ALL_TRANSFER_SYNTAXES,
                scu_role=True,  # as C-GET asks of a storage SCP, PS3.4 section C.5.3
                scp_role=True,
            )
        try:
            server = entity.start_server(
                (LOOPBACK, self._port),
                block=False,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_C_FIND, self._on_find),
                    (evt.EVT_C_GET, self._on_get),
                ],
            )
        except OSError as error:
            raise PacsError(f"the archive cannot listen: {error.strerror}") from error
        if server is None:  # only a blocking server has no handle
            raise PacsError("the archive did not start")
        self._server = server
        self._port = int(server.server_address[1])

    def stop(self) -> None:
        """See Pacs."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def store_study(self, paths: Sequence[Path]) -> int:
        """See Pacs."""
        sent = send_files(self.address, "PHANTOM", paths)
        self._exam_uids.update(sent)
        return len(sent)

    def forward(self, study_uid: str, node: DicomAddress) -> int:
        """See Pacs."""
        paths = [kept.path for _, kept in self._of_study(study_uid)]
        if not paths:
            raise PacsError(f"the archive holds no study {study_uid}")
        return len(send_files(node, AE_TITLE, paths))

    def instance_count(self, study_uid: str) -> int:
        """See Pacs."""
        return len(self._of_study(study_uid))

    def results_of(self, study_uid: str, into: Path) -> tuple[Path, ...]:
        """See Pacs. They come through C-FIND and C-GET."""
        found = find_instances(self.address, study_uid)
        new = [entry for entry in found if entry.sop_instance_uid not in self._exam_uids]
        return get_instances(self.address, study_uid, new, into)

    def _of_study(self, study_uid: str) -> list[tuple[str, _Kept]]:
        with self._lock:
            return [(u, kept) for u, kept in self._kept.items() if kept.study_uid == study_uid]

    def _on_store(self, event: evt.Event) -> int:
        try:
            uid = stored_instance_uid(event)
            path = self._directory / f"{uid}.dcm"
            partial = path.with_suffix(".part")
            partial.write_bytes(event.encoded_dataset())
            header = dcmread(
                partial, specific_tags=["SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
            )
            kept = _Kept(
                str(header.StudyInstanceUID),
                str(header.SeriesInstanceUID),
                str(header.SOPClassUID),
                path,
            )
            partial.replace(path)
        except OSError:
            return _OUT_OF_RESOURCES
        except (AttributeError, ValueError, PacsError):
            return _CANNOT_UNDERSTAND
        with self._lock:
            self._kept[uid] = kept
        return _SUCCESS

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        matches = self._of_study(str(asked.get("StudyInstanceUID", "")))
        if asked.get("QueryRetrieveLevel") == "STUDY":
            for _, kept in matches[:1]:
                yield _PENDING, _study_entry(kept)
            return
        series_uid = str(asked.get("SeriesInstanceUID") or "")
        for uid, kept in matches:
            if series_uid not in ("", kept.series_uid):
                continue
            entry = Dataset()
            entry.QueryRetrieveLevel = "IMAGE"
            entry.StudyInstanceUID = kept.study_uid
            entry.SeriesInstanceUID = kept.series_uid
            entry.SOPClassUID = kept.sop_class_uid
            entry.SOPInstanceUID = uid
            yield _PENDING, entry

    def _on_get(self, event: evt.Event) -> Iterator[int | tuple[int, Dataset | None]]:
        asked = event.identifier.SOPInstanceUID
        wanted = {asked} if isinstance(asked, str) else set(asked)
        study_uid = str(event.identifier.get("StudyInstanceUID", ""))
        matches = [kept for uid, kept in self._of_study(study_uid) if uid in wanted]
        yield len(matches)
        for kept in matches:
            yield _PENDING, dcmread(kept.path)


def _study_entry(kept: _Kept) -> Dataset:
    """What a study's first instance says of patient and order."""
    entry = dcmread(kept.path, specific_tags=list(_OF_A_STUDY))
    entry.QueryRetrieveLevel = "STUDY"
    return entry
