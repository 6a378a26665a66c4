"""Make it fit: the fastest plans that see the same sequences in a step and fit the device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.estimate.estimate import Estimate
from workbench.estimate.fit.accepted import Gate
from workbench.estimate.fit.edits import effective
from workbench.estimate.fit.judge import Judge
from workbench.estimate.fit.pace import Pacer
from workbench.estimate.fit.remedies import remedies
from workbench.estimate.fit.result import FitResult, Limits, Proposal
from workbench.estimate.fit.search import Search
from workbench.estimate.fit.words import changes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from workbench.config.origins import Origin
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.fit.pace import Pace
    from workbench.estimate.fit.result import Need, Remedy
    from workbench.estimate.fit.search import Candidate
    from workbench.estimate.speed import Efficiency

_NEAREST = 3
_TOO_SLOW = 1.5
_DEAR = 2.0


def fit(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    origins: Mapping[str, Origin] | None = None,
    limits: Limits | None = None,
    profiles: Sequence[HardwareProfile] = (),
    measured: Efficiency | None = None,
    context: int | None = None,
    capacity: int | None = None,
) -> FitResult:
    """Search for plans that fit. The sequences of a step stay what they are.

    Args:
        config: The plan.
        hardware: Its device; None is this machine's CPU.
        origins: Where its values came from, for the rules.
        limits: What may change; by default everything but the optimizer.
        profiles: Devices to look at where nothing fits this one; none are looked at by default.
        measured: What this machine reached with such a plan (``ava measure``).
        context: Bytes that its processes were seen to take beside what torch holds.
        capacity: Bytes of the device; by default those of its profile.
    """
    limits = limits or Limits()
    if capacity is None and hardware is not None:
        capacity = hardware.memory_bytes
    judge = Judge(hardware, capacity, limits.margin, context)
    pacer = Pacer(config, hardware, measured, origins)
    search = Search(config, limits, judge, pacer)
    gate = Gate(config, origins, hardware)
    refused: dict[str, int] = {}
    proposals: list[Proposal] = []
    if judge.usable is not None:
        for candidate in accepted(search, gate, config, refused):
            proposals.append(_proposal(candidate, config, judge, origins))
            if len(proposals) == limits.most:
                break
    plan = _as_it_is(config, judge, pacer, origins)
    _include(plan, proposals)
    nearest: list[Proposal] = []
    if not proposals and judge.usable is not None:
        nearest = [_proposal(each, config, judge, origins) for each in search.nearest()[:_NEAREST]]
    found: tuple[Remedy, ...] = ()
    if hardware is not None and judge.computed and _is_dear(plan, proposals):
        # What waits on the host is what makes plans slow, and such plans there are already.
        others = replace(limits, offload=False) if proposals else limits
        found = remedies(config, hardware, origins, others, profiles, measured)
        found = tuple(each for each in found if _is_cheaper(each.best, proposals))
    return FitResult(
        plan,
        tuple(proposals),
        tuple(nearest),
        found,
        capacity,
        limits.margin,
        search.considered,
        judge.computed,
        refused,
        tuple(_notes(plan, judge, hardware)),
    )


def _is_dear(plan: Proposal, proposals: Sequence[Proposal]) -> bool:
    """Whether nothing fits, or only what is far slower than the plan would be if it did."""
    return all(each.pace.order > _DEAR * plan.pace.order for each in proposals)


def _is_cheaper(other: Proposal, proposals: Sequence[Proposal]) -> bool:
    """Whether a plan on other hardware costs less than all that fit as things are."""
    costs = [each.pace.dollars for each in proposals if each.pace.dollars is not None]
    if not proposals:
        return True
    return other.pace.dollars is not None and other.pace.dollars < min(costs, default=0.0)


def accepted(
    search: Search, gate: Gate, plan: Config, refused: dict[str, int]
) -> Iterator[Candidate]:
    """What fits and the rules accept: each takes less than all the faster ones before it.

    It ends where plans are so much slower that nobody would take them for the room.
    """
    least: int | None = None
    closed: set[str] = set()
    for candidate in search.found():
        assert candidate.need is not None, "what is found has been computed"
        taken = least is not None and candidate.need.bytes >= least
        if taken or candidate.variant.sharding in closed:
            continue
        edits = effective(plan, candidate.edits)
        why = gate.refuses(candidate.config, edits) if edits else None
        if why is not None:
            refused[why] = refused.get(why, 0) + 1
            if why.partition(":")[0].partition(".")[0] in ("deepspeed", "fsdp", "parallel"):
                closed.add(candidate.variant.sharding)
            continue
        if least is None:
            search.slowest = _TOO_SLOW * candidate.pace.order
        least = candidate.need.bytes
        yield candidate


def _include(plan: Proposal, proposals: list[Proposal]) -> None:
    """A plan that fits is among its proposals; where nobody knows the speed, it is the first."""
    if not plan.fits or any(not each.edits for each in proposals):
        return
    place = 0
    if plan.pace.seconds is not None:
        place = sum(each.pace.order < plan.pace.order for each in proposals)
    proposals.insert(place, plan)


def _as_it_is(
    config: Config, judge: Judge, pacer: Pacer, origins: Collection[str] | None
) -> Proposal:
    """The plan without a change."""
    return _told(config, {}, judge.need(config), pacer(config), judge, origins)


def _proposal(
    candidate: Candidate, plan: Config, judge: Judge, origins: Collection[str] | None
) -> Proposal:
    edits = effective(plan, candidate.edits)
    assert candidate.need is not None, "what is told has been computed"
    return _told(candidate.config, edits, candidate.need, candidate.pace, judge, origins, plan)


def _told(
    config: Config,
    edits: dict[str, Any],
    need: Need,
    pace: Pace,
    judge: Judge,
    origins: Collection[str] | None,
    plan: Config | None = None,
) -> Proposal:
    return Proposal(
        edits,
        changes(plan or config, config),
        judge.fits(need),
        judge.headroom(need),
        need,
        pace,
        config,
        judge.hardware,
        Estimate.of(config, judge.hardware, origins=origins),
    )


def _notes(plan: Proposal, judge: Judge, hardware: HardwareProfile | None) -> Iterator[str]:
    if judge.usable is None:
        name = "this machine" if hardware is None else hardware.title
        yield f"how much memory {name} has is not known, so nothing can be judged"
    if plan.need.what == "allocated":
        yield "compared: what tensors take; the process itself comes on top (ava measure tells)"
    if hardware is not None and hardware.kind not in ("cuda", "rocm", "cpu"):
        yield f"today's trainer does not run on {hardware.title}: the bytes are those of a CUDA GPU"
    if plan.pace.seconds is None:
        yield "the speed is not known: plans are in the order of what they compute and send"
