"""Meshes of chips: what ``device_config`` asks for, and which board has it.

Facts: tt-train's README and the toolkit's lesson on several devices: n150, p100, p150 [1, 1]; n300
and p300 [1, 2]; QuietBox 2 [1, 4]; LoudBox (T3K) [1, 8]; Galaxy [1, 32]. With data and tensor
parallelism together the rows are data and the columns tensor parallel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from workbench.dialects.building import Builder

_BOARDS: Final = (
    ("galaxy", "galaxy"),
    ("t3k|t3000|loudbox|8x_?wormhole", "t3k"),
    ("quietbox_?2|bh_?qb|quietbox", "quietbox2"),
    ("n300", "n300"),
    ("n150", "n150"),
    ("p300c?", "p300"),
    ("p150", "p150"),
    ("p100", "p100"),
)
_OF_COUNT: Final = {8: "t3k", 32: "galaxy"}
_BLACKHOLE: Final = {1: "p150", 2: "p300", 4: "quietbox2"}


@dataclass(frozen=True, slots=True)
class Mesh:
    """How the chips of a mesh work together.

    Attributes:
        shape: Rows and columns.
        data: Data-parallel degree.
        tensor: Tensor-parallel degree.
        context: Context-parallel degree.
        sharded: Whether the data-parallel chips shard the weights.
    """

    shape: tuple[int, ...]
    data: int
    tensor: int
    context: int = 1
    sharded: bool = False

    @property
    def devices(self) -> int:
        """Chips of the mesh."""
        return prod(self.shape)


def mesh_of(section: dict[str, Any]) -> Mesh | None:
    """The mesh of a ``device_config``; None where it has no usable shape."""
    shape = section.get("mesh_shape", [1, 1])
    whole = isinstance(shape, list) and all(type(n) is int and 0 < n < 10**5 for n in shape)
    if not whole or len(shape) != 2:
        return None
    rows, columns = shape
    devices = rows * columns
    tensor, context = bool(section.get("enable_tp")), bool(section.get("enable_cp"))
    sharded = bool(section.get("enable_fsdp"))
    shared = tensor or context
    if bool(section.get("enable_ddp")) or sharded:
        inner = columns if shared else 1
        return Mesh((rows, columns), devices // inner, inner if tensor else 1,
                    inner if context and not tensor else 1, sharded)  # fmt: skip
    if tensor:
        return Mesh((rows, columns), 1, devices)
    if context:
        return Mesh((rows, columns), 1, 1, devices)
    return Mesh((rows, columns), 1, 1)


def put_mesh(builder: Builder, mesh: Mesh) -> None:
    """Put a mesh's degrees, its chips and what divides the training."""
    used = mesh.data * mesh.tensor * mesh.context
    builder.put("parallel.devices_per_node", used)
    if mesh.tensor > 1:
        builder.put("parallel.tensor_parallel_size", mesh.tensor)
    if mesh.context > 1:
        builder.put("parallel.context_parallel_size", mesh.context)
    if mesh.sharded:
        builder.put("parallel.strategy", "fsdp")
    elif mesh.data > 1:
        builder.put("parallel.strategy", "ddp")


def put_board(builder: Builder, mesh: Mesh, hints: str) -> None:
    """Put the hardware: by a name in the file or of it, where its chips are those of the mesh."""
    from workbench.hardware.devices import device, names

    named = [board for pattern, board in _BOARDS
             if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", hints.lower())]  # fmt: skip
    count = mesh.devices
    if "blackhole" in hints.lower() and count in _BLACKHOLE:
        named = [_BLACKHOLE[count], *named]
    fitting = [each for each in named if each in names() and device(each).devices_per_node == count]
    if fitting:
        builder.put("run.hardware", fitting[0])
        builder.assume((), f"the hardware is {device(fitting[0]).title}: the file names it, and it "
                       f"has {count} {'chip' if count == 1 else 'chips'}")  # fmt: skip
    elif count in _OF_COUNT and not named:
        builder.put("run.hardware", _OF_COUNT[count])
        builder.assume((), f"the hardware is {device(_OF_COUNT[count]).title}: it is the one with "
                       f"{count} chips")  # fmt: skip
    elif named:
        builder.assume((), f"the file names {named[0]}, which has not {count} chips: "
                       "no hardware is set")  # fmt: skip


def remark_mesh(builder: Builder, mesh: Mesh, section: dict[str, Any], *, flat: bool) -> None:
    """What upstream would say about a mesh."""
    path = "device_config.mesh_shape"
    rows, columns = mesh.shape
    model = mesh.tensor * mesh.context
    both = bool(section.get("enable_ddp")) and bool(section.get("enable_tp"))
    if rows != 1 and flat:
        builder.refused(path, "Only [1, N] mesh shapes are supported, got "
                        f"{list(mesh.shape)}")  # fmt: skip
    if rows > 1 and columns > 1 and model == 1 and mesh.data > 1:
        builder.remark(path, "upstream", f"{list(mesh.shape)} means {rows} data-parallel rows of "
                       f"{columns} tensor-parallel columns, and only data parallelism is on: "
                       f"the mesh is [1, {mesh.devices}]", "refused")  # fmt: skip
    if both and flat:
        builder.refused("device_config.enable_tp", "the trainer of 2025 has data or tensor "
                        "parallelism, not both")  # fmt: skip
    if mesh.devices > 1 and mesh.data * model == 1:
        builder.ignored(path, f"no kind of parallelism is on: {mesh.devices} chips are opened and "
                        "one is used")  # fmt: skip
    if mesh.devices == 1 and section.get("enable_ddp"):
        builder.ignored("device_config.enable_ddp", "one chip has nothing to share")
