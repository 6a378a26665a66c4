"""The moments of a step under FSDP2: what exists when, whatever the sizes are.

Each block is a unit, and what is left, embedding and output with the loss, is another
(`workbench.training.engines.fsdp`). On the way forward a unit's buffer lives until the next one has
been copied out of its own; on the way back the next unit is fetched ahead, and the buffer of
gradients lives until the next unit has its own (`_fsdp_param_group.py`, torch 2.13). What was added
up over copies of the shards stays with each unit until the backward pass has ended.
"""

from __future__ import annotations

from functools import lru_cache

from workbench.estimate.engines.base import Part, notable_runs
from workbench.estimate.engines.fsdp_forward import ROOT, Forward, Shape
from workbench.estimate.engines.fsdp_units import EACH, OWN, TEXTS
from workbench.estimate.engines.plan import Extra, Layout, Plan
from workbench.estimate.engines.single_plan import BETWEEN


@lru_cache(maxsize=256)
def plan_of(shape: Shape) -> Plan:
    """The moments from the first fetch to the last reduction."""
    layout = Layout(OWN, EACH, len(shape.routed), TEXTS)
    step = _Step(shape)
    step.backward(step.forward())
    return Plan.of(step.found, layout)


class _Step(Forward):
    """The way back, too."""

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
