"""The other pages of a run: the whole log, what was predicted, samples, what it takes now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from workbench import units
from workbench.tui.rows import Row, fit, fold, heading, plain, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.runs.predicted import Beside
    from workbench.usage import Sample

_BARS = "▁▂▃▄▅▆▇█"


class Extra(NamedTuple):
    """What one of these pages shows; None for what it does not.

    Attributes:
        page: Which page it is for: log, figures, samples, system.
        log: The last lines of the log.
        figures: Predicted beside measured.
        samples: Step and text of what the model wrote, the newest first.
        usage: What the run has taken of this machine, the newest last.
        notes: What people wrote about the run: when, in words, and what.
    """

    page: str
    log: tuple[str, ...] = ()
    figures: tuple[Beside, ...] = ()
    samples: tuple[tuple[int, str], ...] = ()
    usage: tuple[Sample, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


def extra_rows(extra: Extra, path: str, width: int) -> list[Row]:
    """The rows of the page, below the title of the run."""
    if extra.page == "log":
        rows = [heading("Log", width, f"{path}/training.log")]
        return rows + [row for line in extra.log for row in wrap(line, width)]
    if extra.page == "figures":
        return [*_figures(extra.figures, width), *_notes(extra.notes, width)]
    if extra.page == "samples":
        return _samples(extra.samples, width)
    return _system(extra.usage, width)


def _figures(figures: Sequence[Beside], width: int) -> list[Row]:
    rows = [heading("Predicted beside measured", width)]
    sizes = (9, 13, 13, 9)
    names = ("", "predicted", "measured", "error")
    head: Row = [(f"{name:>{size}}", "dim") for name, size in zip(names, sizes, strict=True)]
    rows.append(fit(head, width))
    for each in figures:
        error = each.error
        words = "–" if error is None else f"{error:+.0%}" if abs(error) < 10 else "× 10"
        role = "dim" if error is None else "good" if each.within or abs(error) < 0.2 else "warn"
        row: Row = [
            (f"{each.name:<{sizes[0]}}", ""),
            (f"{figure(each.predicted, each.unit):>{sizes[1]}}", "value"),
            (f"{figure(each.measured, each.unit):>{sizes[2]}}", "value"),
            (f"{words:>{sizes[3]}}", role),
        ]
        left = width - sum(sizes) - 3
        if left > 20:
            row.append((f"   {each.note}", "dim"))
            rows.append(fit(row, width))
        else:
            rows += [fit(row, width), fit([(f"{'':9}{each.note}", "dim")], width)]
    if all(each.predicted is None for each in figures):
        rows += [[], *wrap("There was no prediction of speed: it needs a device profile, or a "
                           "short measurement of this machine (ava measure RECIPE).",
                           width, "dim")]  # fmt: skip
    return rows


def figure(value: float | None, unit: str) -> str:
    """A figure in its unit; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit == "bytes":
        return units.size(value)
    if unit == "s":
        return units.duration(value) if value >= 10 else f"{value:.3g} s"
    if unit == "$":
        return f"${value:,.2f}" if value >= 0.01 else f"${value:.2g}"
    return units.count(value)


def _notes(notes: Sequence[tuple[str, str]], width: int) -> list[Row]:
    rows: list[Row] = [[], heading("Notes", width, "n writes one")]
    for when, words in notes:
        first, *rest = wrap(words, width - 18)
        rows += [[(f"{when:<18}", "dim"), *first], *([(" " * 18, ""), *row] for row in rest)]
    return rows if notes else [*rows, [("none yet", "dim")]]


def _samples(samples: Sequence[tuple[int, str]], width: int) -> list[Row]:
    rows: list[Row] = []
    for step, text in samples:
        rows.append(heading(f"At step {step:,}", width))
        rows += [[(part, "sample")] for line in text.splitlines() for part in fold(line, width)]
        rows.append([])
    return rows or [[("a sample comes with each evaluation", "dim")]]


def _system(samples: Sequence[Sample], width: int) -> list[Row]:
    rows = [heading("This machine", width, "what the run's processes take, once a second")]
    if not samples:
        return [*rows, [("looking …", "dim")]]
    last = samples[-1]
    if not last.processes:
        rows.append([("no process of this run is here", "dim")])
    room = max(width - 34, 0)
    lines = (
        ("cores busy", f"{last.cores:.2f}", [each.cores for each in samples]),
        ("memory", units.size(last.memory), [float(each.memory) for each in samples]),
        ("read", f"{units.size(last.read)}/s", [each.read for each in samples]),
        ("written", f"{units.size(last.written)}/s", [each.written for each in samples]),
    ) if last.processes else ()  # fmt: skip
    for label, value, series in lines:
        text = "–" if "nan" in value else value
        rows.append(fit([(f"{label:<12}", "dim"), (f"{text:<20}", "value"),
                         (spark(series, room), "smooth")], width))  # fmt: skip
    free = units.size(last.free_memory) if last.free_memory is not None else "–"
    rows.append(fit([(f"{'processes':<12}", "dim"), (f"{last.processes}", "value")], width))
    rows.append(fit([(f"{'free memory':<12}", "dim"), (free, "value")], width))
    rows.append(fit([(f"{'free disk':<12}", "dim"), (units.size(last.free_disk), "value")], width))
    for name, taken, total in last.cards:
        words = f"{units.size(taken)} of {units.size(total)}"
        rows.append(fit([(f"{'card':<12}", "dim"), (words, "value"),
                         (f"   {plain(name)}", "dim")], width))  # fmt: skip
    return rows


def spark(values: Sequence[float], width: int) -> str:
    """A line of bars from nothing to the largest value; the newest at the right."""
    shown = [value for value in values if math.isfinite(value)][-width:] if width else []
    most = max(shown, default=0.0)
    if most <= 0:
        return "▁" * len(shown)
    return "".join(_BARS[min(int(value / most * 8), 7)] for value in shown)
