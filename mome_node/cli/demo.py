"""`demo`: one command that shows the whole path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mome_node.cli.arguments import add_command
from mome_node.cli.output import console, say, say_table

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands
    from mome_node.demonstration.run import Demonstration


def add_commands(commands: Commands) -> None:
    """Add `demo`."""
    parser = add_command(
        commands,
        "demo",
        "send a phantom exam through a PACS and a node, and read its results back from the PACS",
        "demo --out ./mome-demo",
        demo,
    )
    parser.add_argument("--out", type=Path, default=Path("mome-demo"), metavar="DIR")


def demo(options: argparse.Namespace) -> int:
    """Run it; 0 only if the results arrived and were read back."""
    from mome_node.demonstration.run import demonstrate

    watcher = console()
    made = demonstrate(options.out, watcher.print)
    _tell(made)
    return 0


def _tell(made: Demonstration) -> None:
    from mome_node.results.wording import points

    findings: dict[str, Any] = made.findings
    say(f"{findings['label']}; the exam and the model are synthetic")
    for task in findings["tasks"]:
        parts = ", ".join(f"{m} {points(v)}" for m, v in task["contribution"].items())
        say(
            f"exam {task['task']} score {100 * task['probability']:.0f} %, in percentage points "
            f"against a reference of {100 * task['prior']:.0f} %: {parts}"
        )
    for number, region in enumerate(findings["regions"], 1):
        center = ", ".join(f"{c:.0f}" for c in region["center_mm"])
        say(
            f"region {number} that influenced the score: side {region['laterality'] or 'unknown'}, "
            f"center ({center}) mm LPS, {100 * region['share']:.0f} % of the attribution"
        )
    say()
    say_table(("stage", "seconds"), [(n, f"{s:.2f}") for n, s in made.stages.items()])
    say(f"from first C-STORE to results read back from {made.pacs}: {made.elapsed_s:.1f} s")
    for path in sorted({*made.files, made.files[0].parent / "demo.json"}):
        say(str(path))
