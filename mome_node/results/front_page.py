"""The summary's front page: scores with their calibration, contributions, what was used.

What must be said is set in a smaller type until it fits; what is worth saying is added while there
is room, and a last line tells where the rest stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from mome_node.dicom import codes
from mome_node.dicom.codes import PrivateCode
from mome_node.fitness.checks import CHECKS, Outcome
from mome_node.results.canvas import (
    ALERT,
    BACKGROUND,
    INK,
    MARGIN,
    MUTED,
    Colour,
    TypeSizes,
    font,
    foot_height,
    framed,
    head_height,
    label_lines,
    line_height,
    wrapped,
)
from mome_node.results.captions import no_region_notes
from mome_node.results.chart import UNIT, BarSizes, bars_height, draw_bars
from mome_node.results.findings import Findings, TaskScore
from mome_node.results.phrases import (
    LARGE_SHARE_OUTSIDE,
    percent,
    region_text,
    task_name,
)
from mome_node.results.wording import (
    NO_SIDE,
    calibration,
    contributions,
    ensemble,
    share_outside,
    statements,
)

TITLE: Final = "Scores of the exam"
REST: Final = "More stands in the report."

_SMALLER: Final = (0, 1, 2)  # steps in pixels by which the type shrinks
_LARGE_SCORE: Final = 2.0  # of the primary score, as a multiple of the title's size
_GAP: Final = 7  # pixels between blocks
_MOST_LINES: Final = 4  # of one optional sentence


@dataclass(frozen=True, slots=True)
class _Block:
    """Something of a fixed height that draws itself below a given line."""

    height: int
    draw: Callable[[ImageDraw.ImageDraw, int], None]


def front_page(findings: Findings, label: str, side: int, sizes: TypeSizes) -> Image.Image:
    """The page, ``side`` pixels high and wide; ``label`` has its marks."""
    labels = len(label_lines(label, side, sizes))
    room = side - head_height(sizes) - foot_height(labels, sizes)
    picture = Image.new("RGB", (side, room), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    top = 0
    for block in _fitting(findings, side, room, sizes):
        block.draw(draw, top)
        top += block.height
    return framed(picture, TITLE, [], label, synthetic=findings.synthetic, sizes=sizes)


def _fitting(findings: Findings, width: int, room: int, sizes: TypeSizes) -> Iterator[_Block]:
    """What must be said, in the largest type that fits, and as much more as there is room for."""
    for step in _SMALLER:
        smaller = TypeSizes(sizes.title - step, sizes.body - step, sizes.small - step)
        rest = _text(REST, width, smaller.small, MUTED)
        needed = list(_needed(findings, width, smaller))
        if sum(block.height for block in (*needed, rest)) <= room:
            break
    worth_saying = (_text(t, width, smaller.small, c) for t, c in _worth_saying(findings))
    longest = _MOST_LINES * line_height(smaller.small) + _GAP
    left = room - rest.height
    for block in (*needed, *(block for block in worth_saying if block.height <= longest)):
        if block.height <= left:
            left -= block.height
            yield block
    yield rest


def _needed(findings: Findings, width: int, sizes: TypeSizes) -> Iterator[_Block]:
    """The most important first: what does not fit in the smallest type is left to the report."""
    primary, *others = findings.tasks
    yield _score(primary, width, sizes)
    bars = BarSizes(bar=sizes.body, row=sizes.body + 7, name=56, value=48)
    yield _text(f"{UNIT}:", width, sizes.small, MUTED)
    yield _Block(
        bars_height(bars, sizes) + _GAP,
        lambda draw, top: draw_bars(draw, primary, top, width, bars, sizes),
    )
    for score in others:
        value = f"{percent(score.prediction.probability)}, {calibration(score)}"
        yield _text(f"{task_name(score.task)}: {value}.", width, sizes.body, INK)
    for text in _said(findings, codes.MODALITIES):
        yield _text(text, width, sizes.body, INK)
    if findings.warnings:
        count = len(findings.warnings)
        warnings = "1 warning stands" if count == 1 else f"{count} warnings stand"
        yield _text(f"{warnings} in the report.", width, sizes.body, ALERT)
    if findings.share_outside_breast >= LARGE_SHARE_OUTSIDE:
        yield _text(share_outside(findings), width, sizes.body, ALERT)
    for text in _regions(findings):
        yield _text(text, width, sizes.body, INK)


def _regions(findings: Findings) -> tuple[str, ...]:
    regions = tuple(f"{region_text(region)}." for region in findings.regions)
    return regions or no_region_notes(findings)


def _worth_saying(findings: Findings) -> Iterator[tuple[str, Colour]]:
    """The checks that warn, by their fixed names; thresholds; what was not run or looked at."""
    ran = {score.task for score in findings.tasks}
    warned = {f.code for f in findings.fitness if f.task in ran and f.outcome is Outcome.WARN}
    yield from ((f"{c.meaning}.", ALERT) for c in CHECKS if c.code in warned)
    model = findings.tasks[0].model
    for score in findings.tasks[1:]:
        yield f"{task_name(score.task)}: {contributions(score)}.", MUTED
    for concept in (codes.OPERATING_POINT, codes.NOT_RUN):
        yield from ((text, INK) for text in _said(findings, concept))
    yield f"{task_name(findings.tasks[0].task)} by {model.name} {model.version}.", MUTED
    yield from ((text, MUTED) for text in _said(findings, codes.NOT_ASSESSED))


def _said(findings: Findings, concept: PrivateCode) -> Iterable[str]:
    return (s.text for s in statements(findings) if s.concept is concept)


def _score(score: TaskScore, width: int, sizes: TypeSizes) -> _Block:
    """The name, the number in large type, and what is to be known of it."""
    large = round(sizes.title * _LARGE_SCORE)
    known = (calibration(score), ensemble(score))
    beside = f"{', '.join(k for k in known if k)}. {NO_SIDE}"
    beside = beside[0].upper() + beside[1:]
    lines = wrapped(beside, width, sizes.body)
    name_height, number_height = line_height(sizes.title), line_height(large)

    def draw_score(draw: ImageDraw.ImageDraw, top: int) -> None:
        draw.text((MARGIN, top), task_name(score.task), fill=INK, font=font(sizes.title))
        number = percent(score.prediction.probability)
        draw.text((MARGIN, top + name_height), number, fill=INK, font=font(large))
        _draw_lines(draw, lines, top + name_height + number_height, sizes.body, INK)

    body = line_height(sizes.body) * len(lines)
    return _Block(name_height + number_height + body + _GAP, draw_score)


def _text(text: str, width: int, size: int, colour: Colour) -> _Block:
    lines = wrapped(text, width, size)
    return _Block(
        line_height(size) * len(lines) + _GAP,
        lambda draw, top: _draw_lines(draw, lines, top, size, colour),
    )


def _draw_lines(
    draw: ImageDraw.ImageDraw, lines: Sequence[str], top: int, size: int, colour: Colour
) -> None:
    for line in lines:
        draw.text((MARGIN, top), line, fill=colour, font=font(size))
        top += line_height(size)
