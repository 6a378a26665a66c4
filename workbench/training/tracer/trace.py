"""A training step of a config under `Phantom`: its peak memory on one of N devices.

Model, loss, engine and optimizer are the trainer's own. With several devices a process group that
sends nothing stands for the others: what is allocated does not depend on what arrives.
"""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.distributed as dist
import torch.nn.functional as F
from ava_kernels.attention import forget
from torch._C._distributed_c10d import GradBucket
from torch.distributed.fsdp._fully_shard import _fsdp_param, _fsdp_param_group
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore

from workbench.models.build import build_model
from workbench.models.lora import add_adapters
from workbench.training.distributed import World
from workbench.training.ema import WeightAverage, weight_average
from workbench.training.engines.base import all_tensors
from workbench.training.engines.choose import make_engine
from workbench.training.engines.deepspeed_start import load_deepspeed
from workbench.training.objective import Objective
from workbench.training.tracer.apart import shards_on_host
from workbench.training.tracer.attention import attends
from workbench.training.tracer.batch import batch_of
from workbench.training.tracer.cuda import cuda_kernels
from workbench.training.tracer.phantom import Phantom
from workbench.training.tracer.phases import Phase, Phased
from workbench.training.tracer.storages import Storages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config
    from workbench.models.base import Recompute

CUDA_ALIGNMENT = 512


@dataclass(frozen=True)
class Traced:
    """What a step took.

    Attributes:
        peak: Bytes on one device at the largest moment of the second step; the first also makes
            the optimizer's state.
        standing: Bytes between steps.
        parameters: Weights of the model, or of this device's shard of it.
        log: With ``record``, every allocation of the second step: bytes, operation, bytes after it.
        phases: With ``phases``, the largest moment of each part of the second step.
    """

    peak: int
    standing: int
    parameters: int
    log: list[tuple[int, str, int]]
    phases: dict[Phase, int] = field(default_factory=dict)


def trace(
    config: Config,
    *,
    compute_dtype: torch.dtype = torch.float32,
    recompute: Recompute = "none",
    cpu: bool = True,
    record: bool = False,
    phases: bool = False,
) -> Traced:
    """Trace a step of a config.

    Args:
        config: The config.
        compute_dtype: What ``training.mixed_precision`` came to.
        recompute: What the backward pass computes again.
        cpu: Whether to reckon as on a CPU: its kernels and its allocator; else as on CUDA.
        record: Whether to keep a log.
        phases: Whether to tell the parts of the step apart.
    """
    parallel = config.parallel
    world = World(0, parallel.num_nodes * parallel.devices_per_node, 0, parallel.devices_per_node)
    kind = Phased if phases else Storages
    storages = kind(alignment=1 if cpu else CUDA_ALIGNMENT, record=record)
    with ExitStack() as stack:
        stack.enter_context(quiet())
        # DDP, FSDP and DeepSpeed want a group even where there is one process.
        alone = world.size == 1 and config.parallel.strategy in ("auto", "single")
        if not alone or config.deepspeed.enabled:
            stack.enter_context(_fake_group(world.size))
        if config.deepspeed.enabled:
            stack.enter_context(_own_deepspeed())
        stack.enter_context(_resizes(storages))
        stack.enter_context(_random_states(storages) if cpu else cuda_kernels())
        stack.enter_context(attends(cpu=cpu))
        stack.enter_context(Phantom(storages.see, cpu=cpu))
        apart = not cpu and config.parallel.strategy == "fsdp" and config.fsdp.cpu_offload
        if apart and not config.deepspeed.enabled:
            stack.enter_context(shards_on_host(storages))
            storages.host = True
        return _trace(config, compute_dtype, recompute, world, storages)


def _trace(
    config: Config,
    compute_dtype: torch.dtype,
    recompute: Recompute,
    world: World,
    storages: Storages,
) -> Traced:
    with torch.device("meta"):
        model = build_model(
            config.model,
            compute_dtype=compute_dtype,
            recompute=recompute,
            mtp=config.training.mtp if config.training.mtp.enabled else None,
        )
        if config.lora.enabled:
            add_adapters(model, config.lora)
    parameters = model.num_parameters()
    if config.parallel.strategy != "fsdp":
        model.to_empty(device="cpu")
    # The weights have no values that could be dealt out to the shards.
    with mock.patch.object(World, "spread", return_value=()), storages.elsewhere():
        engine = make_engine(Objective(model, config.training), config, torch.device("cpu"), world)
    if isinstance(wrapped := getattr(engine, "wrapped", None), DistributedDataParallel):
        wrapped.register_comm_hook(None, _nothing_sent)
    engine.objective.train()
    with storages.elsewhere():
        average = weight_average(engine, config.training)
    for tensor in all_tensors(engine.objective).values():
        shard = getattr(tensor, "_local_tensor", None)
        with nullcontext() if shard is None else storages.elsewhere():
            storages.resized(tensor if shard is None else shard, "weight")
    stacks = {
        name: list(getattr(model, name))
        for name in ("encoder_blocks", "blocks")
        if hasattr(model, name)
    }
    del model
    _step(engine, config, average, storages)
    standing = storages.bytes
    storages.mark()
    if not isinstance(storages, Phased):
        _step(engine, config, average, storages)
        return Traced(storages.peak, standing, parameters, list(storages.log))
    storages.follow(stacks, engine)
    _step(engine, config, average, storages)
    return Traced(storages.peak, standing, parameters, list(storages.log), dict(storages.peaks))


