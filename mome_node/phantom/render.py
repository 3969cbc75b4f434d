"""A seed becomes an exam: anatomy, lesions and contrast, then motion and noise of a scanner."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import shift

from mome_node.dicom.geometry import Grid
from mome_node.errors import PhantomError
from mome_node.phantom.anatomy import Anatomy, Tissues, tissues
from mome_node.phantom.exam import VERSION, PhantomExam, Protocol, Truth
from mome_node.phantom.fields import Axes, Field
from mome_node.phantom.kinetics import blood, draw_phase_times, lesion_curve, persistent
from mome_node.phantom.lesions import LesionModel, LesionOnGrid, draw_lesions, on_grid
from mome_node.volumes.volume import Volume

FIELD_OF_VIEW_MM = (340.0, 340.0, 163.2)
CENTER_MM = (0.0, 15.0, 0.0)
NOISE_VOXEL_MM3 = 1.328125 * 1.328125 * 3.4
"""Voxel size of the default DCE protocol, whose noise level is the reference."""

T1_SIGNAL = {"fat": 110.0, "gland": 310.0, "muscle": 290.0, "skin": 330.0, "heart": 260.0}
T2_SIGNAL = {"fat": 130.0, "gland": 430.0, "muscle": 170.0, "skin": 260.0, "heart": 120.0}
DWI_SIGNAL = {"fat": 30.0, "gland": 520.0, "muscle": 260.0, "skin": 60.0, "heart": 90.0}
ADC = {"fat": 0.3, "gland": 1.85, "muscle": 1.4, "skin": 0.9, "heart": 2.4}  # 10⁻³ mm²/s


def render_exam(
    seed: int, *, protocol: Protocol | None = None, with_lesions: bool = True
) -> PhantomExam:
    """The exam of a seed.

    The truth depends on the seed alone, not on the protocol. Without lesions the exam is the same
    woman, not malignant.

    Raises PhantomError for a negative seed.
    """
    if seed < 0:
        raise PhantomError(f"seed {seed} is negative; seeds are 0, 1, 2, ...")
    protocol = protocol or Protocol()
    anatomy = Anatomy.draw(seed)
    lesions = draw_lesions(seed, anatomy) if with_lesions else ()
    times = draw_phase_times(np.random.default_rng([seed, 5]))
    dwi, adc = _diffusion(seed, anatomy, lesions, axial_grid(protocol.dwi_matrix))
    truth = Truth(
        seed=seed,
        version=VERSION,
        malignant=any(m.lesion.malignant for m in lesions),
        lesions=tuple(m.lesion for m in lesions),
        phase_times_s=times,
    )
    return PhantomExam(
        truth=truth,
        dce=_dynamic(seed, anatomy, lesions, times, axial_grid(protocol.dce_matrix)),
        phase_times_s=times,
        dwi=dwi,
        adc=adc,
        t2=_t2(seed, anatomy, lesions, axial_grid(protocol.t2_matrix)),
    )


def axial_grid(matrix: tuple[int, int, int]) -> Grid:
    """An axial grid over the phantom's field of view: columns to the left, rows to posterior."""
    spacing = np.array(FIELD_OF_VIEW_MM) / matrix
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(CENTER_MM) - spacing * (np.array(matrix) - 1) / 2
    return Grid(matrix, affine)


def _dynamic(
    seed: int,
    anatomy: Anatomy,
    lesions: tuple[LesionModel, ...],
    times: tuple[float, ...],
    grid: Grid,
) -> tuple[Volume, ...]:
    axes = Axes.of(grid)
    parts = tissues(anatomy, axes)
    placed = [(model, on_grid(model, axes)) for model in lesions]
    seconds = np.array(times)
    rng = np.random.default_rng([seed, 6])
    curves = {
        "gland": persistent(seconds, float(rng.uniform(0.08, 0.55)), float(rng.uniform(150, 350))),
        "muscle": persistent(seconds, 0.25, 120.0),
        "skin": persistent(seconds, 0.35, 90.0),
        "heart": blood(seconds, float(rng.uniform(1.3, 2.0))),
        "vessel": blood(seconds, float(rng.uniform(2.0, 3.4))),
    }
    before = _signal(parts, placed, T1_SIGNAL, [m.t1_signal for m, _ in placed])
    drift = np.cumsum(rng.normal(0, 0.35, (len(times), 3)), axis=0) * [1.0, 1.0, 0.5]
    drift[0] = 0
    volumes = []
    for k in range(len(times)):
        image = before.copy()
        for name, curve in curves.items():
            base = T1_SIGNAL.get(name, T1_SIGNAL["gland"])
            image += np.float32(base * curve[k]) * getattr(parts, name)
        for model, place in placed:
            _enhance(image, model, place, seconds, k)
        _add_ghosts(image, parts.heart * np.float32(260.0 * (1 + curves["heart"][k])), grid, rng)
        if drift[k].any():
            image = shift(image, drift[k] / grid.spacing, order=1, mode="nearest")
        volumes.append(Volume(_acquire(image * parts.bias, grid, rng, 9.0), grid))
    return tuple(volumes)


