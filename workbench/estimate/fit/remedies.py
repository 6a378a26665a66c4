"""The smallest change of hardware on which a plan would fit: more devices, or another card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.estimate.estimate import Estimate
from workbench.estimate.fit.accepted import Gate
from workbench.estimate.fit.edits import changed, effective
from workbench.estimate.fit.judge import Judge
from workbench.estimate.fit.pace import Pacer
from workbench.estimate.fit.result import Proposal, Remedy
from workbench.estimate.fit.search import Search, sequences
from workbench.estimate.fit.words import changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from workbench.config.origins import Origin
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.fit.result import Limits
    from workbench.estimate.speed import Efficiency

_MOST_NODES = 64
_TRAINS_ON = ("cuda", "rocm")
_CARDS = 3
_BLOCK = {"training.gradient_checkpointing_kind": "block"}


def remedies(
    config: Config,
    hardware: HardwareProfile,
    origins: Mapping[str, Origin] | None,
    limits: Limits,
    profiles: Sequence[HardwareProfile],
    measured: Efficiency | None,
) -> tuple[Remedy, ...]:
    """More devices of the same kind, then the cheapest other cards; the fastest plan on each."""
    place = _Place(config, origins, limits)
    found = []
    # Processors that are added to a node would share its memory.
    steps = [] if hardware.kind == "cpu" else list(_more_devices(config, hardware))
    low, high = 0, len(steps)  # those before low are too few, those from high on are enough
    while low < high:
        middle = (low + high) // 2
        if place.feasible(steps[middle], hardware):
            high = middle
        else:
            low = middle + 1
    for edits in steps[low:]:
        if (best := place.best(edits, hardware, measured)) is not None:
            found.append(Remedy("devices", Degrees.of(best.config).devices, best))
            break
    cards = []
    for profile in _cards(hardware, profiles):
        edits = {"run.hardware": profile.name}
        if place.feasible(edits, profile):
            best = place.best(edits, profile, None)
            if best is not None:
                cards.append(Remedy("card", Degrees.of(best.config).devices, best))
        if len(cards) == _CARDS:
            break
    cards.sort(key=lambda each: _price(each.best))
    return (*found, *cards)


def _price(proposal: Proposal) -> float:
    dollars = proposal.pace.dollars
    return float("inf") if dollars is None else dollars


def _more_devices(config: Config, hardware: HardwareProfile) -> Iterator[dict[str, Any]]:
    """More devices on the node, then more nodes; those that divide the sequences of a step."""
    whole, degrees = sequences(config), Degrees.of(config)
    training = config.training
    per_node = max(hardware.devices_per_node, config.parallel.devices_per_node)
    shapes = [(config.parallel.num_nodes, n) for n in range(1, per_node + 1)]
    shapes += [(nodes, per_node) for nodes in range(2, _MOST_NODES + 1)]
    for nodes, each in shapes:
        devices = nodes * each
        data, rest = divmod(devices, degrees.model)
        if devices <= degrees.devices or rest or whole % data:
            continue
        own = whole // data
        micro = next(n for n in range(min(own, training.batch_size), 0, -1) if own % n == 0)
        edits = {
            "parallel.num_nodes": nodes,
            "parallel.devices_per_node": each,
            "training.batch_size": micro,
            "training.gradient_accumulation_steps": own // micro,
        }
        if config.parallel.data_parallel_size not in (None, -1):
            edits["parallel.data_parallel_size"] = data
        yield edits


def _cards(
    hardware: HardwareProfile, profiles: Sequence[HardwareProfile]
) -> Iterator[HardwareProfile]:
    """Other cards that the trainer runs on, the cheapest first; of a kind of card the cheapest."""
    seen = {hardware.base or hardware.name}
    known = [p for p in profiles if p.kind in _TRAINS_ON and p.memory_bytes is not None]
    for profile in sorted(known, key=lambda p: (p.price_per_hour is None, p.price_per_hour or 0.0)):
        card = profile.base or profile.name
        if card not in seen:
            seen.add(card)
            yield profile


@dataclass(frozen=True, slots=True)
class _Place:
    """The plan on other hardware.

    Attributes:
        config: The plan.
        origins: Where its values came from.
        limits: What may change.
    """

    config: Config
    origins: Mapping[str, Origin] | None
    limits: Limits

    def feasible(self, edits: dict[str, Any], hardware: HardwareProfile) -> bool:
        """Whether any plan fits it; asked of the most frugal ones."""
        moved = self._moved(edits)
        limits = replace(self._limits(hardware), recompute=False)
        if self.limits.recompute:
            moved = changed(moved, {"training.gradient_checkpointing": True} | _BLOCK)
        judge = Judge(hardware, hardware.memory_bytes, limits.margin)
        return Search(moved, limits, judge, Pacer(moved, hardware)).feasible()

    def best(
        self, edits: dict[str, Any], hardware: HardwareProfile, measured: Efficiency | None
    ) -> Proposal | None:
        """The fastest plan on it that fits; None where none does."""
        from workbench.estimate.fit.find import accepted

        moved, limits = self._moved(edits), self._limits(hardware)
        judge = Judge(hardware, hardware.memory_bytes, limits.margin)
        pacer = Pacer(moved, hardware, measured, self.origins)
        gate = Gate(moved, self.origins, hardware)
        for candidate in accepted(Search(moved, limits, judge, pacer), gate, moved, {}):
            assert candidate.need is not None, "what is found has been computed"
            return Proposal(
                effective(self.config, edits | candidate.edits),
                changes(self.config, candidate.config),
                fits=True,
                headroom=judge.headroom(candidate.need),
                need=candidate.need,
                pace=candidate.pace,
                config=candidate.config,
                hardware=hardware,
                estimate=Estimate.of(candidate.config, hardware, origins=self.origins),
            )
        return None

    def _limits(self, hardware: HardwareProfile) -> Limits:
        """What may change there: nothing moves to a host of which nobody knows how large it is."""
        known = hardware.host_memory_bytes is not None
        return self.limits if known else replace(self.limits, offload=False)

    def _moved(self, edits: dict[str, Any]) -> Config:
        return changed(self.config, effective(self.config, edits))
