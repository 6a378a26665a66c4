"""Curves as text: braille dots, two across and four down in every character cell.

`plot` returns rows of ``(text, style name)`` segments and knows neither rich nor Textual, so that
the command line and the workbench draw the same picture. The caller maps style names to looks: the
names it gave to its series, and ``title``, ``axis``, ``label`` and ``bad`` (marks on the axis below
samples that are nan or infinite, which a line cannot show).

Several series share a cell only by turns: the later one is drawn over the earlier one. A dot that
is hidden this way lies at most one cell from a line in front of it; what reaches further is seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import units
from workbench.runs.curves import Columns, reduce_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Dots = npt.NDArray[np.bool_]

Segment = tuple[str, str]
Row = list[Segment]

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bit of each dot, Unicode 28xx
_ASCII_INKS = ("", "*", "o", "+", "x", "#")  # the first series is drawn with . ' and :
_TINY, _HUGE = 1e-290, 4e307  # the arithmetic of an axis neither vanishes nor overflows in between
_SMALLEST = (12, 4)  # in a smaller space the axes go and only the curve stays
_LEGEND_FROM = 7  # rows; below, the curve needs the row more than the legend does


class Line(NamedTuple):
    """One series of a plot.

    Attributes:
        x: Where the samples are; must not decrease.
        y: Their values.
        style: The style name of its segments.
        label: Its name in the legend; no entry when empty.
        marker: Draw each sample as this character and no line between them.
    """

    x: Any
    y: Any
    style: str
    label: str = ""
    marker: str = ""


class _Axis(NamedTuple):
    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where the value lies between the ends, 0 to 1."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def at(self, share: float) -> float:
        """The value that lies there between the ends."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return math.exp(low + share * (high - low))
        return self.low + share * (self.high - self.low)


class Frame(NamedTuple):
    """Where in the rows the picture lies, so that a pointer can be told from it.

    Attributes:
        top: First row of the picture.
        left: First cell of it.
        rows: Its height.
        cells: Its width.
        x: The x axis.
        y: The y axis.
    """

    top: int
    left: int
    rows: int
    cells: int
    x: _Axis
    y: _Axis

    def x_at(self, cell: float) -> float:
        """The value of x in the middle of a cell, counted from the border of all rows."""
        return self.x.at((cell - self.left + 0.5) / self.cells)

    def y_at(self, row: float) -> float:
        """The value of y in the middle of a row."""
        return self.y.at(1 - (row - self.top + 0.5) / self.rows)


class Picture(NamedTuple):
    """A plot.

    Attributes:
        rows: Its rows.
        frame: Where the picture lies in them; None where there is nothing to draw.
    """

    rows: list[Row]
    frame: Frame | None


class Mark(NamedTuple):
    """Something that happened at a place of the x axis.

    Attributes:
        x: Where.
        sign: One character.
        style: The style name.
    """

    x: float
    sign: str
    style: str


def plot(
    series: Sequence[Line | tuple[Any, ...]], width: int, height: int, **options: Any
) -> list[Row]:
    """The rows of `draw`, with its options."""
    return draw(series, width, height, **options).rows


