"""How `ava fit` shows what it has found: a table, what each plan changes, and the command line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from workbench import units
from workbench.cli.estimate_words import row
from workbench.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from workbench.cli.fit import Asked
    from workbench.config.schema import Config
    from workbench.estimate.fit import FitResult, Proposal, Remedy


def show(asked: Asked, result: FitResult, command: list[str] | None) -> None:
    """Print a result."""
    out = console()
    for label, text in _opening(asked, result):
        for line in row(label, text):
            out.print(line)
    if result.proposals:
        _show_proposals(asked, result, command)
        _show_remedies(asked, result.remedies, "cheaper with other hardware")
    else:
        _show_nearest(result.nearest)
        _show_remedies(asked, result.remedies, "it would fit on")
    for note in _closing(result):
        out.print(note, markup=False, style="dim")


def _show_proposals(asked: Asked, result: FitResult, command: list[str] | None) -> None:
    out, config = console(), asked.plan.config
    out.print()
    out.print(_table(result.proposals))
    for number, each in enumerate(result.proposals, 1):
        if each.edits:
            out.print(f"\nplan {number} changes", style="bold")
            out.print(difference(config, each.edits), markup=False)
        if each.need.host:
            out.print(f"  {_host(each)}", markup=False, style="dim")
    if command is not None:
        out.print("\ntrain the first with", style="bold")
        out.print("  " + shlex.join(command), markup=False, soft_wrap=True)


def _show_nearest(nearest: Sequence[Proposal]) -> None:
    if not nearest:
        return
    out = console()
    out.print("\nnothing fits; what lacks least:", style="bold")
    out.print(_table(nearest))
    for number, each in enumerate(nearest, 1):
        if each.need.host:
            out.print(f"plan {number}: {_host(each)}", markup=False, style="dim")


def _opening(asked: Asked, result: FitResult) -> list[tuple[str, str]]:
    plan, hardware = result.plan, asked.hardware
    where = hardware.title if asked.named else f"{hardware.title} (this machine)"
    lines = [("plan", asked.plan.equation), ("device", where)]
    if plan.headroom is None or result.capacity is None:
        lines.append(("needs", units.size(plan.need.bytes)))
    else:
        over = plan.headroom < 0
        gap = f"{units.size(-plan.headroom)} too much" if over else "it fits as it is"
        beside = "" if asked.context is None else ", with what a process takes here beside tensors"
        lines.append(("needs", f"{units.size(plan.need.bytes)} of each device{beside}"))
        has = f"{units.size(result.capacity)}, {result.margin:.0%} of it to be left free"
        lines.append(("has", f"{has}: {gap}"))
    choice = len(result.proposals)
    found = f"{choice} to choose from" if choice else "none fits"
    if not choice and not result.nearest:
        found = "none that can be judged"
    lines.append(
        ("searched", f"{result.considered:,} plans with the same sequences in a step: {found}")
    )
    return lines


def _table(proposals: Sequence[Proposal]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    timed = any(each.pace.seconds is not None for each in proposals)
    priced = any(each.pace.dollars is not None for each in proposals)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("batch", no_wrap=True)
    table.add_column("with", overflow="fold")
    table.add_column("needs", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    if timed:
        table.add_column("tokens/s", justify="right", no_wrap=True)
        table.add_column("takes", justify="right", no_wrap=True)
    if priced:
        table.add_column("costs", justify="right", no_wrap=True)
    for number, each in enumerate(proposals, 1):
        training, pace = each.config.training, each.pace
        row: list[str | Text] = [
            str(number),
            f"{training.batch_size} × {training.gradient_accumulation_steps}",
            Text(_with(each) or ("–" if each.edits else "as it is")),
            units.size(each.need.bytes),
            "–" if each.headroom is None else _signed(each.headroom),
        ]
        if timed:
            rate = pace.tokens_per_second
            row.append("–" if rate is None else _rate(rate))
            row.append("–" if pace.hours is None else units.duration(pace.hours * 3600))
        if priced:
            row.append("–" if pace.dollars is None else money(pace.dollars))
        table.add_row(*row)
    return table


def _host(proposal: Proposal) -> str:
    """What a plan takes of the host, beside what is there."""
    need, hardware = proposal.need, proposal.hardware
    assert need.host is not None, "it leans on the host"
    has = None if hardware is None else hardware.host_memory_bytes
    there = "how much there is is not known" if has is None else f"of {units.size(has)}"
    return f"host memory of a node: {units.size(need.host)}, {there}"


def _with(proposal: Proposal) -> str:
    """What a plan changes beside the batch, which has a column of its own."""
    return ", ".join(word for word in proposal.changes if not word.startswith("batch "))


def _signed(size: int) -> str:
    return units.size(size) if size >= 0 else f"-{units.size(-size)}"


def _rate(tokens: float) -> str:
    return f"{tokens:,.0f}" if tokens < 1e6 else units.count(tokens)


def money(dollars: float) -> str:
    """Dollars in few characters."""
    if dollars < 0.005:
        return "<$0.01"
    return f"${dollars:,.2f}" if dollars < 100 else f"${dollars:,.0f}"


def difference(plan: Config, edits: dict[str, object]) -> str:
    """The edits as a diff: what stands there, and what would."""
    from workbench.config.keys import value_at
    from workbench.config.render import inline

    width = max(len(path) for path in edits)
    return "\n".join(
        f"  {path:<{width}}  {inline(value_at(plan, path))} → {inline(value)}"
        for path, value in edits.items()
    )


def _show_remedies(asked: Asked, remedies: Sequence[Remedy], title: str) -> None:
    out = console()
    if not remedies:
        return
    out.print(f"\n{title}", style="bold")
    for each in remedies:
        best = each.best
        hardware = best.hardware
        assert hardware is not None, "a remedy is a device"
        many = f"{each.devices} × {hardware.title}"
        cost = "" if best.pace.dollars is None else f", {money(best.pace.dollars)} in all"
        size = f"{units.size(best.need.bytes)} on each"
        words = [word for word in best.changes if word != hardware.name]
        out.print(f"  {many}: {size}{cost}", markup=False)
        out.print(f"    {', '.join(words) or 'as it is'}", markup=False, style="dim")
    first = remedies[0].best
    out.print("\nthe first of them with", style="bold")
    from workbench.cli.fit import command_of

    out.print("  " + shlex.join(command_of(asked.plan, first)), markup=False, soft_wrap=True)


def _closing(result: FitResult) -> list[str]:
    lines = [""]
    lines += [f"note: {note}" for note in result.notes]
    lines += [
        f"refused by the rules ({number}): {why}"
        for why, number in list(result.refused.items())[:3]
    ]
    if result.proposals and result.proposals[0].pace.seconds is not None:
        lines.append("speed and cost are likely figures; ava estimate says how sure they are")
    return lines if len(lines) > 1 else []
