"""What is measured of a step beside its loss; names and units are in `workbench.runs.metric_names`.

Shapes: E experts, L layers.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.models.base import LanguageModel
    from workbench.training.step import Measured

_PAGE = resource.getpagesize()
_STATM = Path("/proc/self/statm")


class StepMeter:
    """Times and memory of a step.

    Args:
        config: The run's config.
        model: The network, for the count of its FLOPs; its weights may be shards.
        device: Where it computes.
        devices: How many devices share a step.
        peak_flops: FLOP/s of one device in the run's number format; None where it is not known.
    """

    def __init__(
        self,
        config: Config,
        model: LanguageModel,
        device: torch.device,
        *,
        devices: int,
        peak_flops: float | None,
    ) -> None:
        self._device = device
        self._breakdown = config.logging.wall_clock_breakdown
        self._memory_breakdown = config.logging.memory_breakdown
        self._moe = config.evaluation.moe_metrics
        self.flops_per_token = flops_per_token(model, config.data.max_length)
        self._peak = None if peak_flops is None else peak_flops * devices
        self._marks: dict[str, float] = {}
        self._began = 0.0

    def begin(self) -> None:
        """A step begins."""
        self._marks = {}
        self._began = time.perf_counter()

    def got_data(self) -> None:
        """The micro-batches are there."""
        self._marks["data_wait_s"] = time.perf_counter() - self._began

    def got_gradient(self) -> None:
        """The gradient is there."""
        if self._breakdown:
            before = self._marks.get("data_wait_s", 0.0)
            self._marks["gradient_s"] = self._now() - before
        if self._memory_breakdown:
            self._marks["memory_after_gradient"] = memory_in_use(self._device)

    def updated(self) -> float:
        """The weights are updated. Returns the seconds of the step."""
        if self._breakdown:
            before = self._marks.get("data_wait_s", 0.0) + self._marks.get("gradient_s", 0.0)
            self._marks["update_s"] = self._now() - before
        if self._memory_breakdown:
            self._marks["memory_after_update"] = memory_in_use(self._device)
        return time.perf_counter() - self._began

    def row(
        self, step: int, measured: Measured, *, tokens: int, seconds: float
    ) -> dict[str, float]:
        """What goes into the row of a step.

        Args:
            step: The step.
            measured: What the passes found.
            tokens: Positions of the step, all devices.
            seconds: How long it took.
        """
        row = dict(self._marks)
        if self._peak is not None:
            row["mfu"] = tokens * self.flops_per_token / seconds / self._peak
        if self._device.type == "cuda":
            row["memory_allocated"] = torch.cuda.max_memory_allocated(self._device)
            row["memory_reserved"] = torch.cuda.max_memory_reserved(self._device)
        row["memory_host"] = host_peak()
        if measured.counts_LE is not None:
            row |= self._experts(step, measured.counts_LE)
        return row

    def _experts(self, step: int, counts_LE: torch.Tensor) -> dict[str, float]:
        used = int((counts_LE > 0).sum())
        row: dict[str, float] = {"dead_experts": counts_LE.numel() - used}
        if step % self._moe.log_frequency == 0 or step == 1:
            if self._moe.track_expert_utilization:
                row["experts_used"] = used / counts_LE.numel()
            if self._moe.track_load_balance:
                counts_LE = counts_LE.double()
                share_E = (counts_LE / counts_LE.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=0)
                row |= {f"expert_share_{e}": share for e, share in enumerate(share_E.tolist())}
        return row

    def _now(self) -> float:
        if self._device.type == "cuda":  # else the host would measure how fast it queues work
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - self._began


def flops_per_token(model: LanguageModel, length: int) -> float:
    """FLOPs that training needs per token, without what is recomputed.

    6 for each weight that multiplies it, forward and backward, plus ``12 L h Q T`` for attention
    (arXiv 2204.02311, appendix B); the positions that a causal mask hides count, as they do there.
    Of experts only the chosen ones count, of embeddings none, unless one is the output matrix too.

    Args:
        model: The network.
        length: Positions of a sequence.
    """
    config = model.config
    share = config.num_experts_per_token / config.num_experts if config.num_experts > 1 else 1.0
    output = model.output_weight_VD
    weights = 0.0
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        if "embedding" in name and parameter is not output:
            continue
        # The weights of routed experts are stacked: (E, …).
        weights += parameter.numel() * (share if parameter.dim() == 3 else 1.0)
    head = config.head_dim or config.hidden_size // config.num_attention_heads
    return 6 * weights + 12 * config.num_layers * config.num_attention_heads * head * length


def peak_flops(config: Config, device: torch.device, precision: str) -> float | None:
    """FLOP/s of the device by its data sheet; None where nobody has written it down.

    Args:
        config: The run's config, for ``run.hardware``.
        device: Where the run computes.
        precision: ``fp32``, ``bf16`` or another name of the data sheets.
    """
    if device.type != "cuda":
        return None
    from workbench.hardware.detect import detect
    from workbench.hardware.devices import device as profile_of

    found = [each.profile for each in detect().devices if each.profile is not None]
    name = found[0] if found else config.run.hardware
    profile = None if name is None else profile_of(name)
    return None if profile is None or profile.kind != "cuda" else profile.peak_flops.get(precision)


def host_peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_in_use(device: torch.device) -> int:
    """Bytes that this process uses now: of the GPU, or of the host where there is none."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