def draw(
    series: Sequence[Line | tuple[Any, ...]],
    width: int,
    height: int,
    *,
    x_log: bool = False,
    y_log: bool = False,
    ascii: bool = False,  # noqa: A002  (the name of the command-line option)
    title: str = "",
    x_label: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[Mark] = (),
    cursor: float | None = None,
    empty: str = "no data yet",
) -> Picture:
    """Draw the series into exactly ``height`` rows of exactly ``width`` cells.

    Args:
        series: Back to front; each a `Line` or a tuple with its first fields.
        width: Columns of the terminal.
        height: Rows of the terminal, the axes included.
        x_log: Logarithmic x axis; samples at zero and below are left out.
        y_log: Logarithmic y axis; zero and negative values become gaps.
        ascii: Draw with ASCII characters only.
        title: Words at the left of the first row, before the legend.
        x_label: Unit of the x axis, at an end of the last row where the labels leave room.
        x_range: Visible x; all of the data when None.
        y_range: Visible y; what the visible samples span when None.
        marks: What happened, as signs on the x axis.
        cursor: An x at which a line stands from top to bottom, behind the curves.
        empty: What to say where there is nothing to draw.
    """
    lines = [Line(*item) for item in series]
    if width < 1 or height < 1:
        return Picture([[] for _ in range(max(height, 0))], None)
    rows: list[Row] = []
    framed = width >= _SMALLEST[0] and height >= _SMALLEST[1]
    if framed and height >= _LEGEND_FROM and (title or any(line.label for line in lines)):
        rows.append(_legend(lines, title, width, ascii=ascii))
    body = height - len(rows) - (2 if framed else 0)

    lines = [_logarithmic(line) for line in lines] if x_log else lines
    drawn = _x_axis(lines, _log_ends(x_range) if x_log else x_range)
    # The range of y decides the labels, their width decides the columns; a rough pass comes first.
    rough = _reduce(lines, 2 * width, drawn, positive=y_log) if drawn else []
    y_axis = _y_axis(rough, y_range, log=y_log)
    if drawn is None or y_axis is None:
        rows.extend(_nothing(width, height - len(rows), empty))
        return Picture(rows, None)

    ticks = _y_ticks(y_axis, body) if framed else []
    gutter = max((len(label) for _, label in ticks), default=-1) + 1
    if width - gutter - 1 < 4:
        ticks, gutter, framed, body = [], 0, False, height - len(rows)
    cells = width - gutter - (1 if framed else 0)
    across, down = (1, 2) if ascii else (2, 4)
    reduced = _reduce(lines, cells * across, drawn, positive=y_log)
    shapes = [
        _markers(line, drawn, y_axis, cells, body)
        if line.marker
        else _dots(columns, y_axis, body * down)
        for line, columns in zip(lines, reduced, strict=True)
    ]
    picture = _compose(lines, shapes, body, cells, ascii=ascii)
    x_axis = _Axis(math.exp(drawn.low), math.exp(drawn.high), log=True) if x_log else drawn
    frame = Frame(len(rows), width - cells, body, cells, x_axis, y_axis)
    if cursor is not None and x_axis.low <= cursor <= x_axis.high:
        cell = min(int(x_axis.share(cursor) * cells), cells - 1)
        picture = [_with_cursor(row, cell, "|" if ascii else "│") for row in picture]
    if not framed:
        return Picture(rows + picture, frame)

    glyphs = ("|", "+", "+", "-", "+", "x") if ascii else ("│", "┤", "└", "─", "┬", "×")
    at = {_row_of(y_axis, value, body): label for value, label in ticks}
    for index, row in enumerate(picture):
        name = at.get(index, "")
        lead: Row = [(f"{name:>{gutter}}", "label")] if gutter else []
        rows.append([*lead, (glyphs[1] if name else glyphs[0], "axis"), *row])
    broken = _broken(reduced, cells, across)
    signs = {
        min(int(x_axis.share(mark.x) * cells), cells - 1): (
            _plain(mark.sign, ascii=ascii),
            mark.style,
        )
        for mark in marks
        if x_axis.low <= mark.x <= x_axis.high
    }
    signs |= dict.fromkeys(broken, (glyphs[-1], "bad"))
    rows.extend(_x_rows(x_axis, x_label, gutter, cells, signs, glyphs))
    return Picture(rows, frame)


def _logarithmic(line: Line) -> Line:
    """The line over the logarithm of its places."""
    import numpy as np

    x = np.asarray(line.x, dtype=np.float64)
    keep = int(np.searchsorted(x, 0, "right"))
    return line._replace(x=np.log(x[keep:]), y=np.asarray(line.y, dtype=np.float64)[keep:])


