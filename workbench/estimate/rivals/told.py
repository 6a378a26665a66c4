"""What of a plan other calculators can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.config.linears import GATED
from workbench.config.size import expert_width, num_expert_layers, size_of
from workbench.estimate.setting import Setting

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config


@dataclass(frozen=True, slots=True)
class Told:
    """A plan as the formulas of the literature see it.

    Attributes:
        parameters: All weights.
        trained: Those that are trained.
        h: Width.
        f: Inner width of a feed-forward network.
        heads: Query heads.
        groups: Key heads.
        layers: Blocks.
        vocabulary: Tokens of the embedding.
        gated: Whether a feed-forward network has three matrices.
        rms: Whether norms have one vector.
        tied: Whether the output matrix is the embedding.
        experts: Of a block that has some; 1 where none has.
        expert_layers: Blocks with experts.
        expert_width: Inner width of an expert.
        b: Sequences of a micro-batch.
        s: Tokens of a sequence.
        narrow: Whether products are in 16 bits.
        recomputes: Whether the backward pass computes blocks again.
        devices: Devices that share the training.
        stage: What is divided among them, as a ZeRO stage: 1 optimizer, 2 gradients, 3 weights.
    """

    parameters: int
    trained: int
    h: int
    f: int
    heads: int
    groups: int
    layers: int
    vocabulary: int
    gated: bool
    rms: bool
    tied: bool
    experts: int
    expert_layers: int
    expert_width: int
    b: int
    s: int
    narrow: bool
    recomputes: bool
    devices: int
    stage: int

    @property
    def bytes(self) -> int:
        """Bytes of a number that products are computed in."""
        return 2 if self.narrow else 4


def told(config: Config, hardware: HardwareProfile | None) -> Told:
    """A plan on a device as they see it."""
    setting, model = Setting.of(config, hardware), config.model
    size = size_of(model, config.training.mtp, config.lora)
    stage = 0
    if setting.strategy == "deepspeed":
        stage = config.deepspeed.zero_stage
    elif setting.strategy == "fsdp":
        stage = {"shard_grad_op": 2, "no_shard": 0}.get(config.fsdp.sharding_strategy, 3)
    return Told(
        parameters=size.total,
        trained=size.trainable,
        h=model.hidden_size,
        f=model.intermediate_size,
        heads=model.num_attention_heads,
        groups=model.num_key_value_heads or model.num_attention_heads,
        layers=model.num_layers,
        vocabulary=model.vocab_size,
        gated=model.hidden_act in GATED,
        rms=model.norm_type == "rmsnorm",
        tied=model.tie_word_embeddings,
        experts=model.num_experts,
        expert_layers=num_expert_layers(model),
        expert_width=expert_width(model),
        b=config.training.batch_size,
        s=config.data.max_length,
        narrow=setting.width == 2,
        recomputes=config.training.gradient_checkpointing,
        devices=setting.devices,
        stage=stage,
    )
