"""`studies`, `show`, `retry`: what the node did with each study; act on it."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.changes import Standing
from mome_node.catalog.records import StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.cli.arguments import add_command, add_config, add_json
from mome_node.cli.output import complain, say, say_json, say_table
from mome_node.delivery.confirmed import confirmation_words
from mome_node.errors import CatalogError
from mome_node.jobs.deadline import FREED_BY_HAND
from mome_node.settings import load_settings

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    for name, text, run in (
        ("studies", "list the studies that the node knows", studies),
        ("show", "one study: its history, results and deliveries", show),
        (
            "retry",
            "try a failed study again, evaluate a held one as it is, issue withdrawn results again",
            retry,
        ),
    ):
        with_uid = name in {"show", "retry"}
        example = f"{name} 2.25.1234" if with_uid else name
        parser = add_command(commands, name, text, f"{example} --config node.toml", run)
        if with_uid:
            parser.add_argument("uid", metavar="UID", help="Study Instance UID")
        add_config(parser)
        if name in {"studies", "show"}:
            add_json(parser)


def studies(options: argparse.Namespace) -> int:
    """List all studies."""
    with _catalog(options) as catalog:
        found = catalog.studies()
        counts = catalog.instance_counts()
        alarms = catalog.alarms()
    for alarm in alarms:
        complain("studies", f"ALARM {alarm.name}, since {alarm.since:%F %H:%M} UTC: {alarm.cause}")
    if options.json:
        say_json([_study_json(s, counts.get(s.study_uid, 0)) for s in found])
    else:
        rows = [
            (s.study_uid, counts.get(s.study_uid, 0), s.state.value, s.revision, s.reason)
            for s in found
        ]
        say_table(("Study Instance UID", "instances", "state", "revision", "reason"), rows)
    return 0


def show(options: argparse.Namespace) -> int:
    """One study with all that happened to it."""
    with _catalog(options) as catalog:
        study = catalog.study(options.uid)
        events = catalog.events_of(options.uid)
        results = catalog.results_of(options.uid)
        deliveries = catalog.deliveries.of_study(options.uid)
        acts = catalog.acts_of(options.uid)
        instances = catalog.instances_of(options.uid)
    set_aside = Counter((i.standing, i.standing_reason) for i in instances)
    del set_aside[Standing.READ, ""]
    if options.json:
        say_json(
            _study_json(study, len(instances))
            | {
                "events": [
                    {
                        "at": e.at.isoformat(),
                        "revision": e.revision,
                        "from": e.source.value if e.source else None,
                        "to": e.target.value,
                        "cause": e.cause,
                    }
                    for e in events
                ],
                "acts": [
                    {"at": a.at.isoformat(), "revision": a.revision, "cause": a.cause} for a in acts
                ],
                "set_aside": [
                    {"standing": standing, "reason": reason, "instances": count}
                    for (standing, reason), count in sorted(set_aside.items())
                ],
                "results": [
                    {
                        "kind": r.result.kind,
                        "revision": r.revision,
                        "SOPInstanceUID": r.result.sop_instance_uid,
                        "superseded": r.superseded_at is not None,
                    }
                    for r in results
                ],
                "deliveries": [
                    {
                        "destination": d.destination,
                        "kind": d.result.kind,
                        "revision": d.revision,
                        "state": d.state.value,
                        "confirmation": confirmation_words(d) or None,
                        "sent_at": d.sent_at.isoformat() if d.sent_at else None,
                        "attempts": d.attempts,
                        "error": d.last_error,
                    }
                    for d in deliveries
                ],
            }
        )
        return 0
    say(f"{study.study_uid}: {study.state.value}, revision {study.revision}")
    say(f"{len(instances)} instances; {study.reason}")
    for (standing, reason), count in sorted(set_aside.items()):
        say(f"{count} {standing}: {reason or 'by hand'}")
    lines = [(e.at, e.revision, e.target.value, e.cause) for e in events]
    lines += [(a.at, a.revision, "", a.cause) for a in acts]
    say_table(
        ("at", "revision", "state", "cause"),
        [(f"{at:%Y-%m-%d %H:%M:%S}", *rest) for at, *rest in sorted(lines, key=itemgetter(0))],
    )
    superseded = {r.result.sop_instance_uid for r in results if r.superseded_at}
    say_table(
        ("result", "revision", "destination", "state", "attempts", "last error", "confirmation"),
        [
            (
                d.result.kind + " (superseded)" * (d.result.sop_instance_uid in superseded),
                d.revision,
                d.destination,
                d.state.value,
                d.attempts,
                d.last_error,
                confirmation_words(d),
            )
            for d in deliveries
        ],
    )
    return 0


def retry(options: argparse.Namespace) -> int:
    """Put a failed study back, to delivery or to evaluation; free a held one."""
    with _catalog(options) as catalog:
        study = catalog.study(options.uid)
        now = datetime.now(UTC)
        if study.state is StudyState.HELD:
            catalog.transition(options.uid, study.state, StudyState.RECEIVING, FREED_BY_HAND, now)
            say("the study is evaluated with what is here, as soon as it is quiet")
            return 0
        if study.state is StudyState.WITHDRAWN:
            catalog.transition(options.uid, study.state, StudyState.QUEUED, "issued again", now)
            say("the study is evaluated again; its results get new UIDs")
            return 0
        if study.state is not StudyState.FAILED:
            raise CatalogError(
                f"the study is {study.state.value}; only a failed, held or withdrawn one is retried"
            )
        if any(d.state.needs_a_person for d in catalog.deliveries.of_study(options.uid)):
            sent = catalog.deliveries.resend(options.uid, "retry by hand", now)
            say(f"{sent} {'delivery is' if sent == 1 else 'deliveries are'} tried again")
        else:
            catalog.transition(
                options.uid, StudyState.FAILED, StudyState.QUEUED, "retry by hand", now
            )
            say("the study is evaluated again")
    return 0


def _catalog(options: argparse.Namespace) -> Catalog:
    return Catalog.open(load_settings(options.config).database_url)


def _study_json(study: StudyRecord, instances: int) -> dict[str, object]:
    return {
        "StudyInstanceUID": study.study_uid,
        "instances": instances,
        "state": study.state.value,
        "revision": study.revision,
        "reason": study.reason,
    }
