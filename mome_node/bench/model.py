"""`mome-node bench model`: the full base model from seeded weights, on this machine.

Every figure is a ratio of things measured in one run, in turns. Each part runs in a fresh process,
so that one's memory is not another's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mome_node.bench.timing import Seconds, in_turns, ratio

FORWARD_TFLOP = 1.63
"""Multiplications and additions of a forward pass of the base model, the block-diagonal way."""

MATMULS = (2048, 4096)
TURNS = 3
SEED = 0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What was measured; see docs/performance.md. None: not to be had on this machine.

    ``spreads`` has the least and the largest turn of each figure that was taken in turns.
    """

    device: str
    threads: int
    torch: str
    matmul_gflops: float
    forward_s: float
    forward_matmul_share: float
    speedup_over_masked: float
    largest_logit_difference: float
    bf16_speedup: float | None
    bf16_probability_difference: float | None
    shapley_passes: float
    peak_rss_gb: float
    ready_s: float
    explanation_passes: float
    explanation_steps: int
    explanation_peak_rss_gb: float
    spreads: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """The figures by their names."""
        return asdict(self)


def bench_model(
    device: str = "cpu", turns: int = TURNS, progress: Progress = lambda _: None
) -> ModelFigures:
    """Measure. Takes some minutes, 8 GB of memory and 1.2 GB of disk."""
    with tempfile.TemporaryDirectory(prefix="mome-bench-") as folder:
        package = Path(folder) / "package"
        progress("making a package of the full base model")
        _apart(_write_base_package, package)
        progress("loading it, one exam with contributions")
        memory = _apart(_load_and_score, package, device)
        progress("one exam with an explanation")
        explained = _apart(_explain, package, device)
        progress(f"forward passes in turns, {turns} of each")
        speed = _apart(_speed, package, device, turns)
    return ModelFigures(**memory, **explained, **speed)


def _apart(work: Callable[..., Any], *arguments: object) -> Any:
    """Run in a process of its own, which is gone afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _write_base_package(path: Path) -> None:
    import torch

    from mome_node.mome.config import BASE
    from mome_node.mome.network import Mome
    from mome_node.mome.package import write_package
    from mome_node.mome.preprocess_spec import default_spec
    from mome_node.mome.statement import Statement

    torch.manual_seed(SEED)
    statement = Statement(
        name="bench",
        version="1",
        task="malignancy",
        classes=("negative", "positive"),
        positive_class="positive",
        label_definition="Nothing: the weights are random.",
        synthetic=True,
        preprocessing=default_spec(BASE).to_json(),
        description="Random weights to measure with.",
        authors="mome-node",
        copyright="none",
    )
    write_package(path, Mome(BASE).eval(), statement, license_text="Random numbers.")


def _load_and_score(path: Path, device: str) -> dict[str, float]:
    import torch

    began = time.perf_counter()
    from mome_node.mome.config import BASE
    from mome_node.mome.package import ModelPackage
    from mome_node.mome.predict import predict
    from mome_node.mome.reference_run import reference_inputs

    networks = ModelPackage.load(path).networks()
    ready_s = time.perf_counter() - began
    placed = [n.to(torch.device(device)) for n in networks]
    predict(placed, reference_inputs(BASE, SEED), positive_class=1, prior=0.5)
    return {"ready_s": ready_s, "peak_rss_gb": _peak_rss_gb()}


def _explain(path: Path, device: str) -> dict[str, float]:
    import numpy as np
    import torch

    from mome_node.dicom.geometry import Grid
    from mome_node.mome.config import BASE
    from mome_node.mome.explain import attribute
    from mome_node.mome.package import ModelPackage
    from mome_node.mome.predict import run_exam
    from mome_node.mome.reference_run import reference_inputs

    networks = [n.to(torch.device(device)) for n in ModelPackage.load(path).networks()]
    inputs = reference_inputs(BASE, SEED)
    runs = run_exam(networks, inputs)
    steps: list[int] = []

    def explain() -> None:
        grid = Grid(BASE.dce.size, np.eye(4))
        found = attribute(networks, runs, inputs, positive_class=1, dce_grid=grid)
        steps.append(found.steps)

    ways = {"explanation": explain, "forward": lambda: _forward(networks[0], inputs)}
    seconds = in_turns(ways, 1, settle=_settle(device))
    return {
        "explanation_passes": ratio(seconds["explanation"], seconds["forward"]).median,
        "explanation_steps": steps[0],
        "explanation_peak_rss_gb": _peak_rss_gb(),
    }


def _speed(path: Path, device: str, turns: int) -> dict[str, Any]:
    import torch

    from mome_node.bench.published import published_logits
    from mome_node.mome.config import BASE
    from mome_node.mome.package import ModelPackage
    from mome_node.mome.precision import computes_in, narrowed
    from mome_node.mome.predict import run_exam
    from mome_node.mome.reference_run import reference_inputs

    where = torch.device(device)
    network = ModelPackage.load(path).network().to(where)
    inputs = {m: volume.to(where) for m, volume in reference_inputs(BASE, SEED).items()}
    factors = [torch.randn(n, n, device=where) for n in MATMULS]
    ways: dict[str, Callable[[], Any]] = {
        **{f"matmul {len(factor)}": partial(torch.matmul, factor, factor) for factor in factors},
        "forward": lambda: _forward(network, inputs),
        "masked": lambda: published_logits(network, inputs),
        "shapley": lambda: run_exam([network], inputs),
    }
    narrow = None
    if computes_in(where, torch.bfloat16):
        narrow = narrowed(network, torch.bfloat16)
        ways["bf16"] = lambda: _forward(narrow, inputs)
    seconds = in_turns(ways, turns, settle=_settle(device))
    ours, masked = ways["forward"](), ways["masked"]()
    gflops = Seconds(
        tuple(
            max(2e-9 * n**3 / seconds[f"matmul {n}"].turns[turn] for n in MATMULS)
            for turn in range(turns)
        )
    )
    best = max(gflops.turns)
    share = Seconds(tuple(FORWARD_TFLOP * 1e3 / s / best for s in seconds["forward"].turns))
    figures = {
        "forward_s": seconds["forward"],
        "forward_matmul_share": share,
        "speedup_over_masked": ratio(seconds["masked"], seconds["forward"]),
        "shapley_passes": ratio(seconds["shapley"], seconds["forward"]),
    }
    difference = None
    if narrow is not None:
        figures["bf16_speedup"] = ratio(seconds["forward"], seconds["bf16"])
        gap = ways["bf16"]().softmax(dim=1) - ours.softmax(dim=1)
        difference = float(gap.abs().max())
    return {
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "matmul_gflops": best,
        "largest_logit_difference": float((ours - masked).abs().max()),
        "bf16_speedup": None,
        "bf16_probability_difference": difference,
        "spreads": {
            name: figure.spread for name, figure in {**figures, "matmul_gflops": gflops}.items()
        },
    } | {name: figure.median for name, figure in figures.items()}


def _forward(network: Any, inputs: Any) -> Any:
    import torch

    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        device = network.class_token.device
        return network({m: volume.to(device) for m, volume in inputs.items()}).float()


def _settle(device: str) -> Callable[[], None]:
    import torch

    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def _peak_rss_gb() -> float:
    """VmHWM of this process: the most memory that it ever held, mapped weights included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e9
    raise OSError("this system does not tell a process's peak memory")
