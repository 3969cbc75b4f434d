"""Import of weights from a checkpoint in the authors' layout.

``torch.save`` of a dict with ``epoch``, ``state_dict`` and ``optimizer``, or of the bare state
dict; names may start with ``module.``. Only tensors are read (``weights_only=True``).
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mome_node.errors import CheckpointError, ModelError
from mome_node.mome.authors_layout import LETTER, authors_names
from mome_node.mome.config import BASE, LARGE, PATCH, InputSize, ModelConfig
from mome_node.mome.network import Mome, position_rows
from mome_node.volumes.volume import Modality

MAX_BYTES = 64 * 2**30
"""A checkpoint of the large variant with its optimizer's two moments takes about 12 GiB."""

MAX_PICKLE_BYTES = 64 * 2**20
"""The pickle inside holds names and shapes, not weights: 120 kB in a checkpoint of 926 tensors."""

_PUBLISHED_HEADS = {config.width: config.heads for config in (BASE, LARGE)}


def import_checkpoint(
    path: Path,
    *,
    heads: int | None = None,
    sizes: Mapping[Modality, tuple[int, int, int]] | None = None,
) -> Mome:
    """Build the network that a checkpoint holds, float32, in evaluation mode.

    ``heads`` and ``sizes`` (x, y, z) cannot be read off the weights; they default to the published
    ones. Raises CheckpointError that says which weights are missing, unknown or misshaped.
    """
    state = read_checkpoint(path)
    config = config_of(state, heads=heads, sizes=sizes or {})
    return _network_of(state, config)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights under the authors' names, still mapped from the file. Never runs code.

    Raises CheckpointError for anything that is not a plain archive of finite tensors.
    """
    _check_archive(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} holds something other than tensors and was not loaded; "
            "save its state_dict alone with torch.save and import that"
        ) from error
    except (  # what the reader of a damaged or hostile archive raises, by trial
        *(RuntimeError, ValueError, TypeError, LookupError, AttributeError),
        *(OSError, EOFError, MemoryError, AssertionError, ArithmeticError),
    ) as error:
        raise CheckpointError(f"{path.name} is damaged: {type(error).__name__}") from error
    return _state_dict(loaded, path)


def config_of(
    state: Mapping[str, Tensor],
    *,
    heads: int | None,
    sizes: Mapping[Modality, tuple[int, int, int]],
) -> ModelConfig:
    """Read the network's sizes off the weights' shapes (authors' names)."""
    width = _shape(state, "beit3.dce_embed.cls_token", 3)[2]
    numbers = {
        int(match[1])
        for name in state
        if (match := re.match(r"beit3\.encoder\.layers\.(\d{1,4})\.", name))
    }
    layers = len(numbers)
    soft = [n for n in numbers if f"beit3.encoder.layers.{n}.MLP_Adapter.moe.phi" in state]
    last = f"beit3.encoder.layers.{layers - 1}."
    adapter, experts, slots = _shape(state, f"{last}MLP_Adapter.moe.phi", 3)
    if heads is None and width not in _PUBLISHED_HEADS:
        known = ", ".join(f"{h} for width {w}" for w, h in _PUBLISHED_HEADS.items())
        raise CheckpointError(
            f"the number of heads cannot be read off the weights and none is published for a width "
            f"of {width} (published: {known}); give it with --heads"
        )
    try:
        config = ModelConfig(
            width=width,
            heads=_PUBLISHED_HEADS[width] if heads is None else heads,
            ffn=_shape(state, f"{last}ffn.A.fc1.weight", 2)[0],
            layers=layers,
            sparse_layers=layers - len(soft),
            adapter=adapter,
            experts=experts,
            slots=slots,
            stem=(_stem(state, Modality.DCE, 0)[0], _stem(state, Modality.DCE, 3)[0]),
            classes=_shape(state, "head.weight", 2)[0],
            **{m.value: _input_size(state, m, sizes) for m in Modality},
        )
    except CheckpointError:
        raise
    except ModelError as error:
        raise CheckpointError(str(error)) from error
    _check_positions(state, config)
    return config


def _input_size(
    state: Mapping[str, Tensor], m: Modality, sizes: Mapping[Modality, tuple[int, int, int]]
) -> InputSize:
    return replace(
        BASE.input_of(m), channels=_stem(state, m, 0)[1], size=sizes.get(m, BASE.input_of(m).size)
    )


def _stem(state: Mapping[str, Tensor], modality: Modality, index: int) -> tuple[int, ...]:
    return _shape(state, f"beit3.{modality}_embed.stem.{index}.weight", 5)


def _shape(state: Mapping[str, Tensor], name: str, rank: int) -> tuple[int, ...]:
    if name not in state:
        raise CheckpointError(
            f"the checkpoint has no {name}; it does not hold a MOME network in the authors' layout"
        )
    shape = tuple(state[name].shape)
    if len(shape) != rank:
        raise CheckpointError(f"{name} has the shape {shape}; {rank} axes are expected")
    return shape


def _check_positions(state: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Compare the sizes with the position tables, which alone tell of them."""
    for modality in Modality:
        name = f"beit3.encoder.embed_positions.{LETTER[modality]}.weight"
        rows, wanted = _shape(state, name, 2)[0], position_rows(config, modality)
        if rows != wanted:
            raise CheckpointError(
                f"{name} has {rows} rows, but an input of {config.input_of(modality)} needs "
                f"{wanted} (one for each {PATCH}x{PATCH}x{PATCH} voxels"
                f"{' and two' if modality is Modality.DCE else ''}); "
                f"give the size the model was trained for with --size {modality}=XxYxZ"
            )


def _network_of(state: Mapping[str, Tensor], config: ModelConfig) -> Mome:
    with torch.device("meta"):
        network = Mome(config)
    names = authors_names(config)
    wanted = {names[ours]: tuple(w.shape) for ours, w in network.state_dict().items()}
    _compare({name: tuple(w.shape) for name, w in state.items()}, wanted)
    for name, weight in state.items():
        if not torch.isfinite(weight).all():
            raise CheckpointError(f"{name} holds NaN or infinite values")
    ours = {a: state[b].to(torch.float32, copy=True).contiguous() for a, b in names.items()}
    network.load_state_dict(ours, assign=True)
    return network.eval()


def _compare(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    misshaped = [
        f"{name} is {found[name]} and should be {wanted[name]}"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    faults = (
        ("missing", [name for name in wanted if name not in found]),
        ("unknown", [name for name in found if name not in wanted]),
        ("misshaped", misshaped),
    )
    said = [f"{len(names)} {what}: {_some(names)}" for what, names in faults if names]
    if said:
        raise CheckpointError("the weights do not fit the architecture. " + ". ".join(said))


def _some(names: Iterable[str], limit: int = 8) -> str:
    listed = [name[:120] for name in names]
    rest = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + rest


def _check_archive(path: Path) -> None:
    """Refuse what would unpack to more than the file itself holds, before anything is read."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path.name} is not an archive of PyTorch 1.6 or later; load it where it was made and "
            "save it again with today's torch.save"
        ) from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {type(error).__name__}") from error
    if size > MAX_BYTES:
        raise CheckpointError(f"{path.name} has {size} bytes; at most {MAX_BYTES} are allowed")
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or (
        sum(e.file_size for e in entries) > size
    ):
        raise CheckpointError(
            f"{path.name} unpacks to more than it holds; torch.save does not pack"
        )
    pickles = sum(e.file_size for e in entries if e.filename.endswith(".pkl"))
    if pickles > MAX_PICKLE_BYTES:
        raise CheckpointError(f"the index inside {path.name} has {pickles} bytes; that is no index")


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path.name} holds no state dict, but a {type(loaded).__name__}")
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise CheckpointError(
                f"{str(name)[:120]} is not a weight: a dense floating-point tensor is expected"
            )
        weights[name.removeprefix("module.")] = value.detach()
    if len(weights) != len(state):
        raise CheckpointError("names are doubled once their 'module.' is taken off")
    if sum(w.numel() * w.element_size() for w in weights.values()) > path.stat().st_size:
        raise CheckpointError("the weights share their data, so that they are larger than the file")
    return weights


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and value.is_floating_point()
    )
