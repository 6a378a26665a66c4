"""Rules about offload to a drive: with too few buffers in front of it, DeepSpeed stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.offload import asked_optimizer_place, asked_parameters_place
from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.rules.deepspeed import engine
from workbench.config.size import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATES = {"adamw": 2, "adam": 2, "adagrad": 1, "lion": 1}
_MATRICES = 6
"""Of a block, at least: a plan that is just enough is not worth a warning."""


@rule("nvme-optimizer-buffers", "error")
def nvme_optimizer_buffers(subject: Subject) -> Iterator[Problem]:
    """An optimizer on NVMe has a buffer for weights, for gradients and for each of its states."""
    deepspeed = engine(subject)
    if not deepspeed or asked_optimizer_place(deepspeed) != "nvme" or deepspeed.zero_stage < 3:
        return
    needed = 2 + _STATES.get(subject.config.training.optimizer, 0)
    if deepspeed.offload_optimizer.buffer_count < needed:
        path = "deepspeed.offload_optimizer.buffer_count"
        yield Problem(
            path,
            f"{subject.config.training.optimizer} takes {needed} buffers at once: with fewer "
            "DeepSpeed ends at its first update",
            (put(path, needed),),
        )


@rule("nvme-weights-keep-buffers", "warning")
def nvme_weights_keep_buffers(subject: Subject) -> Iterator[Problem]:
    """Weights on NVMe that wait to be needed again keep a buffer each, so there must be enough."""
    deepspeed, model = engine(subject), subject.config.model
    if not deepspeed or asked_parameters_place(deepspeed) != "nvme" or deepspeed.zero_stage < 3:
        return
    # Half of the distance lies before the turn from forward to backward, half behind it.
    blocks = min(model.num_layers, deepspeed.stage3_max_reuse_distance // 2 // size_of(model).block)
    if _MATRICES * blocks > deepspeed.offload_param.buffer_count:
        yield Problem(
            subject.blame("deepspeed.offload_param.device", "deepspeed.nvme_offload"),
            "weights that are needed again within stage3_max_reuse_distance keep their buffers in "
            f"front of the drive, here those of {blocks} blocks or more, and there are "
            f"{deepspeed.offload_param.buffer_count}: DeepSpeed ends with “Not enough buffers”",
            (put("deepspeed.stage3_max_reuse_distance", 0),),
        )
