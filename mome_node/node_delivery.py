"""Where results go and who says what is there, built from the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.confirmation import ConfirmationPolicy
from mome_node.delivery.destination import Destination, Sender
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.ports import CommitmentScu, Port, StudyThere
from mome_node.delivery.retry import RetryPolicy
from mome_node.delivery.stow import StowSender
from mome_node.errors import (
    ArchiveUnavailableError,
    DeliveryError,
    MalformedAnswerError,
    PermanentDeliveryError,
    QueryError,
    QuestionFailedError,
    RefusedForNowError,
    SettingsError,
    TransientDeliveryError,
)
from mome_node.http_client import Service
from mome_node.jobs.site_policy import DestinationPolicy
from mome_node.node_dicom import tls_files
from mome_node.query.cfind import CFindQuery
from mome_node.query.dicomweb import DicomWeb
from mome_node.query.qido import QidoQuery
from mome_node.query.rate import RateLimiter
from mome_node.query.records import ArchiveQuery
from mome_node.query.wado import WadoSource
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.settings import Settings
from mome_node.settings_delivery import DeliverySettings, DestinationSettings, verifier_of
from mome_node.settings_pacs import PacsSettings
from mome_node.tls import check_certificates, client_context

OWN_QUESTIONS_PER_S: Final = 20.0
"""Questions a second to a destination of what it has: two or three for each study."""

Limiters = Mapping[str, RateLimiter]
"""The pace at which each [[pacs]] is asked, by its name: one for all who ask it."""

MakeCommitmentScu = Callable[[Destination, Timeouts], CommitmentScu | None]
"""How a destination is asked for storage commitment; None where it is not."""


@dataclass(frozen=True, slots=True)
class QueriedArchive:
    """What an archive's lists say of a destination. Errors are told as those of a delivery.

    ``name``: what the destination is called. An answer that cannot be read may be the word of a
    proxy between, and is worth another try.
    """

    query: ArchiveQuery
    name: str

    def study(self, study_uid: str) -> StudyThere | None:
        """See DestinationArchive."""
        with self._told():
            found = self.query.study(study_uid)
        if found is None:
            return None
        # Archives that do not know the issuer give it empty.
        return StudyThere(
            found.patient_id, found.issuer_of_patient_id or None, found.accession_number
        )

    def instances(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """See DestinationArchive."""
        with self._told():
            return self.query.instances_of_series(study_uid, series_uid)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except QueryError as error:
            raise _as_of_a_delivery(error)(f"{self.name}: asked what it has: {error}") from error


def _as_of_a_delivery(error: QueryError) -> type[DeliveryError]:
    match error:
        case QuestionFailedError() | MalformedAnswerError():
            return RefusedForNowError
        case ArchiveUnavailableError():
            return TransientDeliveryError
    return PermanentDeliveryError


def limiters_of(settings: Settings) -> Limiters:
    """A pace for each archive that may be asked."""
    return {pacs.name: RateLimiter(pacs.requests_per_s) for pacs in settings.pacs}


def ports(
    settings: Settings,
    now: datetime,
    limiters: Limiters,
    commitment: MakeCommitmentScu = lambda *_: None,
) -> Mapping[str, Port]:
    """Every destination as the outbox uses it, by name.

    SettingsError for a token or certificate that is no good.
    """
    return {d.name: _port(d, settings, now, limiters, commitment) for d in settings.destination}


def _port(
    destination: DestinationSettings,
    settings: Settings,
    now: datetime,
    limiters: Limiters,
    commitment: MakeCommitmentScu,
) -> Port:
    query = archive_of(destination, settings, now, limiters)
    archive = QueriedArchive(query, destination.name) if query else None
    if destination.kind == "dicomweb":
        return Port(stow_sender(destination), archive, None)
    peer = dimse_peer(destination, settings, now)
    timeouts = timeouts_of(destination)
    sender: Sender = DimseSender(peer, timeouts)
    return Port(sender, archive, commitment(peer, timeouts) if destination.commitment else None)


def dimse_peer(destination: DestinationSettings, settings: Settings, now: datetime) -> Destination:
    """A destination of kind "dimse"; SettingsError for files of TLS that are no good."""
    place = f"destination {destination.name!r}"
    if destination.ae is None or destination.host is None or destination.port is None:
        raise SettingsError(f"{place}: it has no address")
    tls = None
    if destination.tls:
        tls = client_context(destination.ca_file, tls_files(settings.dicom.tls), now, place)
    return Destination(
        destination.name,
        destination.ae,
        destination.host,
        destination.port,
        settings.node.ae_title,
        tls,
    )


def timeouts_of(destination: DestinationSettings) -> Timeouts:
    """How long a destination is waited for."""
    return Timeouts(answer_s=destination.timeout_s)


def stow_sender(destination: DestinationSettings) -> StowSender:
    """The sender to a destination of kind "dicomweb"; SettingsError for files that are no good."""
    return StowSender(destination.name, _service(f"destination {destination.name!r}", destination))


def archive_of(
    destination: DestinationSettings, settings: Settings, now: datetime, limiters: Limiters
) -> ArchiveQuery | None:
    """Who is asked what a destination has; None where nobody can be."""
    asked = verifier_of(destination, settings.pacs)
    if asked is None:
        return None
    if isinstance(asked, PacsSettings):
        return archive(asked, settings, limiters[asked.name])[0]
    limiter = RateLimiter(OWN_QUESTIONS_PER_S)
    if asked.kind == "dicomweb":
        return QidoQuery(DicomWeb(_service(f"destination {asked.name!r}", asked), limiter))
    peer, timeouts = dimse_peer(asked, settings, now), timeouts_of(asked)
    return CFindQuery(lambda contexts: association(peer, contexts, timeouts), limiter)


def archive(
    pacs: PacsSettings, settings: Settings, limiter: RateLimiter
) -> tuple[ArchiveQuery, WadoSource | None]:
    """The way to ask an archive, and where its instances come from if it speaks DICOMweb.

    Raises SettingsError for a token or certificates that cannot be read.
    """
    if pacs.url is not None and pacs.kind == "dicomweb":
        web = DicomWeb(_service(f"pacs {pacs.name!r}", pacs), limiter)
        return QidoQuery(web), WadoSource(web)
    if pacs.ae is None or pacs.host is None or pacs.port is None:
        raise SettingsError(f"pacs {pacs.name!r}: it has no address")
    peer = Destination(pacs.name, pacs.ae, pacs.host, pacs.port, settings.node.ae_title)
    timeouts = Timeouts(answer_s=pacs.timeout_s)
    return CFindQuery(lambda contexts: association(peer, contexts, timeouts), limiter), None


def destination_policies(settings: Settings) -> tuple[DestinationPolicy, ...]:
    """What each destination gets."""
    return tuple(
        DestinationPolicy(d.name, profile_of(d, settings.node.label), d.visibility == "held")
        for d in settings.destination
    )


def profile_of(destination: DestinationSettings, label: str) -> ResultProfile:
    """How results are made for a destination; ``label`` is the node's.

    What is held in the node is made for research: nobody vouches for it yet.
    """
    return ResultProfile(
        objects=tuple(kind for kind in KINDS if kind in destination.objects),
        study_scores=destination.study_scores,
        encoding=destination.encoding,
        character_set=destination.character_set,
        max_frames=destination.max_frames,
        empty_frames=destination.empty_frames,
        series_number=destination.series_number,
        series_name=destination.series_name,
        label=destination.label or label,
        audience="clinical" if destination.visibility == "clinical" else "research",
    )


def retry_policy(delivery: DeliverySettings) -> RetryPolicy:
    """When a delivery is tried again."""
    return RetryPolicy(
        first_s=delivery.first_s,
        longest_s=delivery.longest_s,
        give_up_s=delivery.give_up_h * 3600,
    )


def confirmation_policy(delivery: DeliverySettings) -> ConfirmationPolicy:
    """How destinations are asked what they keep."""
    return ConfirmationPolicy(answer_s=delivery.confirm_wait_s, retry=retry_policy(delivery))


def _service(place: str, named: PacsSettings | DestinationSettings) -> Service:
    if named.url is None:
        raise SettingsError(f"{place}: it has no address")
    if named.ca_file is not None:
        check_certificates(f"{place}: ca_file", named.ca_file)
    return Service(named.url, _token(place, named.token_file), named.timeout_s, named.ca_file)


def _token(place: str, token_file: Path | None) -> str:
    if token_file is None:
        return ""
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(f"{place}: token_file: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not re.fullmatch(r"[!-~]{1,16384}", token):
        # Without the cause, and never with what was found: it is a secret.
        raise SettingsError(f"{place}: token_file: it holds no bearer token, ASCII without blanks")
    return token
