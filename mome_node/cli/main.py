"""The entry point: one parser, one sub-command each, errors in plain words."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from mome_node import __version__
from mome_node.cli import (
    bench,
    deliveries,
    demo,
    evaluate,
    install,
    models,
    phantom,
    quarantine,
    serve,
    studies,
    survey,
    withdrawal,
)
from mome_node.cli.output import complain
from mome_node.errors import NodeError
from mome_node.logs import configure_logging

DESCRIPTION = (
    "A clinical AI node for breast MRI: a study in from the PACS, its result back in the PACS. "
    "Research use only, not for diagnosis."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 only if it did what it says, 2 for wrong usage."""
    _accept_every_character()
    options = _parser().parse_args(arguments)
    configure_logging(verbose=options.verbose or options.command == "serve")
    try:
        return int(options.run(options))
    except NodeError as error:
        complain(options.command, str(error))
        return 1
    except BrokenPipeError:
        # The reader of our output has enough, as `mome-node studies | head` has: what is left
        # goes nowhere, so that the interpreter's last flush does not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        complain(options.command, what or type(error).__name__)
        return 1
    except KeyboardInterrupt:
        return 130


def _accept_every_character() -> None:
    """Escape what a terminal's character set lacks: a letter must not stop a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mome-node",
        description=DESCRIPTION,
        epilog="example: mome-node demo --out ./mome-demo",
    )
    parser.add_argument("--version", action="version", version=f"mome-node {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what happens, not only faults")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (
        *(demo, serve, install, survey, evaluate, phantom),
        *(models, studies, deliveries, withdrawal, quarantine, bench),
    ):
        module.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
