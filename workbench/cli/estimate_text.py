"""The words of `ava estimate`: what matters first, then each figure with what it rests on."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from rich.text import Text

from workbench import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.cli.estimate import Question
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.ledger import Line
    from workbench.estimate.speed import Interval

_LABEL = 13
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

_NEAR = 0.03
"""Where so little of a card is left, what no ledger sees may take it: fragments, other programs."""

_FIGURE = re.compile(r"(?<=\d) (?=(?:[KMGT]iB|[kMGTPEZ]?FLOP|[kMBT]|ms|min|kWh|[sdhB])\b)")
"""The space between a figure and its unit, where no row may end."""


def lines(asked: Question, found: Any) -> Iterator[Text]:
    """All of the answer.

    Args:
        asked: The question with its estimate.
        found: What `workbench.estimate.fit` found; None where the plan fits, or nobody knows.
    """
    yield from _verdict(asked)
    if found is not None:
        yield from _remedy(asked.estimate, found)
    yield Text()
    yield from _model(asked)
    yield from _row("batch", asked.estimate.batch.equation())
    yield Text()
    yield from _memory(asked.estimate)
    yield Text()
    if asked.estimate.fits is False and asked.estimate.speed is not None:
        yield Text("if it fitted", style="bold")
    yield from _speed(asked.estimate)
    told = ("speed is not known", "the end is not known")
    assumed = [each for each in asked.estimate.assumptions if not each.startswith(told)]
    if assumed:
        yield Text()
        yield Text("rests on", style="bold")
        for sentence in assumed:
            yield from _row("", sentence, style="dim", bullet="· ")


def _width() -> int:
    return max(40, min(100, shutil.get_terminal_size((80, 24)).columns))


def _row(label: str, text: str, *, style: str = "", bullet: str = "") -> Iterator[Text]:
    """A label and a paragraph beside it."""
    wrapped = textwrap.wrap(
        _FIGURE.sub("\N{NO-BREAK SPACE}", text),
        _width() - _LABEL - len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, part in enumerate(wrapped or [""]):
        head = label if number == 0 else ""
        lead = bullet if number == 0 else " " * len(bullet)
        yield Text.assemble(
            (f"{head:<{_LABEL}}", "bold"), (lead + part.replace("\N{NO-BREAK SPACE}", " "), style)
        )


def device_of(asked: Question) -> str:
    """The device, and how many."""
    devices = _devices(asked.estimate)
    many = f"{devices} × " if devices > 1 else ""
    return f"{many}{asked.hardware.title}" + (" (this machine)" if asked.found else "")


def _devices(estimate: Estimate) -> int:
    parallel = estimate.config.parallel
    return parallel.num_nodes * parallel.devices_per_node


def _verdict(asked: Question) -> Iterator[Text]:
    estimate, capacity = asked.estimate, asked.estimate.capacity
    least = "" if estimate.memory is not None else "at least "
    needed = f"{least}{units.size(estimate.needed)}"
    each = " each" if _devices(estimate) > 1 else ""
    if estimate.fits is None or capacity is None:
        word, style = "does it fit?", "bold yellow"
        if capacity is None:
            text = f"it needs {needed}{each}; the memory of {device_of(asked)} is not known"
        else:
            text = (
                f"it needs {needed}{each} of the {units.size(capacity)} of {device_of(asked)}, "
                "and the ledger has no lines for all of it"
            )
    elif not estimate.fits and estimate.needed <= capacity:
        assert estimate.host_headroom is not None
        word, style = "does not fit", "bold red"
        text = f"{device_of(asked)} has room, its host has not: "
        text += f"{units.size(-estimate.host_headroom)} of main memory too little"
    elif estimate.fits:
        left = capacity - estimate.needed
        word, style = "fits", "bold green"
        text = f"{device_of(asked)}: {needed}{each} of {units.size(capacity)}; "
        text += f"{units.size(left)} are left"
        if left < _NEAR * capacity:
            word, style = "just fits", "bold yellow"
            text += ", so little that fragments of the allocator may take it"
    else:
        over = estimate.needed - capacity
        word, style = "does not fit", "bold red"
        text = (
            f"{device_of(asked)} has {units.size(capacity)}{each}, the plan needs {needed}: "
            f"{units.size(over)} too much"
        )
    for number, row in enumerate(_row("", text)):
        if number == 0:
            yield Text.assemble((f"{word:<{_LABEL}}", style), row.plain[_LABEL:])
        else:
            yield row
    yield from _row("mostly", _dominant(estimate))


def peak_lines(estimate: Estimate) -> list[Line]:
    """The lines of the largest moment; of the least where memory is not known."""
    if estimate.memory is None:
        return sorted(estimate.floor, key=lambda line: -line.bytes)
    return estimate.memory.peak.lines()


def _dominant(estimate: Estimate) -> str:
    found = peak_lines(estimate)
    total = sum(line.bytes for line in found)
    line = found[0]
    return f"{line.name}: {units.size(line.bytes)}, {line.bytes / total:.0%} of it ({line.formula})"


def _fewest(estimate: Estimate) -> str:
    """How many devices at least, where the search could not judge any plan."""
    assert estimate.capacity is not None
    states = sum(line.bytes for line in estimate.floor)
    fewest = -(-states // estimate.capacity)
    if fewest < 2 or estimate.batch.devices > 1:
        return "nothing that was tried"
    return (
        f"nothing on one device; {fewest} of them hold its weights, gradients and optimizer, "
        "sharded, and nothing else: take more"
    )


def _remedy(estimate: Estimate, found: Any) -> Iterator[Text]:
    """The cheapest plan that would fit."""
    plans = [(each, "") for each in found.proposals]
    plans += [(each.best, _hardware(each)) for each in found.remedies]
    if not plans:
        yield from _row("would fit", "; ".join([_fewest(estimate), *found.notes]))
        return
    known = [(plan, where) for plan, where in plans if plan.pace.dollars is not None]
    plan, where = min(known, key=lambda each: each[0].pace.dollars) if known else plans[0]
    text = "; ".join([where, *plan.changes] if where else plan.changes)
    cost = [] if plan.need is None else [f"{units.size(plan.need.bytes)} a device"]
    if plan.pace.hours is not None:
        cost.append(units.duration(plan.pace.hours * 3600))
    if plan.pace.dollars is not None:
        cost.append(dollars(plan.pace.dollars))
    label = "cheapest" if known else "would fit"
    yield from _row(label, text + (f" ({', '.join(cost)})" if cost else ""))
    keys = " ".join(f"--{key} {_typed(value)}" for key, value in plan.edits.items())
    if keys:
        yield from _row("", keys, style="dim")


def _hardware(remedy: Any) -> str:
    title = remedy.best.hardware.title if remedy.best.hardware is not None else ""
    return f"{remedy.devices} × {title}" if remedy.devices > 1 else title


def _typed(value: Any) -> str:
    from workbench.config.render import inline

    return inline(value)


def _model(asked: Question) -> Iterator[Text]:
    size, upstream = asked.estimate.size, asked.upstream
    active = f", {units.count(size.active)} active per token" if size.active != size.total else ""
    trained = f", {units.count(size.trainable)} trained" if size.trainable != size.total else ""
    if upstream is not None:
        other = ""
        if upstream.vocabulary != asked.estimate.config.model.vocab_size:
            other = f" (with the {upstream.vocabulary:,} tokens of its own file)"
        yield from _row(
            "model",
            f"{billions(upstream.total)} parameters as upstream's code builds it{other}, "
            f"{billions(upstream.plain)} with plain experts; trained here: {billions(size.total)}"
            f"{active}{trained}",
        )
    else:
        yield from _row("model", f"{units.count(size.total)} parameters{active}{trained}")
    parts = sorted(size.parts, key=lambda part: -part[1])
    yield from _row("", " · ".join(f"{name} {units.count(count)}" for name, count in parts))


def billions(count: int) -> str:
    """A count of parameters to a tenth of a billion, as models are called."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else units.count(count)


