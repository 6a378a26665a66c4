"""What if: the plan with one thing changed, for many things, each beside the plan as it is.

One call for all faces. Nothing here is checked by the rules: it is a look around, no proposal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.estimate.fit.edits import changed, effective
from workbench.estimate.fit.judge import Judge, leans_on_host, need_of
from workbench.estimate.fit.pace import Pacer
from workbench.estimate.fit.result import MARGIN, Limits
from workbench.estimate.fit.variants import shardings
from workbench.estimate.fit.words import RECOMPUTE
from workbench.estimate.memory import memory_of
from workbench.estimate.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.fit.pace import Pace
    from workbench.estimate.fit.result import Need
    from workbench.estimate.memory import Memory
    from workbench.estimate.speed import Efficiency

_SHARDINGS = (
    "DDP",
    "FSDP full",
    "FSDP hybrid",
    "ZeRO 1",
    "ZeRO 2",
    "ZeRO 3",
    "ZeRO 2, optimizer on cpu",
    "ZeRO 3, all on cpu",
)
"""The ways to divide a training that are far enough from each other to look at; all others are the
search's (`workbench.estimate.fit`)."""

_SHORTEST = 64
_FORMATS = {"no": "fp32", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The plan with one thing changed.

    Attributes:
        group: What is changed: ``devices``, ``sequence``, ``micro-batch``, ``recompute``,
            ``precision``, ``sharding``, ``card``; ``plan`` for the plan as it is.
        name: To what.
        edits: What sets it.
        need: What it takes of a device.
        fits: Whether it fits with the margin; None where the device's memory is not known.
        headroom: Bytes that are left beside the margin; None where that is not known.
        pace: How fast it is.
        more_bytes: What it takes more than the plan; None for the plan itself.
        faster: Its tokens per second over those of the plan; None where they are not known.
    """

    group: str
    name: str
    edits: dict[str, Any]
    need: Need
    fits: bool | None
    headroom: int | None
    pace: Pace
    more_bytes: int | None
    faster: float | None

    def to_dict(self) -> dict[str, Any]:
        """The variant as JSON-ready data."""
        return {
            "group": self.group,
            "name": self.name,
            "edits": dict(self.edits),
            "bytes": self.need.bytes,
            "fits": self.fits,
            "headroom": self.headroom,
            "more_bytes": self.more_bytes,
            "faster": self.faster,
            **self.pace.to_dict(),
        }


def what_if(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    cards: Sequence[HardwareProfile] = (),
    origins: Collection[str] | None = None,
    margin: float = MARGIN,
    measured: Efficiency | None = None,
    context: int | None = None,
    capacity: int | None = None,
) -> tuple[WhatIf, ...]:
    """The plan as it is, and then with one thing changed at a time.

    Args:
        config: The plan.
        hardware: Its device; None is this machine's CPU.
        cards: Other devices to put it on.
        origins: Keys that a layer sets; None: those that the config was made with.
        margin: Part of a device to leave free.
        measured: What this machine reached with such a plan (``ava measure``).
        context: Bytes that its processes were seen to take beside what torch holds.
        capacity: Bytes of the device; by default those of its profile.
    """
    if capacity is None and hardware is not None:
        capacity = hardware.memory_bytes
    look = _Look(
        Judge(hardware, capacity, margin, context, remembers=True),
        Pacer(config, hardware, measured, origins),
    )
    plan = look(config, "plan", "as it is", {}, None)
    found = [plan]
    for group, name, edits in _changes(config, hardware):
        new = effective(config, edits)
        if new:
            found.append(look(changed(config, new), group, name, new, plan))
    alike: dict[Setting, Memory] = {}
    others = [card for card in cards if hardware is None or card.name != hardware.name]
    return (*found, *(_on_card(config, card, look, alike, plan) for card in others))


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks at plans on one kind of device.

    Attributes:
        judge: Knows what fits.
        pacer: Knows how fast.
    """

    judge: Judge
    pacer: Pacer

    def __call__(
        self, config: Config, group: str, name: str, edits: dict[str, Any], plan: WhatIf | None
    ) -> WhatIf:
        """One variant beside the plan."""
        return self.beside(config, group, name, edits, plan, self.judge.need(config))

    def beside(
        self,
        config: Config,
        group: str,
        name: str,
        edits: dict[str, Any],
        plan: WhatIf | None,
        need: Need,
    ) -> WhatIf:
        """A variant whose need is known, beside the plan."""
        pace = self.pacer(config)
        more = faster = None
        if plan is not None:
            more = need.bytes - plan.need.bytes
        if plan is not None and plan.pace.tokens_per_second and pace.tokens_per_second:
            faster = pace.tokens_per_second / plan.pace.tokens_per_second
        fits, headroom = self.judge.fits(need), self.judge.headroom(need)
        return WhatIf(group, name, edits, need, fits, headroom, pace, more, faster)


def _on_card(
    config: Config,
    card: HardwareProfile,
    look: _Look,
    alike: dict[Setting, Memory],
    plan: WhatIf,
) -> WhatIf:
    """The plan on another device; what it comes to alike there takes the same."""
    there = _Look(Judge(card, card.memory_bytes, look.judge.margin), look.pacer.on(card))
    setting = Setting.of(config, card)
    if setting not in alike:
        alike[setting] = memory_of(config, card)
    need = need_of(replace(alike[setting], hardware=card), host=leans_on_host(config))
    return there.beside(config, "card", card.name, {"run.hardware": card.name}, plan, need)


def _changes(
    config: Config, hardware: HardwareProfile | None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(group, name, edits) of everything to look at on the same kind of device."""
    yield from _devices(config)
    length = config.data.max_length
    for other in (2 * length, length // 2):
        if other >= _SHORTEST:
            yield "sequence", f"{other:,} tokens", _length(config, other)
    yield from _micro_batches(config)
    for kind, words in RECOMPUTE.items():
        edits: dict[str, Any] = {"training.gradient_checkpointing": kind != "none"}
        if kind != "none":
            edits["training.gradient_checkpointing_kind"] = kind
        yield "recompute", words, edits
    now = Setting.of(config, hardware).precision
    for value, name in _FORMATS.items():
        if name != now and (hardware is None or hardware.computes(value)):
            yield "precision", name, {"training.mixed_precision": value}
    for name, _, edits in shardings(config, hardware, Limits())[1:]:
        if name in _SHARDINGS:
            yield "sharding", name, edits


def _devices(config: Config) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Twice the devices and half of them, by nodes where there are several; the batch stays."""
    parallel, degrees = config.parallel, Degrees.of(config)
    key = "num_nodes" if parallel.num_nodes > 1 else "devices_per_node"
    number = getattr(parallel, key)
    if degrees.asked is not None:
        return
    if (less := _spread(config, 1, 2)) is not None:
        yield "devices", f"{2 * degrees.devices} devices", {f"parallel.{key}": 2 * number} | less
    if number % 2 == 0 and (more := _spread(config, 2, 1)) is not None:
        yield "devices", f"{degrees.devices // 2} devices", {f"parallel.{key}": number // 2} | more


def _spread(config: Config, times: int, over: int) -> dict[str, Any] | None:
    """The micro-batches of a device for a part of its sequences; None where they do not divide."""
    training = config.training
    for key in ("gradient_accumulation_steps", "batch_size"):
        number = getattr(training, key) * times
        if number % over == 0:
            return {f"training.{key}": number // over}
    return None


def _micro_batches(config: Config) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Twice the micro-batch and half of it, with as many sequences in a step."""
    training = config.training
    micro, steps = training.batch_size, training.gradient_accumulation_steps
    for new, times in ((2 * micro, steps / 2), (micro // 2, steps * micro / max(1, micro // 2))):
        if new and times == int(times) and times:
            edits = {
                "training.batch_size": new,
                "training.gradient_accumulation_steps": int(times),
            }
            yield "micro-batch", f"{new} × {int(times)}", edits


def _length(config: Config, length: int) -> dict[str, Any]:
    edits: dict[str, Any] = {"data.max_length": length}
    if length > config.model.max_position_embeddings:
        edits["model.max_position_embeddings"] = length
    return edits
