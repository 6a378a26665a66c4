"""What DeepSpeed's stage 3 keeps on NVMe drives, and in host memory in front of them.

Compared with files and buffers of real runs (`tests/estimate/test_nvme.py`). A drive takes what is
at least as large as a request; what is smaller stays in host memory. Weights are updated in groups
(``sub_group_size``), each with its copies in fp32 in a file, and its gradients in files by weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.zero_sizes import pieces_of, placed
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import up
from workbench.estimate.tensors import weights_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.engines.choose import Ledger
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.ledger import Category

_WEIGHTS = "DeepSpeed 0.19.8, runtime/swap_tensor/partitioned_param_swapper.py"
_STATES = "DeepSpeed 0.19.8, runtime/swap_tensor/optimizer_utils.py"
_GROUPS = "DeepSpeed 0.19.8, runtime/zero/stage3.py, _create_fp16_partitions_with_defragmentation"

_LEAST = 2**20
_ALIGNED = 1024
# swap_tensor/utils.py, MIN_AIO_BYTES and AIO_ALIGNED_BYTES.


class Drive(NamedTuple):
    """How one device's pieces are cut for a drive.

    Attributes:
        files: Numbers of each weight's piece that has a file, filled up.
        groups: Numbers of each trained weight, by group of an update.
        devices: Devices that each has a piece of.
        flat: Numbers that host memory has room for.
        waits: Whether a group has no room there.
        least: Bytes of what a drive takes.
        multiple: Bytes that files are a multiple of.
    """

    files: int
    groups: tuple[tuple[int, ...], ...]
    devices: int
    flat: int
    waits: bool
    least: int
    multiple: int

    @classmethod
    def of(cls, config: Config, ledger: Ledger, zero: Zero) -> Drive:
        """The cut of a plan."""
        aio, net, devices = config.deepspeed.aio, ledger.net, zero.devices
        width = _width(zero)
        least, multiple = max(_LEAST, aio.block_size), _ALIGNED * aio.thread_count
        files = sum(
            each.times * up(piece, multiple // width)
            for each in weights_of(net)
            if width * (piece := -(-each.numbers // devices)) >= least
        )
        kinds: list[list[int]] = [[], []]
        for each in placed(pieces_of(net, devices, zero.spared).rows, arriving=False):
            kinds[each.group].append(each.numbers)
        most = config.deepspeed.offload_param.max_in_cpu
        groups, flat, seen, waits = [], 0, 0, False
        for kind in kinds:
            whole, offset = sum(-(-numbers // devices) for numbers in kind), 0
            room = whole if seen + whole <= most else max(0, most - seen)
            seen += whole
            flat += room
            for group in _groups(kind, zero.group, devices):
                groups.append(group)
                offset += sum(-(-numbers // devices) for numbers in group)
                waits |= offset > room
        return cls(files, tuple(groups), devices, flat, waits, least, multiple)

    @property
    def pieces(self) -> list[list[int]]:
        """Numbers of this device's pieces of each group."""
        return [[-(-numbers // self.devices) for numbers in group] for group in self.groups]

    def written(self) -> list[list[int]]:
        """The pieces of groups that the drive has: the others are too small."""
        return [group for group in self.pieces if 4 * sum(group) >= self.least]

    def filled(self, numbers: int, width: int) -> int:
        """Numbers of a buffer or a file."""
        return up(numbers, self.multiple // width)


def _width(zero: Zero) -> int:
    """Bytes of a weight on its way: on a CPU DeepSpeed takes bf16, whatever computes."""
    return zero.width if zero.apart else 2


def _groups(kind: list[int], most: int, devices: int) -> list[tuple[int, ...]]:
    """A group ends with the weight whose piece fills it."""
    found: list[tuple[int, ...]] = []
    now: list[int] = []
    for numbers in kind:
        now.append(numbers)
        if sum(-(-each // devices) for each in now) >= most:
            found.append(tuple(now))
            now = []
    return [*found, tuple(now)] if now else found


def drive_lines(config: Config, ledger: Ledger, zero: Zero) -> list[Line]:
    """Files of one device."""
    cut, width, lines = Drive.of(config, ledger, zero), _width(zero), []
    if zero.weights_on == "nvme":
        lines.append(_line("weights", f"{width} P/N", width * cut.files, "weights"))
    if zero.optimizer_on == "nvme":
        written, rule = cut.written(), ledger.updates.rule
        filled = sum(cut.filled(sum(group), 4) for group in written)
        lines.append(_line("fp32 copies of weights", "4 P/N", 4 * filled, "weights", _STATES))
        states, formula = round(4 * rule.copies * filled), f"{4 * rule.copies:g} P/N"
        lines.append(_line(f"optimizer: {rule.text}", formula, states, "optimizer", _STATES))
        waiting = 4 * sum(
            piece - piece % (cut.multiple // 4)
            for group in written
            for piece in group
            if 4 * piece >= cut.least
        )
        lines.append(_line("fp32 gradients", "4 P/N", waiting, "gradients", _STATES))
    return lines


def host_lines_before(config: Config, ledger: Ledger, zero: Zero) -> list[Line]:
    """What one device has in host memory because there is a drive behind it."""
    cut, section, width = Drive.of(config, ledger, zero), config.deepspeed, _width(zero)
    lines = []
    if zero.weights_on == "nvme":
        keys = section.offload_param
        size = width * keys.buffer_count * cut.filled(keys.buffer_size, width)
        name, formula = "buffers in front of the drive: weights", "buffer_count × buffer_size"
        lines.append(_line(name, f"{width} × {formula}", size, "weights"))
        name, formula = (
            "room for weights in front of the drive",
            f"{zero.width} × max_in_cpu or P/N",
        )
        lines.append(_line(name, formula, zero.width * cut.flat, "weights", _GROUPS))
        if cut.waits:  # the room is for whole weights, although pieces are all that comes
            largest = max(cut.groups, key=sum)
            size = width * sum(cut.filled(numbers, width) for numbers in largest)
            name = "room for a group on its way to the drive"
            lines.append(_line(name, f"{width} × the largest group", size, "weights", _GROUPS))
    if zero.optimizer_on == "nvme":
        copies, written = ledger.updates.rule.copies, cut.written()
        count = section.offload_optimizer.buffer_count
        size = 4 * count * cut.filled(max(map(sum, cut.pieces), default=0), 4)
        name, formula = "buffers in front of the drive: optimizer", "4 × buffer_count × a group"
        lines.append(_line(name, formula, size, "optimizer", _STATES))
        small = sum(map(sum, cut.pieces)) - sum(map(sum, written))
        name, formula = "groups too small for the drive", f"{4 * (2 + copies):g} n"
        size = round(4 * (2 + copies) * small)
        lines.append(_line(name, formula, size, "optimizer", _STATES))
        rest = sum(
            piece % (cut.multiple // 4) if 4 * piece >= cut.least else piece
            for group in written
            for piece in group
        )
        name = "fp32 gradients too small for the drive"
        lines.append(_line(name, "4 n", 4 * rest, "gradients", _STATES))
    return lines


def _line(name: str, formula: str, size: int, category: Category, source: str = _WEIGHTS) -> Line:
    return Line(name, formula, size, category, source, "host")
