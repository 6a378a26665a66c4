"""The search for plans that fit, as every face offers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import units
from workbench.errors import WorkbenchError
from workbench.outlook import dollars

if TYPE_CHECKING:
    from workbench.draft import Draft
    from workbench.estimate.fit import FitResult
    from workbench.estimate.fit.result import Proposal


class Offer(NamedTuple):
    """A plan to pick.

    Attributes:
        words: What it changes.
        notes: What it leaves free, how fast it is, what it costs; what is known of these.
        fits: Whether it fits; None where that is not known.
        edits: What picking it sets, ``{key: value}``; nothing for the plan as it is.
    """

    words: str
    notes: tuple[str, ...]
    fits: bool | None
    edits: dict[str, Any]


def search(draft: Draft) -> FitResult:
    """Plans that see the same sequences in a step and fit the draft's device.

    Raises:
        FindingsError: The plan has errors.
    """
    from workbench.estimate.fit import fit
    from workbench.hardware.devices import device, names
    from workbench.hardware.here import with_memory

    return fit(
        draft.plan.config,
        with_memory(draft.hardware),
        origins=draft.plan.composed.origins,
        profiles=[device(name) for name in names()],
    )


def offers(draft: Draft) -> list[Offer]:
    """What fits, the fastest first; where nothing does, other hardware that would.

    Raises:
        FindingsError: The plan has errors.
        WorkbenchError: Nothing was found.
    """
    result = search(draft)
    found = [_offer("", each) for each in result.proposals]
    for remedy in result.remedies:
        name = remedy.best.hardware.name if remedy.best.hardware else "?"
        found.append(_offer(f"{remedy.devices} × {name}: ", remedy.best))
    if not found:
        why = result.notes[0] if result.notes else "nothing that the search may change makes it fit"
        raise WorkbenchError("no plan was found that fits", why=why, fix="try another device")
    return found


def _offer(prefix: str, proposal: Proposal) -> Offer:
    words = prefix + (", ".join(proposal.changes) or "the plan as it is")
    pace = proposal.pace
    notes = []
    if proposal.headroom is not None:
        notes.append(f"{units.size(proposal.headroom)} free")
    if pace.tokens_per_second is not None:
        notes.append(f"{units.count(pace.tokens_per_second)} tok/s")
    if pace.dollars is not None:
        notes.append(dollars(pace.dollars))
    return Offer(words, tuple(notes), proposal.fits, proposal.edits)
