"""Lesions: malignant and benign ones of the same sizes and the same peak enhancement.

What tells them apart is what tells them apart in patients: the shape of the curve (wash-out or
persistent rise), an irregular and rim-enhancing shape, restricted diffusion, signal on T2. Each
alone overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mome_node.phantom.anatomy import Anatomy
from mome_node.phantom.exam import Lesion
from mome_node.phantom.fields import Axes, Field, soft

NEGATIVE_WITH_LESION = 0.88
SECOND_BENIGN = 0.25
REACH = 1.7
"""Spicules end within this multiple of the radii."""


@dataclass(frozen=True, slots=True)
class LesionModel:
    """One lesion with all that its images need; enhancement is relative to gland at pre."""

    lesion: Lesion
    waves: tuple[tuple[float, ...], ...]  # each: direction (3), phase, amplitude
    peak_enhancement: float
    wash_in_s: float
    late_slope: float  # relative change over 300 s after 90 s
    rim: float  # 0: as much in the core as at the rim
    adc: float  # 10⁻³ mm²/s
    t2_signal: float
    t1_signal: float


def draw_lesions(seed: int, anatomy: Anatomy) -> tuple[LesionModel, ...]:
    """The lesions of a seed."""
    rng = np.random.default_rng([seed, 4])
    malignant = is_malignant(seed)
    kinds = [True] if malignant else [False] * int(rng.random() < NEGATIVE_WITH_LESION)
    if kinds and rng.random() < SECOND_BENIGN:
        kinds.append(False)
    drawn: list[LesionModel] = []
    for kind in kinds:
        for _ in range(200):
            candidate = _draw(rng, anatomy, malignant=kind)
            if all(_apart(candidate.lesion, other.lesion) for other in drawn):
                drawn.append(candidate)
                break
    return tuple(drawn)


def is_malignant(seed: int) -> bool:
    """Whether the exam of this seed holds a malignant lesion: one fair coin a seed."""
    return bool(np.random.default_rng([seed, 0]).random() < 0.5)


def _draw(rng: np.random.Generator, anatomy: Anatomy, *, malignant: bool) -> LesionModel:
    radius = float(rng.uniform(6.0, 12.0))
    stretch = np.exp(rng.normal(0, 0.12, 3))
    radii = tuple(float(radius * s) for s in stretch / np.cbrt(stretch.prod()))
    center, side = anatomy.point_for_lesion(rng, radius)
    roughness = rng.uniform(0.10, 0.22) if malignant else rng.uniform(0.01, 0.07)
    waves = []
    for _ in range(6):
        direction = rng.normal(0, 1, 3)
        direction *= rng.uniform(3, 6) / np.linalg.norm(direction)
        waves.append((*map(float, direction), float(rng.uniform(0, 6.3)), float(roughness)))
    lesion = Lesion(
        center_mm=center,
        radii_mm=(radii[0], radii[1], radii[2]),
        malignant=malignant,
        laterality="L" if side == "L" else "R",
    )
    return LesionModel(
        lesion=lesion,
        waves=tuple(waves),
        peak_enhancement=float(rng.uniform(1.0, 2.0)),
        wash_in_s=float(rng.uniform(22, 45) if malignant else rng.uniform(45, 110)),
        late_slope=float(rng.normal(-0.32, 0.10) if malignant else rng.normal(0.45, 0.20)),
        rim=float(rng.uniform(0.1, 0.6) if malignant else rng.uniform(0.0, 0.15)),
        adc=float(np.clip(rng.normal(0.95, 0.12) if malignant else rng.normal(1.55, 0.22), 0.6, 2)),
        t2_signal=float(rng.normal(430, 70) if malignant else rng.normal(620, 120)),
        t1_signal=float(rng.uniform(270, 350)),
    )


def _apart(a: Lesion, b: Lesion) -> bool:
    distance = np.linalg.norm(np.subtract(a.center_mm, b.center_mm))
    return bool(distance > 1.5 * (max(a.radii_mm) + max(b.radii_mm)))


@dataclass(frozen=True, slots=True, eq=False)
class LesionOnGrid:
    """A lesion in a box of a grid.

    ``inside`` is its fraction of each voxel, 0 to 1; ``core`` and ``rim`` are the weights of its
    two curves, whose mean over the lesion is the same for every lesion.
    """

    box: tuple[slice, slice, slice]
    inside: Field
    core: Field
    rim: Field


def on_grid(model: LesionModel, axes: Axes) -> LesionOnGrid:
    """The lesion's place on a grid; all fields have the box's shape."""
    center, radii = model.lesion.center_mm, model.lesion.radii_mm
    reach = REACH * max(radii) + 2.0
    ticks = (axes.x.ravel(), axes.y.ravel(), axes.z.ravel())
    box = tuple(
        slice(*np.searchsorted(t, (c - reach, c + reach)))
        for t, c in zip(ticks, center, strict=True)
    )
    u = (axes.x[box[0]] - center[0]) / radii[0]
    v = (axes.y[:, box[1]] - center[1]) / radii[1]
    w = (axes.z[:, :, box[2]] - center[2]) / radii[2]
    r = np.sqrt(u**2 + v**2 + w**2)
    safe = np.maximum(r, 1e-3)
    surface = np.ones_like(r)
    for kx, ky, kz, phase, amplitude in model.waves:
        surface += amplitude * np.cos((kx * u + ky * v + kz * w) / safe + phase)
    surface = np.clip(surface, 0.55, REACH)
    inside = soft((r - surface) * np.float32(min(radii)), 1.0)
    depth = np.clip(r / surface, 0, 1)  # 0 at the centre, 1 at the surface
    shape = 1 + model.rim * (depth**2 - 0.6)  # mean over a ball is 1: depth² averages 0.6
    return LesionOnGrid(
        box=(box[0], box[1], box[2]),
        inside=inside,
        core=(inside * shape * (1 - depth)).astype(np.float32),
        rim=(inside * shape * depth).astype(np.float32),
    )
