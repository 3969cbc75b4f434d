"""Drawing shared by the pictures: type, frame with label and synthetic mark, lines with a halo."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Place = tuple[float, float]

BACKGROUND: Final[Colour] = (18, 22, 28)
INK: Final[Colour] = (240, 243, 246)
MUTED: Final[Colour] = (165, 174, 184)
ACCENT: Final[Colour] = (150, 200, 255)
ALERT: Final[Colour] = (255, 214, 90)
_HALO: Final[Colour] = (0, 0, 0)

TITLE: Final = 24
BODY: Final = 20
SMALL: Final = 17
MARGIN: Final = 12
"""Type sizes and margin in pixels: on a picture scaled to 512 pixels they can still be read."""

DASH: Final = 9.0


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The type that Pillow brings: no font of the machine is needed."""
    return ImageFont.load_default(size=size)


def framed(
    picture: Image.Image, title: str, notes: list[str], label: str, *, synthetic: bool
) -> Image.Image:
    """A picture between its title with the synthetic mark, above, and notes and label, below."""
    width = picture.width
    label_lines = wrapped(label, width)
    top = TITLE + 2 * MARGIN
    bottom = 2 * MARGIN + _line(BODY) * len(notes) + _line(BODY) * len(label_lines)
    whole = Image.new("RGB", (width, top + picture.height + bottom), BACKGROUND)
    whole.paste(picture, (0, top))
    draw = ImageDraw.Draw(whole)
    draw.text((MARGIN, top / 2), title, fill=INK, font=font(TITLE), anchor="lm")
    if synthetic:
        draw.text((width - MARGIN, top / 2), "SYNTHETIC", fill=ALERT, font=font(TITLE), anchor="rm")
    y = top + picture.height + MARGIN
    for text, colour in (*((n, INK) for n in notes), *((t, ALERT) for t in label_lines)):
        draw.text((MARGIN, y), text, fill=colour, font=font(BODY))
        y += _line(BODY)
    return whole


def _line(size: int) -> int:
    return round(size * 1.35)


def wrapped(text: str, width: int, size: int = BODY) -> list[str]:
    """The text in lines that fit between the margins of a picture ``width`` pixels wide."""
    room = width - 2 * MARGIN
    lines: list[str] = []
    for word in text.split():
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
        stroke_fill=_HALO,
    )


def haloed_line(draw: ImageDraw.ImageDraw, points: list[Place], colour: Colour) -> None:
    """A line with a dark rim, to be seen on any grey."""
    draw.line(points, fill=_HALO, width=6, joint="curve")
    draw.line(points, fill=colour, width=3, joint="curve")


def dashed_polygon(draw: ImageDraw.ImageDraw, points: list[Place], colour: Colour) -> None:
    """A closed polygon in dashes."""
    for (x0, y0), (x1, y1) in pairwise(points):
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        at = 0.0
        while at < length:
            ends = (at / length, min(at + DASH, length) / length)
            draw.line(
                [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in ends], fill=colour, width=2
            )
            at += 2 * DASH
