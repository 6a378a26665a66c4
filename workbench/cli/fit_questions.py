"""The other questions of `ava fit`: how far the plan can go, on what it fits, and what if."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from workbench import units
from workbench.cli.fit_table import difference, money
from workbench.cli.output import console, print_json

if TYPE_CHECKING:
    from workbench.cli.fit import Asked
    from workbench.estimate.fit import Bound
    from workbench.estimate.what_if import WhatIf

_CARDS = ("t4", "l4", "rtx_4090", "l40s", "a100_80gb", "h100_80gb", "h200", "b200")


def answer(question: str, asked: Asked, *, json: bool) -> int:
    """Answer one of the questions."""
    if question == "--smallest-card":
        return _smallest_card(asked, json=json)
    if question == "--what-if":
        return _what_if(asked, json=json)
    return _bound(question, asked, json=json)


def _bound(question: str, asked: Asked, *, json: bool) -> int:
    from workbench.estimate.fit import largest_micro_batch, longest_sequence

    batch = question == "--largest-micro-batch"
    search = largest_micro_batch if batch else longest_sequence
    config = asked.plan.config
    found = search(config, asked.hardware, margin=asked.limits.margin, context=asked.context)
    if json:
        print_json(found.to_dict())
        return 0 if found.value else 1
    noun = "largest micro-batch" if batch else "longest sequence"
    unit = "sequences" if batch else "tokens"
    if not found.judged:
        title = asked.hardware.title
        sys.stdout.write(f"the {noun} is not known, for nobody knows how much memory {title} has\n")
        return 1
    if not found.value:
        least = "one sequence" if batch else "64 tokens"
        sys.stdout.write(f"not even {least} fits {asked.hardware.title}\nava fit says what would\n")
        return 1
    sys.stdout.write(f"{noun}  {found.value:,} {unit} on {asked.hardware.title}\n")
    sys.stdout.write(_taken(found, asked))
    sys.stdout.write(difference(config, found.edits) + "\n")
    if batch:
        whole = config.training.batch_size * config.training.gradient_accumulation_steps
        same = max((n for n in range(1, found.value + 1) if whole % n == 0), default=1)
        sys.stdout.write(
            f"with the same sequences in a step: {same} × {whole // same} "
            f"(gradient_accumulation_steps)\n"
        )
    return 0


def _taken(found: Bound, asked: Asked) -> str:
    assert found.need is not None, "what fits has been computed"
    assert found.headroom is not None, "what fits has room"
    left = units.size(found.headroom)
    return (
        f"needs {units.size(found.need.bytes)} ({found.need.what}); {left} left beside the "
        f"{asked.limits.margin:.0%} to be left free\n"
    )


def _smallest_card(asked: Asked, *, json: bool) -> int:
    from workbench.estimate.fit import cards
    from workbench.hardware.devices import device, names

    config = asked.plan.config
    found = cards(config, [device(name) for name in names()], margin=asked.limits.margin)
    if json:
        print_json({"cards": [card.to_dict() for card in found]})
        return 0 if any(card.fits for card in found) else 1
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("device", no_wrap=True)
    for title in ("memory", "needs", "left", "$/hour"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for card in found:
        price = card.hardware.price_per_hour
        table.add_row(
            card.hardware.name,
            units.size(card.hardware.memory_bytes or 0),
            units.size(card.need.bytes),
            units.size(card.headroom) if card.fits else f"-{units.size(max(0, -card.headroom))}",
            "–" if price is None else f"{price:.2f}",
            "fits" if card.fits else "",
        )
    out = console()
    out.print(table)
    fitting = [card for card in found if card.fits]
    if not fitting:
        out.print("\nit fits none of them as it is; ava fit says what would change that")
        return 1
    priced = [card for card in fitting if card.hardware.price_per_hour is not None]
    out.print(f"\nsmallest   {fitting[0].hardware.title}", markup=False)
    if priced:
        cheapest = min(priced, key=lambda card: card.hardware.price_per_hour or 0.0)
        hourly = money(cheapest.hardware.price_per_hour or 0.0)
        out.print(f"cheapest   {cheapest.hardware.title}, {hourly} an hour", markup=False)
    return 0


def _what_if(asked: Asked, *, json: bool) -> int:
    from workbench.estimate.what_if import what_if
    from workbench.hardware.devices import device

    found = what_if(
        asked.plan.config,
        asked.hardware,
        cards=[device(name) for name in _CARDS],
        origins=asked.plan.composed.origins,
        margin=asked.limits.margin,
        measured=asked.measured,
        context=asked.context,
    )
    if json:
        print_json([each.to_dict() for each in found])
        return 0
    from rich.table import Table

    timed = any(each.pace.seconds is not None for each in found)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("what if", no_wrap=True, style="dim")
    table.add_column("", overflow="fold")
    for title in ("needs", "more", "fits", *(("speed", "costs") if timed else ())):
        table.add_column(title, justify="right", no_wrap=True)
    before = ""
    for each in found:
        table.add_row(*_cells(each, first=each.group != before, timed=timed))
        before = each.group
    console().print(table)
    return 0


def _cells(each: WhatIf, *, first: bool, timed: bool) -> list[str]:
    more = each.more_bytes
    cells = [
        each.group if first else "",
        each.name,
        units.size(each.need.bytes),
        ""
        if more is None
        else f"{'+' if more > 0 else '-' if more < 0 else ''}{units.size(abs(more))}",
        {True: "yes", False: "no", None: "–"}[each.fits],
    ]
    if timed:
        cells.append("" if each.faster is None else f"× {each.faster:.2f}")
        cells.append("" if each.pace.dollars is None else money(each.pace.dollars))
    return cells
