"""The page of a run: verdict, progress, figures, the curve, what it writes, what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench import units
from workbench.errors import WorkbenchError
from workbench.runs.braille import Line, plot
from workbench.runs.words import sentence
from workbench.tui import look
from workbench.tui.pages.message import message_rows
from workbench.tui.pages.watch import Extra, extra_rows
from workbench.tui.rows import Row, beside, clip, columns, fit, fold, heading, plain, wrap

if TYPE_CHECKING:
    from workbench.runs.watch import Snapshot
    from workbench.tui.widgets.canvas import Page

WEIGHTS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
_TILE = 11
_SMALLEST_CURVE = 6
_ROOMY = 32  # rows from which on the parts are set apart by empty ones


@dataclass(frozen=True)
class View:
    """How a run is looked at.

    Attributes:
        page: What is shown below the title: curve, log, figures, samples, system.
        y_log: Logarithmic loss.
        smoothing: Index into `WEIGHTS`.
        zoom: Show the newest ``1 / 2**zoom`` of the steps.
        ascii: Draw with ASCII characters only.
    """

    page: str = "curve"
    y_log: bool = False
    smoothing: int = 3
    zoom: int = 0
    ascii: bool = False


def run_page(run: Snapshot, view: View, extra: Extra | None = None) -> Page:
    """The page of what is known about a run.

    Args:
        run: What is known.
        view: How it is looked at.
        extra: What another page than the curve shows; None until it has been read.
    """

    def page(width: int, height: int) -> list[Row]:
        error = _error(run)
        rows = [_title(run, width), *_state(run, width)]
        if view.page != "curve":
            if extra is None or extra.page != view.page:
                return [*rows, [], [("reading …", "dim")]]
            return [*rows, [], *extra_rows(extra, run.path, width)]
        if error is not None and not run.losses.size:
            return rows + _last_words(run, error, width, height - len(rows))
        air: list[Row] = [[]] if height >= _ROOMY else []
        rows += [*air, *_tiles(run, width), *air]
        room = max(height - len(rows), 0)
        below = _below(run, error, width, room - len(air))
        below = air + below if below else []
        return [*rows, *_curve(run, view, width, room - len(below)), *below]

    return page


def waiting_page(name: str) -> Page:
    """What stands there until a run's files have been read."""
    return lambda width, _height: [[(clip(name, width), "title")], [("reading …", "dim")]]


def _title(run: Snapshot, width: int) -> Row:
    sign, role = look.mark(run.verdict.state)
    left: Row = [(f"{sign} {run.verdict.state}  ", role), (run.name, "title")]
    about = run.meta.get("recipe") or run.meta.get("title") or ""
    attempt = run.verdict.attempt or 1
    right: Row = [(plain(str(about)), "dim")]
    if attempt > 1:
        right.append((f"  attempt {attempt}", "dim"))
    return columns(left, right, width)


def _state(run: Snapshot, width: int) -> list[Row]:
    """The progress bar of a live run, one or two sentences about an ended one."""
    state = run.verdict.state
    if state in ("starting", "running", "stopping"):
        return [_bar(run, width)]
    return wrap(_sentence(run), width, "error" if state in ("failed", "vanished") else "")[:2]


def _bar(run: Snapshot, width: int) -> Row:
    share = min(run.step / run.max_steps, 1.0) if run.max_steps else 0.0
    if run.verdict.state == "stopping":
        words = "  finishing the step and saving …"
    elif not run.max_steps:
        words = "  getting ready: reading the text, building the model …"
    else:
        left = units.duration(run.seconds_left)
        words = f"  step {run.step:,} of {run.max_steps:,}   {share:.0%}"
        words += f"   {left} left" if math.isfinite(run.seconds_left) else ""
    length = max(width - len(words), 0)
    done = share * length
    full = int(done)
    head = "╸" if done - full >= 0.5 and full < length else ""
    return fit(
        [
            ("━" * full + head, "bar"),
            ("─" * (length - full - len(head)), "faint"),
            (words, ""),
        ],
        width,
    )


