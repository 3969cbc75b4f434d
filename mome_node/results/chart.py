"""The contributions of the modalities as bars, in percentage points against the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from mome_node.results.canvas import (
    BACKGROUND,
    INK,
    LARGE,
    MARGIN,
    MUTED,
    Colour,
    TypeSizes,
    font,
    framed,
    line_height,
)
from mome_node.results.findings import Findings, TaskScore
from mome_node.results.phrases import (
    modality_name,
    percent,
    points,
    task_name,
)
from mome_node.results.wording import calibration, ensemble
from mome_node.volumes.volume import Modality

WIDTH: Final = 768
RAISES: Final[Colour] = (255, 160, 70)
LOWERS: Final[Colour] = (90, 170, 255)
UNIT: Final = "Contributions in percentage points"

_HEAD = 78
_FOOT = 40
_HOLLOW = 3  # width of the outline of a bar that lowers the score
_LEAST_SCALE = 0.1  # a chart of tiny contributions is not blown up to look like large ones


@dataclass(frozen=True, slots=True)
class BarSizes:
    """Measures of the bars in pixels: a bar, from bar to bar, and the columns beside them."""

    bar: int = 34
    row: int = 54
    name: int = 90
    value: int = 76


LARGE_BARS: Final = BarSizes()


def contributions_picture(findings: Findings, label: str) -> Image.Image:
    """Bars of every task that was run; modalities that were missing are named as such."""
    bars = bars_height(LARGE_BARS, LARGE)
    height = _HEAD + bars + _FOOT - line_height(LARGE.small)
    picture = Image.new("RGB", (WIDTH, height * len(findings.tasks)), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for position, score in enumerate(findings.tasks):
        top = position * height
        head = f"{task_name(score.task)}: {percent(score.prediction.probability)}, "
        head += calibration(score)
        draw.text((MARGIN, top + 8), head, fill=INK, font=font(LARGE.title))
        notes = "; ".join(n for n in (UNIT, ensemble(score)) if n)
        draw.text((MARGIN, top + 42), notes, fill=MUTED, font=font(LARGE.small))
        draw_bars(draw, score, top + _HEAD, WIDTH, LARGE_BARS, LARGE)
    title = "What moved the score"
    return framed(picture, title, [], label, synthetic=findings.synthetic)


def bars_height(bars: BarSizes, sizes: TypeSizes) -> int:
    """Height in pixels of one task's bars with the line that names the reference."""
    return bars.row * len(Modality) + line_height(sizes.small)


def draw_bars(
    draw: ImageDraw.ImageDraw,
    score: TaskScore,
    top: float,
    width: int,
    bars: BarSizes,
    sizes: TypeSizes,
) -> None:
    """One task's bars between the margins of a picture: filled ones raise, hollow ones lower.

    A missing modality is named as such.
    """
    given = dict(score.prediction.contributions)
    largest = max([_LEAST_SCALE, *(abs(v) for v in given.values())])
    left, right = bars.name + bars.value, width - MARGIN - bars.value
    zero = (left + right) / 2
    bottom = top + bars.row * len(Modality)
    for row, modality in enumerate(Modality):
        middle = top + bars.row * row + bars.row / 2
        name = modality_name(modality)
        draw.text((MARGIN, middle), name, fill=INK, font=font(sizes.body), anchor="lm")
        if modality in given:
            reach = (right - left) / 2 * given[modality] / largest
            _draw_bar(draw, given[modality], zero, reach, middle, bars, sizes)
        else:
            place = (zero + 10, middle)
            draw.text(place, "missing", fill=MUTED, font=font(sizes.body), anchor="lm")
    draw.line([(zero, top), (zero, bottom)], fill=INK, width=2)
    reference = f"reference {percent(score.prediction.prior)}"
    draw.text((zero, bottom + 4), reference, fill=MUTED, font=font(sizes.small), anchor="ma")


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    value: float,
    zero: float,
    reach: float,
    middle: float,
    bars: BarSizes,
    sizes: TypeSizes,
) -> None:
    x0, x1 = sorted((zero, zero + reach))
    box = [x0, middle - bars.bar / 2, x1, middle + bars.bar / 2]
    if value > 0:
        draw.rectangle(box, fill=RAISES)
    else:
        draw.rectangle(box, outline=LOWERS, width=_HOLLOW)
    beyond, anchor = (8, "lm") if value >= 0 else (-8, "rm")
    place = (zero + reach + beyond, middle)
    draw.text(place, points(value), fill=INK, font=font(sizes.body), anchor=anchor)
