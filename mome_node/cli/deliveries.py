"""`destinations`, `resend`, `pause`, `resume`: how the results get to their destinations."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import DeliveryState, QueueRecord
from mome_node.cli.arguments import add_command, add_config, add_json
from mome_node.cli.output import WRONG_USAGE, complain, say, say_json, say_table
from mome_node.settings import Settings, load_settings

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands

_NAME = "the name of a [[destination]]"


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "list the destinations: how their queues stand, and what they have"
    example = "destinations --config node.toml"
    listing = add_command(commands, "destinations", text, example, destinations)
    add_json(listing)
    again = add_command(
        commands,
        "resend",
        "send the current results of a study again, or all that waits for a person",
        "resend 2.25.1234 --config node.toml",
        resend,
    )
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("uid", metavar="UID", nargs="?", help="Study Instance UID")
    which.add_argument(
        "--failed",
        action="store_true",
        help="instead: of all studies what is blocked or has failed",
    )
    again.add_argument("--destination", metavar="NAME", help=f"to this one only: {_NAME}")
    text = "stop evaluation and delivery, or one destination's queue; receiving goes on"
    stopping = add_command(commands, "pause", text, "pause --config node.toml", pause)
    text = "end the pause, of all or of one destination's queue"
    going_on = add_command(commands, "resume", text, "resume --config node.toml", resume)
    for parser in (stopping, going_on):
        parser.add_argument("--destination", metavar="NAME", help=f"of this one only: {_NAME}")
    for parser in (listing, again, stopping, going_on):
        add_config(parser)


def destinations(options: argparse.Namespace) -> int:
    """How each destination's queue stands, and how many results are where on their way to it."""
    settings = load_settings(options.config)
    with Catalog.open(settings.database_url) as catalog:
        counts = catalog.deliveries.counts()
        queues = {queue.name: queue for queue in catalog.deliveries.queues()}
    configured = [d.name for d in settings.destination]
    former = sorted({name for name, _ in counts} - set(configured))
    rows = [
        (
            name,
            queues.get(name, QueueRecord(name)),
            {state: counts[name, state] for state in DeliveryState if (name, state) in counts},
        )
        for name in (*configured, *former)
    ]
    if options.json:
        say_json([_json(queue, states, name in configured) for name, queue, states in rows])
        return 0
    say_table(
        ("destination", "queue", "deliveries", "last error"),
        [
            (
                name,
                _standing(queue) if name in configured else "no destination any more",
                ", ".join(f"{count} {state}" for state, count in states.items()),
                queue.last_error,
            )
            for name, queue, states in rows
        ],
    )
    return 0


def resend(options: argparse.Namespace) -> int:
    """Put results back in the outbox."""
    settings = load_settings(options.config)
    if not _is_known("resend", settings, options.destination):
        return WRONG_USAGE
    with Catalog.open(settings.database_url) as catalog:
        ledger, now = catalog.deliveries, datetime.now(UTC)
        if options.failed:
            sent = ledger.resend_waiting("resend by hand", now, destination=options.destination)
        else:
            sent = ledger.resend(
                options.uid, "resend by hand", now, destination=options.destination
            )
    say(f"{_deliveries(sent)} made again")
    return 0


def release_results(catalog: Catalog, options: argparse.Namespace) -> int:
    """Let results of a study go that are held in the node."""
    sent = catalog.deliveries.release(
        options.uid, "released by hand", datetime.now(UTC), destination=options.destination
    )
    say(f"{_deliveries(sent)} let go")
    return 0


def pause(options: argparse.Namespace) -> int:
    """Stop evaluation and delivery, or the queue of one destination."""
    settings = load_settings(options.config)
    if not _is_known("pause", settings, options.destination):
        return WRONG_USAGE
    now = datetime.now(UTC)
    with Catalog.open(settings.database_url) as catalog:
        if options.destination is None:
            catalog.pause("by hand", now)
            say("evaluation and delivery are paused; receiving goes on")
        else:
            catalog.deliveries.pause(options.destination, "by hand", now)
            say(f"nothing more goes to {options.destination}; all others go on")
    return 0


def resume(options: argparse.Namespace) -> int:
    """End the pause, of all or of one destination."""
    settings = load_settings(options.config)
    if not _is_known("resume", settings, options.destination):
        return WRONG_USAGE
    with Catalog.open(settings.database_url) as catalog:
        if options.destination is None:
            catalog.resume()
            say("evaluation and delivery go on")
        else:
            catalog.deliveries.resume(options.destination)
            say(f"delivery to {options.destination} goes on")
    return 0


def _is_known(command: str, settings: Settings, name: str | None) -> bool:
    """Whether a destination is configured; else say which are."""
    names = [d.name for d in settings.destination]
    if name is None or name in names:
        return True
    allowed = ", ".join(repr(n) for n in names) or "no [[destination]] is configured"
    complain(command, f"--destination: found {name!r}; allowed: {allowed}")
    return False


def _standing(queue: QueueRecord) -> str:
    parts = []
    if queue.paused_at is not None:
        parts.append(f"paused since {queue.paused_at:%F %H:%M} UTC: {queue.pause_cause}")
    if queue.failing_since is not None:
        parts.append(f"failing since {queue.failing_since:%F %H:%M} UTC")
    return "; ".join(parts) or "running"


def _json(
    queue: QueueRecord, states: dict[DeliveryState, int], is_configured: bool
) -> dict[str, object]:
    return {
        "destination": queue.name,
        "configured": is_configured,
        "paused_since": queue.paused_at.isoformat() if queue.paused_at else None,
        "failing_since": queue.failing_since.isoformat() if queue.failing_since else None,
        "next_attempt_at": queue.next_attempt_at.isoformat() if queue.next_attempt_at else None,
        "last_error": queue.last_error,
        "deliveries": {state.value: count for state, count in states.items()},
    }


def _deliveries(count: int) -> str:
    return f"{count} {'delivery is' if count == 1 else 'deliveries are'}"
