from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mome_node.phantom.kinetics import blood, draw_phase_times, lesion_curve, persistent

TIMES = np.array([0.0, 80.0, 150.0, 220.0, 290.0, 360.0])

taus = st.floats(5.0, 400.0)
slopes = st.floats(-0.6, 1.5)


@given(wash_in_s=taus, late_slope=slopes)
def test_a_lesion_starts_at_zero_and_peaks_at_one(wash_in_s: float, late_slope: float) -> None:
    curve = lesion_curve(TIMES, wash_in_s, late_slope)
    assert curve[0] == 0
    assert curve.max() == 1
    assert (curve >= 0).all()


def test_the_late_slope_makes_wash_out_plateau_or_persistent_rise() -> None:
    out, flat, rise = (lesion_curve(TIMES, 15.0, slope) for slope in (-0.4, 0.0, 0.4))
    assert np.argmax(out) == 1
    assert out[-1] < 0.75
    assert np.ptp(flat[2:]) < 0.01
    assert np.argmax(rise) == len(TIMES) - 1


@given(amplitude=st.floats(0.01, 4), tau_s=taus)
def test_background_only_rises(amplitude: float, tau_s: float) -> None:
    curve = persistent(TIMES, amplitude, tau_s)
    assert curve[0] == 0
    assert (np.diff(curve) >= 0).all()
    assert curve.max() <= amplitude


def test_blood_is_there_at_once_and_goes_slowly() -> None:
    curve = blood(TIMES, 2.0)
    assert curve[0] == 0
    assert np.argmax(curve) == 1
    assert (np.diff(curve[1:]) < 0).all()


@given(seed=st.integers(0, 2**32))
def test_phases_run_at_the_pace_of_one_protocol(seed: int) -> None:
    times = draw_phase_times(np.random.default_rng(seed))
    assert times[0] == 0
    assert 5 <= len(times) <= 7
    assert 70 <= times[1] <= 95
    steps = np.diff(times[1:])
    assert np.ptp(steps) < 0.21  # rounded to 0.1 s
    assert (steps >= 59.9).all()
