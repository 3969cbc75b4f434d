"""Phantom exams as the model's inputs, kept on disk so that training reads each many times."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Grid
from mome_node.mome.preprocess import ModelInputs, PreprocessSpec, prepare
from mome_node.phantom.exam import PhantomExam, Protocol, Truth
from mome_node.phantom.render import render_exam
from mome_node.volumes.volume import Exam, Modality

Sizes = dict[Modality, tuple[int, int, int, int]]

TRAINING_PROTOCOL = Protocol(
    dce_matrix=(128, 128, 48), dwi_matrix=(64, 64, 24), t2_matrix=(128, 128, 36)
)
"""Coarser than an exam's images, but finer than the model's input: a quarter of the time."""

BENIGN, MALIGNANT = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Prepared exams and their truth.

    ``inputs`` of each modality (N, C, x, y, z) float16, ``malignant`` (N,) bool, ``lesions``
    (N, x, y, z) uint8 on the DCE grid: 0 none, 1 benign, 2 malignant.
    """

    inputs: dict[Modality, NDArray[np.float16]]
    malignant: NDArray[np.bool_]
    lesions: NDArray[np.uint8]
    seeds: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Read a dataset that ``build`` made; inputs stay on disk."""
        about = json.loads((folder / "dataset.json").read_text())
        return cls(
            inputs={m: np.load(folder / f"{m}.npy", mmap_mode="r") for m in Modality},
            malignant=np.load(folder / "malignant.npy"),
            lesions=np.load(folder / "lesions.npy", mmap_mode="r"),
            seeds=tuple(about["seeds"]),
        )


def to_exam(phantom: PhantomExam) -> Exam:
    """The volumes of a phantom that a model takes: all phases, the high b-value, T2."""
    b_value, dwi = phantom.dwi[-1]
    return Exam(
        dce=phantom.dce,
        phase_times_s=phantom.phase_times_s,
        dwi=dwi,
        dwi_b_value=b_value,
        t2=phantom.t2,
    )


def build(
    folder: Path,
    seeds: Sequence[int],
    spec: PreprocessSpec,
    sizes: Sizes,
    *,
    workers: int = 2,
    progress: Callable[[int], None] = lambda _: None,
) -> Dataset:
    """Render and prepare the exams of ``seeds`` and write them to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(seeds)
    arrays = {
        m: np.lib.format.open_memmap(
            folder / f"{m}.npy", mode="w+", dtype=np.float16, shape=(n, *sizes[m])
        )
        for m in Modality
    }
    lesions = np.lib.format.open_memmap(
        folder / "lesions.npy", mode="w+", dtype=np.uint8, shape=(n, *sizes[Modality.DCE][1:])
    )
    malignant = np.zeros(n, dtype=bool)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(_prepare_seed, seeds, [spec] * n, [sizes] * n, chunksize=4)
        for i, (inputs, truth) in enumerate(jobs):
            for modality, array in inputs.arrays.items():
                arrays[modality][i] = array
            lesions[i] = lesion_labels(truth, inputs.dce_grid)
            malignant[i] = truth.malignant
            progress(i + 1)
    np.save(folder / "malignant.npy", malignant)
    (folder / "dataset.json").write_text(json.dumps({"seeds": list(seeds)}))
    return Dataset.open(folder)


def lesion_labels(truth: Truth, grid: Grid) -> NDArray[np.uint8]:
    """Labels (x, y, z) of a truth's lesions on a grid."""
    labels = np.zeros(grid.shape, dtype=np.uint8)
    index = np.moveaxis(np.indices(grid.shape), 0, -1)  # (x, y, z, 3)
    points = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    for lesion in truth.lesions:
        q = (((points - lesion.center_mm) / lesion.radii_mm) ** 2).sum(axis=-1)
        labels[q <= 1] = MALIGNANT if lesion.malignant else BENIGN
    return labels


def _prepare_seed(seed: int, spec: PreprocessSpec, sizes: Sizes) -> tuple[ModelInputs, Truth]:
    phantom = render_exam(seed, protocol=TRAINING_PROTOCOL)
    return prepare(to_exam(phantom), spec, sizes), phantom.truth
