"""What several commands' arguments share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(
    commands: Commands, name: str, help_text: str, example: str, run: Callable[..., int]
) -> argparse.ArgumentParser:
    """A sub-command whose help ends with an example."""
    parser = commands.add_parser(
        name,
        help=help_text,
        description=help_text,
        epilog=f"example: mome-node {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """The settings file."""
    parser.add_argument(
        "--config", type=Path, default=Path("node.toml"), help="the settings file (node.toml)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Output for programs."""
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
