"""Weights as safetensors files, which hold numbers and nothing that could run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mome_node.errors import PackageError
from mome_node.mome.config import ModelConfig
from mome_node.mome.network import Mome

_STORED_TYPES = {"F32", "F16"}


def write_weights(path: Path, network: Mome, dtype: torch.dtype) -> None:
    """Write the network's weights as ``dtype``."""
    state = {n: w.detach().cpu().to(dtype).contiguous() for n, w in network.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def read_network(path: Path, config: ModelConfig) -> Mome:
    """Read weights into a network of the given sizes: float32, CPU, evaluation mode.

    Weights that are stored as float32 stay where they are: they are mapped, so that they take no
    memory twice and are there at once. They take no gradients. Names, shapes and types are checked
    before any weight is read. Raises PackageError.
    """
    with torch.device("meta"):
        network = Mome(config)
    wanted = {name: list(weight.shape) for name, weight in network.state_dict().items()}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no dict
            _check_shapes(path, {name: part.get_shape() for name, part in slices.items()}, wanted)
            _check_types(path, (part.get_dtype() for part in slices.values()))
            state = {name: file.get_tensor(name).to(torch.float32) for name in wanted}
    except (SafetensorError, OSError) as error:
        raise PackageError(f"{path.name} cannot be read: {type(error).__name__}") from error
    _check_finite(path, state)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _check_shapes(
    path: Path, found: Mapping[str, list[int]], wanted: Mapping[str, list[int]]
) -> None:
    if found == wanted:
        return
    wrong = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
    name = wrong[0]
    raise PackageError(
        f"{path.name} does not fit mome.network: {len(wrong)} weights differ; the first, "
        f"{name[:120]}, is {found.get(name, 'missing')} and should be "
        f"{wanted.get(name, 'absent')}"
    )


def _check_types(path: Path, found: Iterable[str]) -> None:
    if unknown := sorted(set(found) - _STORED_TYPES):
        raise PackageError(f"{path.name} holds {unknown}; {sorted(_STORED_TYPES)} are allowed")


def _check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    for name, weight in state.items():
        # Both are NaN where one weight is; no second array is needed to tell.
        if not all(bound.isfinite() for bound in weight.aminmax()):
            raise PackageError(f"{path.name}: {name} holds NaN or infinite values")