def _log_ends(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    if ends is None or ends[1] <= 0:
        return None
    return math.log(max(ends[0], ends[1] * 1e-9)), math.log(ends[1])


def _with_cursor(row: Row, cell: int, sign: str) -> Row:
    """The row with a sign in a cell where there is nothing else."""
    result: Row = []
    place = 0
    for text, style in row:
        inside = cell - place
        if 0 <= inside < len(text) and text[inside] in " \u2800":
            result += [(text[:inside], style), (sign, "label"), (text[inside + 1 :], style)]
        else:
            result.append((text, style))
        place += len(text)
    return [segment for segment in result if segment[0]]


def _x_axis(lines: list[Line], given: tuple[float, float] | None) -> _Axis | None:
    ends = given
    if ends is None:
        spans = [(float(line.x[0]), float(line.x[-1])) for line in lines if len(line.x)]
        if not spans:
            return None
        ends = min(low for low, _ in spans), max(high for _, high in spans)
    low, high = ends
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return _Axis(low, high) if high > low else _Axis(low - 0.5, low + 0.5)


def _reduce(lines: list[Line], columns: int, axis: _Axis, *, positive: bool) -> list[Columns]:
    return [
        reduce_columns(line.x, line.y, columns, axis.low, axis.high, positive=positive)
        for line in lines
    ]


def _y_axis(
    reduced: list[Columns], given: tuple[float, float] | None, *, log: bool
) -> _Axis | None:
    import numpy as np

    if given is None:
        spans = [
            (float(np.min(column.low[seen])), float(np.max(column.high[seen])))
            for column in reduced
            if (seen := ~np.isnan(column.low)).any()
        ]
        if not spans:
            return None
        given = min(low for low, _ in spans), max(high for _, high in spans)
    low, high = (min(max(end, -_HUGE), _HUGE) for end in given)
    if log:
        low, high = max(low, _TINY), max(high, _TINY)
        flat = high < low * 1.0001
        return _Axis(low / 2, high * 2, log=True) if flat else _Axis(low, high, log=True)
    if high - low > max(1e-9 * max(abs(low), abs(high)), _TINY):
        return _Axis(low, high)
    # A flat line is drawn in the middle.
    room = max(abs(low), abs(high)) * 0.05
    return _Axis(low - max(room, _TINY), high + max(room, _TINY)) if room else _Axis(-1, 1)


def _dots(columns: Columns, axis: _Axis, rows: int) -> Dots:
    """Which dots a line through the columns touches; row 0 is at the top."""
    import numpy as np

    low = np.fmin(columns.low, np.fmin(columns.enter, columns.leave))
    high = np.fmax(columns.high, np.fmax(columns.enter, columns.leave))
    if axis.log:
        with np.errstate(divide="ignore"):
            low, high = np.log(low), np.log(high)
    bottom, top = (math.log(axis.low), math.log(axis.high)) if axis.log else axis[:2]
    scale = (rows - 1) / (top - bottom)
    drawn = ~np.isnan(low) & (high >= bottom) & (low <= top)
    low, high = np.where(drawn, low, bottom), np.where(drawn, high, bottom)
    first = np.rint((top - np.clip(high, bottom, top)) * scale).astype(int)
    last = np.rint((top - np.clip(low, bottom, top)) * scale).astype(int)
    row = np.arange(rows)[:, None]
    return np.asarray((row >= first) & (row <= last) & drawn)


def _markers(line: Line, x_axis: _Axis, y_axis: _Axis, cells: int, rows: int) -> Dots:
    """Which cells hold a marker."""
    import numpy as np

    xs, ys = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
    inside = (xs >= x_axis.low) & (xs <= x_axis.high) & (ys >= y_axis.low) & (ys <= y_axis.high)
    shape = np.zeros((rows, cells), dtype=bool)
    for x, y in zip(xs[inside], ys[inside], strict=True):
        column = min(int(x_axis.share(x) * cells), cells - 1)
        shape[_row_of(y_axis, y, rows), column] = True
    return shape


def _row_of(axis: _Axis, value: float, rows: int) -> int:
    """The row that the value falls into; row 0 is at the top."""
    # By dots and not by cells, so that a tick stands beside the dots of its value.
    dots = rows * 4 - 1
    return round((1 - axis.share(value)) * dots) // 4


def _compose(
    lines: list[Line],
    shapes: list[Dots],
    rows: int,
    cells: int,
    *,
    ascii: bool,  # noqa: A002
) -> list[Row]:
    """Stack the shapes, later ones in front, and cut the rows where the style changes."""
    import numpy as np

    codes = np.full((rows, cells), ord(" "), dtype=np.uint32)
    owner = np.full((rows, cells), -1)
    for index, (line, shape) in enumerate(zip(lines, shapes, strict=True)):
        if line.marker:
            touched, ink = shape, np.full_like(codes, ord(_plain(line.marker, ascii=ascii)))
        elif ascii:
            touched, ink = _ascii_cells(shape, _ASCII_INKS[index % len(_ASCII_INKS)])
        else:
            bits = np.array(_BRAILLE, dtype=np.uint32)
            blocks = shape.reshape(rows, 4, cells, 2)
            ink = np.einsum("rdcw,dw->rc", blocks, bits, dtype=np.uint32) + np.uint32(0x2800)
            touched = ink > 0x2800
        codes[touched] = ink[touched]
        owner[touched] = index
    result: list[Row] = []
    for row in range(rows):
        text = codes[row].tobytes().decode("utf-32-le")
        cuts = [0, *(np.flatnonzero(np.diff(owner[row])) + 1).tolist(), cells]
        styles = [lines[owner[row, a]].style if owner[row, a] >= 0 else "" for a in cuts[:-1]]
        result.append(
            [(text[a:b], style) for a, b, style in zip(cuts, cuts[1:], styles, strict=False)]
        )
    return result


def _ascii_cells(shape: Dots, ink: str) -> tuple[Dots, npt.NDArray[np.uint32]]:
    """Two dots per cell, one above the other, as one of ``'`` ``.`` ``:`` or as a fixed ink."""
    import numpy as np

    kind = shape[0::2] + 2 * shape[1::2].astype(int)
    table = f" {ink * 3}" if ink else " '.:"
    return kind > 0, np.array([ord(c) for c in table], dtype=np.uint32)[kind]


def _plain(marker: str, *, ascii: bool) -> str:  # noqa: A002
    return "o" if ascii and not marker.isascii() else marker[0]


def _legend(lines: list[Line], title: str, width: int, *, ascii: bool) -> Row:  # noqa: A002
    row: Row = [(title, "title")] if title else []
    for index, line in enumerate(lines):
        if not line.label:
            continue
        ink = (_ASCII_INKS[index % len(_ASCII_INKS)] or ".") * 2 if ascii else "━━"
        mark = _plain(line.marker, ascii=ascii) if line.marker else ink
        entry = [("   " if row else "", ""), (mark, line.style), (f" {line.label}", "label")]
        if sum(len(text) for text, _ in [*row, *entry]) <= width:
            row += entry
    return list(_fit(row, width))


def _fit(row: Row, width: int) -> Iterator[Segment]:
    """The row cut or filled with spaces to the width; every character is one cell wide."""
    for text, style in row:
        if text and width > 0:
            yield text[:width], style
            width -= len(text)
    if width > 0:
        yield " " * width, ""


def _nothing(width: int, height: int, words: str) -> list[Row]:
    line = words[:width].center(width)
    return [[(line if row == height // 2 else " " * width, "label")] for row in range(height)]


def _broken(reduced: list[Columns], cells: int, across: int) -> list[int]:
    """Cells of the x axis that stand below a sample which is not finite."""
    import numpy as np

    if not reduced:
        return []
    any_broken = np.logical_or.reduce([columns.broken for columns in reduced])
    return [int(cell) for cell in np.flatnonzero(any_broken.reshape(cells, across).any(axis=1))]


def _step(span: float, wanted: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that makes at most ``wanted`` intervals."""
    rough = span / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    step = _step(high - low, wanted)
    if not math.isfinite(step) or step <= 0 or low + step == low:
        return []
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _y_ticks(axis: _Axis, rows: int) -> list[tuple[float, str]]:
    wanted = max(rows // 2, 1)
    if axis.log:
        values = _log_ticks(axis, wanted)
        return [(value, _label(value, value)) for value in values]
    values = _ticks(axis.low, axis.high, wanted)
    step = _step(axis.high - axis.low, wanted)
    kept: dict[int, tuple[float, str]] = {}
    for value in values:
        inside = min(max(value, axis.low), axis.high)
        kept[_row_of(axis, inside, rows)] = (inside, _label(value, step))
    return list(kept.values())


def _log_ticks(axis: _Axis, wanted: int) -> list[float]:
    """1, 2 and 5 times the powers of ten, thinned out to powers where there are many."""
    first, last = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
    for digits in ((1, 2, 5), (1,)):
        every = max(1, math.ceil((last - first) / max(wanted, 1))) if digits == (1,) else 1
        powers = [10.0**power for power in range(first, last + 1, every) if abs(power) < 300]
        values = [d * p for p in powers for d in digits if axis.low <= d * p <= axis.high]
        if len(values) <= wanted + 1:
            break
    return values or [axis.low, axis.high]


def _label(value: float, step: float) -> str:
    """A tick's number, with the digits that tell it from its neighbours."""
    size = max(abs(value), abs(step))
    if value == 0:
        return "0"
    if size >= 10_000:
        return units.count(value)
    decimals = max(0, -math.floor(math.log10(abs(step)) + 1e-9))
    return f"{value:.{decimals}f}" if decimals <= 4 else f"{value:.1e}"


def _x_rows(
    axis: _Axis,
    unit: str,
    gutter: int,
    cells: int,
    signs: dict[int, tuple[str, str]],
    glyphs: tuple[str, ...],
) -> list[Row]:
    """The axis below the curve and the labels below the axis."""
    _, _, corner, rule, tick, _ = glyphs
    base, names = [rule] * cells, [" "] * (gutter + 1 + cells)
    taken = 0
    for value, name in _x_ticks(axis, max(cells // 12, 1)):
        cell = min(int(axis.share(min(max(value, axis.low), axis.high)) * cells), cells - 1)
        base[cell] = tick
        start = min(max(gutter + 1 + cell - len(name) // 2, 0), len(names) - len(name))
        if start >= taken:
            names[start : start + len(name)] = name
            taken = start + len(name) + 1
    room = len(unit) + 2
    if "".join(names[-room:]).isspace():
        names[-len(unit) :] = unit
    elif "".join(names[:room]).isspace():
        names[: len(unit)] = unit
    row: Row = [(" " * gutter, ""), (corner, "axis")]
    for cell, character in enumerate(base):
        text, style = signs.get(cell, (character, "axis"))
        if row[-1][1] == style:
            row[-1] = row[-1][0] + text, style
        else:
            row.append((text, style))
    return [[segment for segment in row if segment[0]], [("".join(names), "label")]]


def _x_ticks(axis: _Axis, wanted: int) -> list[tuple[float, str]]:
    if axis.log:
        return [(value, _label(value, value)) for value in _log_ticks(axis, wanted)]
    step = _step(axis.high - axis.low, wanted)
    return [(value, _label(value, step)) for value in _ticks(axis.low, axis.high, wanted)]
