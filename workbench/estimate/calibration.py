"""What short runs on a machine say about it: two constants, and nothing else is ever fitted.

Rows are what ``ava measure`` keeps (`workbench.runs.measured`). Of them follow the bytes that a
process takes beside what torch holds, and the FLOP/s that trainings reach in each number format.
They are handed on as arguments; no estimate looks them up by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.degrees import Degrees
from workbench.estimate.flops import flops_of
from workbench.estimate.setting import Setting
from workbench.estimate.speed import Efficiency, reach_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config

# Of a training like another one, so many neighbours in size tell its speed best: over 207 published
# runs their mean is off by 5.7 % in the median, by 14.7 % at the 90th percentile.
_NEIGHBOURS = 3
_SPREAD = 0.147


class Row(NamedTuple):
    """One short run.

    Attributes:
        hardware: Name of the device's profile.
        precision: Number format of its products.
        flops_per_second: Model FLOPs of one device in a second.
        flops_per_token: Model FLOPs of a token.
        context: Bytes of the process beside what torch held; None where that was not seen.
        probe: Whether the network was next to nothing, which says nothing of the speed.
    """

    hardware: str
    precision: str
    flops_per_second: float
    flops_per_token: float
    context: int | None
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Constants:
    """What is known of a machine.

    Attributes:
        context: Bytes of a process beside what torch holds; None where nothing was seen.
        reached: FLOP/s of one device by number format.
        runs: Runs that they rest on.
    """

    context: int | None
    reached: dict[str, float]
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """The constants as JSON-ready data."""
        return {"context": self.context, "reached": dict(self.reached), "runs": self.runs}


def rows_of(history: Iterable[dict[str, Any]]) -> list[Row]:
    """The rows of a history that are whole; what another version wrote otherwise is left out."""
    found = []
    for each in history:
        try:
            context = each["context"]
            row = Row(
                str(each["hardware"]),
                str(each["precision"]),
                float(each["flops_per_second"]),
                float(each["flops_per_token"]),
                None if context is None else int(context),
                bool(each.get("probe")),
            )
        except (KeyError, TypeError, ValueError):
            continue
        if row.flops_per_second > 0 and row.flops_per_token > 0:
            found.append(row)
    return found


def constants(rows: Sequence[Row], hardware: HardwareProfile) -> Constants:
    """The constants of a device, each the median of its runs."""
    own = [row for row in rows if row.hardware == hardware.name]
    contexts = [row.context for row in own if row.context is not None]
    timed = [row for row in own if not row.probe]
    reached = {
        name: median(row.flops_per_second for row in timed if row.precision == name)
        for name in sorted({row.precision for row in timed})
    }
    return Constants(round(median(contexts)) if contexts else None, reached, len(own))


def efficiency(
    rows: Sequence[Row], hardware: HardwareProfile, config: Config
) -> tuple[HardwareProfile, Efficiency | None]:
    """The share of the peak that trainings of a plan's size reach on a machine.

    Where the device's peak is not known, as that of a processor, what was reached stands for it.

    Args:
        rows: What was measured on the machine.
        hardware: Its device.
        config: The plan.

    Returns:
        The device, with a peak where something was measured; and the share, None where nothing was.
    """
    precision = Setting.of(config, hardware).precision
    kind = hardware.name, precision, False
    own = [row for row in rows if (row.hardware, row.precision, row.probe) == kind]
    if not own:
        return hardware, None
    flops = flops_of(config, cpu=hardware.kind == "cpu")
    size = math.log(flops.per_token)
    own.reverse()  # of runs of one size the latest count: the machine may have been busy before
    own.sort(key=lambda row: abs(math.log(row.flops_per_token) - size))
    nearest = [row.flops_per_second for row in own[:_NEIGHBOURS]]
    reached = fmean(nearest)
    # Half the distance between the slowest and the fastest, as factors; always less than 1.
    spread = max(_SPREAD, 1 - math.sqrt(min(nearest) / max(nearest)))
    runs = "1 run" if len(nearest) == 1 else f"{len(nearest)} runs of about this size"
    source = f"measured on this machine, {runs}"
    found = reach_of(config, hardware)
    if found is None:
        peaks = hardware.peak_flops | {precision: reached}
        return replace(hardware, peak_flops=peaks), Efficiency(1.0, spread, source)
    return hardware, Efficiency(min(1.0, reached / found[1]), spread, source)


def flops_reached(config: Config, step_seconds: float, *, cpu: bool) -> tuple[float, float]:
    """Model FLOPs of one device in a second, and of one token.

    Args:
        config: The plan that ran.
        step_seconds: What its steps took.
        cpu: Whether a CPU ran it.
    """
    flops = flops_of(config, cpu=cpu)
    return flops.model / step_seconds / Degrees.of(config).devices, flops.per_token
