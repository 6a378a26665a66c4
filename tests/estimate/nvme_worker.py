"""One process of a real DeepSpeed training with a drive: prints its files and its host buffers.

Started with the path of a config and the folder of DeepSpeed's compiled operations.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.cpp_extension import _import_module_from_library

from workbench.config.schema import Config
from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.choose import make_engine
from workbench.training.engines.deepspeed_start import load_deepspeed
from workbench.training.objective import Objective


def main(path: Path, compiled: Path) -> None:
    """Two steps, for the optimizer's files are there after the first."""
    config = Config.model_validate(json.loads(path.read_text()))
    training = config.training
    torch.set_num_threads(1)
    load_deepspeed(torch.device("cpu"))
    _use(compiled)
    dist.init_process_group("gloo")
    world = World(dist.get_rank(), dist.get_world_size(), dist.get_rank(), dist.get_world_size())
    dtype = torch.bfloat16 if training.mixed_precision == "bf16" else torch.float32
    with torch.device("meta"):
        model = build_model(config.model, compute_dtype=dtype, recompute="none")
    model.to_empty(device="cpu")
    init_weights(model, 0)
    engine = make_engine(Objective(model, training), config, torch.device("cpu"), world)
    del model
    engine.objective.train()
    for _ in range(2):
        shape = (training.batch_size, config.data.max_length)
        tokens = torch.randint(0, config.model.vocab_size, shape)
        engine.accumulate(Batch(tokens, tokens.clone()), targets=8, last=True)
        norm = engine.gradient_norm()
        engine.update(learning_rate=1e-4, gradient_norm=norm, max_norm=1.0)
    folder = path.parent / "drive"
    files = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    print("SEEN " + json.dumps({"files": files, "buffers": _buffers(engine)}), flush=True)
    os._exit(0)  # DeepSpeed's threads that write to drives do not end with the interpreter


def _use(compiled: Path) -> None:
    """DeepSpeed's operations as they lie there: it would look whether to compile them anew."""
    from deepspeed.ops.op_builder import AsyncIOBuilder

    ctypes.CDLL(str(compiled / "pin_memory" / "pin_memory.so"), mode=ctypes.RTLD_GLOBAL)
    found = _import_module_from_library("async_io", str(compiled / "async_io"), True)
    AsyncIOBuilder.load = lambda _self, **_options: found


def _buffers(engine: Any) -> dict[str, int]:
    """Bytes of what stands in front of the drive."""
    optimizer = engine.engine.optimizer
    found = {"flat": sum(_size(each) for each in optimizer.param_groups_fp16_flat_cpu_memory)}
    if (swapper := getattr(optimizer.fp16_groups[0][0], "nvme_swapper", None)) is not None:
        found["weights"] = _size(swapper.buffers)
        found["group"] = _size(swapper.partitioned_swap_buffer)
    if optimizer.optimizer_swapper is not None:
        found["optimizer"] = sum(
            _size(each) for each in optimizer.optimizer_swapper.swap_buffer_manager.all_buffers
        )
    return found


def _size(tensor: torch.Tensor | None) -> int:
    # A group without room has one number, for DeepSpeed asks it how large it is.
    return 0 if tensor is None or tensor.numel() == 1 else tensor.untyped_storage().nbytes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
