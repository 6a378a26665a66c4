"""Memory of a node's host, and files on its NVMe drives.

Tokens are read through a memory map (`workbench/data/shards.py`): they are page cache, which the
host gives back when it needs it, and no line here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.estimate.disk import checkpoint_in_memory
from workbench.estimate.ledger import Line, merged

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.choose import Ledger
    from workbench.estimate.engines.zero import Zero

_ELEMENTS = "DeepSpeed 0.19.8, runtime/swap_tensor/partitioned_param_swapper.py"
_STATES = "DeepSpeed 0.19.8, runtime/swap_tensor/partitioned_optimizer_swapper.py"


def host_lines(config: Config, ledger: Ledger) -> tuple[Line, ...]:
    """What the first node's host holds: of all its devices, and the checkpoints."""
    devices = config.parallel.devices_per_node
    lines = _of_a_device(config, ledger)
    if devices > 1:
        lines = [
            Line(
                f"{line.name}, of {devices} devices", f"{devices} × ({line.formula})",
                devices * line.bytes, line.category, line.source, line.stream,
            )
            for line in lines
        ]  # fmt: skip
    return tuple(merged([*lines, *checkpoint_in_memory(config, ledger)]))


def _of_a_device(config: Config, ledger: Ledger) -> list[Line]:
    zero = ledger.zero
    if zero is None:
        return list(ledger.standing.host)
    lines = [line for line in ledger.standing.host if not _is_on_drive(line, zero)]
    section = config.deepspeed
    if zero.weights_on == "nvme":
        keys = section.offload_param
        size = zero.width * keys.buffer_count * keys.buffer_size
        formula = f"{zero.width} × buffer_count × buffer_size"
        lines.append(
            Line(
                "buffers in front of the drive: weights",
                formula,
                size,
                "weights",
                _ELEMENTS,
                "host",
            )
        )
        most = zero.width * min(keys.max_in_cpu, ledger.net_numbers // zero.devices)
        name, formula = (
            "weights that stay in front of the drive",
            f"{zero.width} × max_in_cpu or P/N",
        )
        lines.append(Line(name, formula, most, "weights", _ELEMENTS, "host"))
    if zero.optimizer_on == "nvme" and zero.stage == 3:
        count = section.offload_optimizer.buffer_count
        group = min(zero.group, -(-ledger.net_numbers // zero.devices))
        name, formula = "buffers in front of the drive: optimizer", "buffer_count × 4 × a group"
        lines.append(Line(name, formula, 4 * count * group, "optimizer", _STATES, "host"))
    return lines


def _is_on_drive(line: Line, zero: Zero) -> bool:
    """Whether a line of the host is on the drive instead."""
    if line.name == "pieces of the weights":
        return zero.weights_on == "nvme"
    return zero.optimizer_on == "nvme" and zero.stage == 3


def nvme_lines(config: Config, ledger: Ledger) -> tuple[Line, ...]:
    """Files on the drives of a node; DeepSpeed takes them with stage 3 only."""
    zero = ledger.zero
    if zero is None or zero.stage != 3:
        return ()
    devices = config.parallel.devices_per_node
    return tuple(
        replace(line, bytes=devices * line.bytes, formula=f"{devices} × ({line.formula})")
        for line in ledger.standing.host
        if _is_on_drive(line, zero)
    )
