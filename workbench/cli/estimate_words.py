"""What all parts of `ava estimate` say in the same way: rows, figures, intervals."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from rich.text import Text

from workbench import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.estimate.estimate import Estimate
    from workbench.estimate.speed import Interval

LABEL = 13

_FIGURE = re.compile(r"(?<=\d) (?=(?:[KMGT]iB|[kMGTPEZ]?FLOP|[kMBT]|ms|min|kWh|[sdhB])\b)")
"""The space between a figure and its unit, where no row may end."""


def width() -> int:
    """Columns to write in."""
    return max(40, min(100, shutil.get_terminal_size((80, 24)).columns))


def row(label: str, text: str, *, style: str = "", bullet: str = "") -> Iterator[Text]:
    """A label and a paragraph beside it."""
    wrapped = textwrap.wrap(
        _FIGURE.sub("\N{NO-BREAK SPACE}", text),
        width() - LABEL - len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, part in enumerate(wrapped or [""]):
        head = label if number == 0 else ""
        lead = bullet if number == 0 else " " * len(bullet)
        yield Text.assemble(
            (f"{head:<{LABEL}}", "bold"), (lead + part.replace("\N{NO-BREAK SPACE}", " "), style)
        )


def devices_of(estimate: Estimate) -> int:
    """Devices over all nodes."""
    parallel = estimate.config.parallel
    return parallel.num_nodes * parallel.devices_per_node


def billions(count: int) -> str:
    """A count of parameters to a tenth of a billion, as models are called."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else units.count(count)


def dollars(value: float) -> str:
    """Money: cents below ten dollars, and none above."""
    if value < 0.01:
        return "below $0.01"
    return f"${value:,.2f}" if value < 10 else f"${value:,.0f}"


def flop(value: float) -> str:
    """FLOPs with a decimal prefix."""
    for size, prefix in (
        (1e21, "Z"),
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
    ):
        if value >= size:
            return f"{value / size:.3g} {prefix}FLOP"
    return f"{value:,.0f} FLOP"


def between(interval: Interval, show: Any) -> str:
    """The likely figure, and the interval."""
    return f"{show(interval.likely)} ({show(interval.low)} to {show(interval.high)})"


def hours(value: float) -> str:
    """Hours as a duration."""
    return units.duration(value * 3600)


def seconds(value: float) -> str:
    """Seconds, below one in thousandths."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
