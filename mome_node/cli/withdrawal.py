"""`withdraw`: take the results of a study back, for the patient's safety."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.states import StudyState
from mome_node.cli.arguments import add_command, add_config
from mome_node.cli.output import say
from mome_node.settings import load_settings

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands

MAX_REASON = 200


def add_commands(commands: Commands) -> None:
    """Add `withdraw`."""
    parser = add_command(
        commands,
        "withdraw",
        "take every result of a study back: destinations are told to reject them",
        'withdraw 2.25.1234 --reason "wrong images" --config node.toml',
        withdraw,
    )
    parser.add_argument("uid", metavar="UID", help="Study Instance UID")
    parser.add_argument(
        "--reason",
        required=True,
        metavar="TEXT",
        type=_reason,
        help="why, for the study's history; no patient data",
    )
    add_config(parser)


def _reason(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > MAX_REASON or not words.isprintable():
        raise argparse.ArgumentTypeError(f"give 1 to {MAX_REASON} printable characters")
    return words


def withdraw(options: argparse.Namespace) -> int:
    """Withdraw what stands; the node sends the rejection notes."""
    with Catalog.open(load_settings(options.config).database_url) as catalog:
        count = catalog.withdrawals.withdraw(
            options.uid, f"withdrawn by hand: {options.reason}", datetime.now(UTC)
        )
        state = catalog.study(options.uid).state
    say(f"{count} {'result is' if count == 1 else 'results are'} withdrawn")
    say("destinations that may have them are sent a note: Rejected for Patient Safety Reasons")
    if state is StudyState.WITHDRAWN:
        say(f"to issue results again, with new UIDs: mome-node retry {options.uid}")
    return 0
