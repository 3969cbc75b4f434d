from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mome_node.dicom.geometry import Grid
from mome_node.phantom.exam import VERSION, Lesion, PhantomExam, Truth
from mome_node.volumes.volume import Volume

ORIGIN = (-80.25, -71.5, -6.0)


def _volume(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    highest: float,
) -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = ORIGIN
    return Volume(rng.uniform(0, highest, shape).astype(np.float32), Grid(shape, affine))


@pytest.fixture
def small_exam() -> Callable[..., PhantomExam]:
    """Makes exams of random voxels: rows and columns differ in number and in spacing."""

    def make(seed: int = 7, *, malignant: bool = True, phases: int = 3) -> PhantomExam:
        rng = np.random.default_rng(seed)
        times = tuple(90.5 * i for i in range(phases))
        lesion = Lesion((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), malignant, "L")
        coarse = (12, 10, 3), (13.5, 14.25, 5.0)
        return PhantomExam(
            truth=Truth(seed, VERSION, malignant, (lesion,) if malignant else (), times),
            dce=tuple(_volume(rng, (20, 18, 4), (8.0, 8.5, 3.1), 2000) for _ in times),
            phase_times_s=times,
            dwi=tuple((b, _volume(rng, *coarse, 1500)) for b in (0.0, 800.0)),
            adc=_volume(rng, *coarse, 3000),
            t2=_volume(rng, (16, 15, 3), (10.0, 10.5, 4.0), 1800),
        )

    return make
