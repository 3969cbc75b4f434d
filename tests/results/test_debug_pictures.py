"""Debug sheets show every step and every channel, the right side at the right side, marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mome_node.dicom.geometry import Grid
from mome_node.results.canvas import ACCENT, ALERT, BODY, MARGIN
from mome_node.results.debug_pictures import (
    BODY_COLOUR,
    BREASTS_COLOUR,
    CAPTION_HEIGHT,
    PANEL,
    Outlines,
    PreparationSteps,
    ShownSlice,
    write_debug_pictures,
)
from mome_node.volumes.volume import Modality

GRID = Grid((40, 30, 8), np.diag([4.0, 4.0, 5.0, 1.0]))
LABEL = "research use only, not for diagnosis"


def mask(x0: int, x1: int, y0: int, y1: int) -> np.ndarray:
    found = np.zeros(GRID.shape[:2], dtype=bool)
    found[x0:x1, y0:y1] = True
    return found


BREASTS = mask(4, 14, 4, 12) | mask(26, 36, 4, 12)
OUTLINES = Outlines(body=mask(2, 38, 3, 26), breasts=BREASTS, field=mask(1, 39, 1, 20))


def shown(*, seed: int = 0, grid: Grid = GRID, **about: object) -> ShownSlice:
    array = np.random.default_rng(seed).random(grid.shape[:2], dtype=np.float32)
    return replace(ShownSlice(array, grid, 3, (0.0, 1.0)), **about)  # type: ignore[arg-type]


def steps(modality: Modality = Modality.DCE, channels: int = 6) -> PreparationSteps:
    dynamic = modality is Modality.DCE
    return PreparationSteps(
        modality=modality,
        acquired=(shown(phase=0 if dynamic else None, outlines=OUTLINES),),
        resampled=(shown(outlines=replace(OUTLINES, field=np.zeros_like(OUTLINES.field))),),
        channels=tuple(
            shown(seed=k, phase=k + 1 if dynamic else None, time_s=60.0 * (k + 1))
            for k in range(channels)
        ),
        unit=210.0,
        percentile=90.0,
        clip=(-1.0, 4.0),
        b_value=800.0 if modality is Modality.DWI else None,
    )


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def count(path: Path, colour: tuple[int, int, int]) -> int:
    return int((pixels(path) == colour).all(axis=-1).sum())


def sheet(one: PreparationSteps, folder: Path, *, synthetic: bool = False) -> Path:
    (path,) = write_debug_pictures([one], folder, LABEL, synthetic=synthetic)
    return path


def test_one_sheet_a_modality_that_the_model_was_given(tmp_path: Path) -> None:
    given = [steps(Modality.DCE), steps(Modality.DWI, 1), steps(Modality.T2, 1)]
    paths = write_debug_pictures(given, tmp_path / "new", LABEL, synthetic=False)
    assert [p.name for p in paths] == ["debug-dce.png", "debug-dwi.png", "debug-t2.png"]
    assert write_debug_pictures(given[1:2], tmp_path / "b", LABEL, synthetic=False) == (
        tmp_path / "b" / "debug-dwi.png",
    )
    assert write_debug_pictures([], tmp_path / "none", LABEL, synthetic=False) == ()


def test_every_sheet_has_the_label_and_synthetic_ones_their_mark(tmp_path: Path) -> None:
    for number, one in enumerate((steps(), steps(Modality.T2, 1))):
        marked = count(sheet(one, tmp_path / f"a{number}", synthetic=True), ALERT)
        assert marked > count(sheet(one, tmp_path / f"b{number}"), ALERT) > 0


def test_body_breasts_and_field_are_drawn_in_colours_of_their_own(tmp_path: Path) -> None:
    path = sheet(steps(), tmp_path / "with")
    bare = replace(
        steps(), acquired=(shown(phase=0),), resampled=(shown(phase=0),)
    )  # the same slices without outlines
    without = sheet(bare, tmp_path / "without")
    for colour in (BODY_COLOUR, BREASTS_COLOUR, ACCENT):
        assert count(path, colour) > 100
        assert count(without, colour) == 0


def test_both_breasts_are_outlined(tmp_path: Path) -> None:
    path = sheet(steps(), tmp_path)
    columns = np.flatnonzero((pixels(path) == BREASTS_COLOUR).all(axis=-1).any(axis=0))
    assert np.diff(columns).max() > 50  # the gap between them
    assert len(columns) > 100


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_patients_left_is_on_the_viewers_right(flip: float, tmp_path: Path) -> None:
    grid = Grid(GRID.shape, np.diag([4.0 * flip, 4.0, 5.0, 1.0]))
    array = np.zeros(GRID.shape[:2], dtype=np.float32)
    array[28 : 36 if flip > 0 else None, 8:20] = 1.0
    if flip < 0:
        array = np.ascontiguousarray(array[::-1])
    one = replace(steps(Modality.T2, 1), channels=(shown(grid=grid, array=array),))
    path = sheet(one, tmp_path)
    bright = np.argwhere((pixels(path)[-300:, :430] > 250).all(axis=-1))
    assert len(bright) > 1000
    assert np.median(bright[:, 1]) > 250


def test_more_channels_make_a_longer_sheet_and_none_is_left_out(tmp_path: Path) -> None:
    heights = [Image.open(sheet(steps(channels=n), tmp_path / str(n))).height for n in (3, 4, 6, 7)]
    assert heights[0] < heights[1] == heights[2] < heights[3]


def test_an_empty_channel_is_shown_and_does_not_change_how_the_others_look(
    tmp_path: Path,
) -> None:
    full = steps(channels=2)
    empty = shown(array=np.zeros(GRID.shape[:2], dtype=np.float32), values=(0.0, 0.0))
    more = sheet(replace(full, channels=(*full.channels, empty)), tmp_path / "more")
    first = pixels(sheet(full, tmp_path / "full"))
    assert (first[:, :860] == pixels(more)[:, :860]).all()
    none = sheet(replace(full, channels=(empty,)), tmp_path / "none")
    assert Image.open(none).height > 300


def test_an_unknown_time_and_a_long_count_still_fit_below_their_slice(tmp_path: Path) -> None:
    grid = Grid((40, 30, 512), GRID.affine)
    wide = shown(grid=grid, phase=12, time_s=None, number=499, values=(-0.99, 3.99), cut_off=0.004)
    one = replace(steps(), channels=(wide,) * 3)
    path = sheet(one, tmp_path)
    foot = 2 * MARGIN + 2 * round(1.35 * BODY)  # the legend and the label
    captions = pixels(path)[-foot - CAPTION_HEIGHT : -foot, MARGIN : MARGIN + PANEL]
    assert (captions[:, :100] > 200).any()
    assert (captions[:, -4:] == captions[0, 0]).all()


def test_sheets_carry_no_text_beside_the_pixels_and_are_the_same_each_time(
    tmp_path: Path,
) -> None:
    path = sheet(steps(), tmp_path / "1")
    assert Image.open(path).info == {}
    assert path.read_bytes() == sheet(steps(), tmp_path / "2").read_bytes()
