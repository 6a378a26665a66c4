"""Turn what a terminal shows into a PNG: text with SGR codes, as `tmux capture-pane -e` prints it.

Letters come from DejaVu Sans Mono, which matplotlib brings along; braille dots, rules and blocks
are drawn as geometry, so that curves and frames are sharp and join at any size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

Colour = tuple[int, int, int]

_SGR = re.compile(r"\x1b\[([\d;:]*)m")
_SCALE = 2  # pixels per point: screens with a high density are the rule
_FONT, _CELL = 15 * _SCALE, (9 * _SCALE, 19 * _SCALE)
_PAD, _RADIUS = 14 * _SCALE, 10 * _SCALE


@dataclass(frozen=True)
class Look:
    """How one cell is drawn."""

    front: Colour | None = None
    back: Colour | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False


def _xterm(index: int) -> Colour:
    if index >= 232:
        return (8 + 10 * (index - 232),) * 3  # type: ignore[return-value]
    if index >= 16:
        levels = (0, 95, 135, 175, 215, 255)
        index -= 16
        return levels[index // 36], levels[index // 6 % 6], levels[index % 6]
    basic = "000000 cd3131 0dbc79 e5e510 2472c8 bc3fbc 11a8cd e5e5e5 666666 f14c4c 23d18b f5f543"
    basic += " 3b8eea d670d6 29b8db ffffff"
    return tuple(bytes.fromhex(basic.split()[index]))  # type: ignore[return-value]


def _apply(look: Look, codes: list[int]) -> Look:
    rest = iter(codes)
    for code in rest:
        if code == 0:
            look = Look()
        elif code in (1, 2, 7):
            look = replace(look, **{{1: "bold", 2: "dim", 7: "reverse"}[code]: True})
        elif code == 22:
            look = replace(look, bold=False, dim=False)
        elif code == 27:
            look = replace(look, reverse=False)
        elif code in (38, 48):
            kind = next(rest)
            colour = _xterm(next(rest)) if kind == 5 else (next(rest), next(rest), next(rest))
            look = replace(look, front=colour) if code == 38 else replace(look, back=colour)
        elif code in (39, 49):
            look = replace(look, front=None) if code == 39 else replace(look, back=None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            look = replace(look, front=_xterm(code - 30 if code < 90 else code - 82))
        elif 40 <= code <= 47 or 100 <= code <= 107:
            look = replace(look, back=_xterm(code - 40 if code < 100 else code - 92))
    return look


def cells(captured: str) -> Iterator[tuple[int, int, str, Look]]:
    """Row, column, character and look of everything on the screen."""
    look = Look()
    for row, line in enumerate(captured.splitlines()):
        column = 0
        for index, part in enumerate(_SGR.split(line)):
            if index % 2:
                look = _apply(look, [int(code or 0) for code in re.split("[;:]", part)])
                continue
            for character in part:
                yield row, column, character, look
                column += cell_len(character)


def draw(captured: str, columns: int, rows: int, *, back: Colour = (14, 18, 25)) -> Image.Image:
    """The screen as a picture, in a frame of its own colour with round corners."""
    front = (213, 220, 230) if sum(back) < 384 else (36, 41, 47)
    width, height = _CELL
    size = columns * width + 2 * _PAD, rows * height + 2 * _PAD
    image = Image.new("RGB", size, back)
    pen = ImageDraw.Draw(image)
    for row, column, character, look in cells(captured):
        x, y = _PAD + column * width, _PAD + row * height
        ink, paper = look.front or front, look.back or back
        if look.reverse:
            ink, paper = paper, ink
        if look.dim:
            ink = tuple((2 * a + b) // 3 for a, b in zip(ink, paper, strict=True))
        if paper != back:
            pen.rectangle((x, y, x + width * cell_len(character) - 1, y + height - 1), fill=paper)
        if character != " ":
            _ink(pen, character, x, y, ink, bold=look.bold)
    return _rounded(image)


def _rounded(image: Image.Image) -> Image.Image:
    """With transparent corners, and few enough colours for a small file."""
    corners = Image.new("L", image.size, 255)
    end = (image.width - 1, image.height - 1)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, *end), _RADIUS, fill=0)
    small = image.quantize(255, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.paste(255, mask=corners)
    small.info["transparency"] = 255
    return small


# Which of left, right, up, down a box-drawing character joins, and whether the line is heavy.
_JOINS = {
    "─": "lr", "│": "ud", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu", "├": "udr", "┤": "udl",
    "┬": "lrd", "┴": "lru", "┼": "lrud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu",
    "━": "LR", "╸": "L", "╺": "R",
}  # fmt: skip
_EIGHTHS = "▁▂▃▄▅▆▇█"


def _ink(
    pen: ImageDraw.ImageDraw, character: str, x: int, y: int, ink: Colour, *, bold: bool
) -> None:
    width, height = _CELL
    code = ord(character)
    if 0x2800 < code <= 0x28FF:
        _braille(pen, code - 0x2800, x, y, ink)
    elif character in _JOINS:
        middle, centre = x + width / 2, y + height / 2
        for way in _JOINS[character]:
            half = _SCALE * (1.3 if way.isupper() else 0.6)
            left = x if way in "lL" else middle - half
            right = x + width if way in "rR" else middle + half
            top = y if way == "u" else centre - half
            bottom = y + height if way == "d" else centre + half
            pen.rectangle((left, top, right - 1, bottom - 1), fill=ink)
    elif character in _EIGHTHS:
        top = y + height * (7 - _EIGHTHS.index(character)) / 8
        pen.rectangle((x, top, x + width - 1, y + height - 1), fill=ink)
    else:
        pen.text((x, y + height * 0.76), character, font=_font(bold=bold), fill=ink, anchor="ls")


def _braille(pen: ImageDraw.ImageDraw, bits: int, x: int, y: int, ink: Colour) -> None:
    width, height = _CELL
    radius = 1.45 * _SCALE
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    for bit, (column, row) in enumerate(places):
        if bits >> bit & 1:
            cx, cy = x + width * (column + 0.5) / 2, y + height * (row + 0.5) / 4
            pen.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=ink)


@cache
def _font(*, bold: bool) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl

    name = "DejaVuSansMono-Bold.ttf" if bold else "DejaVuSansMono.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, _FONT)
