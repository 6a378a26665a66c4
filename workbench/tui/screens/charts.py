"""Curves: one run from near, or several over each other with their configs and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from workbench.tui import keymap, look
from workbench.tui.charting import WEIGHTS, Chart
from workbench.tui.faults import as_error
from workbench.tui.pages.charts import chart_page, table_columns, table_page
from workbench.tui.rows import Row, clip, columns
from workbench.tui.screens import asking
from workbench.tui.screens.place import Place
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from workbench.errors import WorkbenchError
    from workbench.runs.braille import Frame
    from workbench.runs.compare import Figures

_LOOKS_PER_SECOND = 4
_BYTES_AT_ONCE = 8 * 2**20


class Charts(Place[None]):
    """The curves of runs.

    Args:
        runs_dir: Where the runs are.
        names: Their names.
        plain: Draw with ASCII characters only.
    """

    TABLE = keymap.CHART_KEYS
    OWN_KEYS = "curves"
    BINDINGS: ClassVar[list[BindingType]] = [*keymap.bindings(TABLE)]
    AUTO_FOCUS = "#chart"

    def __init__(self, runs_dir: Path, names: list[str], *, plain: bool) -> None:
        super().__init__()
        self.chart = Chart(runs_dir, names, plain=plain)
        self._frames: list[Frame] = []
        self._figures: list[Figures] | None = None
        self._sort = ("name", False)
        self._table = False
        self._looking = False
        self._dragged: int | None = None
        self._said = ""

    def compose(self) -> ComposeResult:
        """Header, picture, footer."""
        yield Canvas(self._header_page, id="header")
        yield Canvas(lambda _width, _height: [[("reading …", "dim")]], id="chart")
        yield Canvas(self._footer_page, id="footer")

    def on_mount(self) -> None:
        """Read everything, then look again four times a second."""
        self._look()
        self.set_interval(1 / _LOOKS_PER_SECOND, self._look)

    @property
    def place(self) -> str:
        """One run is watched, several are compared."""
        return "compare" if len(self.chart.names) > 1 else "watch"

    @property
    def canvas(self) -> Canvas:
        """The picture."""
        return self.query_one("#chart", Canvas)

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on."""
        facts = {"table" if self._table else "curves"}
        if len(self.chart.names) > 1:
            facts.add("several")
        if self.chart.view.window is not None or self.chart.view.cursor is not None:
            facts.add("elsewhere")
        return frozenset(facts)

    def _header_page(self, width: int, _height: int) -> list[Row]:
        names = self.chart.names
        place = "Compare" if len(names) > 1 else "Curves"
        left: Row = [(place, "brand"), ("   ", "")]
        for name in names if len(names) > 1 else []:
            left += [("━ ", self.chart.style(name)), (f"{clip(name, 22)}  ", "")]
        if len(names) == 1:
            left.append((names[0], "title"))
        metrics = self.chart.metrics
        right: Row = [(f"{len(metrics)} metrics" if metrics else "", "dim")]
        return [self.places_row(width), columns(left, right, width)]

    def _footer_page(self, width: int, _height: int) -> list[Row]:
        return [self.footer_row(width)]

    def redraw(self) -> None:
        """Draw what there is to be seen now."""
        if self._table and self._figures is not None:
            styles = {name: self.chart.style(name) for name in self.chart.names}
            self.canvas.show(table_page(self._figures, self._sort, styles))
        else:
            self.canvas.show(chart_page(self.chart, self._frames))
        self.query_one("#header", Canvas).redraw()
        self.query_one("#footer", Canvas).redraw()

    # ---------------------------------------------------------------- looking

    def _look(self) -> None:
        if self._looking or not self.is_attached:
            return
        self._looking = True

        def work() -> None:
            try:
                changed = self.chart.poll(max_bytes=_BYTES_AT_ONCE)
                if changed:
                    self._prepare()
            except Exception as error:  # noqa: BLE001  (said once, and the face lives on)
                self.app.call_from_thread(self._trouble, as_error(error))
                return
            self.app.call_from_thread(self._looked, changed)

        self.run_worker(work, thread=True, exit_on_error=False)

    def _prepare(self) -> None:
        """Smooth in the thread, so that drawing does not have to."""
        view = self.chart.view
        if view.metric not in self.chart.metrics and self.chart.metrics:
            self.chart.change(metric=self.chart.metrics[0])
        for name in self.chart.names:
            self.chart.curve(name, self.chart.view.metric)
        if self._table:
            self._figures = self._read_figures()

    def _looked(self, changed: bool) -> None:  # noqa: FBT001
        self._looking = False
        if changed:
            self.redraw()

    def _trouble(self, error: WorkbenchError) -> None:
        self._looking = False
        said, self._said = self._said, error.render()
        if self._said != said:
            self.app.push_screen(asking.trouble(error))

    def _read_figures(self) -> list[Figures]:
        from workbench.runs.compare import figures
        from workbench.runs.directory import open_run

        return [figures(open_run(self.chart.runs_dir, name)) for name in self.chart.names]

    def _change(self, act: Callable[[], None]) -> None:
        """Look in another way; smoothing a long run anew takes its time in a thread."""
        before = self.chart.view
        act()
        after = self.chart.view
        if (before.smoothing, before.metric, before.by) == (
            after.smoothing,
            after.metric,
            after.by,
        ):
            self.redraw()
            return

        def work() -> None:
            self._prepare()
            self.app.call_from_thread(self.redraw)

        self.run_worker(work, thread=True, exit_on_error=False, exclusive=True, group="smooth")

    # ---------------------------------------------------------------- keys

    def action_metric(self, by: int) -> None:
        """The next metric, or the one before."""
        self._change(lambda: self.chart.next_metric(by))

    def action_pick(self) -> None:
        """Pick a metric from a list."""
        from workbench.runs.metric_names import describe
        from workbench.tui.screens.picker import Item, Picker

        items = []
        for name in self.chart.metrics:
            metric = describe(name)
            items.append(Item(name, name, metric.meaning if metric else ""))

        def pick(name: str | None) -> None:
            if name is not None:
                self._change(lambda: self.chart.change(metric=name))

        self.app.push_screen(
            Picker("Metric", items, chosen=self.chart.view.metric, wide=True), pick
        )

    def action_axis(self) -> None:
        """Steps, tokens, seconds, FLOPs."""
        self._change(self.chart.next_axis)

    def action_scale(self, axis: str) -> None:
        """Linear or logarithmic."""
        name = f"{axis}_log"
        self._change(lambda: self.chart.change(**{name: not getattr(self.chart.view, name)}))

    def action_smooth(self, by: int) -> None:
        """Smooth more or less."""
        wanted = min(max(self.chart.view.smoothing + by, 0), len(WEIGHTS) - 1)
        self._change(lambda: self.chart.change(smoothing=wanted))

    def action_zoom(self, by: int) -> None:
        """Closer, or further away."""
        self._change(lambda: self.chart.zoom(1.5 if by > 0 else 1 / 1.5))

    def action_pan(self, by: int) -> None:
        """The window to the left or to the right."""
        self._change(lambda: self.chart.pan(0.25 * by))

    def action_cursor(self, by: int) -> None:
        """The crosshair to the left or to the right."""
        cells = self._frames[0].cells if self._frames else 60
        self._change(lambda: self.chart.move_cursor(by, cells))

    def action_whole(self) -> None:
        """Everything again, without crosshair."""
        self._change(lambda: self.chart.change(window=None, cursor=None))

    def action_clip(self) -> None:
        """Leave outliers out of the picture, or show them."""
        self._change(lambda: self.chart.change(clip=not self.chart.view.clip))

    def action_grid(self) -> None:
        """One metric, or many side by side."""
        self._change(lambda: self.chart.change(grid=not self.chart.view.grid))

    def action_table(self) -> None:
        """The results and the configs as a table, or the curves."""
        self._table = not self._table
        if not self._table or self._figures is not None:
            self.redraw()
            return

        def work() -> None:
            self._figures = self._read_figures()
            self.app.call_from_thread(self.redraw)

        self.run_worker(work, thread=True, exit_on_error=False)

    def action_sort(self, name: str = "") -> None:
        """Sort the table by a column; by the same one, the other way round."""
        if self._figures is None:
            return
        if name:
            self._sort = (name, name == self._sort[0] and not self._sort[1])
        else:
            names = table_columns(self._figures)
            self._sort = (names[(names.index(self._sort[0]) + 1) % len(names)], False)
        self.redraw()

    def action_turn(self) -> None:
        """The table the other way round."""
        self._sort = (self._sort[0], not self._sort[1])
        self.redraw()

    def action_export(self) -> None:
        """Write the curves to a file."""
        from workbench.tui.screens.exporting import formats, write

        def export(kind: str | None) -> None:
            if kind is None:
                return
            try:
                rows = self.canvas.rows
                path = write(kind, self.chart, rows, dark=self.app.theme == look.DARK)
            except Exception as error:  # noqa: BLE001
                self.app.push_screen(asking.trouble(as_error(error)))
                return
            self.app.notify(f"written: {path}")

        self.app.push_screen(formats(), export)

    def action_leave(self) -> None:
        """Back to the list."""
        if self._table:
            self.action_table()
        else:
            self.dismiss(None)

    # ---------------------------------------------------------------- mouse

    def _cell(self, event: events.MouseEvent) -> int | None:
        """The cell of the picture under the pointer."""
        if not self._frames or self._table:
            return None
        at = event.screen_x - self.canvas.content_region.x
        frame = self._frames[0]
        return int(at) if frame.left <= at < frame.left + frame.cells else None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Closer to what is under the pointer."""
        self._wheel(event, 1.25)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Further away from it."""
        self._wheel(event, 0.8)

    def _wheel(self, event: events.MouseEvent, by: float) -> None:
        cell = self._cell(event)
        if cell is not None:
            event.stop()
            self._change(lambda: self.chart.zoom(by, self._frames[0].x_at(cell)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """The crosshair to the pointer; or the beginning of a drag."""
        cell = self._cell(event)
        if cell is not None:
            self._dragged = cell
            self._change(lambda: self.chart.change(cursor=self._frames[0].x_at(cell)))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the picture along."""
        cell = self._cell(event) if event.button else None
        if cell is None or self._dragged is None or cell == self._dragged or not self._frames:
            return
        moved = (self._dragged - cell) / self._frames[0].cells
        self._dragged = cell
        self._change(lambda: self.chart.pan(moved))

    def on_mouse_up(self) -> None:
        """The end of a drag."""
        self._dragged = None
