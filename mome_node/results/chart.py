"""The contributions of the modalities as bars, in percentage points against the reference."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageDraw

from mome_node.results.canvas import (
    BACKGROUND,
    BODY,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    TITLE,
    Colour,
    font,
    framed,
)
from mome_node.results.findings import Findings, TaskScore
from mome_node.results.wording import (
    calibration,
    ensemble,
    modality_name,
    percent,
    points,
    task_name,
)
from mome_node.volumes.volume import Modality

WIDTH: Final = 768
RAISES: Final[Colour] = (255, 160, 70)
LOWERS: Final[Colour] = (90, 170, 255)

_BAR = 34
_ROW = 54
_HEAD = 78
_FOOT = 40
_NAME_WIDTH = 90
_VALUE_WIDTH = 76
_LEAST_SCALE = 0.1  # a chart of tiny contributions is not blown up to look like large ones


def contributions_picture(findings: Findings, label: str) -> Image.Image:
    """Bars of every task that was run; modalities that were missing are named as such."""
    height = _HEAD + _ROW * len(Modality) + _FOOT
    picture = Image.new("RGB", (WIDTH, height * len(findings.tasks)), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for position, score in enumerate(findings.tasks):
        _draw_task(draw, score, position * height)
    title = "What moved the score"
    return framed(picture, title, [], label, synthetic=findings.synthetic)


def _draw_task(draw: ImageDraw.ImageDraw, score: TaskScore, top: int) -> None:
    prediction = score.prediction
    head = f"{task_name(score.task)}: {percent(prediction.probability)}, {calibration(score)}"
    draw.text((MARGIN, top + 8), head, fill=INK, font=font(TITLE))
    notes = "; ".join(n for n in ("Contributions in percentage points", ensemble(score)) if n)
    draw.text((MARGIN, top + 42), notes, fill=MUTED, font=font(SMALL))
    given = dict(prediction.contributions)
    largest = max([_LEAST_SCALE, *(abs(v) for v in given.values())])
    left, right = _NAME_WIDTH + _VALUE_WIDTH, WIDTH - MARGIN - _VALUE_WIDTH
    zero = (left + right) / 2
    bottom = top + _HEAD + _ROW * len(Modality)
    for row, modality in enumerate(Modality):
        middle = top + _HEAD + _ROW * row + _ROW / 2
        draw.text((MARGIN, middle), modality_name(modality), fill=INK, font=font(BODY), anchor="lm")
        if modality in given:
            reach = (right - left) / 2 * given[modality] / largest
            _draw_bar(draw, given[modality], zero, reach, middle)
        else:
            draw.text((zero + 10, middle), "missing", fill=MUTED, font=font(BODY), anchor="lm")
    draw.line([(zero, top + _HEAD), (zero, bottom)], fill=INK, width=2)
    reference = f"reference {percent(prediction.prior)}"
    draw.text((zero, bottom + 8), reference, fill=MUTED, font=font(SMALL), anchor="ma")


def _draw_bar(
    draw: ImageDraw.ImageDraw, value: float, zero: float, reach: float, middle: float
) -> None:
    ends = sorted((zero, zero + reach))
    colour = RAISES if value > 0 else LOWERS
    draw.rectangle([ends[0], middle - _BAR / 2, ends[1], middle + _BAR / 2], fill=colour)
    beyond, anchor = (8, "lm") if value >= 0 else (-8, "rm")
    draw.text(
        (zero + reach + beyond, middle), points(value), fill=INK, font=font(BODY), anchor=anchor
    )
