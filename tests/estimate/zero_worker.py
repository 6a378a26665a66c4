"""One process of a real DeepSpeed training: prints the allocator's largest moment of a step.

Of several steps the least counts: gloo's threads let go of a tensor when they come to it, and until
then it stands beside what the engine itself holds (one or two gradients more, by chance).

Started by `torchrun`, with the path of a config as its argument.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from workbench.config.schema import Config
from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.choose import make_engine
from workbench.training.objective import Objective

if TYPE_CHECKING:
    from collections.abc import Callable

_STEPS = 6


def main(path: Path) -> None:
    config = Config.model_validate(json.loads(path.read_text()))
    training = config.training
    dist.init_process_group("gloo")
    world = World(dist.get_rank(), dist.get_world_size(), dist.get_rank(), dist.get_world_size())
    dtype = torch.bfloat16 if training.mixed_precision == "bf16" else torch.float32
    torch.set_num_threads(1)
    with torch.device("meta"):
        model = build_model(config.model, compute_dtype=dtype, recompute="none")
    model.to_empty(device="cpu")
    init_weights(model, 0)
    engine = make_engine(Objective(model, training), config, torch.device("cpu"), world)
    del model
    engine.objective.train()

    def step() -> None:
        shape = (training.batch_size, config.data.max_length)
        tokens = torch.randint(0, config.model.vocab_size, shape)
        targets = torch.randint(0, config.model.vocab_size, shape)
        engine.accumulate(Batch(tokens, targets), targets=8, last=True)
        norm = engine.gradient_norm()
        engine.update(learning_rate=1e-4, gradient_norm=norm, max_norm=1.0)

    step()
    gc.collect()
    gc.disable()
    peak = min(_rise(step) for _ in range(_STEPS))
    if world.rank == 0:
        print(f"PEAK {peak}")
    dist.barrier()
    dist.destroy_process_group()


def _rise(step: Callable[[], None]) -> int:
    """What a step adds at its largest moment to what stands before it."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    now = peak = 0
    for event in sorted(
        profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()
    ):
        if event.name() == "[memory]":
            now += int(event.nbytes())
            peak = max(peak, now)
    return peak


if __name__ == "__main__":
    main(Path(sys.argv[1]))