def _enhance(
    image: Field, model: LesionModel, place: LesionOnGrid, seconds: np.ndarray, k: int
) -> None:
    """Add a lesion's uptake at phase k; its core follows its rim by a little."""
    rim = lesion_curve(seconds, model.wash_in_s, model.late_slope)
    core = lesion_curve(seconds, model.wash_in_s * 1.4, model.late_slope * 0.7)
    # One scale for both, so that the whole lesion's peak is the one drawn.
    scale = T1_SIGNAL["gland"] * model.peak_enhancement
    image[place.box] += np.float32(scale * rim[k]) * place.rim
    image[place.box] += np.float32(scale * core[k]) * place.core


def _add_ghosts(image: Field, beating: Field, grid: Grid, rng: np.random.Generator) -> None:
    """Faint copies of the beating heart along the phase-encoding direction (left-right)."""
    step = round(float(rng.uniform(55, 75)) / grid.spacing[0])
    level = np.float32(rng.uniform(0.0, 0.05))
    image[step:] += level * beating[:-step]
    image[:-step] += level * beating[step:]


def _signal(
    parts: Tissues,
    placed: list[tuple[LesionModel, LesionOnGrid]],
    of: dict[str, float],
    of_lesions: list[float],
    of_cyst: float = 180.0,
) -> Field:
    """The signal of all tissues; a lesion takes the place of what was there."""
    image = np.float32(of_cyst) * parts.cyst
    for name, value in of.items():
        image += np.float32(value) * getattr(parts, name)
    for (_, place), value in zip(placed, of_lesions, strict=True):
        image[place.box] += place.inside * (np.float32(value) - image[place.box])
    return image


def _t2(seed: int, anatomy: Anatomy, lesions: tuple[LesionModel, ...], grid: Grid) -> Volume:
    axes = Axes.of(grid)
    parts = tissues(anatomy, axes)
    placed = [(model, on_grid(model, axes)) for model in lesions]
    image = _signal(parts, placed, T2_SIGNAL, [m.t2_signal for m, _ in placed], 1300.0)
    rng = np.random.default_rng([seed, 7])
    return Volume(_acquire(image * parts.bias, grid, rng, 10.0), grid)


def _diffusion(
    seed: int, anatomy: Anatomy, lesions: tuple[LesionModel, ...], grid: Grid
) -> tuple[tuple[tuple[float, Volume], ...], Volume]:
    """Trace images at b 0 and one high b, and the ADC map that a scanner makes of them."""
    axes = Axes.of(grid)
    parts = tissues(anatomy, axes)
    placed = [(model, on_grid(model, axes)) for model in lesions]
    rng = np.random.default_rng([seed, 8])
    high_b = float(rng.choice([800.0, 1000.0]))
    b0 = _signal(parts, placed, DWI_SIGNAL, [520.0 for _ in placed], 1400.0)
    weight = _signal(parts, placed, ADC, [m.adc for m, _ in placed], 2.6)
    weight /= np.maximum(parts.fat + parts.gland + parts.muscle + parts.skin + parts.heart, 0.2)
    coefficient = np.clip(weight, 0.05, 3.0)
    images = {
        b: _acquire(b0 * np.exp(-b / 1000 * coefficient) * parts.bias, grid, rng, 6.0)
        for b in (0.0, high_b)
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = np.log(images[0.0] / images[high_b]) / high_b * 1e6
    adc = np.where(images[0.0] > 40, np.clip(measured, 0, 4000), 0).astype(np.float32)
    return tuple((b, Volume(image, grid)) for b, image in images.items()), Volume(adc, grid)


def _acquire(image: Field, grid: Grid, rng: np.random.Generator, noise: float) -> Field:
    """Magnitude image with Rician noise, whose level falls with the voxel's volume."""
    sigma = np.float32(noise * (NOISE_VOXEL_MM3 / np.prod(grid.spacing)) ** 0.5)
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    magnitude: Field = np.hypot(real, imaginary)
    return magnitude
