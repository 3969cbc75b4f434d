"""Which type a package's networks compute in: float32, or a narrower one that gives the same.

Whether it does is seen by the package's own stored runs, once for each package, device and version
of PyTorch, and remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from mome_node.mome.layers import SoftMixture
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage
from mome_node.mome.reference_run import run_reference

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""What is wanted. "auto": float32 on a CPU, bfloat16 on a GPU that has it."""

TOLERANCE = 0.005
"""Largest difference of a probability for which a narrower type counts as the same."""

REMEMBERED = "precision.json"


@dataclass(frozen=True, slots=True, eq=False)
class PlacedNetworks:
    """A package's networks on a device. ``reason`` says why not in the type that was wanted."""

    networks: tuple[Mome, ...]
    dtype: torch.dtype
    reason: str = ""

    @property
    def precision(self) -> str:
        """The type's name."""
        return _name(self.dtype)


def place_networks(
    package: ModelPackage, device: torch.device, wanted: Precision, memory: Path | None = None
) -> PlacedNetworks:
    """Read a package's networks onto a device, in the type that is wanted where it may be.

    ``memory`` is a folder in which agreements are remembered; without one they are seen anew.
    Raises PackageError for weights that cannot be read.
    """
    networks = package.networks()
    dtype = _wanted_type(wanted, device)
    if dtype is torch.float32:
        return PlacedNetworks(tuple(n.to(device) for n in networks), dtype)
    if not computes_in(device, dtype):
        reason = f"{device} does not compute in {_name(dtype)}"
        return PlacedNetworks(tuple(n.to(device) for n in networks), torch.float32, reason)
    narrow = tuple(narrowed(n, dtype).to(device) for n in networks)
    difference = _remembered(
        memory, _key(package, device, dtype), lambda: _difference(package, narrow)
    )
    if difference <= TOLERANCE:
        return PlacedNetworks(narrow, dtype)
    reason = (
        f"in {_name(dtype)} probabilities of the stored runs differ by {difference:.2g}; at most "
        f"{TOLERANCE:g} is allowed"
    )
    return PlacedNetworks(tuple(n.to(device) for n in networks), torch.float32, reason)


def narrowed(network: Mome, dtype: torch.dtype) -> Mome:
    """The same network whose products are computed in another type; norms and sums stay float32."""
    with torch.device("meta"):
        copy = Mome(network.config)
    state = dict(network.state_dict())
    for place, module in network.named_modules():
        if module is not network.head and isinstance(module, nn.Linear | nn.Conv3d | SoftMixture):
            for name, weight in module.named_parameters(recurse=False):
                state[f"{place}.{name}"] = weight.detach().to(dtype)
    copy.load_state_dict(state, assign=True)
    return copy.eval().requires_grad_(False)


def _wanted_type(wanted: Precision, device: torch.device) -> torch.dtype:
    if wanted == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    dtype: torch.dtype = getattr(torch, wanted)
    return dtype


def computes_in(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a device has instructions for a type, so that it is worth the bits it loses."""
    if device.type == "cuda":
        return dtype is torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype is not torch.bfloat16:
        return False
    flags = Path("/proc/cpuinfo")
    return flags.exists() and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(
        flags.read_text(errors="replace").split()
    )


def _difference(package: ModelPackage, networks: tuple[Mome, ...]) -> float:
    """Largest difference of a probability in the package's stored runs; infinite for no number."""
    stored, temperature = package.reference_run, package.statement.calibration.temperature
    worst = 0.0
    for network, expected in zip(networks, stored.logits, strict=True):
        found = run_reference(network, stored.seed)[0].double().cpu()
        gap = (
            (found / temperature).softmax(dim=0)
            - (torch.tensor(expected, dtype=torch.float64) / temperature).softmax(dim=0)
        ).abs()
        worst = max(worst, float(gap.max()) if torch.isfinite(found).all() else float("inf"))
    return worst


def _key(package: ModelPackage, device: torch.device, dtype: torch.dtype) -> str:
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    parts = (package.digest, device.type, model, torch.__version__, _name(dtype))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _processor() -> str:
    """What tells one kind of CPU from another: its name and what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.machine()
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return "\n".join(sorted(told)) or platform.machine()


def _remembered(folder: Path | None, key: str, look: Callable[[], float]) -> float:
    """A difference that was seen before, or is seen now and remembered."""
    if folder is None:
        return look()
    path = folder / REMEMBERED
    known = _read(path)
    if key not in known:
        known[key] = look()
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(known, indent=2) + "\n")
        partial.replace(path)
    return known[key]


def _read(path: Path) -> dict[str, float]:
    """What was remembered; of a file that is damaged nothing, so that it is seen anew."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {k: float(v) for k, v in document.items() if isinstance(v, int | float)}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