def _sentence(run: Snapshot) -> str:
    words = sentence(run.verdict, run.summary, run.step, run.max_steps)
    return words + (" Press r to go on." if run.verdict.state in ("stopped", "paused") else "")


def _tiles(run: Snapshot, width: int) -> list[Row]:
    last = run.last
    smoothed = run.average if math.isfinite(run.average) else None
    speed, tokens = last.get("tokens_per_s"), last.get("tokens")
    tiles = (
        ("loss", units.number(last.get("loss")), "value"),
        ("smoothed", units.number(smoothed), "smooth"),
        ("validation", units.number(last.get("val_loss")), "val"),
        ("lr", units.number(last.get("lr")), "value"),
        ("grad norm", units.number(last.get("grad_norm")), "value"),
        ("tokens/s", "–" if speed is None else units.count(speed), "value"),
        ("tokens", "–" if tokens is None else units.count(tokens), "value"),
    )
    shown = tiles[: max(width // _TILE, 1)]
    size = min(width // len(shown), 16)
    return [
        fit([(f"{label:<{size}}", "dim") for label, _, _ in shown], width),
        fit([(f"{value:<{size}}", style) for _, value, style in shown], width),
    ]


def _curve(run: Snapshot, view: View, width: int, height: int) -> list[Row]:
    lines = [
        Line(run.steps, run.losses, "raw", "each step"),
        Line(run.steps, run.smoothed, "smooth", f"smoothed {WEIGHTS[view.smoothing]:g}"),
        Line(run.val_steps, run.val_losses, "val", "validation", "◆"),
    ]
    if not view.smoothing:
        lines = [lines[0]._replace(style="smooth"), lines[2]]
    window = None
    if view.zoom and run.steps.size:
        first, last = float(run.steps[0]), float(run.steps[-1])
        window = last - (last - first) / 2**view.zoom, last
    title = "loss" + (", log scale" if view.y_log else "")
    title += f", newest 1/{2**view.zoom}" if window else ""
    waiting = "the curve begins with the first step"
    return plot(
        [line for line in lines if len(line.x)],
        width,
        height,
        y_log=view.y_log,
        ascii=view.ascii,
        title=title,
        x_label="step",
        x_range=window,
        empty=waiting if run.verdict.alive else "this run has no curve",
    )


def _below(run: Snapshot, error: WorkbenchError | None, width: int, room: int) -> list[Row]:
    """Sample and log beside each other, or the error over the whole width."""
    height = max(room // 3, 5) if room >= _SMALLEST_CURVE + 5 else 0
    if not height:
        return []
    if error is not None:
        rows = [heading("What went wrong", width), *message_rows(error, width)]
        return rows[: max(height, min(len(rows), room - _SMALLEST_CURVE))]
    half = (width - 2) // 2
    note = f"at step {run.sample[0]:,}" if run.sample else ""
    sample = [heading("It writes", half, note), *_sample(run, half, height - 1)]
    log = [heading("Log", width - half - 2), *_tail(run, width - half - 2, height - 1)]
    return beside(sample, log, width)


def _sample(run: Snapshot, width: int, height: int) -> list[Row]:
    if run.sample is None:
        return [[("a sample comes with each evaluation", "dim")]] if run.verdict.alive else []
    rows = [row for line in run.sample[1].splitlines() for row in fold(line, width)]
    return [[(row, "sample")] for row in rows[:height]]


def _tail(run: Snapshot, width: int, height: int) -> list[Row]:
    lines = [plain(line).rstrip() for line in run.log]
    return [[(clip(line, width), "dim")] for line in lines[-height:] if height > 0]


def _error(run: Snapshot) -> WorkbenchError | None:
    if run.verdict.error:
        return WorkbenchError.from_dict(run.verdict.error)
    return None


def _last_words(run: Snapshot, error: WorkbenchError, width: int, height: int) -> list[Row]:
    rows = [[], heading("What went wrong", width), *message_rows(error, width), []]
    left = height - len(rows)
    if left > 2:
        rows += [heading("Log", width), *_tail(run, width, left - 1)]
    return rows[: max(height, 0)]
