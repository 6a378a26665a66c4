"""How things look in a cell: as plain text in a terminal, as HTML that needs nothing else.

Colours are those of the page: text and lines are ``currentColor``, so that light and dark pages
suit alike, and no meaning hangs on a colour alone.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import units

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 560, 200  # of a curve, in CSS pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 24
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_COLUMNS = 280  # of a curve: two pixels each; a spike in one of them is drawn


@dataclass
class Shown:
    """Something to be shown, in both forms."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": self.text, "text/html": self.html}


@dataclass
class Table:
    """Rows under headings.

    Attributes:
        headings: One per column.
        rows: The cells, as values; floats are shown in few digits.
        title: What stands above.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    notes: Sequence[str] = field(default=())

    def to_dataframe(self) -> Any:
        """The table for pandas.

        Raises:
            ImportError: pandas is not installed; it is no requirement of ours.
        """
        import pandas as pd  # type: ignore[import-untyped, unused-ignore]

        return pd.DataFrame([list(row) for row in self.rows], columns=list(self.headings))

    @property
    def _on_right(self) -> list[bool]:
        """Whether a column holds numbers."""
        places = range(len(self.headings))
        return [all(_is_number(row[place]) for row in self.rows) for place in places]

    def __repr__(self) -> str:
        cells = [[str(name) for name in self.headings]]
        cells += [[spelled(value) for value in row] for row in self.rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.headings))]
        lines = [
            "  ".join(
                f"{cell:>{width}}" if on_right else f"{cell:<{width}}"
                for cell, width, on_right in zip(row, widths, self._on_right, strict=True)
            ).rstrip()
            for row in cells
        ]
        lines.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join([*([self.title] if self.title else []), *lines, *self.notes])

    def html(self) -> str:
        """The table as HTML."""
        head = "".join(
            f'<th scope="col" style="{_CELL}text-align:{"right" if on_right else "left"}">'
            f"{_e(name)}</th>"
            for name, on_right in zip(self.headings, self._on_right, strict=True)
        )
        body = ""
        for row in self.rows:
            body += "<tr>" + "".join(
                f'<td style="{_CELL}text-align:{"right" if _is_number(value) else "left"}">'
                f"{_e(spelled(value))}</td>"
                for value in row
            )
            body += "</tr>"
        caption = f"<caption>{_e(self.title)}</caption>" if self.title else ""
        notes = "".join(f"<div>{_e(note)}</div>" for note in self.notes)
        return (
            f'<table style="border-collapse:collapse">{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{notes}"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self.html()}


_CELL = "padding:.15em .7em;border-bottom:1px solid currentColor;"


def _e(text: object) -> str:
    return html.escape(str(text))


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or value is None


def spelled(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return units.number(value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its name, and where it goes."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def text_chart(curves: Sequence[Curve], *, title: str, width: int = 72, height: int = 10) -> str:
    """A curve as braille; several as ASCII, whose inks differ without colours."""
    from workbench.runs.braille import Line, plot

    styles = ("raw", "smoothed", "validation", "other")
    lines = [
        Line(each.x, each.y, styles[place % len(styles)], each.name)
        for place, each in enumerate(curves)
    ]
    several = len(lines) > 1
    rows = plot(lines, width, height, title=title, x_label="step", ascii=several)
    return "\n".join("".join(segment for segment, _ in row).rstrip() for row in rows)


def svg_chart(curves: Sequence[Curve], *, title: str) -> str:
    """Curves as an SVG picture with axes, a legend and a description."""
    drawn = [each for each in curves if any(math.isfinite(value) for value in each.y)]
    if not drawn:
        return f"<div>{_e(title)}: no data yet</div>"
    low_x = min(float(each.x[0]) for each in drawn)
    high_x = max(float(each.x[-1]) for each in drawn)
    ys = [value for each in drawn for value in each.y if math.isfinite(value)]
    low_y, high_y = min(ys), max(ys)
    if high_y == low_y:
        high_y = low_y + 1.0

    def at(x: float, y: float) -> str:
        across = (x - low_x) / ((high_x - low_x) or 1.0)
        up = (y - low_y) / (high_y - low_y)
        left = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        return f"{left:.1f},{_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    parts, words = [], []
    for place, each in enumerate(drawn):
        dash = _DASHES[place % len(_DASHES)]
        for points in _pieces(each, low_x, high_x):
            line = " ".join(at(x, y) for x, y in points)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"'
                + (f' stroke-dasharray="{dash}"' if dash else "")
                + "/>"
            )
        finite = [value for value in each.y if math.isfinite(value)]
        words.append(f"{each.name} from {units.number(finite[0])} to {units.number(finite[-1])}")
        if len(drawn) > 1:
            y = _TOP + 14 * place + 4
            parts.append(
                f'<line x1="{_WIDTH - 170}" x2="{_WIDTH - 146}" y1="{y}" y2="{y}" '
                'stroke="currentColor" stroke-width="1.5"'
                + (f' stroke-dasharray="{dash}"' if dash else "")
                + f'/><text x="{_WIDTH - 140}" y="{y + 4}" {_FONT}>{_e(each.name)}</text>'
            )
    label = _e(f"{title}: {'; '.join(words)}")
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" style="max-width:100%;height:auto">{_axes(low_x, high_x, low_y, high_y)}'
        f"{''.join(parts)}</svg>"
    )


_FONT = 'fill="currentColor" font-size="11" font-family="sans-serif"'


def _axes(low_x: float, high_x: float, low_y: float, high_y: float) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    frame = f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="currentColor"/>'

    def number(x: float, y: float, anchor: str, text: str) -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {_FONT}>{_e(text)}</text>'

    return frame + "".join(
        (
            number(_LEFT - 5, _TOP + 4, "end", f"{high_y:.4g}"),
            number(_LEFT - 5, bottom, "end", f"{low_y:.4g}"),
            number(_LEFT, bottom + 15, "start", f"{low_x:.0f}"),
            number(right, bottom + 15, "end", f"step {high_x:.0f}"),
        )
    )


def _pieces(curve: Curve, low: float, high: float) -> list[list[tuple[float, float]]]:
    """The curve's points, with gaps where it is not finite; of many, what a column spans."""
    points: list[tuple[float, float]]
    if len(curve.x) > 2 * _COLUMNS:
        from workbench.runs.curves import reduce_columns

        columns = reduce_columns(curve.x, curve.y, _COLUMNS, low, high)
        step = (high - low) / _COLUMNS
        points = [
            (low + (place + 0.5) * step, float(value))
            for place, pair in enumerate(zip(columns.low, columns.high, strict=True))
            for value in pair
        ]
    else:
        points = [(float(x), float(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    pieces: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
