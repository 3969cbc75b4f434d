"""How tissues take up contrast over time: relative enhancement, 0 before the injection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


def lesion_curve(times_s: NDArray[np.float64], wash_in_s: float, late_slope: float) -> Curve:
    """A wash-in and a straight late part, with peak 1 among the acquired phases.

    ``late_slope`` is the relative change over 300 s after the first 90 s: below −0.1 a wash-out,
    above 0.1 a persistent rise (Kuhl et al., Radiology 1999).
    """
    rise = 1 - np.exp(-times_s / wash_in_s)
    late = 1 + late_slope * np.clip(times_s - 90.0, 0, None) / 300.0
    curve = rise * late
    return np.asarray(curve / curve.max())


def persistent(times_s: NDArray[np.float64], amplitude: float, tau_s: float) -> Curve:
    """A slow, steady uptake: background parenchyma, muscle, skin."""
    return np.asarray(amplitude * (1 - np.exp(-times_s / tau_s)))


def blood(times_s: NDArray[np.float64], amplitude: float) -> Curve:
    """The blood pool: at once, then slowly down (vessels and heart)."""
    return np.asarray(amplitude * (1 - np.exp(-times_s / 12.0)) * np.exp(-times_s / 700.0))


def draw_phase_times(rng: np.random.Generator) -> tuple[float, ...]:
    """Seconds after the pre-contrast phase: 0, then 4 to 6 posts at the pace of one protocol."""
    posts = int(rng.integers(4, 7))
    first = float(rng.uniform(70, 95))
    pace = float(rng.uniform(60, 85))
    return (0.0, *(round(first + k * pace, 1) for k in range(posts)))
