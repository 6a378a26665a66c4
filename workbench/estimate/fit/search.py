"""Best first: the fastest plans that fit, without computing the memory of all the others.

A variant's largest micro-batch is its fastest, so its pace bounds that of all its others. Variants
wait in the order of that bound. The first of them is asked how large a micro-batch fits, by
halving, for memory grows with it, and waits again at its true pace; when it comes first once more,
nothing faster is left and it is a proposal.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf, isqrt
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.estimate.fit.edits import changed, effective
from workbench.estimate.fit.variants import Variant, variants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config
    from workbench.estimate.fit.judge import Judge
    from workbench.estimate.fit.pace import Pace, Pacer
    from workbench.estimate.fit.result import Limits, Need

# Recomputation takes less memory but for what it needs for itself, which is little: a group whose
# most frugal plan lacks so much has none that fits.
_NEAR = 1.02
_MOST_DIVISORS = 64  # of a batch; 720,720 sequences have 240, and nobody needs them all


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant with a micro-batch, before anybody has checked it.

    Attributes:
        variant: The variant.
        micro: Sequences of a micro-batch.
        config: The plan with all edits.
        need: What it takes; None as long as it is a bound.
        pace: Its pace, or its bound.
    """

    variant: Variant
    micro: int
    config: Config
    need: Need | None
    pace: Pace

    @property
    def edits(self) -> dict[str, Any]:
        """What it sets; the micro-batch stands first."""
        return self._batch() | self.variant.edits

    def _batch(self) -> dict[str, Any]:
        training = self.config.training
        return {
            "training.batch_size": training.batch_size,
            "training.gradient_accumulation_steps": training.gradient_accumulation_steps,
        }


