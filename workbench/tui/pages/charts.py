"""The pages of the curves: one picture or several, the values at the crosshair, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.runs.braille import Frame, draw
from workbench.runs.metric_names import describe
from workbench.tui.charting import AXIS_LABELS, GRID, WEIGHTS
from workbench.tui.form import value_text
from workbench.tui.rows import Row, clip, fit, heading

if TYPE_CHECKING:
    from workbench.runs.compare import Figures
    from workbench.tui.charting import Chart
    from workbench.tui.widgets.canvas import Page

_TILE = (38, 9)  # the smallest picture of a grid


def chart_page(chart: Chart, frames: list[Frame]) -> Page:
    """The curves.

    Args:
        chart: What is drawn.
        frames: Is filled with where the picture lies; empty where there are several or none.
    """

    def page(width: int, height: int) -> list[Row]:
        frames.clear()
        view = chart.view
        if view.grid:
            return _grid(chart, width, height)
        below = _readout(chart, width)
        picture, words = _picture(chart, view.metric, width, height - 1 - len(below), frames)
        return [_title(chart, words, width), *picture, *below]

    return page


def _title(chart: Chart, beyond: str, width: int) -> Row:
    view = chart.view
    metric = describe(view.metric)
    unit = f", {metric.unit}" if metric and metric.unit else ""
    row: Row = [(view.metric, "title"), (unit, "dim"), (f" over {AXIS_LABELS[view.by]}", "dim")]
    notes = []
    if WEIGHTS[view.smoothing]:
        notes.append(f"smoothed {WEIGHTS[view.smoothing]:g}")
    notes += [word for word, on in (("log x", view.x_log), ("log y", view.y_log)) if on]
    if view.window is not None:
        low, high = chart.span()
        notes.append(f"{(view.window[1] - view.window[0]) / (high - low):.3g} of all")
    if beyond:
        row.append((f"   {beyond}", "warn"))
    return fit([*row, (f"   {', '.join(notes)}", "dim")], width)


def _picture(
    chart: Chart, metric: str, width: int, height: int, frames: list[Frame] | None, title: str = ""
) -> tuple[list[Row], str]:
    view = chart.view
    lines = chart.lines(metric)
    y_range, beyond = chart.y_range(lines)
    made = draw(
        lines,
        width,
        height,
        x_log=view.x_log,
        y_log=view.y_log,
        ascii=view.ascii,
        title=title,
        x_label=AXIS_LABELS[view.by],
        x_range=view.window,
        y_range=y_range,
        marks=chart.marks() if frames is not None else (),
        cursor=view.cursor if frames is not None else None,
        empty=f"no {metric} yet",
    )
    if frames is not None and made.frame is not None:
        frames.append(made.frame)
    words = f"{beyond:,} value{'s' if beyond != 1 else ''} beyond the picture" if beyond else ""
    return made.rows, words


def _grid(chart: Chart, width: int, height: int) -> list[Row]:
    """As many metrics as there is room for, each in its own picture."""
    names = chart.metrics
    wanted = [name for name in GRID if name in names] + [n for n in names if n not in GRID]
    across = max(min(width // _TILE[0], 3), 1)
    down = max(min(height // _TILE[1], -(-len(wanted) // across)), 1)
    shown = wanted[: across * down]
    rows: list[Row] = []
    each_width, each_height = width // across, height // down
    for start in range(0, len(shown), across):
        tiles = [
            _picture(chart, name, each_width - 1, each_height, None, title=name)[0]
            for name in shown[start : start + across]
        ]
        for parts in zip(*tiles, strict=True):
            row: Row = []
            for part in parts:
                row += [*fit(part, each_width - 1), (" ", "")]
            rows.append(row)
    return rows or [[("no metric yet", "dim")]]


def _readout(chart: Chart, width: int) -> list[Row]:
    """What the runs have at the crosshair; several runs have a row each."""
    cursor = chart.view.cursor
    several = len(chart.names) > 1
    if cursor is None:
        return []
    rows: list[Row] = []
    for value in chart.values_at(cursor):
        row: Row = [("━━ ", value.style)] if several else []
        row += [(f"{clip(value.run, 28)}  ", "value" if several else "dim")]
        row += [(f"{AXIS_LABELS[chart.view.by]} ", "dim"), (units.count(value.x), "value")]
        row += [("   value ", "dim"), (units.number(value.y), "value")]
        row += [("   smoothed ", "dim"), (units.number(value.smoothed), "smooth")]
        rows.append(fit(row, width))
    return rows


def table_page(figures: list[Figures], sort: tuple[str, bool], styles: dict[str, str]) -> Page:
    """The runs as a table, sorted by any column; then what differs between their configs.

    Args:
        figures: The runs.
        sort: Name of a column, and whether the largest comes first.
        styles: The style name of each run's curve.
    """

    def page(width: int, height: int) -> list[Row]:
        del height
        from workbench.runs.compare import table

        header = table_columns(figures)
        rows_of = table(figures)
        column, falling = sort
        found = sorted(
            rows_of, key=lambda row: _sort_key(_cell(row, column), falling=falling), reverse=falling
        )
        name_width = min(max((len(row["name"]) for row in found), default=4), 30)
        rows: list[Row] = [_header(header, sort, name_width, width)]
        for row in found:
            cells: Row = [("━ ", styles.get(row["name"], ""))]
            cells.append((f"{clip(row['name'], name_width):<{name_width}}", "value"))
            for name in header[1:]:
                text = _text(name, _cell(row, name))
                cells.append((f"  {clip(text, _width(name)):>{_width(name)}}", ""))
            rows.append(fit(cells, width))
        return [*rows, [], *_differences(figures, width), [], *_changes(figures, width)]

    return page


def table_columns(figures: list[Figures]) -> list[str]:
    """The columns of the table, in order."""
    from workbench.runs.compare import table

    rows = table(figures)
    metrics = dict.fromkeys(name for row in rows for name in row["best"])
    config = dict.fromkeys(name for row in rows for name in row["config"])
    return ["name", "state", "steps", "seconds", *metrics, *config]


def _header(names: list[str], sort: tuple[str, bool], name_width: int, width: int) -> Row:
    cells: Row = [("  ", "")]
    for name in names:
        arrow = (" ↓" if sort[1] else " ↑") if name == sort[0] else ""
        short = name.rpartition(".")[2]
        size = name_width if name == "name" else _width(name)
        text = clip(short, size - len(arrow)) + arrow
        text = f"{text:<{size}}" if name == "name" else f"  {text:>{size}}"
        cells.append((text, ("key" if arrow else "heading") + f"@sort('{name}')"))
    return fit(cells, width)


def _width(name: str) -> int:
    return {"state": 9, "steps": 8, "seconds": 11}.get(
        name, max(9, min(len(name.rpartition(".")[2]), 14) + 2)
    )


def _cell(row: dict[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    return row["best"].get(name, row["config"].get(name))


def _text(name: str, value: Any) -> str:
    if name == "seconds" and isinstance(value, float):
        return units.duration(value)
    if name == "steps" and isinstance(value, int):
        return f"{value:,}"
    return units.number(value) if isinstance(value, float) else value_text(value)


def _sort_key(value: Any, *, falling: bool) -> tuple[int, float, str]:
    """Numbers by size, then words; what is missing comes last either way."""
    if value is None:
        return (0 if falling else 2, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (1, 0.0, str(value))


def _differences(figures: list[Figures], width: int) -> list[Row]:
    from workbench.runs.compare import config_diff

    rows: list[Row] = [heading("What differs between the configs", width)]
    different = config_diff(figures)
    if not different:
        return [*rows, [("nothing", "dim")]]
    for key, values in different.items():
        row: Row = [(f"{key}  ", "")]
        for each, value in zip(figures, values, strict=True):
            row += [(f"{value_text(value)}", "value"), (f" {clip(each.name, 16)}   ", "dim")]
        rows.append(fit(row, width))
    return rows


def _changes(figures: list[Figures], width: int) -> list[Row]:
    """Which single change made it better."""
    from workbench.runs.compare import main_metric, single_changes

    rows: list[Row] = [heading("One thing changed", width)]
    metric = main_metric(figures)
    changes = single_changes(figures, metric) if metric is not None else []
    if not changes:
        return [*rows, [("no two of these runs differ in one key alone", "dim")]]
    for change in changes:
        certain = {True: "beyond the noise of the seeds", False: "within the noise of the seeds",
                   None: "one seed each"}[change.certain]  # fmt: skip
        words = f"{value_text(change.worse)} → {value_text(change.better)}"
        rows.append(fit([
            (f"{change.key}  ", "value"), (words, ""),
            (f"   {metric} {units.number(change.before)} → {units.number(change.after)}", "good"),
            (f"   {certain}", "dim"),
        ], width))  # fmt: skip
    return rows
