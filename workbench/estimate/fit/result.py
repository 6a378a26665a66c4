"""What a search for plans that fit answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.fit.pace import Pace

MARGIN = 0.03
"""Part of a card that a plan leaves free. The ledger's promise is an error of 0.5 % at most; what
it cannot see, such as fragments of the allocator's pools, has the rest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a search may change, and how much of its finds to tell.

    Attributes:
        micro_batch: Micro-batch and accumulation; their product stays.
        recompute: What the backward pass computes again.
        sharding: What divides the training among the devices.
        offload: What waits in host memory, or on a drive that the plan names.
        precision: bf16 where the plan has fp32 or fp16 and the device computes it; fp16 in the
            place of fp32 where it computes that and no bf16.
        optimizers: Rules that may take the place of the plan's: they change the training.
        margin: Part of the card to leave free.
        most: Proposals to tell.
    """

    micro_batch: bool = True
    recompute: bool = True
    sharding: bool = True
    offload: bool = True
    precision: bool = True
    optimizers: tuple[str, ...] = ()
    margin: float = MARGIN
    most: int = 8


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan takes of a device.

    Attributes:
        bytes: On the device.
        what: Which bytes these are: all that the process takes, or the tensors alone.
        host: Host memory of a node, without what processes need to start; None where it was not
            asked for.
    """

    bytes: int
    what: Literal["process", "allocated"]
    host: int | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, and what it takes.

    Attributes:
        edits: What it sets, ``{key: value}``; nothing for the plan as it is.
        changes: The same in words, a few for each change.
        fits: Whether it fits with the margin; None where that is not known.
        headroom: Bytes that the device has left without the margin; negative where it lacks them.
        need: What it takes of a device.
        pace: How fast it is.
        config: The whole config.
        hardware: The device.
        estimate: Everything else that follows from it.
    """

    edits: dict[str, Any]
    changes: tuple[str, ...]
    fits: bool | None
    headroom: int | None
    need: Need
    pace: Pace
    config: Config
    hardware: HardwareProfile | None
    estimate: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The proposal as JSON-ready data."""
        training, need = self.config.training, self.need
        return {
            "edits": dict(self.edits),
            "changes": list(self.changes),
            "fits": self.fits,
            "headroom": self.headroom,
            "bytes": need.bytes,
            "compared": need.what,
            "host_bytes": need.host,
            "batch_size": training.batch_size,
            "gradient_accumulation_steps": training.gradient_accumulation_steps,
            "hardware": None if self.hardware is None else self.hardware.name,
            **self.pace.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Remedy:
    """Hardware on which the plan would fit.

    Attributes:
        kind: ``devices`` for more of the same, ``card`` for another one.
        devices: Devices over all nodes.
        best: The fastest plan on it that fits; its edits include ``run.hardware`` and the devices.
    """

    kind: Literal["devices", "card"]
    devices: int
    best: Proposal

    def to_dict(self) -> dict[str, Any]:
        """The remedy as JSON-ready data."""
        return {"kind": self.kind, "devices": self.devices, "plan": self.best.to_dict()}


@dataclass(frozen=True, slots=True)
class FitResult:
    """What fits.

    Attributes:
        plan: The plan as it is.
        proposals: What fits, the fastest first, and each with less than those before it; and the
            plan itself, where it fits.
        nearest: Where nothing fits, what lacks least.
        remedies: Where nothing fits, the smallest changes of hardware that would; where only what
            is far slower than the plan does, those of them that cost less.
        capacity: Bytes of a device; None where they are not known, and then nothing is judged.
        margin: Part of the device that a proposal leaves free.
        considered: Plans that the search stood for.
        computed: Plans whose memory it computed; the others cannot be better than these.
        refused: Why plans were left out that the rules refuse, and how many.
        notes: What else to know, a sentence each.
    """

    plan: Proposal
    proposals: tuple[Proposal, ...]
    nearest: tuple[Proposal, ...]
    remedies: tuple[Remedy, ...]
    capacity: int | None
    margin: float
    considered: int
    computed: int
    refused: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Proposal | None:
        """The fastest plan that fits; None where none does."""
        return self.proposals[0] if self.proposals else None

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        return {
            "capacity": self.capacity,
            "margin": self.margin,
            "plan": self.plan.to_dict(),
            "proposals": [each.to_dict() for each in self.proposals],
            "nearest": [each.to_dict() for each in self.nearest],
            "remedies": [each.to_dict() for each in self.remedies],
            "considered": self.considered,
            "computed": self.computed,
            "refused": dict(self.refused),
            "notes": list(self.notes),
        }
