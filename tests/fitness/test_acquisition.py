"""Each check of the acquisition, with an exam that passes it and one that fails it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mome_node.errors import PackageError
from mome_node.fitness.accepts import Accepts
from mome_node.fitness.acquisition import Acquisition, acquisition_failures, b_value_failure

GOOD = Acquisition(
    slices=80,
    distance_mm=2.0,
    thickness_mm=2.0,
    pixel_mm=0.8,
    post_times_s=(80.0, 160.0, 240.0, 320.0),
    agent_named=True,
    fat_suppressed=True,
)
STATED = Accepts(
    slice_thickness_mm=(0.8, 3.0),
    pixel_spacing_mm=(0.4, 1.2),
    min_slices=40,
    min_posts=3,
    first_post_s=(50, 120),
    last_post_s=(240, 600),
    fat_suppression=True,
)


def failed(accepts: Accepts, found: Acquisition) -> dict[str, str]:
    return {f.check.code: f.text for f in acquisition_failures(accepts, found)}


def test_an_acquisition_as_the_package_states_it_fails_nothing() -> None:
    assert failed(STATED, GOOD) == {}


def test_a_package_that_states_nothing_of_it_takes_any_acquisition() -> None:
    coarse = Acquisition(3, 9.0, 9.0, 4.0, (None,), True, False)
    assert failed(Accepts(), coarse) == {}


@pytest.mark.parametrize(
    ("code", "changes", "words"),
    [
        ("slice-thickness-outside-package", {"distance_mm": 4.0, "thickness_mm": 4.0}, "are 4 mm"),
        ("slice-thickness-outside-package", {"distance_mm": None}, "of unknown size"),
        ("resolution-outside-package", {"pixel_mm": 1.6}, "are 1.6 mm"),
        ("too-few-slices", {"slices": 39}, "has 39 slices"),
        ("too-few-phases", {"post_times_s": (80.0, 250.0)}, "has 2 post-contrast phases"),
        ("first-post-outside-package", {"post_times_s": (150.0, 200.0, 300.0)}, "is 150 s after"),
        ("first-post-outside-package", {"post_times_s": (None, 200.0, 300.0)}, "unknown time"),
        ("last-post-outside-package", {"post_times_s": (80.0, 120.0, 160.0)}, "is 160 s after"),
        ("fat-suppression-absent", {"fat_suppressed": False}, "no sign of fat suppression"),
        ("contrast-agent-not-named", {"agent_named": False}, "names a contrast agent"),
        ("slice-gaps", {"distance_mm": 2.5, "thickness_mm": 2.0}, "lie 2.5 mm apart"),
    ],
)
def test_what_lies_outside_fails_its_check_alone(
    code: str, changes: dict[str, Any], words: str
) -> None:
    told = failed(STATED, replace(GOOD, **changes))
    assert list(told) == [code]
    assert words in told[code]


def test_overlapping_slices_and_rounded_headers_are_no_gap() -> None:
    assert failed(STATED, replace(GOOD, thickness_mm=3.0)) == {}
    assert failed(STATED, replace(GOOD, thickness_mm=1.95)) == {}


@pytest.mark.parametrize(("b_value", "fails"), [(800.0, False), (50.0, True), (None, True)])
def test_b_value_outside_the_packages_range_fails(b_value: float | None, fails: bool) -> None:
    assert bool([*b_value_failure(b_value, (600.0, 1500.0))]) is fails
    assert [*b_value_failure(b_value, None)] == []


@pytest.mark.parametrize(
    "stated",
    [
        {"slice_thickness_mm": (3.0, 1.0)},
        {"pixel_spacing_mm": (0.0, 1.0)},
        {"first_post_s": (-1.0, 60.0)},
        {"last_post_s": (60.0, float("inf"))},
    ],
)
def test_a_range_that_no_exam_could_meet_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises(PackageError, match=f"mome.accepts.{next(iter(stated))}"):
        Accepts(**stated)
