"""`serve`: the node, until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import signal
import threading
from typing import TYPE_CHECKING

from mome_node.cli.arguments import add_command, add_config
from mome_node.cli.output import say
from mome_node.node import Node
from mome_node.settings import load_settings

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add `serve`."""
    parser = add_command(
        commands,
        "serve",
        "run the node: receive, evaluate, deliver, until SIGTERM or Ctrl-C",
        "serve --config node.toml",
        serve,
    )
    add_config(parser)


def serve(options: argparse.Namespace) -> int:
    """Run the node."""
    settings = load_settings(options.config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Node(settings) as node:
        # What was loaded by now stays. Each full collection would look through all of it, for a
        # tenth of a second in which no sender is answered.
        gc.collect()
        gc.freeze()
        say(f"{settings.node.ae_title} receives on port {node.port}; {settings.node.label}")
        if node.web_url is not None:
            say(f"HTTP on {node.web_url}: STOW-RS at {node.web_url}/dicom-web/studies")
        stop.wait()
    return 0