@dataclass(slots=True)
class Search:
    """The plans that see the same sequences in a step.

    Attributes:
        config: The plan.
        limits: What may change.
        judge: Knows what fits.
        pacer: Knows how fast.
        variants: Everything but the micro-batch.
        micros: The micro-batches that divide the device's sequences, the largest first.
        smallest: What each group takes at least, where that is too much.
        slowest: Where the search ends: nobody asks for what is slower.
    """

    config: Config
    limits: Limits
    judge: Judge
    pacer: Pacer
    variants: list[Variant] = field(init=False)
    micros: list[int] = field(init=False)
    smallest: list[Candidate] = field(init=False, default_factory=list)
    slowest: float = field(init=False, default=inf)
    _places: dict[tuple[str, str], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        training = self.config.training
        self.variants = variants(self.config, self.judge.hardware, self.limits)
        whole = training.batch_size * training.gradient_accumulation_steps
        self.micros = divisors(whole) if self.limits.micro_batch else [training.batch_size]

    @property
    def considered(self) -> int:
        """Plans that the search stands for."""
        return len(self.variants) * len(self.micros)

    def found(self) -> Iterator[Candidate]:
        """What fits, the fastest first; among equals the one that changes least."""
        frugal: dict[str, Variant] = {}
        for variant in self.variants:
            best = frugal.get(variant.group)
            if best is None or variant.frugality > best.frugality:
                frugal[variant.group] = variant
        hopeless: dict[str, bool] = {}
        ticket = count()
        heap = []
        for variant in self.variants:
            bound = self._candidate(variant, self.micros[0], None)
            heap.append((*self._rank(bound), next(ticket), bound))
        heapq.heapify(heap)
        while heap:
            *_, candidate = heapq.heappop(heap)
            if candidate.pace.order > self.slowest:
                return
            if candidate.need is not None:
                yield candidate
                continue
            group = candidate.variant.group
            if group not in hopeless:
                hopeless[group] = self._hopeless(frugal[group])
            settled = None if hopeless[group] else self._largest(candidate.variant)
            if settled is not None:
                heapq.heappush(heap, (*self._rank(settled), next(ticket), settled))

    def _hopeless(self, variant: Variant) -> bool:
        """Whether not even the most frugal of a group comes near to fitting device and host."""
        candidate = self._candidate(variant, self.micros[-1], None)
        need = self.judge.need(candidate.config)
        usable = self.judge.usable
        assert usable is not None, "without it nothing is searched"
        lacks = self.judge.host_lacks(need)
        if lacks or need.bytes > usable:
            self.smallest.append(replace(candidate, need=need))
        return lacks or need.bytes > _NEAR * usable

    def nearest(self) -> list[Candidate]:
        """After `found` has ended: what does not fit and lacks least, one for each sharding."""
        best: dict[str, Candidate] = {}
        for each in sorted(self.smallest, key=_bytes):
            best.setdefault(each.variant.sharding, each)
        return list(best.values())

    def feasible(self) -> bool:
        """Whether anything fits; the most frugal plans are asked first."""
        for variant in sorted(self.variants, key=lambda each: -each.frugality):
            if self.judge.fits(self.judge.need(self._with(variant, self.micros[-1]))):
                return True
        return False

    def _rank(self, candidate: Candidate) -> tuple[float, int, int]:
        # Times that differ by less than the third digit are equal: so exact no estimate is.
        known = candidate.pace.seconds is not None
        seconds = float(f"{candidate.pace.order:{'.3g' if known else '.2g'}}")
        return seconds, len(candidate.variant.edits), -candidate.micro

    def _candidate(self, variant: Variant, micro: int, need: Need | None) -> Candidate:
        config = self._with(variant, micro)
        return Candidate(variant, micro, config, need, self.pacer(config))

    def _with(self, variant: Variant, micro: int) -> Config:
        training = variant.config.training
        whole = training.batch_size * training.gradient_accumulation_steps
        return changed(
            variant.config,
            effective(
                variant.config,
                {
                    "training.batch_size": micro,
                    "training.gradient_accumulation_steps": whole // micro,
                },
            ),
        )

    def _largest(self, variant: Variant) -> Candidate | None:
        """The variant with the largest micro-batch that fits."""
        micros = self.micros
        # A step of one micro-batch has no gradients that wait, so it may fit where two do not.
        if (need := self._fitting(variant, micros[0])) is not None:
            return self._candidate(variant, micros[0], need)
        low, high = 1, len(micros)  # those before low do not fit, those from high on do
        best: tuple[int, Need] | None = None
        # Where the last one of its kind ended, this one may well end, too: asked first, and then
        # the place before it.
        kind = variant.sharding, variant.recompute
        hint: int | None = self._places.get(kind)
        while low < high:
            middle = hint if hint is not None and low <= hint < high else (low + high) // 2
            need = self._fitting(variant, micros[middle])
            if need is None:
                low, hint = middle + 1, None
            else:
                high, best = middle, (micros[middle], need)
                hint = middle - 1 if middle == hint == self._places.get(kind) else None
        if best is None:
            return None
        self._places[kind] = high
        return self._candidate(variant, *best)

    def _fitting(self, variant: Variant, micro: int) -> Need | None:
        config = self._with(variant, micro)
        need = self.judge.need(config)
        return need if self.judge.fits(need) else None


def _bytes(candidate: Candidate) -> int:
    return 0 if candidate.need is None else candidate.need.bytes


def divisors(number: int) -> list[int]:
    """The divisors of a number, the largest first; of a number with very many, some."""
    low = [n for n in range(1, isqrt(number) + 1) if number % n == 0]
    every = sorted({*low, *(number // n for n in low)}, reverse=True)
    if len(every) <= _MOST_DIVISORS:
        return every
    stride = (len(every) - 1) / (_MOST_DIVISORS - 1)
    return [every[round(i * stride)] for i in range(_MOST_DIVISORS)]


def sequences(config: Config) -> int:
    """Sequences of one optimizer step."""
    training = config.training
    each = training.batch_size * training.gradient_accumulation_steps
    return each * Degrees.of(config).data
