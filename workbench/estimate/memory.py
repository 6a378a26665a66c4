"""Memory of one device: the moments of a step, and the largest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.estimate.engines import ddp, fsdp, single
from workbench.estimate.engines.states import Updates
from workbench.estimate.network.network import sized
from workbench.estimate.network.structure import structure_of
from workbench.estimate.network.symbols import CUDA_ALIGNMENT, symbols_of
from workbench.estimate.setting import Setting

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.ledger import Moment


@dataclass(frozen=True, slots=True)
class Memory:
    """What one device has to hold.

    Attributes:
        setting: How the config is trained.
        moments: Every moment that can be the largest, in the order of a step.
        peak: The largest of them.
        capacity: Memory of the device; None where it is not known.
    """

    setting: Setting
    moments: tuple[Moment, ...]
    peak: Moment
    capacity: int | None

    @property
    def allocated(self) -> int:
        """Bytes that tensors take at the peak."""
        return self.peak.bytes

    def to_dict(self) -> dict[str, Any]:
        """The memory with the lines of its peak, as JSON-ready data."""
        return {
            "strategy": self.setting.strategy,
            "precision": self.setting.precision,
            "recompute": self.setting.recompute,
            "allocated": self.allocated,
            "capacity": self.capacity,
            "moments": {moment.name: moment.bytes for moment in self.moments},
            "peak": self.peak.to_dict(),
        }


def why_unknown(config: Config) -> list[str]:
    """What of a config the ledger has no lines for."""
    model, parallel, lora = config.model, config.parallel, config.lora
    missing = {
        f"model.model_type: {model.model_type}": model.model_type != "decoder",
        "model.num_experts": model.num_experts > 1,
        "model.mla": model.mla.enabled,
        f"model.attention_implementation: {model.attention_implementation}": (
            model.attention_implementation == "eager"
        ),
        "model.sliding_window": model.sliding_window is not None,
        f"model.position_embedding_type: {model.position_embedding_type}": (
            model.position_embedding_type == "alibi"
        ),
        "dropout": any((model.attention_dropout, model.hidden_dropout, model.embedding_dropout)),
        "training.mtp": config.training.mtp.enabled,
        "lora": lora.enabled,
        "deepspeed": config.deepspeed.enabled,
        "fsdp.sharding_strategy: hybrid": config.fsdp.sharding_strategy == "hybrid",
        "fsdp.cpu_offload": parallel.strategy == "fsdp" and config.fsdp.cpu_offload,
        "fsdp.offload_activations": parallel.strategy == "fsdp" and config.fsdp.offload_activations,
        "training.label_smoothing": config.training.label_smoothing > 0,
        "training.losses": config.training.losses != type(config.training.losses)(),
        "training.compile": config.training.compile.enabled,
        "data.packing": config.data.packing != "stream",
        "tensor, pipeline and context parallelism": (
            parallel.tensor_parallel_size
            * parallel.pipeline_parallel_size
            * parallel.context_parallel_size
            > 1
        ),
    }
    return [name for name, lacks in missing.items() if lacks]


def memory_of(config: Config, hardware: HardwareProfile | None = None) -> Memory:
    """The memory of one device.

    Args:
        config: The config; `why_unknown` is empty for it.
        hardware: The device; None is this machine's CPU.
    """
    setting = Setting.of(config, hardware)
    updates = Updates.of(
        config.training,
        cpu=setting.cpu,
        width=setting.width,
        copies=setting.strategy in ("single", "ddp"),
        sharded=setting.strategy == "fsdp",
    )
    structure = structure_of(
        config,
        cpu=setting.cpu,
        width=setting.width,
        recompute=setting.recompute,
        sharded=setting.strategy == "fsdp",
        weights="fp32" if updates.rounding is None else "narrow",
    )
    symbols = symbols_of(
        config, alignment=1 if setting.cpu else CUDA_ALIGNMENT, shards=setting.shards
    )
    # What a pass finds: gradients that stand are added to, and leave nothing behind.
    standing = setting.strategy == "ddp" or (setting.strategy == "single" and setting.accumulating)
    net = sized(
        structure,
        config.model,
        symbols,
        accumulating=standing,
        waiting=setting.strategy == "ddp" and setting.accumulating,
    )
    match setting.strategy:
        case "fsdp":
            base = fsdp.standing(net, updates, accumulating=setting.accumulating)
            reshards = config.fsdp.sharding_strategy != "shard_grad_op"
            moments = fsdp.moments(
                net,
                base,
                updates=updates,
                width=setting.width,
                accumulating=setting.accumulating,
                reshard=config.fsdp.reshard_after_forward and reshards,
            )
        case "ddp":
            base = ddp.standing(net, updates)
            moments = ddp.moments(net, base, updates=updates, accumulating=setting.accumulating)
        case _:
            base = single.standing(
                net, updates, accumulating=standing, gradients="of earlier micro-batches"
            )
            moments = single.moments(net, base, updates=updates)
    peak = max(moments, key=lambda moment: moment.bytes)
    capacity = hardware.memory_bytes if hardware is not None else None
    return Memory(setting, tuple(moments), peak, capacity)
