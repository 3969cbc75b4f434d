"""The composition root: from settings to a running node. Nothing else builds its parts."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from mome_node.assembly.completeness import OnDeadline
from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import site_rule
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.commitments import AskingPeer
from mome_node.delivery.association import Timeouts
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.commitment_reports import CommitmentReports, ReportingPolicy
from mome_node.delivery.commitment_request import DimseCommitment
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.destination import Destination
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import CommitmentAnswer, CommitmentScu, Port
from mome_node.delivery.reports_elsewhere import ReportsElsewhere
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
from mome_node.jobs.site_policy import SitePolicy
from mome_node.jobs.stages import Stages
from mome_node.jobs.timers import Timers
from mome_node.jobs.worker import InferenceProcess
from mome_node.node_delivery import (
    Limiters,
    archive,
    confirmation_policy,
    destination_policies,
    limiters_of,
    ports,
    retry_policy,
)
from mome_node.node_dicom import (
    commitment_results,
    instance_room,
    receiver,
    receiving,
    tls_files,
)
from mome_node.node_web import WebDoor
from mome_node.settings import Settings
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
        self._elsewhere = ReportsElsewhere()
        reception = receiving(settings, self._store, self.catalog, clock)
        self._scp = receiver(
            settings,
            reception,
            self.catalog,
            clock,
            self._asking,
            commitment_results(settings, self.catalog.deliveries, clock, self._elsewhere.note),
        )
        self._web = WebDoor(settings.web, reception, clock()) if settings.web.enabled else None
        self._runner: Runner | None = None
        self._limiters = limiters_of(settings)
        files = tls_files(settings.dicom.tls)
        certificates = CertificateWatch(validities(files) if files else (), clock)
        watch = DeliveryWatch(self.catalog.deliveries, clock, self.catalog.withdrawals.untold_since)
        self.alarms = Alarms(
            self.catalog,
            clock,
            Condition("disk", room.fault),
            Condition("certificate", certificates.fault),
            Condition("delivery", watch.fault),
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
        delivery = self._settings.delivery
        outbox = Outbox(
            ledger=self.catalog.deliveries,
            open_instance=self._store.open,
            ports=self._ports(),
            policy=retry_policy(delivery),
            clock=self._clock,
        )
        confirmations = Confirmations(
            ledger=self.catalog.deliveries,
            open_instance=self._store.open,
            ports=outbox.ports,
            policy=confirmation_policy(delivery),
            clock=self._clock,
        )
        archive = archive_counts(self._settings, series_counts(self._settings, self._limiters))
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

    def _ports(self) -> Mapping[str, Port]:
        return ports(self._settings, self._clock(), self._limiters, self._commitment_scu)

    def _commitment_scu(self, peer: Destination, timeouts: Timeouts) -> CommitmentScu:
        """How a destination is asked to commit; a report on an earlier request is taken, too."""

        def take_other(transaction_uid: str, answer: CommitmentAnswer) -> bool:
            ledger = self.catalog.deliveries
            return ledger.answer(transaction_uid, peer.name, answer, self._clock())

        return DimseCommitment(peer, timeouts, take_other=take_other, elsewhere=self._elsewhere)

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


def report_listener(settings: Settings, peer: AskingPeer) -> Destination | None:
    """Where a peer takes reports on storage commitment: at the address that it asked from."""
    for allowed in settings.dicom.allowed_peers:
        entry = Admission((AllowedPeer(allowed.ae, allowed.host),))
        if allowed.port is not None and entry.named(peer.ae_title, peer.address):
            return Destination(
                allowed.ae, allowed.ae, peer.address, allowed.port, settings.node.ae_title
            )
    return None


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
        destinations=destination_policies(settings),
        hard_limit_s=settings.assembly.hard_limit_s,
        on_deadline=OnDeadline(settings.assembly.on_deadline),
        not_evaluable_report=settings.delivery.not_evaluable_report,
    )


def series_counts(settings: Settings, limiters: Limiters) -> SeriesCounts | None:
    """Who tells how many images a series has; None where no archive is to be asked."""
    asked = next((p for p in settings.pacs if p.counts), None)
    if asked is None:
        return None
    query, _ = archive(asked, settings, limiters[asked.name])
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
