"""The one ES module and the one style sheet of all widgets, joined from ``static/``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "uPlot.iife.min.js",
    "dom.js",
    "form.js",
    "estimate.js",
    "chart.js",
    "runs.js",
    "main.js",
)
"""In the order in which each may use what stands before it; the last one exports the widget."""
STYLES = ("uPlot.min.css", "tokens.css", "panel.css")


@cache
def module() -> str:
    """The ES module. anywidget takes exactly one, and the page must ask no other server."""
    return _joined(SCRIPTS)


@cache
def style() -> str:
    """The style sheet."""
    return _joined(STYLES)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)
