"""The memory part of `ava estimate`: categories, a bar against the device, what comes on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from workbench import units
from workbench.cli.estimate_words import LABEL, row, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.estimate.estimate import Estimate

_CATEGORIES = {
    "weights": "#",
    "optimizer": "=",
    "gradients": "+",
    "activations": "~",
    "temporaries": "-",
    "communication": "%",
    "inputs": ".",
    "process": "&",
}
"""Each kind of bytes has a character of its own: a bar that is read without colours."""


def memory_rows(estimate: Estimate) -> Iterator[Text]:
    """Memory of one device at its peak, and what lies elsewhere."""
    memory = estimate.memory
    totals: dict[str, int] = {}
    lines = memory.peak.lines()
    for line in (*lines, *estimate.beyond):
        totals[line.category] = totals.get(line.category, 0) + line.bytes
    allocated, needed = sum(line.bytes for line in lines), sum(totals.values())
    yield from row(
        "memory",
        f"of one device at its peak, “{memory.peak.name}”, the largest of "
        f"{len(memory.moments)} moments of a step",
    )
    for category, character in _CATEGORIES.items():
        if totals.get(category):
            share = totals[category] / needed
            name = f"{character} {category}"
            yield Text(f"{'':<{LABEL}}{name:<16}{units.size(totals[category]):>10}  {share:>6.1%}")
    yield from _bar(totals, estimate.capacity)
    yield from _beyond(estimate, allocated)


def _bar(totals: dict[str, int], capacity: int | None) -> Iterator[Text]:
    """The bytes as characters, against the device: what stands right of its end does not fit."""
    room = width() - LABEL - 2
    whole = max(sum(totals.values()), capacity or 0)
    cells = ""
    reached = 0
    for category, character in _CATEGORIES.items():
        reached += totals.get(category, 0)
        cells += character * (round(reached / whole * room) - len(cells))
    cells = cells.ljust(room)
    if capacity is None:
        yield Text(f"{'':<{LABEL}}[{cells}]")
        return
    end = min(room, round(capacity / whole * room))
    inside, outside = cells[:end], cells[end:]
    yield Text.assemble(
        f"{'':<{LABEL}}[", (inside, "green" if not outside.strip() else ""), "|", (outside, "red")
    )
    place, mark = LABEL + 1 + end, f"{units.size(capacity)}, the device"
    right = place + len(mark) + 2 <= width()
    text = f"{'':<{place}}^ {mark}" if right else f"{mark:>{place - 1}} ^"
    yield Text(text, style="dim")


def _beyond(estimate: Estimate, allocated: int) -> Iterator[Text]:
    """What comes on top on the device, and what lies elsewhere."""
    memory = estimate.memory
    rows: list[tuple[str, int | None]] = [("allocated", allocated)]
    rows += [("reserved", memory.reserved), ("process", memory.process)]
    for name, found in (("host", memory.host), ("nvme", memory.nvme), ("disk", memory.disk)):
        rows.append((name, sum(line.bytes for line in found) or None))
    meanings = {
        "allocated": "tensors",
        "reserved": "with the gaps of the allocator's pools",
        "process": "with the device's context (nvidia-smi)",
        "host": "main memory of a node",
        "nvme": "files on the drives of a node",
        "disk": "checkpoints",
    }
    for name, value in rows:
        if value is not None:
            yield from row("", f"{name:<10}{units.size(value):>10}   {meanings[name]}")
