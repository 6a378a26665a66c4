"""Curves: fidelity, windows, axes, the table; and the same through keys and mouse."""

from __future__ import annotations

import math
import random
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.cells import cell_len

from tests.tui.driving import check, screen_text, see, until
from workbench.errors import WorkbenchError
from workbench.runs.braille import Line, Mark, draw
from workbench.runs.directory import create_run
from workbench.runs.writer import EventWriter, MetricWriter
from workbench.tui.app import AvaTui
from workbench.tui.charting import WEIGHTS, Chart
from workbench.tui.pages.charts import chart_page, table_columns, table_page
from workbench.tui.screens.charts import Charts
from workbench.tui.screens.exporting import write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from workbench.tui.rows import Row

STEPS, SPIKE = 600, 333


def text(rows: list[Row]) -> str:
    """Rows as lines of text."""
    return "\n".join("".join(part for part, _ in row) for row in rows)


def make(runs: Path, name: str, *, number: int = 0, steps: int = STEPS) -> None:
    """A run whose loss has one spike."""
    run = create_run(
        runs,
        name,
        config={"training": {"batch_size": 8 * 2**number, "learning_rate": 1e-3, "seed": 1}},
        origins={},
        config_yaml="",
        estimate={"flops": {"model_per_token": 1e6}},
        meta={"recipe": "tiny_cpu"},
    )
    run.attempt_dir(1).mkdir(parents=True)
    noise = random.Random(number)
    metrics = MetricWriter(run.metrics_path(1))
    for step in range(1, steps + 1):
        loss = 2 + 3 * math.exp(-step / 100) + noise.gauss(0, 0.02) - 0.2 * number
        row = {
            "step": step,
            "t": 1e9 + step / 10,
            "loss": 9.0 if step == SPIKE else loss,
            "lr": 1e-3 * min(1.0, step / 50),
            "tokens": step * 2048 * (number + 1),
        }
        metrics.write(row)
        if step % 100 == 0:
            metrics.write({"step": step, "t": 1e9 + step / 10, "val_loss": loss + 0.1})
    metrics.close()
    events = EventWriter(run.attempt_events_path(1))
    events.write("ready", max_steps=steps, start_step=0)
    for step in (200, 400):
        events.write("saved", step=step, path="", seconds=0.1, bytes=1, tier="run")


@pytest.fixture
def runs(runs_dir: Path) -> Path:
    """Three runs that differ in one key."""
    for number in range(3):
        make(runs_dir, f"run-{number}", number=number)
    return runs_dir


def chart(runs: Path, *names: str) -> Chart:
    """A chart that has read everything."""
    made = Chart(runs, names or ("run-0",))
    while made.poll():
        pass
    return made


