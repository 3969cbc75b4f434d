"""Scores for arrays in NumPy archives, which need no DICOM and no preprocessing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from mome_node.errors import ModelInputError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.predict import predict
from mome_node.mome.prediction import Prediction
from mome_node.volumes.volume import Modality

_MAX_HEADER_BYTES = 10_000

# What zipfile and numpy.lib.format raise for damaged, packed or encrypted archives.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)


def predict_arrays(
    networks: Sequence[Mome],
    source: Path,
    target: Path,
    *,
    positive_class: int,
    prior: float,
    temperature: float = 1.0,
) -> Prediction:
    """Score the exam in ``source`` (.npz) and write the scores to ``target`` (.npz).

    Raises ModelInputError for an archive that does not hold what ``read_arrays`` takes.
    """
    inputs = read_arrays(source, networks[0].config)
    prediction = predict(
        networks,
        inputs,
        positive_class=positive_class,
        prior=prior,
        temperature=temperature,
    )
    write_prediction(target, prediction)
    return prediction


def read_arrays(path: Path, config: ModelConfig) -> dict[Modality, Tensor]:
    """Read ``dce``, ``dwi``, ``t2`` (C, x, y, z), any non-empty subset, as (1, C, x, y, z) float32.

    Sizes and types are checked before the voxels are read, so that memory is bounded by the model's
    own input sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [(_modality_of(name), name) for name in archive.namelist()]
            if not 0 < len(names) == len(dict(names)):
                raise ModelInputError(
                    f"{path.name} holds {len(names)} arrays; one each of dce, dwi, t2 is taken, "
                    "and at least one of them is needed"
                )
            return {m: _read_array(archive, name, m, config.input_of(m)) for m, name in names}
    except _UNREADABLE as error:
        raise ModelInputError(f"{path.name} is no readable .npz: {type(error).__name__}") from error


def write_prediction(path: Path, prediction: Prediction) -> None:
    """Write one exam's scores: ``logits``, ``probabilities`` (both (classes,)), ``probability``.

    Beside them ``contribution_dce``, ``contribution_dwi``, ``contribution_t2`` for the modalities
    that were given. All float64. The file appears whole or not at all.
    """
    arrays = {
        "logits": np.array(prediction.logits),
        "probabilities": np.array(prediction.probabilities),
        "probability": np.array(prediction.probability),
    } | {f"contribution_{m}": np.array(share) for m, share in prediction.contributions}
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    partial.replace(path)


def _modality_of(entry: str) -> Modality:
    name = entry.removesuffix(".npy")
    try:
        return Modality(name)
    except ValueError as error:
        raise ModelInputError(
            f"the archive holds {name[:40]!r}; only dce, dwi and t2 are taken"
        ) from error


def _read_array(
    archive: zipfile.ZipFile, name: str, modality: Modality, wanted: InputSize
) -> Tensor:
    with archive.open(name) as file:
        _check_header(file, modality, wanted)
    with archive.open(name) as file:
        array = npy.read_array(file, allow_pickle=False, max_header_size=_MAX_HEADER_BYTES)
    if not np.isfinite(array).all() or np.abs(array).max() > np.finfo(np.float32).max:
        raise ModelInputError(f"{modality} holds NaN or infinite values")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]


def _check_header(file: IO[bytes], modality: Modality, wanted: InputSize) -> None:
    """Check shape and type by the array's own header, before memory is taken for it.

    NumPy writes version 1.0 for every plain array; its header is at most 64 KiB long.
    """
    try:
        version = npy.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, _, dtype = npy.read_array_header_1_0(file, max_header_size=_MAX_HEADER_BYTES)
    except ValueError as error:
        raise ModelInputError(f"{modality} is no NumPy array of version 1.0") from error
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise ModelInputError(f"{modality} is {dtype}; float32 is expected")
    if shape != wanted.shape:
        raise ModelInputError(f"{modality} has the shape {shape}; the model takes {wanted.shape}")
