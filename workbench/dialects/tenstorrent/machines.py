"""The machines of a training: chips of a mesh, and the stages of a pipeline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from workbench.dialects.building import NoPlace
from workbench.dialects.tenstorrent.device import put_board, put_mesh, remark_mesh
from workbench.dialects.tenstorrent.words import LARGEST

if TYPE_CHECKING:
    from workbench.dialects.building import Builder
    from workbench.dialects.tenstorrent.device import Mesh


class Machines:
    """Understands ``device_config`` and ``multihost_config``.

    Args:
        builder: Its tree has the sections.
        flat: Whether the training file is in 2025's schema.
    """

    def __init__(self, builder: Builder, *, flat: bool) -> None:
        self._to = builder
        self._flat = flat
        self._device = self._section("device_config")
        self._training = self._section("training_config")

    def _section(self, name: str) -> dict[str, Any]:
        value = self._to.value(name)
        return value if isinstance(value, dict) else {}

    def devices(self, mesh: Mesh | None) -> None:
        """The chips of a mesh, what divides the training among them, and their board."""
        if not self._device:
            return
        if mesh is None:
            self._to.keep("device_config.mesh_shape", "it is two whole numbers: rows and columns")
            return
        put_mesh(self._to, mesh)
        used = mesh.data * mesh.tensor * mesh.context
        path = "device_config.mesh_shape"
        if self._stages() > 1:
            self._to.keep(path, "the mesh of each machine of the pipeline")
        elif used == mesh.devices:
            if self._to.has(path):
                self._to.put("parallel.mesh_shape", list(mesh.shape), source=path)
            else:
                self._to.put("parallel.mesh_shape", list(mesh.shape))
        else:
            self._to.keep(path, "no kind of parallelism uses all of its chips")
        for name, ours in (
            ("enable_ddp", "parallel.strategy"),
            ("enable_tp", "parallel.tensor_parallel_size"),
            ("enable_fsdp", "parallel.strategy"),
            ("enable_cp", "parallel.context_parallel_size"),
        ):
            # A switch that is on and changes nothing has no place in the degrees.
            on = self._device.get(name)
            works = {"enable_ddp": mesh.data > 1 and not mesh.sharded,
                     "enable_tp": mesh.tensor > 1, "enable_fsdp": mesh.sharded,
                     "enable_cp": mesh.context > 1}[name]  # fmt: skip
            if isinstance(on, bool) and on == works:
                self._to.understood(("device_config", name), ours)
            else:
                self._to.keep(("device_config", name), "it changes nothing on this mesh")
        remark_mesh(self._to, mesh, self._device, flat=self._flat)
        put_board(self._to, mesh, self._hints())

    def _stages(self) -> int:
        """Machines that hold the layers one after the other."""
        section = self._section("multihost_config")
        workers = section.get("num_workers")
        pipeline = isinstance(section.get("pipeline_parallel_config"), dict)
        return workers if pipeline and type(workers) is int and workers > 0 else 1

    def _hints(self) -> str:
        """Names in which a board may be named, and the comments above the first key."""
        head = re.split(
            r"^\s*[A-Za-z_]\w*:", self._to.foreign.text, maxsplit=1, flags=re.MULTILINE
        )[0]
        said = [str(self._training.get(name, "")) for name in
                ("project_name", "checkpoint_dir", "wandb_run_name")]  # fmt: skip
        return (
            " ".join([self._to.foreign.path.stem, *said, head]).replace("_", " ").replace("-", " ")
        )

    def hosts(self) -> None:
        """Several machines: stages of a pipeline, or helpers that hold the optimizer."""
        section = self._section("multihost_config")
        workers = section.get("num_workers")
        pipeline = section.get("pipeline_parallel_config")
        if not isinstance(pipeline, dict) or type(workers) is not int or not 0 < workers < LARGEST:
            self._to.keep("multihost_config", "machines that share no layers: one sums up the "
                          "gradients, one updates")  # fmt: skip
            return
        blocks = pipeline.get("blocks_per_rank")
        self._to.put("parallel.num_nodes", workers, source="multihost_config.num_workers")
        self._to.put("parallel.pipeline_parallel_size", workers)
        ranks = [str(rank) for rank in range(workers)]
        where = "multihost_config.pipeline_parallel_config.blocks_per_rank"
        if isinstance(blocks, dict) and sorted(blocks) == sorted(ranks):
            try:
                self._to.put("parallel.blocks_per_rank", [blocks[rank] for rank in ranks])
            except NoPlace as error:
                self._to.keep(where, str(error))
            else:
                self._to.understood(where, "parallel.blocks_per_rank")
        enabled = section.get("enabled")
        if enabled is True:
            self._to.understood("multihost_config.enabled", "parallel.num_nodes")
