"""Memory of a node's host, and files on its NVMe drives.

Tokens are read through a memory map (`workbench/data/shards.py`): they are page cache, which the
host gives back when it needs it, and no line here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.estimate.disk import checkpoint_in_memory
from workbench.estimate.drive import drive_lines, host_lines_before
from workbench.estimate.ledger import Line, merged

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.choose import Ledger
    from workbench.estimate.engines.zero import Zero


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
    if zero.stage < 3 or "nvme" not in (zero.weights_on, zero.optimizer_on):
        return list(ledger.standing.host)
    lines = [line for line in ledger.standing.host if not _is_on_drive(line, zero)]
    return [*lines, *host_lines_before(config, ledger, zero)]


def _is_on_drive(line: Line, zero: Zero) -> bool:
    """Whether a line of the host is on the drive instead; sums of gradients wait in 16 bits."""
    if line.name == "pieces of the weights":
        return zero.weights_on == "nvme"
    return zero.optimizer_on == "nvme" and line.name != "gradients of the pieces"


def nvme_lines(config: Config, ledger: Ledger) -> tuple[Line, ...]:
    """Files on the drives of a node; DeepSpeed takes them with stage 3 only."""
    zero = ledger.zero
    if zero is None or zero.stage != 3:
        return ()
    devices = config.parallel.devices_per_node
    return tuple(
        replace(line, bytes=devices * line.bytes, formula=f"{devices} × ({line.formula})")
        if devices > 1
        else line
        for line in drive_lines(config, ledger, zero)
        if line.bytes
    )
