"""Asks the installed DeepSpeed about configs: JSON in on stdin, its verdicts out on stdout.

A program of its own, because DeepSpeed changes logging and warnings of the process it is in. What
needs no process group and no GPU is asked: the loader, and the checks that the engine makes before
it builds anything.
"""

from __future__ import annotations

import copy
import inspect
import json
import logging
import sys
from typing import Any
from unittest import mock

import torch
from deepspeed.runtime import engine as engines
from deepspeed.runtime.config import DeepSpeedConfig

logging.disable(logging.CRITICAL)


class Mpu:
    """Says how many processes see different data."""

    def __init__(self, world: int) -> None:
        self._world = world

    def get_data_parallel_world_size(self) -> int:
        return self._world


class Accelerator:
    """A device that computes in every format."""

    def is_fp16_supported(self) -> bool:
        return True

    def is_bf16_supported(self) -> bool:
        return True


def optimizer_of(name: str) -> Any:
    """An optimizer of the class that the engine would make; its type is all that is asked."""
    from deepspeed.ops.adam import FusedAdam
    from deepspeed.ops.lamb import FusedLamb
    from deepspeed.ops.lion import FusedLion
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    kinds = {
        "adam": FusedAdam,
        "adamw": FusedAdam,
        "adagrad": torch.optim.Adagrad,
        "lamb": FusedLamb,
        "lion": FusedLion,
        "muon": MuonWithAuxAdam,
    }
    kind = kinds.get(name) or getattr(torch.optim, name)
    return kind.__new__(kind)


def engine_of(config: DeepSpeedConfig) -> Any:
    """An engine before it has built anything."""
    engine = engines.DeepSpeedEngine.__new__(engines.DeepSpeedEngine)
    engine.__dict__.update(
        _config=config,
        client_optimizer=None,
        client_lr_scheduler=None,
        pipeline_parallelism=False,
        global_rank=1,
        zenflow=False,
    )
    return engine


def ask(tree: dict[str, Any], world: int) -> list[str] | None:
    """Who refuses and with which words; None where nobody does."""
    by = "config"
    try:
        with mock.patch("deepspeed.comm.get_rank", return_value=0):
            config = DeepSpeedConfig(copy.deepcopy(tree), mpu=Mpu(world))
        by = "engine"
        with (
            mock.patch.object(engines, "get_accelerator", Accelerator),
            mock.patch("deepspeed.runtime.zero.utils.dist.get_rank", return_value=1),
        ):
            check_engine(engine_of(config))
    except Exception as error:  # noqa: BLE001 - DeepSpeed refuses with exceptions of every kind
        return [by, f"{type(error).__name__}: {error}"]
    return None


def check_arguments(engine: Any) -> None:
    """Whether the optimizer that the engine would make takes the parameters of the file."""
    name, params = engine.optimizer_name(), dict(engine.optimizer_params() or {})
    if name is None or name.startswith("mu"):
        return
    if name in ("adam", "adamw"):
        decoupled = params.pop("adam_w_mode", True)
        kind, more = engine.get_optimizer_configuration(params, name == "adamw" or decoupled)
        params |= more
    else:
        kind = class_of(engine, name)
    try:
        inspect.signature(kind.__init__).bind(None, [], **params)
    except TypeError as error:
        raise TypeError(f"{kind.__name__}.__init__() {error}") from None


def class_of(engine: Any, name: str) -> Any:
    from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
    from deepspeed.ops.lamb import FusedLamb
    from deepspeed.ops.lion import DeepSpeedCPULion, FusedLion

    on_cpu = engine.zero_use_cpu_optimizer()
    if name == "adagrad":
        return DeepSpeedCPUAdagrad if on_cpu else torch.optim.Adagrad
    if name == "lion":
        return DeepSpeedCPULion if on_cpu else FusedLion
    return FusedLamb if name == "lamb" else getattr(torch.optim, name)


def check_engine(engine: Any) -> None:
    engine._do_sanity_check()
    if "max_grad_norm" in (engine.optimizer_params() or {}):
        engine._configure_basic_optimizer([])
    check_arguments(engine)
    # Without one in the file, the script brings its own.
    engine._do_optimizer_sanity_check(optimizer_of(engine.optimizer_name() or "AdamW"))
    weight = torch.nn.Parameter(torch.zeros(1))
    engine._scheduler_from_config(torch.optim.SGD([weight], lr=0.1))


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    sys.stdout.write("\n" + json.dumps([ask(tree, world) for tree, world in cases]) + "\n")
