"""The way forward of a step under FSDP2: what exists when, whatever the sizes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.estimate.engines.base import Part, notable_runs
from workbench.estimate.engines.plan import Extra, Recipe
from workbench.estimate.engines.single_plan import BETWEEN

Runs = tuple[tuple[int, int], ...]

ROOT = Extra("root")


class Shape(NamedTuple):
    """What decides which moments there are.

    Attributes:
        runs: (kind, number of blocks) from the first block to the last.
        middle: The kind that stands among the blocks and belongs to the ends; None: none does.
        routed: For each kind, whether a router in it is a unit of its own.
        reshard: Whether weights are given back after the forward pass.
        heads: Whether heads for later tokens, each a unit, are part of the tail.
    """

    runs: Runs
    middle: int | None
    routed: tuple[bool, ...]
    reshard: bool
    heads: bool


@dataclass
class Forward:
    """Draws up the moments of a step, in its order.

    Attributes:
        shape: What decides.
        found: The moments so far.
    """

    shape: Shape
    found: list[Recipe] = field(default_factory=list)

    def add(self, name: str, parts: list[Part], *extras: Extra | None) -> None:
        """One more moment."""
        there = tuple(each for each in extras if each is not None and each.times)
        self.found.append(Recipe(name, tuple(parts), there))

    @property
    def total(self) -> int:
        """Number of blocks."""
        return sum(count for kind, count in self.shape.runs if kind != self.shape.middle)

    def forward(self) -> list[Part]:
        """From the embedding to the loss; returns what is kept."""
        runs, middle, routed_kinds, reshard, _ = self.shape
        buffer = Extra("root_buffer")
        self.add("fetching the embedding", [], ROOT, buffer)
        # The buffer is let go once the next unit has been copied out of its own.
        late = buffer
        self.add("embedding, forward", [Part("front", "forward")], ROOT, late)
        saved = [Part("front", "saved")]
        held: list[Extra] = []
        done = 0
        notable = notable_runs(runs)
        for index, (kind, count) in enumerate(runs):
            if kind == middle:
                parts = [*saved, Part(kind, "forward")]
                self.add(f"{BETWEEN}, forward", parts, ROOT, *held, late)
                # What only the encoder's blocks read is gone, and at the end that of the decoder's.
                saved = [Part("front", "saved_late"), *saved[1:], Part(kind, "saved")]
                continue
            own = Extra("buffer", kind)
            if not done:
                # The root's own buffer goes when the first block has one.
                first = (Extra("fetched", kind), own, buffer)
                parts = [*saved, Part(kind, "start")]
                self.add("fetching the first block", parts, ROOT, *first)
            done += count
            routed = routed_kinds[kind]
            last = Extra("router_buffer") if routed else own
            if index in notable:
                before = last if count > 1 else late
                kept = [*saved, Part(kind, "saved", count - 1)]
                there = [ROOT, *held, Extra("fetched", kind, 1 if reshard else count)]
                self.entering(kind, f"block {done} of {self.total}", kept, there, before)
            late = last
            saved.append(Part(kind, "saved", count))
            if not reshard:
                held.append(Extra("fetched", kind, count))
        between = None if middle is None else Part(middle, "saved")
        ends = (Part("front", "saved"), between)
        saved = [each._replace(group="saved_late") if each in ends else each for each in saved]
        self.loss(saved, held, late)
        return saved

    def entering(
        self, kind: int, name: str, kept: list[Part], there: list[Extra], before: Extra
    ) -> None:
        """The moments of the forward pass of one block."""
        own = Extra("buffer", kind)
        self.add(f"fetching {name}", [*kept, Part(kind, "start")], *there, own, before)
        # The buffer lives until the next unit has its own, so that copying out overlaps.
        self.add(f"{name}, forward", [*kept, Part(kind, "forward")], *there, own)
        if self.shape.routed[kind]:
            parts = [*kept, Part(kind, "forward_late")]
            self.add(f"{name}, forward, from its router on", parts, *there)

    def loss(self, saved: list[Part], held: list[Extra], late: Extra) -> None:
        """The moments of the loss, forwards and backwards; the last block is fetched ahead."""
        forward = [*saved, Part("tail", "forward")]
        if self.shape.heads:
            self.add("fetching the first head for later tokens", forward, ROOT, *held, late)
            self.add("loss", [*saved, Part("tail", "forward_late")], ROOT, *held)
        else:
            self.add("loss", forward, ROOT, *held, late)
        if not self.shape.reshard:
            self.add("loss, backward", [*saved, Part("tail", "backward")], ROOT, *held)
            return
        kept, after = [*saved, Part("tail", "saved")], "backward"
        self.add("fetching the output again", kept, ROOT, Extra("root_buffer"))
        if self.shape.heads:
            # Until then the heads have been fetched, in the tail itself.
            parts = [*saved, Part("tail", "backward")]
            self.add("loss, backward, to the first head", parts, ROOT)
            kept, after = [*saved, Part("tail", "at_router")], "backward_router"
        kind = self.shape.runs[-1][0]
        ahead = Extra("buffer", kind)
        self.add("fetching the last block", kept, ROOT, ahead, Extra("piece", kind))
        self.add("loss, backward", [*saved, Part("tail", after)], ROOT, ahead)
