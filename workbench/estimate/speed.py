"""How fast a plan trains: time of a step, tokens per second, with an interval and its assumptions.

The step's computation takes its model FLOPs over the device's dense peak times the share of it that
such trainings reach (MFU, arXiv 2204.02311, appendix B). That share is measured, not derived: on
this machine by ``ava measure``, else by others. Traffic that the computation cannot hide is added.
Where the peak is not known there is no estimate. Intervals are meant to hold four times in five.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.degrees import Degrees
from workbench.estimate.batch import Batch
from workbench.estimate.traffic import Flow, Numbers, flows, updates_on_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config

# Median MFU over 207 published bf16 runs of MosaicML's llm-foundry (scripts/train/benchmarking), by
# card and recomputation. Leaving out the size to be predicted, 8.6 % median error, 24.8 % at the
# 90th percentile. The 80th lies between: 17.8 %, where the logarithm of the share of larger errors
# falls in a straight line.
_LLM_FOUNDRY = {
    ("a100_80gb", False): 0.546,
    ("a100_80gb", True): 0.530,
    ("a100_40gb", False): 0.519,
    ("a100_40gb", True): 0.501,
    ("h100_80gb", False): 0.403,
    ("h100_80gb", True): 0.404,
}
_MEASURED_BY_OTHERS = 0.178
# For a card that nobody measured in this way: what those runs have in common.
_ASSUMED, _ASSUMED_SPREAD = 0.42, 0.45
_MEASURED_HERE = 0.10

# Of the traffic that may go on beside the computation, as much is hidden as there is time for;
# links reach about four fifths of their nominal bandwidth in large transfers.
_LINK_EFFICIENCY = 0.8
# Bytes that an AdamW update reads and writes per parameter: p, g, m and v in, p, m and v out.
_UPDATE_BYTES = 28
# Where a kernel's work is over before the host has asked for the next one, the device waits: about
# 5 microseconds for a kernel, and about so many of them for a block forwards and backwards.
_LAUNCH_SECONDS, _KERNELS_PER_BLOCK = 5e-6, 100
# DRAM bandwidth of a server with two sockets, a quarter of it reached by an update on all cores.
_HOST_BANDWIDTH = 100e9


class Interval(NamedTuple):
    """A figure that is not known exactly.

    Attributes:
        low: The lower end.
        likely: The best guess.
        high: The upper end.
    """

    low: float
    likely: float
    high: float

    def scaled(self, factor: float) -> Interval:
        """The same in another unit."""
        return Interval(self.low * factor, self.likely * factor, self.high * factor)

    def inverse(self, numerator: float) -> Interval:
        """``numerator`` over the figure."""
        return Interval(numerator / self.high, numerator / self.likely, numerator / self.low)

    def to_dict(self) -> dict[str, float]:
        """The figure as JSON-ready data."""
        return {"low": self.low, "likely": self.likely, "high": self.high}


class Efficiency(NamedTuple):
    """The share of the dense peak that a training reaches.

    Attributes:
        mfu: The share, recomputation not counted as work.
        spread: How far off it may be, as a share of itself.
        source: Where it comes from.
    """

    mfu: float
    spread: float
    source: str


@dataclass(frozen=True, slots=True)
class Speed:
    """Time and rate of a plan.

    Attributes:
        step_seconds: Time of an optimizer step.
        tokens_per_second: Over all devices.
        mfu: Share of the peak that the whole step reaches: model FLOPs over `peak` times the
            devices times the likely step.
        precision: Number format of the products.
        peak: Dense FLOP/s of one device in that format.
        compute_seconds: The part of the step that computes.
        exposed_seconds: Traffic that the computation does not hide.
        host_seconds: The update on the host's processor, where it is there.
        flows: What travels.
        assumptions: What the figures rest on, a sentence each.
    """

    step_seconds: Interval
    tokens_per_second: Interval
    mfu: float
    precision: str
    peak: float
    compute_seconds: float
    exposed_seconds: float
    host_seconds: float
    flows: tuple[Flow, ...]
    assumptions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The speed as JSON-ready data."""
        return {
            "step_seconds": self.step_seconds.to_dict(),
            "tokens_per_second": self.tokens_per_second.to_dict(),
            "mfu": self.mfu,
            "precision": self.precision,
            "peak_flops": self.peak,
            "compute_seconds": self.compute_seconds,
            "exposed_seconds": self.exposed_seconds,
            "host_seconds": self.host_seconds,
            "traffic": [
                {
                    "name": flow.name,
                    "formula": flow.formula,
                    "bytes": flow.volume,
                    "devices": flow.devices,
                    "overlaps": flow.overlaps,
                }
                for flow in self.flows
            ],
        }


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no estimate.

    Attributes:
        why: A sentence.
        fix: What would make one possible.
    """

    why: str
    fix: str


class Timing(NamedTuple):
    """Seconds of a step by what they go to, and what they were computed with.

    Attributes:
        precision: Number format of the products.
        peak: Dense FLOP/s of one device in that format.
        reached: The share of it that the computation reaches.
        degrees: How the devices are divided.
        traffic: What travels.
        launches: Whether the host, which starts the kernels, is what takes the time.
        compute: Seconds of computation.
        exposed: Seconds of traffic that the computation does not hide.
        counted: Whether any traffic was counted.
        uncounted: Traffic whose bandwidth nobody knows.
        host: Seconds of the update on the host's processor.
    """

    precision: str
    peak: float
    reached: Efficiency
    degrees: Degrees
    traffic: tuple[Flow, ...]
    launches: bool
    compute: float
    exposed: float
    counted: bool
    uncounted: tuple[Flow, ...]
    host: float

    @property
    def likely(self) -> float:
        """The best guess of the whole step."""
        return self.compute + (self.exposed + self.host)


def timing_of(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    flops: float,
    numbers: Numbers,
    measured: Efficiency | None = None,
) -> Timing | Unknown:
    """The seconds of a step; as `speed_of`."""
    if hardware is None:
        return Unknown("no device is named", "--run.hardware NAME (ava hardware list)")
    peak = _peak(config, hardware)
    imitated = config.training.mixed_precision == "bf16" and not hardware.computes("bf16")
    if peak is None and imitated and hardware.computes("fp16"):
        return Unknown(
            f"{hardware.title} has no bf16 matrix units, and how fast it imitates them nobody says",
            "--training.mixed_precision fp16 is what it computes fast",
        )
    if peak is None:
        return Unknown(
            f"the peak of {hardware.title} is not known", "ava measure runs a few steps and tells"
        )
    precision, rate = peak
    reached = measured or _efficiency(config, hardware)
    degrees = Degrees.of(config)
    compute = flops / (degrees.devices * rate * reached.mfu) / _pipeline_share(config, degrees)
    waiting = _waiting(config, numbers, degrees)
    launches = measured is None and waiting > compute
    if launches:
        compute = waiting
    traffic = flows(config, numbers)
    exposed, counted, uncounted = _exposed(traffic, config, hardware, compute)
    host = 0.0
    if updates_on_host(config):
        own = numbers.trained / degrees.tensor / degrees.pipeline / degrees.sharded
        on_node = own * min(degrees.devices, config.parallel.devices_per_node)
        host = on_node * _UPDATE_BYTES / _HOST_BANDWIDTH
    return Timing(
        precision, rate, reached, degrees, traffic, launches, compute, exposed, counted, uncounted,
        host,
    )  # fmt: skip


def speed_of(
    config: Config,
    hardware: HardwareProfile | None,
    *,
    flops: float,
    numbers: Numbers,
    measured: Efficiency | None = None,
) -> Speed | Unknown:
    """The speed of a plan.

    Args:
        config: The plan.
        hardware: The device that it is for.
        flops: FLOPs of one optimizer step over all devices, forward and backward, without what is
            computed a second time.
        numbers: What is trained.
        measured: What this machine reached with such a plan.
    """
    timing = timing_of(config, hardware, flops=flops, numbers=numbers, measured=measured)
    if isinstance(timing, Unknown):
        return timing
    compute, rest, likely = timing.compute, timing.exposed + timing.host, timing.likely
    spread = timing.reached.spread
    step = Interval(compute / (1 + spread) + rest, likely, compute / (1 - spread) + rest)
    tokens = Batch.of(config, timing.degrees.data).tokens
    return Speed(
        step_seconds=step,
        tokens_per_second=step.inverse(tokens),
        mfu=flops / (timing.degrees.devices * timing.peak * likely),
        precision=timing.precision,
        peak=timing.peak,
        compute_seconds=compute,
        exposed_seconds=timing.exposed,
        host_seconds=timing.host,
        flows=timing.traffic,
        assumptions=tuple(_sentences(timing, config, is_measured=measured is not None)),
    )


def _sentences(timing: Timing, config: Config, *, is_measured: bool) -> Iterator[str]:
    """What the figures rest on."""
    precision, rate, reached = timing[:3]
    share = f"{reached.mfu:.0%} of the dense {precision} peak of {rate / 1e12:,.4g} TFLOP/s"
    if is_measured and reached.mfu == 1:  # nobody knows the peak: what was reached is it
        share = f"{rate / 1e9:,.4g} GFLOP/s in {precision}"
    yield f"{share}, ± {reached.spread:.0%}: {reached.source}"
    if config.training.mixed_precision == "fp8":
        yield f"today's trainer computes {precision} where the plan says fp8"
    if timing.launches:
        yield (
            f"this is a small model for the card: {_KERNELS_PER_BLOCK} kernels a block, "
            f"{_LAUNCH_SECONDS * 1e6:.0f} µs each, take longer to start than to run"
        )
    yield from dict.fromkeys(
        f"{flow.name} ({flow.formula}) is not counted: no bandwidth is known"
        for flow in timing.uncounted
    )
    if timing.counted:
        yield f"links reach {_LINK_EFFICIENCY:.0%} of their nominal bandwidth"
    if updates_on_host(config):
        yield (
            f"the update on the host moves {_UPDATE_BYTES} bytes per parameter at "
            f"{_HOST_BANDWIDTH / 1e9:.0f} GB/s"
        )


def reach_of(config: Config, hardware: HardwareProfile) -> tuple[Efficiency, float] | None:
    """The share of the peak that a plan is taken to reach while it computes, and that peak.

    None where the device's peak in the plan's number format is not known.
    """
    peak = _peak(config, hardware)
    return None if peak is None else (_efficiency(config, hardware), peak[1])


def launch_seconds(config: Config, numbers: Numbers) -> float:
    """Seconds that it takes the host to start the kernels of a step."""
    return _waiting(config, numbers, Degrees.of(config))


def _peak(config: Config, hardware: HardwareProfile) -> tuple[str, float] | None:
    """The format that the products are made in, and its dense peak."""
    wanted: str = config.training.mixed_precision
    if wanted in ("auto", "fp8"):  # 8-bit products are not built, and become what auto would be
        wanted = "bf16" if hardware.computes("bf16") else "no"
    if wanted == "no":
        # TF32 is PyTorch's word "high"; on cards without it, fp32 it is.
        fast = config.training.float32_matmul_precision != "highest"
        wanted = "tf32" if fast and "tf32" in hardware.peak_flops else "fp32"
    rate = hardware.peak_flops.get(wanted)
    return None if rate is None else (wanted, rate)


def _efficiency(config: Config, hardware: HardwareProfile) -> Efficiency:
    # An instance of a cloud has the card's own peak: it is the card that counts.
    recomputes = config.training.gradient_checkpointing
    for (card, recomputed), mfu in _LLM_FOUNDRY.items():
        if card in (hardware.name, hardware.base) and recomputed == recomputes:
            return Efficiency(mfu, _MEASURED_BY_OTHERS, "median of published llm-foundry runs")
    mfu = _ASSUMED * (0.75 if recomputes else 1.0)
    return Efficiency(mfu, _ASSUMED_SPREAD, "assumed; nobody's figures for this card are at hand")


def measured_here(mfu: float) -> Efficiency:
    """What ``ava measure`` found on this machine."""
    return Efficiency(mfu, _MEASURED_HERE, "measured on this machine")


def _waiting(config: Config, numbers: Numbers, degrees: Degrees) -> float:
    """Seconds that it takes the host to start the kernels of a step."""
    micro = config.training.gradient_accumulation_steps
    return micro * numbers.blocks / degrees.pipeline * _KERNELS_PER_BLOCK * _LAUNCH_SECONDS


def _pipeline_share(config: Config, degrees: Degrees) -> float:
    """The share of a step in which a pipeline works: m / (m + p - 1) (arXiv 2104.04473, 2.2.1)."""
    micro = config.training.gradient_accumulation_steps
    return micro / (micro + degrees.pipeline - 1)


def _exposed(
    traffic: Iterable[Flow], config: Config, hardware: HardwareProfile, compute: float
) -> tuple[float, bool, tuple[Flow, ...]]:
    """Seconds of traffic that nothing hides, whether there is any, and what could not be counted.

    Device links and the host's bus work side by side.
    """
    beside = over = plain = 0.0
    uncounted: list[Flow] = []
    for flow in traffic:
        rate = rate_of(flow, config, hardware)
        if rate is None:
            uncounted.append(flow)
            continue
        seconds = flow.volume / (rate * _LINK_EFFICIENCY)
        if not flow.overlaps:
            plain += seconds
        elif flow.devices == 1:
            beside += seconds
        else:
            over += seconds
    exposed = plain + (max(0.0, beside - compute) + max(0.0, over - compute))
    return exposed, bool(beside or over or plain), tuple(uncounted)


def rate_of(flow: Flow, config: Config, hardware: HardwareProfile) -> float | None:
    """Bytes per second that one device sends at, over the slowest part of the way."""
    if flow.devices == 1:
        return hardware.pcie_bandwidth
    per_node = config.parallel.devices_per_node
    within = hardware.link_bandwidth or hardware.pcie_bandwidth
    if config.parallel.num_nodes == 1 or flow.devices * flow.apart <= per_node:
        return within
    network = hardware.network_bandwidth
    if network is None or within is None:
        return None
    # Rings enter and leave a node once for all of its devices that work on one exchange, over all
    # adapters of the node (the bus bandwidth of nccl-tests, doc/PERFORMANCE.md). Where a node has
    # one device of each group, the groups share its adapters.
    together = max(1, min(flow.devices, per_node // flow.apart)) if flow.ring else 1
    return min(within, network * together / per_node)
