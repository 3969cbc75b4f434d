"""The composition root: from settings to a running node. Nothing else builds its parts."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from mome_node.assembly.completeness import OnDeadline
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import site_rule
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.commitments import AskingPeer
from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.commitment_reports import CommitmentReports, ReportingPolicy
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.destination import Destination
from mome_node.delivery.dimse import DimseSender
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import Port
from mome_node.delivery.watch import DeliveryWatch
from mome_node.dicom.classes import storage_classes
from mome_node.errors import SettingsError
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import Known, When
from mome_node.fitness.policy import SiteFitness
from mome_node.ingest.event_reports import AskingAssociations
from mome_node.ingest.orphans import remove_unindexed
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.jobs.alarms import Alarms, Condition
from mome_node.jobs.archive_counts import ArchiveCounts, QueriedCounts, SeriesCounts
from mome_node.jobs.certificates import CertificateWatch
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.runner import Runner
from mome_node.jobs.site_policy import DestinationPolicy, SitePolicy
from mome_node.jobs.stages import Stages
from mome_node.jobs.timers import Timers
from mome_node.jobs.worker import InferenceProcess
from mome_node.node_dicom import instance_room, receiver, receiving, tls_files
from mome_node.node_web import WebDoor
from mome_node.query.cfind import CFindQuery
from mome_node.query.dicomweb import DicomWeb, Service
from mome_node.query.qido import QidoQuery
from mome_node.query.rate import RateLimiter
from mome_node.query.records import ArchiveQuery
from mome_node.query.wado import WadoSource
from mome_node.settings import Settings
from mome_node.settings_pacs import PacsSettings
from mome_node.settings_studies import WhenSettings
from mome_node.storage.local import LocalStore
from mome_node.tls import validities

UNINDEXED_FOR = timedelta(minutes=10)
"""A file that no row names for so long was never acknowledged."""
ALARM_PERIOD_S = 2.0
DAY_S = 86400.0


def utc_now() -> datetime:
    """The node's clock."""
    return datetime.now(UTC)


