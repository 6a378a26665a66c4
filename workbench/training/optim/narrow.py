"""Weights in 16 bits that learn as if they had 32.

A weight of 1.0 in bf16 has no neighbour nearer than 1/128: an update of a thousandth is rounded
away, and the weight never moves. Three ways out, each for any optimizer:

- ``split``: the upper half of an fp32 number is the bf16 weight, the lower half (int16) waits
  beside it. Put together they are fp32 bit for bit, so the update is that of an fp32 weight.
- ``kahan`` (arXiv 2010.06192): a second bf16 number holds what rounding took away.
- ``stochastic`` (same paper): nothing is kept; the weight is rounded up as often as the lost part
  is large, so that it is right on average.

The optimizer itself always computes in fp32, one weight after the other: 4 more bytes per number of
the largest weight, for the length of its update. With several micro-batches per step gradients add
up in bf16, which is what halving them costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.training.optim.per_tensor import Group

Rounding = Literal["split", "kahan", "stochastic"]

_HALF, _LOW, _SIXTEEN = 0x8000, 0xFFFF, 16


class Format(Protocol):
    """How a wide weight is kept in 16 bits."""

    def narrow(self, wide: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The bf16 weight, and what is kept beside it."""

    def widen(self, weight: torch.Tensor, rest: torch.Tensor | None) -> torch.Tensor:
        """The fp32 weight that both stand for."""


class Draw:
    """Random bits that depend on seed, step and weight only: a resumed run needs no state.

    All processes draw the same, as their copies of a weight have to stay equal.
    """

    def __init__(self, seed: int, step: int, place: int) -> None:
        self.key = (seed * 1_000_003 + step) * 1_000_003 + place

    def sixteen_bits(self, like: torch.Tensor) -> torch.Tensor:
        """Integers (int32) from 0 to 65,535 in the shape of ``like``."""
        generator = torch.Generator(like.device).manual_seed(self.key % 2**63)
        return torch.randint(
            0, _LOW + 1, like.shape, generator=generator, dtype=torch.int32, device=like.device
        )


