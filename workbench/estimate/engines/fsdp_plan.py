"""The moments of a step under FSDP2: what exists when, whatever the sizes are.

Each block is a unit, and what is left, embedding and output with the loss, is another
(`workbench.training.engines.fsdp`). On the way forward a unit's buffer lives until the next one has
been copied out of its own; on the way back the next unit is fetched ahead, and the buffer of
gradients lives until the next unit has its own (`_fsdp_param_group.py`, torch 2.13). What was added
up over copies of the shards stays with each unit until the backward pass has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from workbench.estimate.engines.base import Part, notable_runs
from workbench.estimate.engines.fsdp_units import EACH, OWN, TEXTS
from workbench.estimate.engines.plan import Extra, Layout, Plan, Recipe
from workbench.estimate.engines.single import BETWEEN

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


@lru_cache(maxsize=256)
def plan_of(shape: Shape) -> Plan:
    """The moments from the first fetch to the last reduction."""
    layout = Layout(OWN, EACH, len(shape.routed), TEXTS)
    step = _Step(shape)
    step.backward(step.forward())
    return Plan.of(step.found, layout)


@dataclass
class _Step:
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
                saved.append(Part(kind, "saved"))
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
        saved[0] = Part("front", "saved_late")
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

    def backward(self, saved: list[Part]) -> None:
        """From the last block to the embedding."""
        runs, middle, _, reshard, heads = self.shape
        done = self.total
        older = Extra("head_reduced") if heads else None
        shards: list[Extra] = []
        notable = notable_runs(runs)
        for index in range(len(runs) - 1, -1, -1):
            kind, count = runs[index]
            saved.pop()
            units = [run for run in runs[:index] if run[0] != middle]
            below = units[-1][0] if units else None
            held = [] if reshard else [Extra("fetched", *run) for run in units]
            if kind == middle:
                self.between(kind, [*saved], [*held, *shards], older, below)
                continue
            # In between memory moves in straight lines.
            places = {count - 1, max(0, count - 2), min(1, count - 1), 0}
            for place in sorted(places) if index in notable else ():
                finished = count - 1 - place
                self.block(
                    kind,
                    place,
                    f"block {done - finished} of {self.total}",
                    [*saved, Part(kind, "saved", place)],
                    [*held, *shards, *_reduced(kind, finished)],
                    older=Extra("reduced", kind) if finished else older,
                    following=kind if place else below,
                )
            done -= count
            shards += _reduced(kind, count)
            older = Extra("reduced", kind)
        self.end(shards, older)

    def block(
        self,
        kind: int,
        place: int,
        name: str,
        saved: list[Part],
        held: list[Extra],
        *,
        older: Extra | None,
        following: int | None,
    ) -> None:
        """The moments of the backward pass of one block; ``place`` of its kind are below it."""
        middle, reshard = self.shape.middle, self.shape.reshard
        above = middle is not None and kind > middle
        ends = [Part("tail", "gradients")] if above else self.ends()
        kept = [*saved, *ends]
        there = [ROOT, *held]
        if not reshard:
            there.append(Extra("fetched", kind, place))
        routed = self.shape.routed[kind]
        weights, slope = Extra("fetched", kind), Extra("slope", kind)
        ahead = piece = None
        if reshard and following is not None:
            ahead, piece = Extra("buffer", following), Extra("piece", following)
        parts = [*kept, Part(kind, "saved")]
        first = ahead
        if reshard:
            lines = (*there, older, weights, Extra("buffer", kind), slope)
            self.add(f"fetching {name} again", parts, *lines)
            if routed:
                first = Extra("router_buffer")
                parts = [*kept, Part(kind, "at_router")]
            if following is not None:
                lines = (*there, older, weights, *([] if routed else [slope]), ahead, piece)
                self.add(f"fetching the next after {name}", parts, *lines)
        parts = [*kept, Part(kind, "backward")]
        self.add(f"{name}, backward", parts, *there, older, weights, first)
        if routed:
            parts = [*kept, Part(kind, "backward_router")]
            self.add(f"{name}, backward, its router", parts, *there, older, weights, ahead)
            parts = [*kept, Part(kind, "backward_late")]
            self.add(f"{name}, backward, from its router on", parts, *there, weights, ahead)
        parts = [*kept, Part(kind, "gradients")]
        reduced = Extra("reduced", kind)
        self.add(f"{name}, gradients on their way", parts, *there, ahead, reduced, slope)
        added = (reduced, *(Extra(each, kind) for each in ("part", "cast", "last")), slope)
        self.add(f"{name}, gradients added up", kept, *there, ahead, *added)

    def between(
        self,
        kind: int,
        saved: list[Part],
        held: list[Extra],
        older: Extra | None,
        below: int | None,
    ) -> None:
        """The backward pass of what lies between two stacks; its weights are those of the ends."""
        ahead = None
        if self.shape.reshard and below is not None:
            ahead = Extra("buffer", below)
        parts = [*saved, Part(kind, "backward"), Part("tail", "gradients")]
        self.add(f"{BETWEEN}, backward", parts, ROOT, *held, older, ahead)

    def ends(self) -> list[Part]:
        """Gradients of the ends that wait for the embedding's."""
        middle = self.shape.middle
        found = [] if middle is None else [Part(middle, "gradients")]
        return [Part("tail", "gradients"), *found]

    def end(self, shards: list[Extra], older: Extra | None) -> None:
        """The embedding's backward pass, and the gradients of its unit."""
        parts = [Part("front", "backward"), *self.ends()]
        self.add("embedding, backward", parts, ROOT, older, *shards)
        middle = self.shape.middle
        parts = [Part(each, "trained_whole") for each in ("front", "tail")]
        if middle is not None:
            parts.append(Part(middle, "trained_whole"))
        reduced = Extra("root_reduced")
        name = "gradients of embedding and output"
        there = [*shards, Extra("heads")] if self.shape.heads else shards
        self.add(f"{name} on their way", parts, *there, reduced)
        added = [Extra(each) for each in ("root_part", "root_cast", "root_last")]
        self.add(f"{name} added up", [], *there, reduced, *added)


def _reduced(kind: int, count: int) -> list[Extra]:
    """What so many blocks leave behind once their gradients have been added up."""
    return [Extra("shards", kind, count), Extra("sums", kind, count)]
