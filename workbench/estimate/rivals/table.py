"""The answers of all calculators to one plan, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.estimate.rivals import formulas
from workbench.estimate.rivals.told import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.rivals.told import Told

RIVALS: dict[str, Callable[[Told], float]] = {
    "EleutherAI": formulas.eleuther,
    "Megatron-LM": formulas.megatron,
    "DeepSpeed": formulas.deepspeed,
    "accelerate": formulas.accelerate,
    "LLaMA-Factory": formulas.llama_factory,
    "2-2-12 rule": formulas.rule_2_4_8,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one calculator says.

    Attributes:
        name: Its name.
        bytes: Memory of one device.
        covers: What it says that it covers.
    """

    name: str
    bytes: int
    covers: str


def answers(config: Config, hardware: HardwareProfile | None = None) -> tuple[Answer, ...]:
    """What each of them says to a plan."""
    plan = told(config, hardware)
    return tuple(
        Answer(name, round(formula(plan)), (formula.__doc__ or "").split("\n", 1)[0])
        for name, formula in RIVALS.items()
    )
