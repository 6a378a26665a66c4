"""One operation, several implementations: picks the first that fits and says which ran and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class Implementation(NamedTuple):
    """One way to compute an operation.

    Attributes:
        name: How a caller asks for it.
        function: Computes it.
        describe: What it is, in a few words.
        refuse: Why these arguments cannot be computed this way; None when they can.
    """

    name: str
    function: Callable[..., torch.Tensor]
    describe: str
    refuse: Callable[..., str | None]


@dataclass(frozen=True)
class Choice:
    """Which implementation ran, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Operation:
    """A callable that runs its first implementation that fits the arguments.

    Args:
        name: Name of the operation, for messages.
        implementations: In order of preference; the last must accept everything.
    """

    def __init__(self, name: str, *implementations: Implementation) -> None:
        self.name = name
        self.implementations = implementations
        self.last: Choice | None = None

    def __call__(
        self, *args: Any, implementation: str | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """Compute the operation.

        Args:
            *args: The operands.
            implementation: Name of the implementation to insist on; None picks the first that fits.
            **kwargs: Options of the operation.

        Raises:
            ValueError: The asked-for implementation does not exist or cannot take the arguments.
        """
        chosen, reason = self._choose(implementation, args, kwargs)
        self.last = Choice(chosen.name, reason)
        return chosen.function(*args, **kwargs)

    def _choose(
        self, wanted: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Implementation, str]:
        if wanted is not None:
            return self._insist(wanted, args, kwargs)
        refusals: list[str] = []
        for candidate in self.implementations:
            why_not = candidate.refuse(*args, **kwargs)
            if why_not is None:
                return candidate, "; ".join(refusals) or candidate.describe
            refusals.append(why_not)
        raise ValueError(f"{self.name}: no implementation fits: {'; '.join(refusals)}")

    def _insist(
        self, wanted: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Implementation, str]:
        for candidate in self.implementations:
            if candidate.name == wanted:
                if (why_not := candidate.refuse(*args, **kwargs)) is not None:
                    raise ValueError(f"{self.name}: {wanted} cannot run here: {why_not}")
                return candidate, "asked for"
        known = ", ".join(each.name for each in self.implementations)
        raise ValueError(f"{self.name} has no implementation {wanted!r}; it has {known}")


def always(*_args: Any, **_kwargs: Any) -> None:
    """Refuse nothing: for the implementation that takes every argument."""