def _nothing_sent(_state: None, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
    """In place of an all-reduce, which adds up where the bucket is."""
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


# DDP looks at the types themselves, and this module's annotations are words.
_nothing_sent.__annotations__ |= {
    "bucket": GradBucket,
    "return": torch.futures.Future[torch.Tensor],
}


def _step(engine: Any, config: Config, average: WeightAverage | None, storages: Storages) -> None:
    """One optimizer step, as `workbench.training.step` and `loop` make it."""
    training = config.training
    accumulation = training.gradient_accumulation_steps
    for micro in range(accumulation):
        engine.accumulate(batch_of(config), targets=1, last=micro == accumulation - 1)
    with storages.elsewhere():
        norm = engine.gradient_norm()
        engine.update(
            learning_rate=training.learning_rate,
            gradient_norm=norm,
            max_norm=training.max_gradient_norm,
        )
        if average is not None:
            average.update()


@contextmanager
def quiet(*, deterministic: bool = True) -> Iterator[None]:
    """Nothing but the code decides what lives, and nothing of it lives on.

    Args:
        deterministic: Whether to ask for deterministic kernels, as the trainer does.
    """
    # What an operation remembers for the next call: before, it would not be seen as it is made;
    # afterwards, it has no values.
    forget()
    with _deterministic() if deterministic else nullcontext(), _no_collection():
        try:
            yield
        finally:
            forget()


@contextmanager
def _deterministic() -> Iterator[None]:
    """As `workbench.training.environment` sets it."""
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(mode=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Reference counts decide what lives, so that two traces are equal."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _fake_group(size: int) -> Iterator[None]:
    dist.init_process_group("fake", rank=0, world_size=size, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _own_deepspeed() -> Iterator[None]:
    """DeepSpeed as in a process of its own, and content with norms that nobody has computed."""
    load_deepspeed(torch.device("cpu"))
    from deepspeed.comm import comm
    from deepspeed.runtime import utils
    from deepspeed.runtime.fp16 import unfused_optimizer
    from deepspeed.runtime.zero import stage3, stage_1_and_2
    from deepspeed.runtime.zero.partition_parameters import Init
    from deepspeed.utils import groups

    def never(*_args: object, **_kwargs: object) -> bool:
        return False

    with ExitStack() as stack:
        for module in (stage_1_and_2, stage3, unfused_optimizer):
            stack.enter_context(mock.patch.object(module, "is_invalid_grad_norm", never))
        checkers = (
            utils.CheckOverflow,
            stage_1_and_2.DeepSpeedZeroOptimizer,
            stage3.DeepSpeedZeroOptimizer_Stage3,
        )
        for checker in checkers:
            for name in ("has_overflow", "has_overflow_serial"):
                stack.enter_context(mock.patch.object(checker, name, never))
        # Stage 3 puts its own in this place and never takes it away again.
        stack.enter_context(mock.patch.object(torch.nn.functional, "linear", F.linear))
        # It counts what stays whole over all engines of a process.
        for name in ("num_persisted_parameters", "num_persisted_elements"):
            stack.enter_context(mock.patch.object(Init, name, 0))
        stack.enter_context(mock.patch.object(Init, "apply_param_persistence", False))
        # What it remembers of the process group would outlive the group.
        stack.enter_context(mock.patch.object(comm, "cdb", None))
        for name, value in vars(groups).items():
            if name.endswith(("_GROUP", "_GROUP_RANKS")) and (value is None or value == {}):
                stack.enter_context(mock.patch.object(groups, name, value))
        yield


@contextmanager
def _random_states(storages: Storages) -> Iterator[None]:
    """Each recomputed block keeps the state of the random numbers, which a CPU has in its memory.

    No operation makes it, so a dispatch mode does not see it.
    """
    get_state = torch.get_rng_state

    def watched() -> torch.Tensor:
        state = get_state()
        storages.add(state, "torch.get_rng_state")
        return state

    with mock.patch.object(torch, "get_rng_state", watched):
        yield


@contextmanager
def _resizes(storages: Storages) -> Iterator[None]:
    """FSDP empties and fills storages without an operation that a dispatch mode would see."""
    alloc, free = _fsdp_param.alloc_storage, _fsdp_param.free_storage

    def watched_alloc(tensor: torch.Tensor) -> None:
        alloc(tensor)
        storages.resized(tensor, "fsdp.alloc_storage")

    def watched_free(tensor: torch.Tensor) -> None:
        free(tensor)
        storages.resized(tensor, "fsdp.free_storage")

    with (
        mock.patch.object(_fsdp_param, "alloc_storage", watched_alloc),
        mock.patch.object(_fsdp_param, "free_storage", watched_free),
        mock.patch.object(_fsdp_param_group, "alloc_storage", watched_alloc),
    ):
        yield