def _memory(estimate: Estimate) -> Iterator[Text]:
    memory = estimate.memory
    totals: dict[str, int] = {}
    lines = peak_lines(estimate)
    for line in (*lines, *estimate.beyond):
        totals[line.category] = totals.get(line.category, 0) + line.bytes
    allocated, needed = sum(line.bytes for line in lines), sum(totals.values())
    if memory is None:
        yield from _row("memory", "of one device, without what the ledger has no lines for")
    else:
        yield from _row(
            "memory",
            f"of one device at its peak, “{memory.peak.name}”, the largest of "
            f"{len(memory.moments)} moments of a step",
        )
    for category, character in _CATEGORIES.items():
        if totals.get(category):
            share = totals[category] / needed
            name = f"{character} {category}"
            yield Text(f"{'':<{_LABEL}}{name:<16}{units.size(totals[category]):>10}  {share:>6.1%}")
    yield from _bar(totals, estimate.capacity)
    yield from _beyond(estimate, allocated)


def _bar(totals: dict[str, int], capacity: int | None) -> Iterator[Text]:
    """The bytes as characters, against the card: what stands right of its end does not fit."""
    width = _width() - _LABEL - 2
    whole = max(sum(totals.values()), capacity or 0)
    cells = ""
    reached = 0
    for category, character in _CATEGORIES.items():
        reached += totals.get(category, 0)
        cells += character * (round(reached / whole * width) - len(cells))
    cells = cells.ljust(width)
    if capacity is None:
        yield Text(f"{'':<{_LABEL}}[{cells}]")
        return
    end = min(width, round(capacity / whole * width))
    inside, outside = cells[:end], cells[end:]
    yield Text.assemble(
        f"{'':<{_LABEL}}[", (inside, "green" if not outside.strip() else ""), "|", (outside, "red")
    )
    place, mark = _LABEL + 1 + end, f"{units.size(capacity)}, the device"
    right = place + len(mark) + 2 <= _width()
    text = f"{'':<{place}}^ {mark}" if right else f"{mark:>{place - 1}} ^"
    yield Text(text, style="dim")


