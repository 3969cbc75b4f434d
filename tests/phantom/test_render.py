from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mome_node.dicom.geometry import Grid
from mome_node.errors import PhantomError
from mome_node.phantom.anatomy import Anatomy
from mome_node.phantom.exam import VERSION, Lesion, PhantomExam, Protocol
from mome_node.phantom.lesions import REACH, LesionModel, draw_lesions, is_malignant
from mome_node.phantom.render import FIELD_OF_VIEW_MM, axial_grid, render_exam
from mome_node.volumes.volume import Volume

SMALL = Protocol((96, 96, 32), (48, 48, 16), (64, 64, 20))
ONLY_DCE = Protocol((96, 96, 32), (8, 8, 8), (8, 8, 8))
SHAPES_ALONE_DO_NOT_TELL = 0.75

MALIGNANT = next(s for s in range(100) if is_malignant(s))
BENIGN = next(s for s in range(100) if not is_malignant(s) and draw_lesions(s, Anatomy.draw(s)))

seeds = st.integers(0, 999_999_999_999)


@cache
def exam_of(seed: int, protocol: Protocol = SMALL, *, with_lesions: bool = True) -> PhantomExam:
    return render_exam(seed, protocol=protocol, with_lesions=with_lesions)


@cache
def drawn(seed: int) -> tuple[LesionModel, ...]:
    return draw_lesions(seed, Anatomy.draw(seed))


def all_volumes(exam: PhantomExam) -> list[Volume]:
    return [*exam.dce, *(volume for _, volume in exam.dwi), exam.adc, exam.t2]


def distance_in_radii(grid: Grid, lesion: Lesion) -> NDArray[np.float64]:
    """For each voxel: 0 at the lesion's centre, 1 on its surface."""
    center = grid.to_index(lesion.center_mm)
    radii = np.array(lesion.radii_mm) / grid.spacing
    index = np.indices(grid.shape, sparse=True)
    squares = (((i - c) / r) ** 2 for i, c, r in zip(index, center, radii, strict=True))
    return np.asarray(np.sqrt(sum(squares)))


def mean_inside(volume: Volume, lesion: Lesion) -> float:
    return float(volume.array[distance_in_radii(volume.grid, lesion) <= 1].mean())


def enhancement(exam: PhantomExam, lesion: Lesion) -> list[float]:
    """Relative enhancement of a lesion in each phase."""
    before = mean_inside(exam.dce[0], lesion)
    return [mean_inside(phase, lesion) / before - 1 for phase in exam.dce]


# The truth


@given(seed=seeds)
def test_the_truth_comes_from_the_seed_alone(seed: int) -> None:
    models = draw_lesions(seed, Anatomy.draw(seed))
    assert models == draw_lesions(seed, Anatomy.draw(seed))
    assert any(m.lesion.malignant for m in models) == is_malignant(seed)
    assert sum(m.lesion.malignant for m in models) <= 1


def test_the_truth_does_not_depend_on_the_protocol() -> None:
    truth = exam_of(MALIGNANT).truth
    assert exam_of(MALIGNANT, ONLY_DCE).truth == truth
    assert truth.lesions == tuple(m.lesion for m in drawn(MALIGNANT))
    assert (truth.seed, truth.version, truth.malignant) == (MALIGNANT, VERSION, True)


def test_about_half_of_all_seeds_are_malignant() -> None:
    assert 450 <= sum(is_malignant(seed) for seed in range(1000)) <= 550
    # Runs of seeds that training and testing use are as mixed.
    assert 450 <= sum(is_malignant(3_000_000 + seed) for seed in range(1000)) <= 550


def test_most_negative_exams_hold_a_benign_lesion() -> None:
    negatives = [seed for seed in range(400) if not is_malignant(seed)]
    with_lesion = [seed for seed in negatives if drawn(seed)]
    assert 0.8 < len(with_lesion) / len(negatives) < 0.97


@given(seed=seeds)
def test_every_lesion_lies_inside_the_breast_of_its_side(seed: int) -> None:
    anatomy = Anatomy.draw(seed)
    lesions = [m.lesion for m in draw_lesions(seed, anatomy)]
    for lesion in lesions:
        breast = anatomy.left if lesion.laterality == "L" else anatomy.right
        assert (lesion.center_mm[0] > 0) == (lesion.laterality == "L")  # L is +x in LPS
        assert breast.depth_mm(lesion.center_mm) > 5
        assert 3 < min(lesion.radii_mm) <= max(lesion.radii_mm) < 24
    for a, b in pairwise(lesions):
        gap = np.linalg.norm(np.subtract(a.center_mm, b.center_mm))
        assert gap > max(a.radii_mm) + max(b.radii_mm)


