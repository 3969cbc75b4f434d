"""`quarantine`, `release`, `reject`: studies that wait for a person, and what the person says."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.quarantine import QuarantinedStudy
from mome_node.catalog.states import StudyState
from mome_node.cli.arguments import add_command, add_config, add_json
from mome_node.cli.deliveries import release_results
from mome_node.cli.output import say, say_json, say_table
from mome_node.settings import load_settings

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "list the studies that wait for a person, and why"
    listing = add_command(commands, "quarantine", text, "quarantine --config node.toml", quarantine)
    add_json(listing)
    releasing = add_command(
        commands,
        "release",
        "evaluate a quarantined study, because what it holds belongs to it; or let results go that "
        "are held back in the node",
        "release 2.25.1234 --as-patient-of 2.25.5678 --config node.toml",
        release,
    )
    releasing.add_argument("uid", metavar="UID", help="Study Instance UID")
    how = releasing.add_mutually_exclusive_group()
    how.add_argument(
        "--as-patient-of",
        metavar="SOPUID",
        default="",
        help="the instance whose patient and accession number the results carry; needed where "
        "the instances contradict each other",
    )
    how.add_argument(
        "--destination",
        metavar="NAME",
        help="let held results go to this destination only; by default to all",
    )
    how.add_argument(
        "--instance",
        metavar="SOPUID",
        action="append",
        default=[],
        help="instead: read this rejected instance again, in a study of any state; may be repeated",
    )
    rejecting = add_command(
        commands,
        "reject",
        "say that instances do not belong to a study: they are kept and never read",
        "reject 2.25.1234 --instance 2.25.5678 --config node.toml",
        reject,
    )
    rejecting.add_argument("uid", metavar="UID", help="Study Instance UID")
    which = rejecting.add_mutually_exclusive_group()
    which.add_argument(
        "--instance",
        metavar="SOPUID",
        action="append",
        default=[],
        help="reject this one; may be repeated; by default all that are held",
    )
    which.add_argument(
        "--keep-patient-of",
        metavar="SOPUID",
        default="",
        help="reject all whose patient is not the one of this instance",
    )
    for parser in (listing, releasing, rejecting):
        add_config(parser)


def quarantine(options: argparse.Namespace) -> int:
    """List the studies in quarantine."""
    with _catalog(options) as catalog:
        found = catalog.quarantined()
    if options.json:
        say_json([_json(study) for study in found])
        return 0
    say_table(
        ("Study Instance UID", "instances", "held", "patient", "of it", "for example", "reason"),
        [
            (s.study_uid, s.instances, i.held, i.shown, i.instances, i.example, s.reason)
            for s in found
            for i in s.identities
        ],
    )
    return 0


def release(options: argparse.Namespace) -> int:
    """Let a study or its results go on, or read rejected instances again."""
    now = datetime.now(UTC)
    with _catalog(options) as catalog:
        if _means_results(catalog, options):
            return release_results(catalog, options)
        if options.instance:
            count = catalog.take_back(options.uid, options.instance, now)
            say(f"{_instances(count)} read again")
        else:
            catalog.release(options.uid, now, as_patient_of=options.as_patient_of)
            say("the study is evaluated once nothing more has come for the quiet time")
    return 0


def reject(options: argparse.Namespace) -> int:
    """Never read these instances; the study is looked at again without them."""
    with _catalog(options) as catalog:
        count = catalog.reject(
            options.uid,
            datetime.now(UTC),
            instances=options.instance,
            keep_patient_of=options.keep_patient_of,
        )
    say(f"{_instances(count)} rejected: kept, and not read any more")
    return 0


def _means_results(catalog: Catalog, options: argparse.Namespace) -> bool:
    """A study that is not in quarantine has nothing else that could be released."""
    if options.instance or options.as_patient_of:
        return False
    quarantined = catalog.study(options.uid).state is StudyState.QUARANTINED
    return options.destination is not None or not quarantined


def _instances(count: int) -> str:
    return "1 instance is" if count == 1 else f"{count} instances are"


def _catalog(options: argparse.Namespace) -> Catalog:
    return Catalog.open(load_settings(options.config).database_url)


def _json(study: QuarantinedStudy) -> dict[str, object]:
    return {
        "StudyInstanceUID": study.study_uid,
        "revision": study.revision,
        "reason": study.reason,
        "instances": study.instances,
        "held": {reason: list(uids) for reason, uids in study.held.items()},
        "patients": [
            {
                "patient": identity.shown,
                "instances": identity.instances,
                "held": identity.held,
                "example": identity.example,
            }
            for identity in study.identities
        ],
    }
