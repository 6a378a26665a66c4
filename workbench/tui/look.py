"""How things look: two themes, the style behind every style name, and the marks of the states."""

from __future__ import annotations

from functools import cache

from rich.style import Style
from textual.filter import LineFilter
from textual.theme import Theme

from workbench.runs import words

DARK, LIGHT, CONTRAST = "ava-dark", "ava-light", "ava-contrast"

# One row per role: dark, light, and what carries the meaning where there is no colour.
# The text colours have a contrast of at least 4.5 to the background (WCAG 2.1, 1.4.3); teal against
# amber is told apart with every common colour blindness.
_PALETTE: dict[str, tuple[str, str, str]] = {
    "": ("#d5dce6", "#24292f", ""),
    "title": ("#f4f7fb", "#0d1117", "bold"),
    "value": ("#f4f7fb", "#0d1117", "bold"),
    "dim": ("#8693a6", "#5c6670", ""),
    "faint": ("#3a4557", "#c9cfd6", "dim"),
    "heading": ("#8693a6", "#5c6670", "bold"),
    "brand": ("#5fd7c4", "#00695c", "bold"),
    "key": ("#5fd7c4", "#00695c", "bold"),
    "button": ("#0e1219 on #5fd7c4", "#ffffff on #00796b", "bold reverse"),
    "choice": ("#d5dce6 on #2a3445", "#24292f on #cdd5de", "bold"),
    "!": ("on #22424a", "on #c8e8e2", "reverse"),
    "~": ("on #1b2733", "on #e2e9ec", "reverse"),
    "bar": ("#5fd7c4", "#00796b", "bold"),
    "raw": ("#3f7f82", "#8cc6bd", "dim"),
    "smooth": ("#5fe3cd", "#00796b", "bold"),
    "val": ("#ffb454", "#b35c00", "bold"),
    "axis": ("#3a4557", "#c9cfd6", "dim"),
    "label": ("#8693a6", "#5c6670", ""),
    "bad": ("#ff7b72", "#c62828", "bold"),
    "live": ("#5fe3cd", "#00796b", "bold"),
    "good": ("#7fd88f", "#2e7d32", "bold"),
    "warn": ("#ffb454", "#b35c00", "bold"),
    "error": ("#ff7b72", "#c62828", "bold"),
    # Memory by category, after Okabe and Ito (2008): told apart with every colour blindness.
    "cat:weights": ("#56b4e9", "#0072b2", ""),
    "cat:optimizer": ("#e69f00", "#b35c00", ""),
    "cat:gradients": ("#2fc79b", "#00795a", ""),
    "cat:activations": ("#f0e442", "#8a7f00", ""),
    "cat:temporaries": ("#cc79a7", "#a0497a", ""),
    "cat:communication": ("#ff8a5c", "#c24400", ""),
    "cat:inputs": ("#b9c6d8", "#5c6670", ""),
    "cat:process": ("#8693a6", "#5c6670", ""),
    # Curves of several runs, after Okabe and Ito (2008); each has its name beside it in the legend.
    "run:0": ("#5fe3cd", "#00796b", "bold"),
    "run:1": ("#e69f00", "#b35c00", "bold"),
    "run:2": ("#56b4e9", "#0072b2", "bold"),
    "run:3": ("#f0e442", "#8a7f00", "bold"),
    "run:4": ("#cc79a7", "#a0497a", "bold"),
    "run:5": ("#ff8a5c", "#c24400", "bold"),
    "run:6": ("#b9c6d8", "#5c6670", "bold"),
    "run:7": ("#9db8ff", "#3949ab", "bold"),
    "strong": ("#f4f7fb", "#0d1117", "bold"),
    "em": ("#d5dce6", "#24292f", "italic"),
    "link": ("#7fb8ff", "#0550ae", "underline"),
    "quote": ("#ffb454", "#b35c00", "bold"),
    "code": ("#9fdcd2", "#00596b", "bold"),
    "keyword": ("#7fb8ff", "#0550ae", "bold"),
    "string": ("#a5d6a7", "#1b6b2f", ""),
    "number": ("#ffcf8f", "#8a4600", ""),
    "sample": ("#b9c6d8", "#3b4652", ""),
}

