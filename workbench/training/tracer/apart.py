"""FSDP's shards in the memory of the host, for traces of a GPU, whose memory is another one.

With a `CPUOffloadPolicy` the shards, their gradients and the optimizer are on the host. A trace has
one kind of tensor, so here is what torch does where the two memories differ
(torch/distributed/fsdp/_fully_shard, torch 2.13): each part of a weight is copied to the device
before it is fetched, and each part of a gradient to the host once it has been added up.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from torch.distributed.fsdp._fully_shard._fsdp_param import FSDPParam

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from workbench.training.tracer.storages import Storages


@contextmanager
def shards_on_host(storages: Storages) -> Iterator[None]:
    """Copies between the two memories, as torch makes them.

    Args:
        storages: Who counts what is on the device.
    """
    to_dtensor = FSDPParam.to_sharded_dtensor

    def fetched(param: FSDPParam) -> list[torch.Tensor]:
        part = param._sharded_param_data.clone()  # noqa: SLF001 - on the device
        dtype = param.param_dtype
        return [part if dtype is None or dtype == part.dtype else part.to(dtype)]

    def kept(param: FSDPParam, tensor: torch.Tensor) -> Any:
        with storages.elsewhere():
            return to_dtensor(param, tensor.clone())

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(FSDPParam, "all_gather_inputs", property(fetched)))
        stack.enter_context(mock.patch.object(FSDPParam, "to_sharded_dtensor", kept))
        yield