class Split:
    """Upper and lower half of an fp32 number; the upper one is rounded to the nearest, ties up.

    The lower half is signed, so that the upper one can be the nearest bf16 number and not just the
    one below. Only a number exactly between two is rounded otherwise than by IEEE 754's rule.
    """

    def narrow(self, wide: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG002 - nothing is random
        """The bf16 weight, and the lower 16 bits."""
        bits = wide.view(torch.int32)
        upper = (bits + _HALF) >> _SIXTEEN
        lower = (bits - (upper << _SIXTEEN)).to(torch.int16)
        return upper.to(torch.int16).view(torch.bfloat16), lower

    def widen(self, weight: torch.Tensor, rest: torch.Tensor | None) -> torch.Tensor:
        """The fp32 number, bit for bit."""
        assert rest is not None
        upper = weight.view(torch.int16).to(torch.int32) << _SIXTEEN
        return (upper + rest.to(torch.int32)).view(torch.float32)


class Kahan:
    """A bf16 number, and a second one for what it lacks."""

    def narrow(self, wide: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG002 - nothing is random
        """The nearest bf16 number, and the difference."""
        weight = wide.bfloat16()
        return weight, (wide - weight.float()).bfloat16()

    def widen(self, weight: torch.Tensor, rest: torch.Tensor | None) -> torch.Tensor:
        """The sum of both."""
        assert rest is not None
        return weight.float() + rest.float()


class Stochastic:
    """A bf16 number, rounded to one of its two neighbours by lot."""

    def narrow(self, wide: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, None]:
        """One of the two bf16 numbers around ``wide``: the nearer one, the nearer the likelier."""
        bits = wide.view(torch.int32) + draw.sixteen_bits(wide)
        return (bits >> _SIXTEEN).to(torch.int16).view(torch.bfloat16), None

    def widen(self, weight: torch.Tensor, rest: torch.Tensor | None) -> torch.Tensor:  # noqa: ARG002 - there is none
        """The weight itself."""
        return weight.float()


FORMATS: dict[Rounding, Format] = {
    "split": Split(),
    "kahan": Kahan(),
    "stochastic": Stochastic(),
}

_REST, _ROUNDS = "rest", "rounds"


class NarrowWeights(torch.optim.Optimizer):
    """Any optimizer, over weights of which some are kept in 16 bits.

    Making it turns those weights into bf16 in place; their gradients will be bf16 too.

    Args:
        groups: Parameter groups, as the optimizer below takes them.
        narrow: The parameters to keep in 16 bits.
        rounding: How.
        seed: Of stochastic rounding.
        make: Makes the optimizer of some groups.

    Attributes:
        gradient_scale: What gradients are multiplied by, in fp32, in the next step: scaling bf16
            gradients in place would round them once more.
        largest_gradient: What they are then clipped to; None does not.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        narrow: set[torch.nn.Parameter],
        *,
        rounding: Rounding,
        seed: int,
        make: Callable[[list[Group]], torch.optim.Optimizer],
    ) -> None:
        self.seed = seed
        self.gradient_scale: torch.Tensor | float = 1.0
        self.largest_gradient: float | None = None
        self._format = FORMATS[rounding]
        self._below: list[tuple[torch.nn.Parameter, torch.nn.Parameter, torch.optim.Optimizer]] = []
        super().__init__(list(groups), {})
        for group in self.param_groups:
            for parameter in group["params"]:
                # One optimizer for each, over a stand-in that exists only while it is updated.
                stand_in = torch.nn.Parameter(parameter.detach().float())
                below = make([_without_parameters(group) | {"params": [stand_in]}])
                if initial := below.state.pop(stand_in, {}):
                    self.state[parameter] = initial
                stand_in.data = torch.empty(0, device=parameter.device)
                self._below.append((parameter, stand_in, below))
                if parameter in narrow:
                    self._make_narrow(parameter, len(self._below))
            # The switches that the optimizer below has by itself.
            for key, value in self._below[-1][2].defaults.items():
                group.setdefault(key, value)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        settings = {each: group for group in self.param_groups for each in group["params"]}
        for place, (parameter, stand_in, below) in enumerate(self._below, start=1):
            if parameter.grad is not None:
                below.param_groups[0].update(_without_parameters(settings[parameter]))
                self._update(parameter, stand_in, below, place)
        self.gradient_scale = 1.0
        return loss

    @torch.no_grad()
    def _make_narrow(self, parameter: torch.nn.Parameter, place: int) -> None:
        parameter.data, rest = self._format.narrow(parameter.data, Draw(self.seed, 0, place))
        if rest is not None:
            self.state[parameter][_REST] = rest

    def _update(
        self,
        parameter: torch.nn.Parameter,
        stand_in: torch.nn.Parameter,
        below: torch.optim.Optimizer,
        place: int,
    ) -> None:
        assert parameter.grad is not None
        is_narrow = parameter.dtype == torch.bfloat16
        state: dict[str, Any] = dict(self.state[parameter])
        rest, rounds = state.pop(_REST, None), state.pop(_ROUNDS, None)
        stand_in.data = self._format.widen(parameter, rest) if is_narrow else parameter.data
        gradient = parameter.grad.float() * self.gradient_scale
        if self.largest_gradient is not None:
            gradient.clamp_(-self.largest_gradient, self.largest_gradient)
        stand_in.grad = gradient
        if state:
            below.state[stand_in] = state
        below.step()
        state = below.state.pop(stand_in, {})
        if is_narrow:
            rounds = torch.ones(()) if rounds is None else rounds + 1
            draw = Draw(self.seed, int(rounds.item()), place)
            weight, rest = self._format.narrow(stand_in.data, draw)
            parameter.data.copy_(weight)
            if rest is None:
                state[_ROUNDS] = rounds
            else:
                state[_REST] = rest
        stand_in.data, stand_in.grad = torch.empty(0, device=parameter.device), None
        self.state[parameter] = state


def _without_parameters(group: Group) -> Group:
    return {key: value for key, value in group.items() if key != "params"}