# ------------------------------------------------------------------ fidelity


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_every_spike_of_one_sample_is_seen_at_every_zoom(size: int) -> None:
    rng = random.Random(size)
    x = np.arange(size, dtype=np.float64)
    for _ in range(12):
        y = np.zeros(size)
        at = rng.randrange(size)
        y[at] = 1.0
        width = rng.choice([size, size // 3 + 2, 500, 60])
        low = max(0, min(at - rng.randrange(width), size - width))
        picture = draw(
            [Line(x, y, "curve")], 100, 20, x_range=(low, low + width), y_range=(0.0, 1.0)
        )
        top = text([picture.rows[picture.frame.top]])[picture.frame.left :]  # type: ignore[union-attr]
        assert top.strip(" \u2800"), (at, low, width)


def test_a_smoothed_value_is_the_same_at_every_zoom_and_however_it_was_read(runs: Path) -> None:
    whole = chart(runs)
    expected = whole.curve("run-0", "loss")[2].copy()
    whole.change(window=(100, 140))
    assert np.array_equal(whole.curve("run-0", "loss")[2], expected)
    bit_by_bit = Chart(runs, ["run-0"])
    while bit_by_bit.poll(max_bytes=999):
        bit_by_bit.curve("run-0", "loss")
    assert np.abs(bit_by_bit.curve("run-0", "loss")[2] - expected).max() <= 1e-9


def test_smoothing_follows_the_weight(runs: Path) -> None:
    made = chart(runs)
    made.change(smoothing=0)
    x, y, smoothed = made.curve("run-0", "loss")
    assert x.size == STEPS
    assert np.array_equal(y, smoothed)
    made.change(smoothing=len(WEIGHTS) - 1)
    assert made.curve("run-0", "loss")[2][-1] > smoothed[-1]


def test_a_live_run_grows_and_a_resumed_one_replaces(runs: Path) -> None:
    from workbench.runs.directory import open_run

    made = chart(runs)
    made.curve("run-0", "loss")
    run = open_run(runs, "run-0")
    run.attempt_dir(2).mkdir()
    again = MetricWriter(run.metrics_path(2))
    for step in range(301, 351):
        again.write({"step": step, "t": 2e9 + step, "loss": 1.0, "tokens": step * 2048})
    again.close()
    while made.poll():
        pass
    x, y, smoothed = made.curve("run-0", "loss")
    assert x[-1] == 350
    assert y[-1] == 1.0
    assert smoothed.size == x.size == 350
    assert any(mark.x == 301 for mark in made.marks())


# ------------------------------------------------------------------ windows, axes, crosshair


@pytest.mark.parametrize(("by", "last"), [("step", 600), ("tokens", 600 * 2048), ("time", 60.0)])
def test_axes(runs: Path, by: Any, last: float) -> None:
    made = chart(runs)
    made.change(by=by)
    assert made.span()[1] == pytest.approx(last, rel=0.01)


def test_flops_are_an_axis_where_the_prediction_has_them(runs: Path) -> None:
    made = chart(runs)
    for _ in range(3):
        made.next_axis()
    assert made.view.by == "flops"
    assert made.span()[1] == pytest.approx(600 * 2048 * 1e6)
    made.next_axis()
    assert made.view.by == "step"


def test_zoom_keeps_what_it_is_around_and_ends_at_everything(runs: Path) -> None:
    made = chart(runs)
    made.zoom(4, at=300)
    low, high = made.window
    assert low < 300 < high
    assert high - low == pytest.approx(599 / 4)
    for _ in range(60):
        made.zoom(2, at=300)
    low, high = made.window
    assert high > low
    for _ in range(80):
        made.zoom(0.5)
    assert made.view.window is None


def test_panning_stops_at_the_ends(runs: Path) -> None:
    made = chart(runs)
    made.zoom(4)
    width = made.window[1] - made.window[0]
    for _ in range(40):
        made.pan(-0.25)
    assert made.window[0] == pytest.approx(1)
    assert made.window[1] - made.window[0] == pytest.approx(width)
    for _ in range(40):
        made.pan(0.25)
    assert made.window[1] == pytest.approx(600)
    whole = chart(runs)
    whole.pan(0.25)
    assert whole.view.window is None


def test_the_crosshair_tells_the_nearest_sample(runs: Path) -> None:
    made = chart(runs, "run-0", "run-1")
    made.change(cursor=SPIKE + 0.4)
    first, second = made.values_at(made.view.cursor or 0)
    assert (first.x, first.y) == (SPIKE, 9.0)
    assert second.run == "run-1"
    made.change(by="tokens")
    assert made.view.cursor is None


def test_clipping_says_how_many_values_are_beyond(runs: Path) -> None:
    made = chart(runs)
    made.change(clip=True)
    ends, beyond = made.y_range(made.lines("loss"))
    assert ends is not None
    assert ends[1] < 9
    assert beyond >= 1
    page = text(chart_page(made, [])(90, 20))
    assert "beyond the picture" in page


def test_checkpoints_stand_on_the_axis(runs: Path) -> None:
    made = chart(runs)
    assert [mark.x for mark in made.marks()] == [200, 400]
    assert text(chart_page(made, [])(90, 20)).count("▲") == 2


def test_a_mark_and_a_cursor_stand_where_they_belong() -> None:
    x = np.arange(101.0)
    picture = draw([Line(x, x, "c")], 80, 12, marks=[Mark(50, "▲", "good")], cursor=75.0, title="t")
    frame = picture.frame
    assert frame is not None
    axis = text([picture.rows[frame.top + frame.rows]])
    assert frame.x_at(axis.index("▲")) == pytest.approx(50, abs=1.5)
    row = text([picture.rows[frame.top + frame.rows - 1]])
    assert frame.x_at(row.rindex("│")) == pytest.approx(75, abs=1.5)
    assert frame.y_at(frame.top) > frame.y_at(frame.top + 5)


def test_a_logarithmic_axis_gives_decades_the_same_room() -> None:
    x = np.arange(1.0, 10_001.0)
    frame = draw([Line(x, x, "c")], 100, 20, x_log=True, y_log=True).frame
    assert frame is not None
    cells = frame.cells
    at = [frame.x.share(value) * cells for value in (1, 10, 100, 1000, 10_000)]
    steps = np.diff(at)
    assert steps == pytest.approx([cells / 4] * 4)


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (80, 24), (160, 48)])
@pytest.mark.parametrize("grid", [False, True])
def test_pages_have_the_size_that_is_asked_for(
    runs: Path,
    size: tuple[int, int],
    grid: bool,  # noqa: FBT001
) -> None:
    made = chart(runs, "run-0", "run-1", "run-2")
    made.change(grid=grid, cursor=100.0)
    rows = chart_page(made, [])(*size)
    assert len(rows) <= max(size[1], 8)
    assert all(sum(cell_len(part) for part, _ in row) <= size[0] for row in rows)