def _beyond(estimate: Estimate, allocated: int) -> Iterator[Text]:
    """What comes on top on the device, and what lies elsewhere."""
    memory = estimate.memory
    rows: list[tuple[str, int | None]] = [("allocated", allocated)]
    if memory is not None:
        rows += [("reserved", memory.reserved), ("process", memory.process)]
        for name, found in (("host", memory.host), ("nvme", memory.nvme), ("disk", memory.disk)):
            rows.append((name, sum(line.bytes for line in found) or None))
    meanings = {
        "allocated": "tensors" if memory is not None else "the least that must be there",
        "reserved": "with the gaps of the allocator's pools",
        "process": "with the device's context (nvidia-smi)",
        "host": "main memory of a node",
        "nvme": "files on the drives of a node",
        "disk": "checkpoints",
    }
    for name, value in rows:
        if value is not None:
            yield from _row("", f"{name:<10}{units.size(value):>10}   {meanings[name]}")


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


def _between(interval: Interval, show: Any) -> str:
    """The likely figure, and the interval."""
    return f"{show(interval.likely)} ({show(interval.low)} to {show(interval.high)})"


def _hours(hours: float) -> str:
    return units.duration(hours * 3600)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _speed(estimate: Estimate) -> Iterator[Text]:
    speed, bill, no_speed, flops = (
        estimate.speed,
        estimate.bill,
        estimate.no_speed,
        estimate.flops,
    )
    yield from _row(
        "work",
        f"{flop(flops.per_token)} per token, {flop(flops.model)} per step; the kernels compute "
        + flop(flops.hardware)
        + (", for the backward pass computes blocks again" if flops.recomputed else ""),
    )
    if speed is None:
        assert no_speed is not None
        yield from _row("speed", f"not known: {no_speed.why}; {no_speed.fix}")
        budget = estimate.budget
        yield from _row("length", budget.because)
        return
    devices = _devices(estimate)
    rate = speed.tokens_per_second
    tokens = f"{rate.likely:,.0f} tokens per second ({rate.low:,.0f} to {rate.high:,.0f})"
    yield from _row(
        "speed", f"{tokens}, a step in {_between(speed.step_seconds, _seconds)}; 80 % interval"
    )
    # A processor has no peak on a data sheet: what was measured here stands in its place.
    if estimate.hardware is None or estimate.hardware.kind != "cpu":
        yield from _row(
            "MFU",
            f"{speed.mfu:.0%} of {devices} × {speed.peak / 1e12:,.4g} TFLOP/s, the dense "
            f"{speed.precision} peak; model FLOPs, nothing counted twice",
        )
    yield from _traffic(estimate)
    if bill is None:
        yield from _row("time", f"not known: the training is {estimate.budget.because}")
        return
    yield from _row(
        "time",
        f"{_between(bill.hours, _hours)} for {bill.steps:,} steps, "
        f"{units.count(bill.tokens)} tokens ({estimate.budget.because})",
    )
    if bill.dollars is not None:
        small = bill.dollars.high < 0.01
        cost = dollars(bill.dollars.high) if small else _between(bill.dollars, dollars)
        yield from _row("cost", cost)
    if bill.kilowatt_hours is not None:
        yield from _row("energy", _between(bill.kilowatt_hours, lambda each: f"{each:,.3g} kWh"))
    price = "" if bill.optimal_dollars is None else f", {dollars(bill.optimal_dollars.likely)}"
    yield from _row(
        "optimal",
        f"for its size {units.count(bill.optimal_tokens)} tokens: "
        f"{_hours(bill.optimal_hours.likely)}{price}; this run has {bill.share_of_optimal:.2g} "
        "times that",
    )


def _traffic(estimate: Estimate) -> Iterator[Text]:
    speed = estimate.speed
    if speed is None or not (speed.flows or speed.host_seconds):
        return
    parts = [f"computes {_seconds(speed.compute_seconds)}"]
    if speed.exposed_seconds:
        parts.append(f"waits for links {_seconds(speed.exposed_seconds)}")
    elif speed.flows:
        parts.append("traffic goes on beside it")
    if speed.host_seconds:
        parts.append(f"updates on the host {_seconds(speed.host_seconds)}")
    yield from _row("step", "; ".join(parts))


def explanation(asked: Question) -> Iterator[Text]:
    """Every byte and every FLOP in a line of its own: formula, value, source."""
    from workbench.cli.estimate_explain import explained

    yield from explained(asked)
