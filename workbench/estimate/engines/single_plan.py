"""The moments of a step on one device: what exists when, whatever the sizes are.

From the first block's forward pass to the end of the backward pass. Between blocks of one kind
memory moves in a straight line, so its first and its last block are enough: on the way forward only
the last, for nothing is freed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from workbench.estimate.engines.base import Part, notable_runs
from workbench.estimate.engines.plan import Extra, Layout, Plan, Recipe, Text

BETWEEN = "between the stacks"
"""What moments call the kind that stands among the blocks and is none."""

BUCKETS = Extra("buckets")
"""What gradients are copied into; the engine knows its lines."""


class Shape(NamedTuple):
    """What decides which moments there are.

    Attributes:
        runs: (kind, number of blocks) from the first block to the last.
        middle: The kind that stands among the blocks and belongs to the ends; None: none does.
        behind: For each kind, whether its forward pass leaves something until the next micro-batch.
        waiting: Whether gradients of an earlier micro-batch lie beside what stands, each until that
            of the last one has been added.
        buckets: Whether there are buckets from the first gradient to the end of the backward pass.
    """

    runs: tuple[tuple[int, int], ...]
    middle: int | None
    behind: tuple[bool, ...]
    waiting: bool
    buckets: bool


class Drawn(NamedTuple):
    """The moments of a shape.

    Attributes:
        plan: Their recipes.
        lasting: Gradients that wait for the update.
    """

    plan: Plan
    lasting: tuple[Part, ...]


@lru_cache(maxsize=256)
def drawn(shape: Shape) -> Drawn:
    """The moments from the embedding to the last gradient."""
    step = _Step(shape)
    step.backward(step.forward())
    own = (BUCKETS.what,) if shape.buckets else ()
    texts = {BUCKETS.what: Text("buckets of gradients", "", "communication")}
    plan = Plan.of(step.found, Layout(own, (), len(shape.behind), texts))
    return Drawn(plan, step.lasting)


class _Step:
    """Draws up the moments of a step, in its order."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.found: list[Recipe] = []
        self.lasting: tuple[Part, ...] = ()
        self._notable = notable_runs(shape.runs)
        self._total = sum(count for kind, count in shape.runs if kind != shape.middle)
        waiting = [Part("front", "trained"), *(Part(kind, "trained", n) for kind, n in shape.runs)]
        self._waiting = [*waiting, Part("tail", "trained")] if shape.waiting else []

    def add(self, name: str, *parts: Part, buckets: bool = False) -> None:
        """One more moment."""
        extras = (BUCKETS,) if buckets and self.shape.buckets else ()
        self.found.append(Recipe(name, parts, extras))

    def forward(self) -> list[Part]:
        """From the embedding to the loss; returns what is kept."""
        waiting = self._waiting
        self.add("embedding, forward", Part("front", "forward"), *waiting)
        saved = [Part("front", "saved")]
        place = 0
        for index, (kind, count) in enumerate(self.shape.runs):
            middle = kind == self.shape.middle
            place += 0 if middle else count
            if index in self._notable:
                name = BETWEEN if middle else f"block {place} of {self._total}"
                parts = (Part(kind, "saved", count - 1), Part(kind, "forward"))
                self.add(f"{name}, forward", *saved, *parts, *waiting)
            saved.append(Part(kind, "saved", count))
        self.add("loss", *saved, Part("tail", "forward"), *waiting)
        return saved

    def backward(self, saved: list[Part]) -> None:
        """From the loss to the embedding."""
        shape, notable = self.shape, self._notable
        left = self._waiting[:-1]  # the others are among the moments of their own backward pass
        self.add("loss, backward", *saved, Part("tail", "backward"), *left)
        if shape.buckets:
            self.add("first gradients", *saved, Part("tail", "arrival"), buckets=True)
        after, done = [Part("tail", "gradients")], self._total
        for index in range(len(shape.runs) - 1, -1, -1):
            kind, count = shape.runs[index]
            saved.pop()
            others = [Part(kind, "trained", count - 1)] if left else []
            left = left[:-1]
            own = Part(kind, "backward")
            if index in notable:
                name = BETWEEN if kind == shape.middle else f"block {done} of {self._total}"
                parts = (*saved, Part(kind, "saved", count - 1), own, *after, *left, *others)
                self.add(f"{name}, backward", *parts, buckets=True)
                if count > 1:
                    name = f"block {done - count + 1} of {self._total}"
                    parts = (*saved, own, *after, *self._left_by(kind, count - 1), *left)
                    self.add(f"{name}, backward", *parts, buckets=True)
            after += self._left_by(kind, count)
            done -= 0 if kind == shape.middle else count
        self.add("embedding, backward", Part("front", "backward"), *after, buckets=True)
        # Gradients of the embedding that waited between the stacks are part of its own by now.
        lasting = [
            part._replace(group="lasting") if part.segment == shape.middle else part
            for part in after[1:]
            if part.group != "behind"
        ]
        self.lasting = (Part("front", "lasting"), Part("tail", "lasting"), *lasting)

    def _left_by(self, kind: int, count: int) -> list[Part]:
        return left_by(kind, count, behind=self.shape.behind[kind])


def left_by(kind: int, count: int, *, behind: bool) -> list[Part]:
    """What so many blocks have left behind."""
    found = [Part(kind, "gradients", count)]
    if behind:
        found.append(Part(kind, "behind", count))
    return found