def test_a_run_without_metrics_says_so(runs_dir: Path) -> None:
    create_run(runs_dir, "empty", config={}, origins={}, config_yaml="", meta={})
    made = chart(runs_dir, "empty")
    assert "no loss yet" in text(chart_page(made, [])(60, 12))
    made.change(grid=True)
    assert "no metric yet" in text(chart_page(made, [])(60, 12))


# ------------------------------------------------------------------ comparison


def figures(runs: Path) -> list[Any]:
    """The runs as a comparison sees them."""
    from workbench.runs.compare import figures as read
    from workbench.runs.directory import open_run

    return [read(open_run(runs, f"run-{number}")) for number in range(3)]


def test_the_table_sorts_by_every_column_either_way(runs: Path) -> None:
    found = figures(runs)
    assert {"name", "val_loss", "training.batch_size"} <= set(table_columns(found))
    for column in table_columns(found):
        for falling in (False, True):
            page = text(table_page(found, (column, falling), {})(120, 30))
            assert page.count("━ run-") == 3
    rising = text(table_page(found, ("val_loss", False), {})(120, 30))
    assert rising.index("run-2") < rising.index("run-0")
    falling_page = text(table_page(found, ("val_loss", True), {})(120, 30))
    assert falling_page.index("run-0") < falling_page.index("run-2")


def test_one_thing_changed_is_told(runs: Path) -> None:
    page = text(table_page(figures(runs), ("name", False), {})(120, 40))
    assert "training.batch_size  8 run-0" in page
    assert "training.batch_size  8 → 32" in page


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("kind", ["csv", "txt", "svg", "png"])
def test_exports(runs: Path, kind: str) -> None:
    made = chart(runs, "run-0", "run-1")
    rows = chart_page(made, [])(80, 20)
    path = write(kind, made, rows, dark=True)
    data = path.read_bytes()
    match kind:
        case "csv":
            lines = data.decode().splitlines()
            assert lines[0] == "run,step,loss,smoothed"
            assert len(lines) == 1 + 2 * STEPS
            assert f"run-0,{float(SPIKE)},9.0," in data.decode()
        case "txt":
            assert data.decode() == "".join(line.rstrip() + "\n" for line in text(rows).split("\n"))
        case "svg":
            assert data.startswith(b"<svg")
        case _:
            assert data.startswith(b"\x89PNG")


def test_an_export_that_cannot_be_written_is_said(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = chart(runs)
    monkeypatch.setattr(Path, "open", lambda *_a, **_k: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(WorkbenchError, match="cannot be written"):
        write("txt", made, [], dark=True)


# ------------------------------------------------------------------ in the application


@asynccontextmanager
async def opened(
    runs: Path, *names: str, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[Any], Charts]]:
    """The curves of runs in the real application."""
    app = AvaTui(str(runs))
    async with app.run_test(size=size) as pilot:
        screen = Charts(runs, list(names), plain=False)
        await app.push_screen(screen)
        await see(pilot, "loss", "step")
        yield pilot, screen


async def test_a_run_of_the_list_opens_and_comes_back(runs: Path) -> None:
    app = AvaTui(str(runs))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "run-0")
        await pilot.press("w", "v")
        await see(pilot, "Curves", "smoothed 0.9")
        await pilot.press("escape")
        await see(pilot, "RUNS")


async def test_marked_runs_are_compared(runs: Path) -> None:
    app = AvaTui(str(runs))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "run-0")
        await pilot.press("w", "space", "space", "space")
        await see(pilot, "+", "compare")
        await pilot.press("c")
        await see(pilot, "Compare", "run-0", "run-1", "run-2")
        await pilot.press("tab")
        await see(pilot, "One thing changed")
        await pilot.press("escape", "escape")
        await see(pilot, "RUNS")


async def test_keys_change_the_picture(runs: Path) -> None:
    async with opened(runs, "run-0") as (pilot, screen):
        for key, words in (
            ("n", "val_loss"), ("p", "loss, nats"), ("x", "over tokens"), ("x", "over seconds"),
            ("y", "log y"), ("y", "over seconds"), ("X", "log x"), ("X", "over seconds"),
            ("x", "over FLOPs"), ("x", "over step"), ("right_square_bracket", "smoothed 0.95"),
            ("left_square_bracket", "smoothed 0.9"), ("plus", "of all"), ("0", "smoothed 0.9"),
            ("o", "beyond the picture"), ("o", "smoothed"), ("v", "lr"), ("v", "smoothed"),
        ):  # fmt: skip
            await pilot.press(key)
            await see(pilot, words)
        assert screen.chart.view.window is None


