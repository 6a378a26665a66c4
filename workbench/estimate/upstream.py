"""How large a config becomes in Ava's own code, which builds more than the config says.

Each expert is a feed-forward network with biases, a network that makes a mask for it, and a gate;
the masks and gates are two parameters in five of the whole. (Read from Ava's `SparseExpert`; the
figures were checked against its presets.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.config.schema import ModelConfig

_PRESETS = frozenset(
    {
        "gpu/tiny",
        "gpu/small",
        "gpu/base",
        "gpu/large",
        "hardware/a100_80gb",
        "hardware/h100_80gb",
        "distributed/deepspeed_zero1",
        "distributed/deepspeed_zero2",
        "distributed/deepspeed_zero3",
        "research/quantization_nvfp4",
        "research/rag_enabled",
        "rlhf/test_cpu",
    }
)
"""The layers that Ava has too, with the same names."""

# These layers bring GPT-2's vocabulary in Ava's own files, over the base's; here the base decides.
_GPT2_VOCABULARY = 50257
_WITH_GPT2_VOCABULARY = frozenset(
    {
        "hardware/a100_80gb",
        "hardware/h100_80gb",
        "distributed/deepspeed_zero1",
        "distributed/deepspeed_zero2",
        "research/quantization_nvfp4",
    }
)


@dataclass(frozen=True, slots=True)
class AvaSize:
    """Parameters of a config in Ava's code.

    Attributes:
        total: All of them.
        active: Those that one token meets.
        plain: All of them, were the experts plain feed-forward networks.
        vocabulary: The tokens of its embedding.
        formula: The total in symbols.
    """

    total: int
    active: int
    plain: int
    vocabulary: int
    formula: str

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready data."""
        return {
            "total": self.total,
            "active": self.active,
            "plain_experts": self.plain,
            "vocab_size": self.vocabulary,
            "formula": self.formula,
        }


def ava_size(model: ModelConfig, stack: Sequence[str]) -> AvaSize | None:
    """What Ava's files and code make of one of its presets; None for everything else.

    Its embedding and output matrix are always two, and attention always has biases.

    Args:
        model: The model as it is here.
        stack: Names of the layers that it came from.
    """
    if _PRESETS.isdisjoint(stack):
        return None
    if model.model_type != "decoder" or model.num_experts == 1:
        return None
    h, i, v = model.hidden_size, model.intermediate_size, model.vocab_size
    if not _WITH_GPT2_VOCABULARY.isdisjoint(stack):
        v = _GPT2_VOCABULARY
    layers, experts = model.num_layers, model.num_experts
    chosen = min(model.num_experts_per_token, experts)
    feed_forward = 2 * h * i + i + h
    mask = h * (i // 4) + i // 4 + (i // 4) * i + i
    gate = h * (i // 8) + i // 8 + i // 8 + 1
    frame = 4 * (h * h + h) + 4 * h + h * experts + experts
    ends = 2 * h + 2 * v * h

    def whole(visited: int, expert: int) -> int:
        return ends + layers * (frame + visited * expert)

    expert = feed_forward + mask + gate
    return AvaSize(
        total=whole(experts, expert),
        active=whole(chosen, expert),
        plain=whole(experts, feed_forward),
        vocabulary=v,
        formula=(
            "2 V h + 2 h + L (4 h² + 8 h + E h + E + E (network + mask + gate)); "
            "network 2 h I + I + h, mask h I/4 + I²/4 + 5 I/4, gate h I/8 + I/4 + 1"
        ),
    )
