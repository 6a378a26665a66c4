"""How the devices of a plan are divided among the kinds of parallelism."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.config.remembered import remembered

if TYPE_CHECKING:
    from workbench.config.schema import Config, ParallelConfig


class Degrees(NamedTuple):
    """The degrees that multiply to the number of devices; expert parallelism divides `data`.

    Attributes:
        devices: All devices: nodes x devices per node.
        tensor: Devices that share each matrix.
        pipeline: Devices in a row that hold different layers.
        context: Devices that share one sequence.
        data: Groups of devices that see different sequences: as asked for, or what is left.
        asked: The data-parallel degree that a layer asks for; None when it follows.
    """

    devices: int
    tensor: int
    pipeline: int
    context: int
    data: int
    asked: int | None

    @classmethod
    def of(cls, config: Config) -> Degrees:
        """The degrees of a plan. They need not fit together: rules see to that."""
        return _degrees(config.parallel)

    @property
    def model(self) -> int:
        """Devices that together hold one copy of the model."""
        return self.tensor * self.pipeline * self.context

    @property
    def sharded(self) -> int:
        """Devices over which ZeRO and FSDP shard: all that work on the same layers and matrices."""
        return self.data * self.context


@remembered
def _degrees(parallel: ParallelConfig) -> Degrees:
    devices = parallel.num_nodes * parallel.devices_per_node
    tensor, pipeline = parallel.tensor_parallel_size, parallel.pipeline_parallel_size
    context = parallel.context_parallel_size
    asked = parallel.data_parallel_size
    if asked is None or asked < 0:
        asked = None
    left = max(1, devices // (tensor * pipeline * context))
    data = left if asked is None else max(1, asked)  # 0 is refused by a rule
    return Degrees(devices, tensor, pipeline, context, data, asked)