async def test_the_crosshair_reads_values_out(runs: Path) -> None:
    async with opened(runs, "run-0") as (pilot, screen):
        await pilot.press("right")
        await see(pilot, "run-0", "value", "smoothed")
        before = screen.chart.view.cursor
        await pilot.press("right", "period")
        assert (screen.chart.view.cursor or 0) > (before or 0)
        await pilot.press("left", "comma", "a", "d")
        await pilot.press("home")
        assert screen.chart.view.cursor is None


async def test_the_mouse_zooms_pans_and_points(runs: Path) -> None:
    async with opened(runs, "run-0") as (pilot, screen):
        chart_at = screen.canvas
        await pilot.click("#chart", offset=(60, 10))
        await until(pilot, lambda: screen.chart.view.cursor is not None, "a crosshair")
        frame = screen._frames[0]
        at = frame.x_at(59)
        assert screen.chart.view.cursor == pytest.approx(at, rel=0.02)
        from textual import events

        wheel: dict[str, Any] = {
            **dict.fromkeys(("delta_x", "delta_y", "button"), 0),
            **dict.fromkeys(("shift", "meta", "ctrl"), False),
            "widget": chart_at, "x": 60, "y": 10, "screen_x": 60, "screen_y": 11,
        }  # fmt: skip
        screen.on_mouse_scroll_up(events.MouseScrollUp(**wheel))
        await until(pilot, lambda: screen.chart.view.window is not None, "a window")
        low, high = screen.chart.window
        assert low < at < high
        screen.on_mouse_scroll_down(events.MouseScrollDown(**wheel))
        screen.on_mouse_scroll_up(events.MouseScrollUp(**wheel))
        screen.on_mouse_scroll_up(events.MouseScrollUp(**wheel))
        before = screen.chart.window
        down = wheel | {"button": 1}
        screen.on_mouse_down(events.MouseDown(**down))
        screen.on_mouse_move(events.MouseMove(**(down | {"screen_x": 50})))
        screen.on_mouse_up()
        await pilot.pause()
        assert screen.chart.window[0] > before[0]


async def test_a_metric_is_picked_from_a_list(runs: Path) -> None:
    async with opened(runs, "run-0") as (pilot, _):
        await pilot.press("m")
        await see(pilot, "Learning rate of the step")
        await pilot.press("l", "r", "enter")
        await see(pilot, "lr over step")


async def test_an_export_is_written_and_said(runs: Path, tmp_path: Path) -> None:
    async with opened(runs, "run-0") as (pilot, _):
        await pilot.press("e")
        await see(pilot, "the values of every run")
        await pilot.press("enter")
        await until(pilot, lambda: bool(list(tmp_path.glob("run-0-loss-*.csv"))), "the file")


async def test_the_table_sorts_by_key_and_click(runs: Path) -> None:
    async with opened(runs, "run-0", "run-1", "run-2") as (pilot, screen):
        await pilot.press("tab")
        await see(pilot, "One thing changed")
        await pilot.press("s", "s")
        assert screen._sort == ("steps", False)
        await pilot.press("r")
        assert screen._sort == ("steps", True)
        shown = screen_text(pilot.app).splitlines()
        row = next(i for i, line in enumerate(shown) if "val_loss" in line)
        await pilot.click(offset=(shown[row].index("val_loss") + 2, row))
        assert screen._sort == ("val_loss", False)


async def test_what_is_not_seen_is_not_redrawn(runs: Path) -> None:
    async with opened(runs, "run-0") as (pilot, screen):
        drawn = []
        screen.redraw = lambda: drawn.append(1)  # type: ignore[method-assign]
        for _ in range(5):
            screen._look()
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
        assert drawn == []


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_pictures(runs: Path, size: tuple[int, int]) -> None:
    name = f"{size[0]}x{size[1]}"
    async with opened(runs, "run-0", size=size) as (pilot, _):
        check(f"curves-{name}", await see(pilot, "◆ validation"))
        await pilot.press("v")
        check(f"curves-grid-{name}", await see(pilot, "lr"))
    async with opened(runs, "run-0", "run-1", "run-2", size=size) as (pilot, _):
        check(f"compare-{name}", await see(pilot, "━━ run-2"))
        await pilot.press("tab")
        check(f"compare-table-{name}", await see(pilot, "One thing changed"))