class Node:
    """A running node: receiver, timers and inference process. Use it as a context manager."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = _lock(settings.node.data_dir)
        self.catalog = Catalog.open(settings.database_url)
        room = instance_room(settings)
        self._store = LocalStore(settings.node.data_dir, room=room)
        self._worker = inference_process(settings)
        self._asking = AskingAssociations()
        reception = receiving(settings, self._store, self.catalog, clock)
        self._scp = receiver(settings, reception, self.catalog, clock, self._asking)
        self._web = WebDoor(settings.web, reception, clock()) if settings.web.enabled else None
        self._runner: Runner | None = None
        files = tls_files(settings.dicom.tls)
        certificates = CertificateWatch(validities(files) if files else (), clock)
        self.alarms = Alarms(
            self.catalog,
            clock,
            Condition("disk", room.fault),
            Condition("certificate", certificates.fault),
            Condition("delivery", DeliveryWatch(self.catalog.deliveries, clock).fault),
        )
        self._watches = Timers((self.alarms.look, ALARM_PERIOD_S), (certificates.warn, DAY_S))

    @property
    def port(self) -> int:
        """The port that is listened on; the one for TLS where there is no other."""
        return self._scp.port if self._settings.dicom.plain else self._scp.tls_port

    @property
    def web_url(self) -> str | None:
        """Where HTTP is listened on; None where it is not."""
        return self._web.url if self._web is not None else None

    def start(self) -> None:
        """Load the models, take up what a crash interrupted, and open the door last."""
        remove_unindexed(self._store, self.catalog, self._clock(), UNINDEXED_FOR)
        models = self._worker.start()
        stages = Stages(
            catalog=self.catalog,
            store=self._store,
            policy=site_policy(self._settings),
            models=models,
            evaluator=self._worker,
            data_dir=self._settings.node.data_dir,
            clock=self._clock,
        )
        outbox = Outbox(
            ledger=self.catalog.deliveries,
            open_instance=self._store.open,
            ports=ports(self._settings),
            clock=self._clock,
        )
        confirmations = Confirmations(
            ledger=self.catalog.deliveries,
            open_instance=self._store.open,
            ports=outbox.ports,
            clock=self._clock,
        )
        archive = archive_counts(self._settings, series_counts(self._settings))
        self._runner = Runner(
            self.catalog,
            stages,
            outbox,
            confirmations,
            archive=archive,
            reports=self._commitment_reports(),
        )
        self._runner.start()
        self._watches.start()
        self._scp.start()
        if self._web is not None:
            self._web.start()

    def _commitment_reports(self) -> CommitmentReports:
        said = self._settings.commitment
        ledger = self.catalog.commitments
        return CommitmentReports(
            ledger,
            CommitmentCheck(
                ledger, self._store.open, frozenset(storage_classes()), said.digest_mb << 20
            ),
            channel_of=self._asking.find,
            listener_of=lambda peer: report_listener(self._settings, peer),
            clock=self._clock,
            policy=ReportingPolicy(wait_s=said.wait_s, give_up_s=said.give_up_h * 3600),
        )

    def stop(self) -> None:
        """Close the door, let what runs end, and let go of the data."""
        if self._web is not None:
            self._web.stop()
        self._scp.stop()
        self._watches.ask_to_stop()
        if self._runner is not None:
            self._runner.stop()
        self._watches.join()
        self._worker.stop()
        self._store.close()
        self.catalog.close()
        self._lock.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def model_choices(settings: Settings) -> tuple[ModelChoice, ...]:
    """The packages that the settings name."""
    return tuple(
        ModelChoice(
            package=m.package,
            device=m.device,
            allow_synthetic_on_patients=m.allow_synthetic_on_patients,
            explain=m.explain,
            precision=m.precision,
            asserts=m.asserts,
            when=patterns(m.when),
            fitness=site_fitness(settings),
        )
        for m in settings.model
    )


def site_fitness(settings: Settings) -> SiteFitness:
    """What the settings say of failed checks and of what the site knows."""
    said = settings.fitness
    lists = (
        (Outcome.IGNORE, said.ignore),
        (Outcome.WARN, said.warn),
        (Outcome.REFUSE, said.refuse),
    )
    return SiteFitness(
        outcomes={code: outcome for outcome, codes in lists for code in codes},
        known=tuple(Known(k.facts, patterns(k.when)) for k in said.known),
    )


def patterns(when: WhenSettings) -> When:
    """The patterns that the settings give, by what they are looked for in."""
    return tuple(when.model_dump(exclude_none=True).items())


def inference_process(settings: Settings) -> InferenceProcess:
    """The process that runs the models, not started."""
    return InferenceProcess(
        model_choices(settings),
        threads=settings.inference.threads,
        time_limit_s=settings.inference.time_limit_s,
        memory=settings.node.data_dir,
    )


def destinations(settings: Settings) -> tuple[Destination, ...]:
    """The destinations that the settings name."""
    return tuple(
        Destination(d.name, d.ae, d.host, d.port, settings.node.ae_title)
        for d in settings.destination
    )


def ports(settings: Settings) -> dict[str, Port]:
    """The destinations as the outbox uses them, by name."""
    return {d.name: Port(DimseSender(d)) for d in destinations(settings)}


def report_listener(settings: Settings, peer: AskingPeer) -> Destination | None:
    """Where a peer takes reports on storage commitment: at the address that it asked from."""
    for allowed in settings.dicom.allowed_peers:
        entry = Admission((AllowedPeer(allowed.ae, allowed.host),))
        if allowed.port is not None and entry.named(peer.ae_title, peer.address):
            return Destination(
                allowed.ae, allowed.ae, peer.address, allowed.port, settings.node.ae_title
            )
    return None


def archive(pacs: PacsSettings, settings: Settings) -> tuple[ArchiveQuery, WadoSource | None]:
    """The way to ask an archive, and where its instances come from if it speaks DICOMweb.

    Raises SettingsError for a token that cannot be read.
    """
    limiter = RateLimiter(pacs.requests_per_s)
    if pacs.url is not None and pacs.kind == "dicomweb":
        service = Service(pacs.url, _token(pacs), pacs.timeout_s, pacs.ca_file)
        web = DicomWeb(service, limiter)
        return QidoQuery(web), WadoSource(web)
    if pacs.ae is None or pacs.host is None or pacs.port is None:
        raise SettingsError(f"pacs {pacs.name!r}: it has no address")
    peer = Destination(pacs.name, pacs.ae, pacs.host, pacs.port, settings.node.ae_title)
    timeouts = Timeouts(answer_s=pacs.timeout_s)
    return CFindQuery(lambda contexts: association(peer, contexts, timeouts), limiter), None


def _token(pacs: PacsSettings) -> str:
    if pacs.token_file is None:
        return ""
    place = f"pacs {pacs.name!r}: token_file"
    try:
        token = pacs.token_file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(f"{place}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not re.fullmatch(r"[!-~]{1,16384}", token):
        # Without the cause, and never with what was found: it is a secret.
        raise SettingsError(f"{place}: it holds no bearer token, ASCII without blanks")
    return token


def assembly_rules(settings: Settings) -> AssemblyRules:
    """The site's conditions for an evaluation."""
    return AssemblyRules(
        required=tuple(Role(name) for name in settings.assembly.required),
        max_study_age_days=settings.assembly.max_study_age_days,
        role_rules=tuple(site_rule(Role(r.role), r.pattern) for r in settings.series_role),
    )


def site_policy(settings: Settings) -> SitePolicy:
    """What the settings say about studies and results."""
    return SitePolicy(
        rules=assembly_rules(settings),
        quiet_s=settings.assembly.quiet_s,
        deadline_s=settings.assembly.deadline_s,
        label=settings.node.label,
        station_name=settings.node.ae_title,
        destinations=tuple(DestinationPolicy(d.name) for d in settings.destination),
        hard_limit_s=settings.assembly.hard_limit_s,
        on_deadline=OnDeadline(settings.assembly.on_deadline),
    )


def series_counts(settings: Settings) -> SeriesCounts | None:
    """Who tells how many images a series has; None where no archive is to be asked."""
    asked = next((p for p in settings.pacs if p.counts), None)
    if asked is None:
        return None
    query, _ = archive(asked, settings)
    return QueriedCounts(query.series_of_study)


def archive_counts(settings: Settings, source: SeriesCounts | None) -> ArchiveCounts | None:
    """How the PACS is asked for its counts while a study receives; None where it is not."""
    every_s = settings.assembly.ask_pacs_every_s
    return ArchiveCounts(source, every_s, time.monotonic) if source and every_s else None


def _lock(data_dir: Path) -> BinaryIO:
    """One node a data directory: two would evaluate every study twice."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (data_dir / "node.lock").open("ab")
        os.set_inheritable(file.fileno(), False)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(f"node.data_dir: another node runs in {data_dir}") from error
    except OSError as error:
        raise SettingsError(
            f"node.data_dir: {data_dir} cannot be used: {error.strerror}"
        ) from error
    return file
