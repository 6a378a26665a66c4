"""The words of `ava estimate`: what matters first, then each figure with what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from workbench import units
from workbench.cli.estimate_memory import memory_rows
from workbench.cli.estimate_words import (
    LABEL,
    between,
    billions,
    devices_of,
    dollars,
    flop,
    hours,
    row,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.cli.estimate import Question
    from workbench.estimate.estimate import Estimate

_NEAR = 0.03
"""Where so little of a card is left, what no ledger sees may take it: fragments, other programs."""


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
    yield from row("batch", asked.estimate.batch.equation())
    yield Text()
    yield from memory_rows(asked.estimate)
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
            yield from row("", sentence, style="dim", bullet="· ")


def device_of(asked: Question) -> str:
    """The device, and how many."""
    devices = devices_of(asked.estimate)
    many = f"{devices} × " if devices > 1 else ""
    return f"{many}{asked.hardware.title}" + (" (this machine)" if asked.found else "")


def _verdict(asked: Question) -> Iterator[Text]:
    estimate, capacity = asked.estimate, asked.estimate.capacity
    needed = units.size(estimate.needed)
    each = " each" if devices_of(estimate) > 1 else ""
    if capacity is None:
        word, style = "does it fit?", "bold yellow"
        text = f"it needs {needed}{each}; the memory of {device_of(asked)} is not known"
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
    for number, part in enumerate(row("", text)):
        if number == 0:
            yield Text.assemble((f"{word:<{LABEL}}", style), part.plain[LABEL:])
        else:
            yield part
    yield from row("mostly", _dominant(estimate))


def _dominant(estimate: Estimate) -> str:
    found = estimate.memory.peak.lines()
    total = sum(line.bytes for line in found)
    line = found[0]
    return f"{line.name}: {units.size(line.bytes)}, {line.bytes / total:.0%} of it ({line.formula})"


def _nothing(estimate: Estimate) -> str:
    """What was tried in vain, and what keeps the search from more."""
    batch = estimate.batch
    if batch.sequences == batch.devices and batch.sequences < 64:
        return (
            f"nothing with {batch.equation()}: more devices could share the weights, but each "
            "needs a sequence of its own, so give a step more of them"
        )
    return "nothing that was tried, neither more devices of its kind nor one of another"


def _remedy(estimate: Estimate, found: Any) -> Iterator[Text]:
    """The cheapest plan that would fit."""
    plans = [(each, "") for each in found.proposals]
    plans += [(each.best, _hardware(each)) for each in found.remedies]
    if not plans:
        yield from row("would fit", "; ".join([_nothing(estimate), *found.notes]))
        return
    known = [(plan, where) for plan, where in plans if plan.pace.dollars is not None]
    plan, where = min(known, key=lambda each: each[0].pace.dollars) if known else plans[0]
    named = plan.hardware.name if where and plan.hardware is not None else ""
    text = "; ".join(filter(None, (where, *(each for each in plan.changes if each != named))))
    cost = [f"{units.size(plan.need.bytes)} a device"]
    if plan.pace.hours is not None:
        cost.append(units.duration(plan.pace.hours * 3600))
    if plan.pace.dollars is not None:
        cost.append(dollars(plan.pace.dollars))
    label = "cheapest" if known else "would fit"
    yield from row(label, text + (f" ({', '.join(cost)})" if cost else ""))
    keys = " ".join(f"--{key} {_typed(value)}" for key, value in plan.edits.items())
    if keys:
        yield from row("", keys, style="dim")


def _hardware(remedy: Any) -> str:
    title = remedy.best.hardware.title if remedy.best.hardware is not None else ""
    return f"{remedy.devices} × {title}" if remedy.devices > 1 else title


def _typed(value: Any) -> str:
    from workbench.config.render import inline

    return value if isinstance(value, str) else inline(value)


def _model(asked: Question) -> Iterator[Text]:
    size, upstream = asked.estimate.size, asked.upstream
    active = f", {units.count(size.active)} active per token" if size.active != size.total else ""
    trained = f", {units.count(size.trainable)} trained" if size.trainable != size.total else ""
    if upstream is not None:
        other = ""
        if upstream.vocabulary != asked.estimate.config.model.vocab_size:
            other = f" (with the {upstream.vocabulary:,} tokens of its own file)"
        yield from row(
            "model",
            f"{billions(upstream.total)} parameters as upstream's code builds it{other}, "
            f"{billions(upstream.plain)} with plain experts; trained here: {billions(size.total)}"
            f"{active}{trained}",
        )
    else:
        yield from row("model", f"{units.count(size.total)} parameters{active}{trained}")
    parts = sorted(size.parts, key=lambda part: -part[1])
    yield from row("", " · ".join(f"{name} {units.count(count)}" for name, count in parts))


def _speed(estimate: Estimate) -> Iterator[Text]:
    speed, bill, no_speed, flops = (
        estimate.speed,
        estimate.bill,
        estimate.no_speed,
        estimate.flops,
    )
    yield from row(
        "work",
        f"{flop(flops.per_token)} per token, {flop(flops.model)} per step; the kernels compute "
        + flop(flops.hardware)
        + (", for the backward pass computes blocks again" if flops.recomputed else ""),
    )
    if speed is None:
        assert no_speed is not None
        yield from row("speed", f"not known: {no_speed.why}; {no_speed.fix}")
        budget = estimate.budget
        yield from row("length", budget.because)
        return
    devices = devices_of(estimate)
    rate = speed.tokens_per_second
    tokens = f"{rate.likely:,.0f} tokens per second ({rate.low:,.0f} to {rate.high:,.0f})"
    yield from row(
        "speed", f"{tokens}, a step in {between(speed.step_seconds, seconds)}; 80 % interval"
    )
    # A processor has no peak on a data sheet: what was measured here stands in its place.
    if estimate.hardware is None or estimate.hardware.kind != "cpu":
        yield from row(
            "MFU",
            f"{speed.mfu:.0%} of {devices} × {speed.peak / 1e12:,.4g} TFLOP/s, the dense "
            f"{speed.precision} peak; model FLOPs, nothing counted twice",
        )
    yield from _traffic(estimate)
    if bill is None:
        yield from row("time", f"not known: the training is {estimate.budget.because}")
        return
    yield from row(
        "time",
        f"{between(bill.hours, hours)} for {bill.steps:,} steps, "
        f"{units.count(bill.tokens)} tokens ({estimate.budget.because})",
    )
    if bill.dollars is not None:
        small = bill.dollars.high < 0.01
        cost = dollars(bill.dollars.high) if small else between(bill.dollars, dollars)
        yield from row("cost", cost)
    if bill.kilowatt_hours is not None:
        yield from row("energy", between(bill.kilowatt_hours, lambda each: f"{each:,.3g} kWh"))
    price = "" if bill.optimal_dollars is None else f", {dollars(bill.optimal_dollars.likely)}"
    yield from row(
        "optimal",
        f"for its size {units.count(bill.optimal_tokens)} tokens: "
        f"{hours(bill.optimal_hours.likely)}{price}; this run has {bill.share_of_optimal:.2g} "
        "times that",
    )


def _traffic(estimate: Estimate) -> Iterator[Text]:
    speed = estimate.speed
    if speed is None or not (speed.flows or speed.host_seconds):
        return
    parts = [f"computes {seconds(speed.compute_seconds)}"]
    if speed.exposed_seconds:
        parts.append(f"waits for links {seconds(speed.exposed_seconds)}")
    elif speed.flows:
        parts.append("traffic goes on beside it")
    if speed.host_seconds:
        parts.append(f"updates on the host {seconds(speed.host_seconds)}")
    yield from row("step", "; ".join(parts))


def explanation(asked: Question) -> Iterator[Text]:
    """Every byte and every FLOP in a line of its own: formula, value, source."""
    from workbench.cli.estimate_explain import explained

    yield from explained(asked)
