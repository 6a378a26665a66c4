"""Several foreign keys that say one thing: which of them counts, and how writing finds them again.

Systems repeat themselves: a batch size stands in three sections, a precision in five switches. A
`Claim` is one such key; claims on the same key of ours stand in the order of precedence. Reading
takes the first, calls the others understood where they agree, and makes residue of those that do
not. What a writer could not guess (which spelling a file used, which it repeated) is kept beside
the residue under ``imported.keys``, so that ``read(write(read(file)))`` is ``read(file)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from workbench.config.scalars import same, spell
from workbench.dialects.building import ABSENT, Builder, To, names, plant
from workbench.dialects.fitting import NoPlace, fit
from workbench.dialects.parsing import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.dialects.base import Reading
    from workbench.dialects.telling import Teller

UNKNOWN: Final = "there is no such key here"
"""Why a key that no table has is residue."""

SILENT: Final = object()
"""What a conversion gives for a value that asks for nothing, as ``bf16: false`` does."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A foreign key that says a key of ours.

    Attributes:
        path: The foreign key, dotted.
        to: What it means; with ``writes`` it is how a writer says the key by itself.
        tell: The foreign value of a whole plan, for keys that say two of ours at once.
        alone: What a value means that is `SILENT`, where no other claim speaks.
    """

    path: str
    to: To
    tell: Callable[[Teller], Any] | None = None
    alone: Callable[[Any], Any] | None = None


@dataclass(slots=True)
class _Group:
    """All claims on one key, in the order of precedence."""

    ours: str
    claims: list[Claim] = field(default_factory=list)


class Claims:
    """The claims of a dialect, or of one kind of its files."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._groups: dict[str, _Group] = {}
        for claim in claims:
            self._groups.setdefault(claim.to.ours, _Group(claim.to.ours)).claims.append(claim)

    def read(self, builder: Builder) -> dict[tuple[str, ...], Any]:
        """Understand the claims that a file makes.

        Returns:
            The leaves that have to travel with the residue for a writer to find them again.
        """
        left = dict(builder.left())
        verdicts: dict[str, list[tuple[str, str]]] = {}
        travel: dict[tuple[str, ...], Any] = {}
        for group in self._groups.values():
            present = [(c, left[names(c.path)]) for c in group.claims if names(c.path) in left]
            if not present:
                continue
            winner, meaning = self._winner(group.ours, present)
            for claim, value in present:
                reason = self._against(claim, value, winner, meaning, builder)
                verdicts.setdefault(claim.path, []).append((group.ours, reason))
            if winner is not None:
                builder.put(group.ours, meaning, source=winner.path)
                if winner.to.note:
                    builder.remark(winner.path, "translated", winner.to.note)
            if not self._guessable(group, present, winner, meaning):
                travel |= {names(claim.path): value for claim, value in present}
        for path, found in verdicts.items():
            ours = [each for each, reason in found if not reason]
            if ours:
                builder.understood(path, *ours)
            else:
                builder.keep(path, found[0][1])
        return travel

    def write(self, teller: Teller, *, everything: bool = False) -> None:
        """Say the chosen keys where an earlier file said them, or else where they are best said."""
        for group in self._groups.values():
            if not (everything or group.ours in teller.chosen):
                continue
            present = list(_stored(teller.tree, group.claims))
            winner, meaning = self._winner(group.ours, present)
            current = teller.our(group.ours)
            if winner is not None and _equal(meaning, current):
                teller.said(group.ours)
                continue
            targets = [
                claim
                for claim, value in present
                if claim.tell or claim is winner or self._agrees(claim, value, meaning)
            ]
            targets = targets or [claim for claim in group.claims if claim.to.writes]
            self._say(teller, group.ours, current, targets)

    @staticmethod
    def _say(teller: Teller, ours: str, current: Any, targets: list[Claim]) -> None:
        why = "it has no such key"
        for claim in targets:
            try:
                if claim.tell is not None:
                    value = claim.tell(teller)
                else:
                    value = claim.to.back(current) if claim.to.back else current
            except NoPlace as error:
                why = str(error)
                continue
            teller.say(claim.path, value, ours=ours)
        teller.lose(ours, why)  # does nothing where it has been said

    @staticmethod
    def _winner(ours: str, present: list[tuple[Claim, Any]]) -> tuple[Claim | None, Any]:
        for claim, value in present:
            try:
                meaning = _meaning(claim, value)
            except NoPlace:
                continue
            if meaning is not SILENT:
                return claim, meaning
        for claim, value in present:
            if claim.alone is None:
                continue
            try:
                return claim, fit(ours, claim.alone(value))
            except NoPlace:
                continue
        return None, None

    def _against(
        self, claim: Claim, value: Any, winner: Claim | None, meaning: Any, builder: Builder
    ) -> str:
        """Why a claim does not hold; empty where it does."""
        if claim is winner:
            return ""
        try:
            _meaning(claim, value)
        except NoPlace as error:
            return str(error)
        if winner is None:
            return f"by itself it says nothing about {claim.to.ours}"
        if self._agrees(claim, value, meaning):
            return ""
        other = _shown(builder.value(winner.path))
        return f"{winner.path} says {other}, which counts here, not {_shown(value)}"

    @staticmethod
    def _agrees(claim: Claim, value: Any, meaning: Any) -> bool:
        try:
            said = _meaning(claim, value)
            if said is not SILENT:
                return _equal(said, meaning)
            return claim.to.back is not None and same(claim.to.back(meaning), value)
        except NoPlace:
            return False

    @staticmethod
    def _guessable(
        group: _Group, present: list[tuple[Claim, Any]], winner: Claim | None, meaning: Any
    ) -> bool:
        """Whether a writer that knows nothing of the file would write just this."""
        writers = [claim for claim in group.claims if claim.to.writes]
        if winner is None or [claim for claim, _ in present] != writers:
            return False
        try:
            return all(
                claim.tell is None
                and _equal(claim.to.back(meaning) if claim.to.back else meaning, value)
                for claim, value in present
            )
        except NoPlace:
            return False


def finished(
    builder: Builder, travel: dict[tuple[str, ...], Any], *, rest: str = UNKNOWN
) -> Reading:
    """The reading of a builder, in the order of the file.

    Args:
        builder: What has been understood.
        travel: Leaves that travel with the residue, as `Claims.read` gives them.
        rest: Why the leaves that are left over have no place.
    """
    reading = builder.reading(rest=rest)
    if travel:
        kept = reading.layer.tree["imported"].setdefault("keys", {})
        for path, value in travel.items():
            plant(kept, path, value)
    order = {path: index for index, (path, _) in enumerate(leaves(builder.tree))}
    last = len(order)
    places = sorted(reading.places.items(), key=lambda pair: order.get(names(pair[0]), last))
    residue = sorted(reading.residue, key=lambda each: order.get(each.path, last))
    return replace(reading, places=dict(places), residue=tuple(residue))


def _meaning(claim: Claim, value: Any) -> Any:
    said = claim.to.convert(value) if claim.to.convert else value
    return said if said is SILENT else fit(claim.to.ours, said)


def _shown(value: Any) -> str:
    return spell(value) if isinstance(value, str | int | float | None) else str(value)


def _stored(tree: dict[str, Any], claims: list[Claim]) -> Iterator[tuple[Claim, Any]]:
    for claim in claims:
        value: Any = tree
        for name in names(claim.path):
            value = value.get(name, ABSENT) if isinstance(value, dict) else ABSENT
        if value is not ABSENT:
            yield claim, value


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same setting: 10000 is 10000.0, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
