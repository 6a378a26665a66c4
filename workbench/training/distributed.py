"""The processes of a run: who they are, how they find each other, and how they part.

One process is a world of its own: it needs no group, and every exchange below returns what it was
given. With several, each is started by torchrun (or DeepSpeed's launcher, which sets the same
variables) and owns one device.

What the loop exchanges is a handful of numbers per step, between the hosts and not the devices: it
never waits for a GPU.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import Config

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

# A step, an evaluation or a save of rank 0 can take this long before the others give up.
_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """The place of this process among all of them.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
        local_rank: Its number on this machine.
        local_size: How many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def from_environment(cls) -> World:
        """What the launcher says; without a launcher, one process.

        Raises:
            ConfigError: The launcher says only a part of it.
        """
        told = {name: os.environ.get(name) for name in _VARIABLES}
        if told["WORLD_SIZE"] in (None, "1") and told["RANK"] in (None, "0"):
            return cls()
        missing = [name for name, value in told.items() if value is None]
        if missing:
            raise ConfigError(
                "this process does not know its place among the others",
                where="the environment",
                why=f"{', '.join(missing)} not set",
                fix="start it with torchrun or the deepspeed launcher, as ava train does",
            )
        size = int(os.environ["WORLD_SIZE"])
        return cls(
            rank=int(os.environ["RANK"]),
            size=size,
            local_rank=int(os.environ["LOCAL_RANK"]),
            local_size=int(os.environ.get("LOCAL_WORLD_SIZE", size)),
        )

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes the run directory and talks."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Each value added up over all processes, in fp64."""
        if self.size == 1:
            return values
        added = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(added)
        total: list[float] = added.tolist()
        return total

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - a predicate of one flag
        """Whether any process says so; all get the same answer."""
        return flag if self.size == 1 else self.sum([float(flag)])[0] > 0

    def each(self, value: Any) -> list[Any]:
        """The value of every process, in the order of their ranks; for small things."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_leader(self, value: Any) -> Any:
        """The value that rank 0 has; for small things."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def spread(self, tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
        """Each tensor of rank 0 on every process, one after another, in host memory."""
        if self.size == 1:
            yield from tensors.items()
            return
        shapes = {name: (value.shape, value.dtype) for name, value in tensors.items()}
        for name, (shape, dtype) in self.from_leader(shapes).items():
            value = tensors[name].detach().cpu() if self.leads else torch.empty(shape, dtype=dtype)
            # As bytes: gloo has no collective for some dtypes.
            raw = value.contiguous().reshape(-1).view(torch.uint8)
            dist.broadcast(raw, src=0)
            yield name, raw.view(dtype).view(shape)


@contextmanager
def open_world(config: Config, device: torch.device) -> Iterator[World]:
    """Meet the other processes, and part from them at the end.

    Args:
        config: ``parallel`` says how many there should be and what carries the traffic.
        device: The device of this process.

    Raises:
        ConfigError: There are more or fewer processes than the config says, or the library that it
            asks for is not there.
    """
    world = World.from_environment()
    wanted = config.parallel.num_nodes * config.parallel.devices_per_node
    if world.size != wanted:
        raise ConfigError(
            f"the config is for {wanted} processes, and {world.size} were started",
            where="parallel.num_nodes × parallel.devices_per_node",
            why=f"{config.parallel.num_nodes} × {config.parallel.devices_per_node} = {wanted}",
            fix="start the run with ava train, which starts as many as the config says",
        )
    alone = world.size == 1 and config.parallel.strategy in ("auto", "single")
    if alone and not config.deepspeed.enabled:
        yield world
        return
    dist.init_process_group(
        choose_backend(config.parallel.backend, device),
        timeout=_TIMEOUT,
        device_id=device if device.type == "cuda" else None,
        # DDP, FSDP and DeepSpeed want a group even where there is one process; nobody has to be
        # met for it.
        store=HashStore() if world.size == 1 else None,
        rank=world.rank if world.size == 1 else -1,
        world_size=world.size if world.size == 1 else -1,
    )
    # After an error the others may be anywhere, so there is no parting in order: the process ends.
    yield world
    # Without it one in eight ends with "terminate called without an active exception", after all is
    # done: a process that leaves takes the store away from those that still use it.
    dist.barrier()
    dist.destroy_process_group()


def choose_backend(wanted: str, device: torch.device) -> str:
    """Resolve ``parallel.backend``; with GPUs, host tensors still travel by gloo.

    Raises:
        ConfigError: This torch has it not, or it cannot reach the device.
    """
    name = wanted
    if wanted == "auto":
        name = "nccl" if device.type == "cuda" else "gloo"
    available = {
        "nccl": dist.is_nccl_available(),
        "gloo": dist.is_gloo_available(),
        "mpi": dist.is_mpi_available(),
    }
    if not available[name]:
        raise ConfigError(
            f"parallel.backend is {name}, which this torch was built without",
            where="parallel.backend",
            fix="use --parallel.backend auto",
        )
    if name == "nccl" and device.type != "cuda":
        raise ConfigError(
            "parallel.backend is nccl, which carries data between GPUs only",
            where="parallel.backend",
            why=f"this run computes on {device.type}",
            fix="use --parallel.backend auto",
        )
    return f"cpu:gloo,cuda:{name}" if device.type == "cuda" else name


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error only says that another process has gone; that one knows why."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text
        for sign in (
            "Connection closed by peer",
            "Connection reset by peer",
            "Broken pipe",
            "Timed out waiting",
            "NCCL communicator was aborted",
            "Application timeout caused pair closure",
            "Socket closed",
        )
    )
