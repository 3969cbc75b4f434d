"""The comparison as bars: MB/s of each receiver, for each way to send, with the rounds' spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from mome_node.bench.ingest.figures import IngestFigures, Row
from mome_node.bench.ingest.race import Cell

WIDTH: Final = 1000
_PAPER, _INK, _MUTED = (255, 255, 255), (25, 30, 36), (110, 118, 128)
_COLOURS: Final = {"node": (0, 110, 190), "orthanc": (225, 140, 40), "storescp": (150, 158, 166)}
_BAR, _GROUP_GAP, _HEAD, _FOOT, _MARGIN = 22, 18, 92, 34, 16
_NAMES_WIDTH, _VALUE_WIDTH = 250, 150
_TITLE, _BODY, _SMALL = 22, 16, 13


def ingest_chart(figures: IngestFigures) -> Image.Image:
    """Draw the comparison, one group of bars for each way to send."""
    groups: dict[Cell, list[Row]] = {}
    for row in figures.rows:
        groups.setdefault(row.cell, []).append(row)
    height = _HEAD + sum(_group_height(rows) for rows in groups.values()) + _FOOT
    picture = Image.new("RGB", (WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    _draw_head(draw, figures)
    most = max(row.mb_per_s_spread[1] for row in figures.rows)
    scale = (WIDTH - _NAMES_WIDTH - _VALUE_WIDTH - _MARGIN) / most
    top = _HEAD
    for cell, rows in groups.items():
        middle = top + len(rows) * _BAR / 2
        draw.text((_MARGIN, middle), _told(cell), _INK, _font(_BODY), anchor="lm")
        for number, row in enumerate(rows):
            _draw_bar(draw, row, top + number * _BAR, scale)
        top += _group_height(rows)
    foot = f"bars: medians of {figures.rounds} rounds; lines: slowest and fastest round"
    draw.text((_MARGIN, height - _FOOT / 2), foot, _MUTED, _font(_SMALL), anchor="lm")
    return picture


def _draw_head(draw: ImageDraw.ImageDraw, figures: IngestFigures) -> None:
    load = figures.load
    title = f"Receiving {load.instances:,} instances of {load.dataset_bytes // 1000} kB, MB/s"
    draw.text((_MARGIN, _MARGIN), title, _INK, _font(_TITLE))
    left = float(_MARGIN)
    for key, name in figures.receivers.items():
        label = f"{name}, fsync, no index" if key == "storescp" else name
        draw.rectangle([left, 58, left + 14, 72], fill=_COLOURS[key])
        draw.text((left + 20, 65), label, _INK, _font(_BODY), anchor="lm")
        left += 50 + _font(_BODY).getlength(label)


def _draw_bar(draw: ImageDraw.ImageDraw, row: Row, top: float, scale: float) -> None:
    end = _NAMES_WIDTH + row.mb_per_s * scale
    draw.rectangle([_NAMES_WIDTH, top + 2, end, top + _BAR - 2], fill=_COLOURS[row.receiver])
    low, high = (_NAMES_WIDTH + rate * scale for rate in row.mb_per_s_spread)
    middle = top + _BAR / 2
    draw.line([(low, middle), (high, middle)], fill=_INK, width=2)
    value = f"{row.mb_per_s:.0f}"
    if row.node_against is not None:
        value += f"  (node: {row.node_against.ratio:.2g} times)"
    draw.text((max(end, high) + 8, middle), value, _INK, _font(_SMALL), anchor="lm")


def _told(cell: Cell) -> str:
    count = f"{cell.associations} association{'s' if cell.associations > 1 else ''}"
    return f"{cell.sender}, {count}{', TLS' if cell.tls else ''}"


def _group_height(rows: Sequence[Row]) -> int:
    return len(rows) * _BAR + _GROUP_GAP


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
