"""`ava estimate --explain`: every figure with its formula, its value and its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

from workbench import units
from workbench.cli.estimate_words import flop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workbench.cli.estimate import Question
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.ledger import Line


def explained(asked: Question) -> Iterator[Text]:
    """All lines, with their symbols."""
    estimate = asked.estimate
    memory = estimate.memory
    yield from _head("moments of a step")
    for moment in memory.moments:
        here = "  ← the peak" if moment is memory.peak else ""
        yield Text(f"  {units.size(moment.bytes):>10}  {moment.name}{here}")
    yield from _head(f"memory of one device at “{memory.peak.name}”")
    sources: list[str] = []
    yield from _table(memory.peak.lines(), memory.allocated, sources)
    others = {
        "on top of it, on the device": estimate.beyond,
        "main memory of a node": memory.host,
        "drives of a node": memory.nvme,
        "checkpoints": memory.disk,
    }
    for name, found in others.items():
        if found:
            yield from _head(name)
            yield from _table(found, sum(line.bytes for line in found), sources)
    yield from _head("sources")
    for number, source in enumerate(sources, start=1):
        yield Text(f"  [{number}] {source}")
    yield from _symbols(estimate)
    yield from _flops(estimate)
    if asked.upstream is not None:
        yield from _head("parameters as upstream's code builds it")
        yield Text(f"  {asked.upstream.total:,} = {asked.upstream.formula}")
        yield Text(
            "  h hidden_size, I intermediate_size, L num_layers, E num_experts, V vocab_size"
        )


def _head(text: str) -> Iterator[Text]:
    yield Text()
    yield Text(text, style="bold")


def _table(found: Iterable[Line], total: int, sources: list[str]) -> Iterator[Text]:
    """Two rows for each line: what and how much; how it is computed and who says so.

    Args:
        found: The lines.
        total: What they are shares of.
        sources: Those that were named before; new ones are added.
    """
    shown = 0
    for line in found:
        shown += line.bytes
        share = line.bytes / total if total else 0
        yield Text(f"  {units.size(line.bytes):>10} {share:>6.1%}  {line.name}")
        if line.source not in sources:
            sources.append(line.source)
        stream = "" if line.stream == "compute" else f", {line.stream} stream"
        yield Text(
            f"  {'':>17}  = {line.formula} = {line.bytes:,} B{stream}"
            f"  [{sources.index(line.source) + 1}]",
            style="dim",
        )
    yield Text(f"  {units.size(shown):>10} {shown / total if total else 1:>6.1%}  together")


def _symbols(estimate: Estimate) -> Iterator[Text]:
    """What the letters of the formulas stand for, those that are used."""
    from workbench.estimate.engines.base import TAPE
    from workbench.estimate.network.symbols import CUDA_ALIGNMENT, MEANINGS, symbols_of

    memory = estimate.memory
    setting = memory.setting
    values = symbols_of(
        estimate.config,
        alignment=1 if setting.cpu else CUDA_ALIGNMENT,
        shards=setting.shards,
        compute=setting.width,
    )
    found = memory.peak.lines()
    used = _names(line.formula for line in found if line.source == TAPE)
    others = _names(line.formula for line in found if line.source != TAPE)
    yield from _head("symbols")
    if "P" in others - used:
        yield Text(f"  {'P':<4}{'':>14}  weights of the part that the line names")
    used |= others - {"P"}
    for (name, meaning), value in zip(MEANINGS.items(), values, strict=True):
        if name in used:
            yield Text(f"  {name:<4}{value:>14,}  {meaning}")


def _names(formulas: Iterable[str]) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", " ".join(formulas)))


def _flops(estimate: Estimate) -> Iterator[Text]:
    flops = estimate.flops
    yield from _head("FLOPs of a step, over all devices")
    for name, value in flops.parts:
        yield Text(f"  {flop(value):>12}  {name}, forward and backward")
    for name, value, what in (
        ("counted", flops.counted, "as torch.utils.flop_counter counts"),
        ("again", flops.recomputed, "of it recomputation"),
        ("model", flops.model, "nothing twice: the numerator of MFU (arXiv 2204.02311, B)"),
        ("hardware", flops.hardware, "what the kernels compute"),
    ):
        if value:
            yield Text(f"  {flop(value):>12}  {name}: {what}")
    yield Text(f"  {flops.attention}", style="dim")
    speed = estimate.speed
    if speed is None or not speed.flows:
        return
    yield from _head("traffic of a step, from one device")
    for flow in speed.flows:
        beside = "beside the computation" if flow.overlaps else "while nothing computes"
        where = "its host" if flow.devices == 1 else f"{flow.devices} devices"
        yield Text(
            f"  {units.size(flow.volume):>12}  {flow.name} = {flow.formula}, {where}, {beside}"
        )
