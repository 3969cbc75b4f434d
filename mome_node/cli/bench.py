"""`bench`: the benchmarks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mome_node.cli import bench_ingest
from mome_node.cli.arguments import add_command, add_json
from mome_node.cli.output import WRONG_USAGE, progress, say_json, say_table

if TYPE_CHECKING:
    from mome_node.bench.assembly import AssemblyFigures
    from mome_node.bench.model import ModelFigures
    from mome_node.cli.arguments import Commands

UNITS = {
    "matmul_gflops": "GFLOP/s, the best matrix product in float32",
    "forward_s": "s, one forward pass in float32",
    "forward_matmul_share": "of that rate, counting 1.63 TFLOP a pass",
    "speedup_over_masked": "times as fast as the published way",
    "largest_logit_difference": "between the two",
    "bf16_speedup": "times as fast in bfloat16",
    "bf16_probability_difference": "between the two",
    "shapley_passes": "passes for all subsets of the modalities",
    "peak_rss_gb": "GB, package loaded and one exam with contributions",
    "ready_s": "s, digests checked and weights mapped",
    "explanation_passes": "passes for an explanation",
    "explanation_steps": "gradients in it",
    "explanation_peak_rss_gb": "GB with it",
}

ASSEMBLY_UNITS = {
    "decision_s": "s, the decision on 3,000 instances as the node comes to it",
    "unread_decision_s": "s, with all headers to be read first",
    "unread_over_known": "times as long unread",
    "per_instance_growth": "times the seconds an instance at 3,000 that it has at 300",
    "unread_per_instance_growth": "the same, unread",
    "large_header_growth": "times as long with 120 KB of private elements in each header, unread",
    "memory_growth": "times the memory after 1,000 studies that it is after 10",
}


def add_commands(commands: Commands) -> None:
    """Add `bench` with what it measures."""
    parser = add_command(
        commands,
        "bench",
        "measure this machine, as ratios of one run",
        "bench model --json",
        lambda _: WRONG_USAGE,  # argparse asks for a benchmark before it comes to this
    )
    verbs = parser.add_subparsers(dest="verb", metavar="WHAT", required=True)
    model = add_command(
        verbs,
        "model",
        "the full base model with random weights: some minutes, 8 GB of memory",
        "bench model --json",
        bench_model,
    )
    model.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    model.add_argument("--turns", type=int, choices=range(1, 100), default=3, metavar="N")
    add_json(model)
    assembly = add_command(
        verbs,
        "assembly",
        "the decision on studies of 300 and 3,000 instances: about two minutes",
        "bench assembly --json",
        bench_assembly,
    )
    assembly.add_argument("--turns", type=int, choices=range(1, 100), default=3, metavar="N")
    add_json(assembly)
    bench_ingest.add_verb(verbs)


def bench_assembly(options: argparse.Namespace) -> int:
    """Measure assembly."""
    from mome_node.bench import assembly

    with progress("measuring") as bar:
        task = bar.task_ids[0]
        figures = assembly.bench_assembly(
            options.turns, lambda step: bar.update(task, description=step)
        )
    if options.json:
        say_json(figures.to_json())
    else:
        rows = _rows(figures, ASSEMBLY_UNITS)
        say_table(("figure", "median", "least", "most", "of what"), rows)
    return 0


def bench_model(options: argparse.Namespace) -> int:
    """Measure the model."""
    from mome_node.bench import model

    with progress("measuring") as bar:
        task = bar.task_ids[0]
        figures = model.bench_model(
            options.device, options.turns, lambda step: bar.update(task, description=step)
        )
    if options.json:
        say_json(figures.to_json())
    else:
        say_table(("figure", "median", "least", "most", "of what"), _rows(figures, UNITS))
    return 0


def _rows(figures: ModelFigures | AssemblyFigures, units: dict[str, str]) -> list[tuple[str, ...]]:
    found = figures.to_json()
    rows: list[tuple[str, ...]] = []
    for name, unit in units.items():
        value = "not to be had here" if found[name] is None else f"{found[name]:.3g}"
        low, high = (f"{n:.3g}" for n in figures.spreads[name]) if name in figures.spreads else "  "
        rows.append((name, value, low.strip(), high.strip(), unit))
    return rows
