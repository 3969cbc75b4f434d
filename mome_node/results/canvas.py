"""Drawing shared by the pictures: type, frame with label and synthetic mark, lines with a halo."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Place = tuple[float, float]

BACKGROUND: Final[Colour] = (18, 22, 28)
INK: Final[Colour] = (240, 243, 246)
MUTED: Final[Colour] = (165, 174, 184)
ACCENT: Final[Colour] = (150, 200, 255)
ALERT: Final[Colour] = (255, 214, 90)
HALO: Final[Colour] = (0, 0, 0)

TITLE: Final = 24
BODY: Final = 20
SMALL: Final = 17
MARGIN: Final = 12
"""Type sizes and margin in pixels: on a picture scaled to 512 pixels they can still be read."""

SYNTHETIC_MARK: Final = "SYNTHETIC"
MOST_LABEL_LINES: Final = 3

_SPACE_TO_BREAK: Final = re.compile(r"(?!(?<=\d)\s(?:%|(?:mm|s)\b))\s+")

Pattern = tuple[float, ...]
"""Pixels drawn and left out, in turn, along a line; empty: a solid line."""

SOLID: Final[Pattern] = ()
DASHED: Final[Pattern] = (9.0, 9.0)


@dataclass(frozen=True, slots=True)
class TypeSizes:
    """Type sizes of one kind of picture, and the width of outlines, in pixels."""

    title: int = TITLE
    body: int = BODY
    small: int = SMALL
    line: int = 3


LARGE: Final = TypeSizes()
"""For pictures of 768 pixels and more."""


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The type that Pillow brings: no font of the machine is needed."""
    return ImageFont.load_default(size=size)


def framed(
    picture: Image.Image,
    title: str,
    notes: Sequence[str],
    label: str,
    *,
    synthetic: bool,
    sizes: TypeSizes = LARGE,
) -> Image.Image:
    """A picture between its title with the synthetic mark, above, and notes and label, below."""
    width = picture.width
    labels = label_lines(label, width, sizes)
    top = head_height(sizes)
    whole_height = top + picture.height + foot_height(len(notes) + len(labels), sizes)
    whole = Image.new("RGB", (width, whole_height), BACKGROUND)
    whole.paste(picture, (0, top))
    draw = ImageDraw.Draw(whole)
    mark_width = 0.0
    if synthetic:
        place = (width - MARGIN, top / 2)
        draw.text(place, SYNTHETIC_MARK, fill=ALERT, font=font(sizes.title), anchor="rm")
        mark_width = font(sizes.title).getlength(SYNTHETIC_MARK) + MARGIN
    size = fitting_size(title, width - 2 * MARGIN - mark_width, sizes.title)
    draw.text((MARGIN, top / 2), title, fill=INK, font=font(size), anchor="lm")
    y = top + picture.height + MARGIN
    for text, colour in (*((n, INK) for n in notes), *((t, ALERT) for t in labels)):
        draw.text((MARGIN, y), text, fill=colour, font=font(sizes.body))
        y += line_height(sizes.body)
    return whole


def label_lines(label: str, width: int, sizes: TypeSizes) -> list[str]:
    """The label in the lines that stand on every picture."""
    return cut(wrapped(label, width, sizes.body), MOST_LABEL_LINES)


def cut(lines: Sequence[str], most: int) -> list[str]:
    """At most so many lines; the last one says that something was left out."""
    return [*lines] if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} …"]


def head_height(sizes: TypeSizes) -> int:
    """Height in pixels of the strip with the title."""
    return sizes.title + 2 * MARGIN


def foot_height(lines: int, sizes: TypeSizes) -> int:
    """Height in pixels of the strip with notes and label, as many lines together."""
    return 2 * MARGIN + line_height(sizes.body) * lines


def line_height(size: int) -> int:
    """From one line of type to the next, in pixels."""
    return round(size * 1.35)


def fitting_size(text: str, width: float, size: int) -> int:
    """The type size, at most ``size``, at which the text is not wider than ``width`` pixels."""
    while size > 1 and font(size).getlength(text) > width:
        size -= 1
    return size


def wrapped(text: str, width: int, size: int = BODY) -> list[str]:
    """The text in lines that fit between the margins of a picture ``width`` pixels wide.

    A number and its unit stay on one line.
    """
    room = width - 2 * MARGIN
    lines: list[str] = []
    for word in _SPACE_TO_BREAK.split(text.strip()):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def haloed_text(
    draw: ImageDraw.ImageDraw,
    place: Place,
    text: str,
    size: int,
    colour: Colour,
    anchor: str = "la",
) -> None:
    """Text with a dark rim, to be read on any grey."""
    draw.text(
        place,
        text,
        fill=colour,
        font=font(size),
        anchor=anchor,
        stroke_width=2,
        stroke_fill=HALO,
    )


def haloed_line(
    draw: ImageDraw.ImageDraw,
    points: list[Place],
    colour: Colour,
    pattern: Pattern = SOLID,
    width: int = 3,
) -> None:
    """A line on a dark band that is wider than it, to be seen on any grey."""
    draw.line(points, fill=HALO, width=width + 3, joint="curve")
    for piece in pieces(points, pattern):
        draw.line(piece, fill=colour, width=width, joint="curve")


def dashed_polygon(draw: ImageDraw.ImageDraw, points: list[Place], colour: Colour) -> None:
    """A closed polygon in dashes."""
    for piece in pieces(points, DASHED):
        draw.line(piece, fill=colour, width=2)


def pieces(points: Sequence[Place], pattern: Pattern) -> Iterator[list[Place]]:
    """The parts of a line that a pattern draws; it runs on around the line's corners."""
    if not pattern:
        yield list(points)
        return
    places = np.array(points, dtype=np.float64)  # (n, 2)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    start = 0.0
    while start < along[-1]:
        for step, length in enumerate(pattern):
            end = min(start + length, along[-1])
            if step % 2 == 0 and end > start:
                corners = places[(along > start) & (along < end)]
                ends = [[np.interp(t, along, places[:, i]) for i in (0, 1)] for t in (start, end)]
                yield [(float(x), float(y)) for x, y in (ends[0], *corners, ends[1])]
            start = end