def test_without_lesions_the_exam_is_not_malignant() -> None:
    truth = exam_of(MALIGNANT, with_lesions=False).truth
    assert (truth.malignant, truth.lesions) == (False, ())
    assert truth.phase_times_s == exam_of(MALIGNANT).truth.phase_times_s


@pytest.mark.parametrize("seed", [-1, -(2**70)])
def test_a_negative_seed_is_refused(seed: int) -> None:
    with pytest.raises(PhantomError, match=f"seed {seed} is negative"):
        render_exam(seed)


# Only lesions tell


def auroc_of_two_features(features: Sequence[Sequence[float]], malignant: Sequence[bool]) -> float:
    """How well a logistic regression tells the exams that it was fitted to: an upper bound."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(features, malignant)
    return float(roc_auc_score(malignant, model.predict_proba(features)[:, 1]))


def test_peak_enhancement_and_volume_as_drawn_do_not_tell_malignant_exams() -> None:
    features = [
        [
            max((m.peak_enhancement for m in drawn(seed)), default=0.0),
            sum(float(np.prod(m.lesion.radii_mm)) for m in drawn(seed)),
        ]
        for seed in range(400)
    ]
    told = auroc_of_two_features(features, [is_malignant(s) for s in range(400)])
    assert told < SHAPES_ALONE_DO_NOT_TELL


def test_the_images_show_the_drawn_peak_alike_in_malignant_and_benign_lesions() -> None:
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(14):
        exam = exam_of(seed, ONLY_DCE)
        for model in drawn(seed):
            shown = max(enhancement(exam, model.lesion)) / model.peak_enhancement
            ratios[model.lesion.malignant].append(shown)
    assert min(map(len, ratios.values())) >= 5
    assert np.mean(ratios[True]) == pytest.approx(np.mean(ratios[False]), rel=0.2)


def peak_and_volume(seed: int, protocol: Protocol) -> tuple[float, float]:
    exam = render_exam(seed, protocol=protocol)
    peaks = [max(enhancement(exam, lesion)) for lesion in exam.truth.lesions]
    volumes = [float(np.prod(lesion.radii_mm)) for lesion in exam.truth.lesions]
    return max(peaks, default=0.0), sum(volumes)


@pytest.mark.long
def test_peak_enhancement_and_volume_do_not_tell_malignant_exams_of_full_size(
    record_property: Callable[[str, object], None],
) -> None:
    protocol = Protocol(dwi_matrix=(8, 8, 8), t2_matrix=(8, 8, 8))  # only the DCE is measured
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        features = list(pool.map(partial(peak_and_volume, protocol=protocol), range(400)))
    told = auroc_of_two_features(features, [is_malignant(s) for s in range(400)])
    record_property("AUROC of peak enhancement and volume", round(told, 3))
    assert told < SHAPES_ALONE_DO_NOT_TELL


@pytest.mark.parametrize("seed", [MALIGNANT, BENIGN])
def test_pixels_away_from_lesions_are_those_of_the_same_woman_without(seed: int) -> None:
    """Noise, ghosts, motion and anatomy carry no truth."""
    exam, without = exam_of(seed), exam_of(seed, with_lesions=False)
    for k, (a, b) in enumerate(zip(all_volumes(exam), all_volumes(without), strict=True)):
        away = np.ones(a.grid.shape, dtype=bool)
        for lesion in exam.truth.lesions:
            # Spicules reach that far; motion and interpolation carry them a little further.
            margin = (3.0 + 2 * max(a.grid.spacing)) / min(lesion.radii_mm)
            stretch = max(lesion.radii_mm) / min(lesion.radii_mm)
            away &= distance_in_radii(a.grid, lesion) > REACH * stretch + margin
        assert away.mean() > 0.9
        assert np.array_equal(a.array[away], b.array[away]), f"volume {k}"
        assert not np.array_equal(a.array, b.array), f"volume {k}"


def test_the_same_seed_gives_the_same_voxels() -> None:
    again = render_exam(BENIGN, protocol=SMALL)
    for a, b in zip(all_volumes(exam_of(BENIGN)), all_volumes(again), strict=True):
        assert np.array_equal(a.array, b.array)
        assert np.array_equal(a.grid.affine, b.grid.affine)


def test_another_seed_is_another_woman() -> None:
    a, b = exam_of(MALIGNANT).dce[0].array, exam_of(BENIGN).dce[0].array
    assert np.abs(a - b).mean() > 10


# The images


def test_the_dynamic_has_a_pre_contrast_phase_and_four_to_six_after() -> None:
    counts = set()
    for seed in range(14):
        exam = exam_of(seed, ONLY_DCE)
        assert len(exam.dce) == len(exam.phase_times_s)
        assert exam.phase_times_s == exam.truth.phase_times_s
        counts.add(len(exam.dce) - 1)
    assert counts == {4, 5, 6}


@pytest.mark.parametrize("seed", [MALIGNANT, BENIGN])
def test_voxels_are_finite_signals_on_the_protocols_matrix(seed: int) -> None:
    exam = exam_of(seed)
    for volume in all_volumes(exam):
        assert volume.array.dtype == np.float32
        assert np.isfinite(volume.array).all()
        assert volume.array.min() >= 0
        assert volume.array.max() < 4096
    assert {v.grid.shape for v in exam.dce} == {SMALL.dce_matrix}
    assert {v.grid.shape for _, v in exam.dwi} | {exam.adc.grid.shape} == {SMALL.dwi_matrix}
    assert exam.t2.grid.shape == SMALL.t2_matrix


@pytest.mark.parametrize("matrix", [(96, 96, 32), (8, 8, 8), (300, 200, 100)])
def test_the_field_of_view_does_not_change_with_the_matrix(matrix: tuple[int, int, int]) -> None:
    grid = axial_grid(matrix)
    assert np.array(grid.spacing) * matrix == pytest.approx(FIELD_OF_VIEW_MM)
    middle = grid.affine @ [*(np.array(matrix) - 1) / 2, 1.0]
    assert middle[:3] == pytest.approx([0.0, 15.0, 0.0])


def test_every_lesion_enhances_and_the_kinds_differ_in_their_late_part() -> None:
    late: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(14):
        exam = exam_of(seed, ONLY_DCE)
        for lesion in exam.truth.lesions:
            curve = enhancement(exam, lesion)
            assert max(curve) > 0.3
            assert curve[1] > 0.1
            late[lesion.malignant].append((curve[-1] - curve[1]) / max(curve))
    assert np.mean(late[True]) < 0 < np.mean(late[False])


def test_diffusion_is_b_0_and_one_high_b_value() -> None:
    high = set()
    for seed in range(14):
        (first, b0), (second, trace) = exam_of(seed, ONLY_DCE).dwi
        assert first == 0
        assert trace.array.mean() < b0.array.mean()
        high.add(second)
    assert high == {800.0, 1000.0}


def test_the_adc_map_is_what_the_trace_images_give() -> None:
    exam = exam_of(MALIGNANT)
    (_, b0), (b, trace) = exam.dwi
    shown = exam.adc.array > 0
    assert 0.02 < shown.mean() < 0.9
    expected = 1e6 / b * np.log(b0.array[shown] / trace.array[shown])
    assert exam.adc.array[shown] == pytest.approx(np.minimum(expected, 4000), abs=1)


def test_malignant_lesions_restrict_diffusion() -> None:
    malignant = [m.adc for s in range(200) for m in drawn(s) if m.lesion.malignant]
    benign = [m.adc for s in range(200) for m in drawn(s) if not m.lesion.malignant]
    assert np.mean(malignant) < np.mean(benign) - 0.3
    assert max(malignant) > min(benign), "each sign alone overlaps"
    exam = exam_of(MALIGNANT)
    model = drawn(MALIGNANT)[0]
    core = exam.adc.array[distance_in_radii(exam.adc.grid, model.lesion) <= 0.7]
    assert np.median(core) == pytest.approx(1000 * model.adc, rel=0.25)


# Bounds


def peak_bytes(matrix: tuple[int, int, int]) -> tuple[int, int]:
    """Most memory while rendering, and how many phases there were."""
    tracemalloc.start()
    try:
        exam = render_exam(3, protocol=Protocol(matrix, (8, 8, 8), (8, 8, 8)))
        return tracemalloc.get_traced_memory()[1], len(exam.dce)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param((192, 192, 64), id="192"),
        pytest.param((384, 384, 100), marks=pytest.mark.long, id="384"),
    ],
)
def test_memory_is_bounded_by_the_phases_and_two_dozen_fields(
    matrix: tuple[int, int, int],
) -> None:
    peak, phases = peak_bytes(matrix)
    field = 4 * int(np.prod(matrix))
    random_fields = 64 << 20  # their size does not depend on the matrix
    assert peak < (phases + 24) * field + random_fields