# High contrast: at least 7 to black (WCAG 2.1, 1.4.6).
_STRONGER = {
    "": "#ffffff",
    "title": "bold #ffffff",
    "value": "bold #ffffff",
    "dim": "#c8c8c8",
    "faint": "#9a9a9a",
    "heading": "bold #c8c8c8",
    "label": "#d8d8d8",
    "axis": "#9a9a9a",
    "brand": "bold #00ffd7",
    "key": "bold #00ffd7",
    "raw": "#9ad7d0",
    "sample": "#ffffff",
    "!": "on #005f5f",
    "~": "on #303030",
}

_ASCII: dict[int, str] = {
    ord(sign): plain
    for signs, plains in (
        ("●◌◐▲✓■✗◆▸", "*.o!+=xo>"),
        ("━╸─│┤└┬┌┐┘╭╮╰╯", "=>-|++++++++++"),
        ("×·–—…’‘“”→←↑↓", "x.--~''\"\"><^v"),  # noqa: RUF001
        ("▁▂▃▄▅▆▇▊▌▎▐▕▏┃", "||||||||||||||"),
        ("█▓▒░▚▞▪▫", "WOGATCIP"),
    )
    for sign, plain in zip(signs, plains, strict=True)
}


def mark(state: str) -> tuple[str, str]:
    """The sign of a run's state and its style name."""
    return words.mark(state)


@cache
def styles(theme: str) -> dict[str, Style]:
    """The style behind every style name, for one theme."""
    dark = theme != LIGHT
    found = {
        name: Style.parse(f"{'bold ' if 'bold' in plain else ''}{on_dark if dark else on_light}")
        for name, (on_dark, on_light, plain) in _PALETTE.items()
    }
    if theme == CONTRAST:
        found |= {name: Style.parse(words) for name, words in _STRONGER.items()}
    return found


def next_theme(name: str) -> str:
    """The theme after this one."""
    order = (DARK, LIGHT, CONTRAST)
    return order[(order.index(name) + 1) % len(order)] if name in order else DARK


@cache
def plain_styles() -> dict[str, Style]:
    """The style behind every style name where colours are not wanted."""
    return {name: Style.parse(plain) for name, (_, _, plain) in _PALETTE.items()}


def themes() -> tuple[Theme, ...]:
    """The themes, for the parts that Textual draws."""
    dark = Theme(
        DARK,
        primary="#5fd7c4",
        secondary="#3f7f82",
        accent="#ffb454",
        warning="#ffb454",
        error="#ff7b72",
        success="#7fd88f",
        foreground="#d5dce6",
        background="#0e1219",
        surface="#141a24",
        panel="#1b2330",
        dark=True,
        variables={
            "scrollbar": "#2a3445",
            "scrollbar-background": "#141a24",
        },
    )
    light = Theme(
        LIGHT,
        primary="#00796b",
        secondary="#8cc6bd",
        accent="#b35c00",
        warning="#b35c00",
        error="#c62828",
        success="#2e7d32",
        foreground="#24292f",
        background="#ffffff",
        surface="#f4f6f8",
        panel="#e9edf1",
        dark=False,
        variables={
            "scrollbar": "#c9cfd6",
            "scrollbar-background": "#f4f6f8",
        },
    )
    contrast = Theme(
        CONTRAST,
        primary="#00ffd7",
        secondary="#9ad7d0",
        accent="#ffd75f",
        warning="#ffd75f",
        error="#ff8f87",
        success="#87ff87",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        dark=True,
        variables={"scrollbar": "#9a9a9a", "scrollbar-background": "#1c1c1c"},
    )
    return dark, light, contrast


class AsciiOnly(LineFilter):
    """Replaces every character that is not ASCII, the ones that Textual draws included."""

    def apply(self, segments, background):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Translate one line."""
        return [
            segment if segment.text.isascii() else segment._replace(text=_to_ascii(segment.text))
            for segment in segments
        ]


@cache
def _to_ascii(text: str) -> str:
    from rich.cells import cell_len

    known = text.translate(_ASCII)
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in known)


class NoColours(LineFilter):
    """Leaves bold, dim and reverse, and takes every colour away."""

    def apply(self, segments, background):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Strip one line."""
        return [
            segment._replace(style=segment.style.without_color if segment.style else None)
            for segment in segments
        ]
