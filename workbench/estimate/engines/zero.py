"""How DeepSpeed is asked to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.config.offload import optimizer_place, parameters_place

if TYPE_CHECKING:
    from workbench.config.schema import Config

_WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True, slots=True)
class Zero:
    """How DeepSpeed is asked to train.

    Attributes:
        stage: The ZeRO stage.
        devices: Devices that share what is divided.
        width: Bytes of the compute dtype.
        gradient: Bytes of the dtype that gradients are added up in.
        micros: 1, 2 or 3: micro-batches of a step; 3 stands for more.
        bucket: Numbers of a bucket.
        buckets: How many there are.
        contiguous: Whether gradients are copied into them.
        scatters: Whether each device gets its part of the sums only.
        together: Whether what goes to several devices goes in one exchange.
        travel: Bytes of the dtype that gradients travel in.
        optimizer_on: ``none`` (the device), ``cpu`` or ``nvme``.
        weights_on: The same of the weights.
        is_pinned: Whether host memory is what a GPU can reach.
        apart: Whether the host's memory is another than the device's.
        persists: Weights with no more numbers stay whole on every device in stage 3.
        room: Numbers of all that may stay whole there; None: any.
        reuse: Numbers within which a weight that is needed again is kept there.
        ahead: Numbers that are fetched ahead at each module there.
        live: Numbers that may be whole at a time there, for those that are fetched ahead.
        scaled: Whether sums of gradients are divided afterwards there.
        summed: Whether they travel as a sum there.
        group: Numbers that are updated at once there.
        spared: Parts of the names of weights without decay; None: norms and biases.
        deals: Whether weights are dealt out to the devices in turns.
        adds: Whether each gradient is added to one in another format as it comes.
        converts: Whether gradients travel in another format than they wait in.
        master: Bytes of a number of the weights and states that the optimizer has.
    """

    stage: int
    devices: int
    width: int
    gradient: int
    micros: int
    bucket: int
    buckets: int
    contiguous: bool
    scatters: bool
    together: bool
    travel: int
    optimizer_on: str
    weights_on: str
    is_pinned: bool
    apart: bool
    persists: int
    room: int | None
    reuse: int
    ahead: int
    live: int
    scaled: bool
    summed: bool
    group: int
    spared: tuple[str, ...] | None = None
    deals: bool = False
    adds: bool = False
    converts: bool = False
    master: int = 4

    @classmethod
    def of(cls, config: Config, *, precision: str, cpu: bool) -> Zero:
        """What the section comes to.

        Args:
            config: The config.
            precision: ``fp32``, ``bf16`` or ``fp16``, which computes.
            cpu: Whether CPUs compute.
        """
        section = config.deepspeed
        wanted = section.grad_accum_dtype or precision
        travels = section.communication_data_type or precision
        adds = section.zero_stage == 1 and wanted != precision
        overlaps = section.overlap_comm
        offloads = optimizer_place(section)
        spared = config.training.no_decay_patterns
        return cls(
            stage=section.zero_stage,
            devices=Degrees.of(config).sharded,
            width=_WIDTHS[precision],
            gradient=_WIDTHS[wanted],
            micros=min(3, config.training.gradient_accumulation_steps),
            bucket=section.reduce_bucket_size,
            buckets=2 if overlaps and section.zero_stage < 3 else 1,
            contiguous=section.contiguous_gradients
            or (offloads != "none" and section.zero_stage < 3),
            scatters=section.reduce_scatter,
            together=section.use_multi_rank_bucket_allreduce,
            travel=_WIDTHS[travels],
            optimizer_on=offloads,
            weights_on=parameters_place(section),
            is_pinned=section.offload_optimizer.pin_memory and not cpu,
            apart=not cpu,
            persists=section.stage3_param_persistence_threshold,
            room=section.stage3_model_persistence_threshold,
            reuse=section.stage3_max_reuse_distance,
            ahead=section.stage3_prefetch_bucket_size,
            live=section.stage3_max_live_parameters,
            scaled=not section.prescale_gradients,
            summed=section.stage3_use_all_reduce_for_fetch_params,
            group=section.sub_group_size,
            spared=None if spared is None else tuple(spared),
            adds=adds,
            # DeepSpeed takes one only with the other (`_configure_master_weights`).
            master=2 if precision == "bf16" and section.bf16.master_weights_and_grads else 4,
            converts=travels != (wanted if adds else precision),
            deals=section.round_robin_gradients and section.zero_stage < 3,
        )

    @property
    def owned(self) -> int:
        """Bytes of a number of the gradients that this device owns."""
        return self.gradient if self.adds and not self.contiguous else self.width

    @property
    def accumulating(self) -> bool:
        """Whether a step has several micro-batches."""
        return self.micros > 1

    @property
    def sums(self) -> bool:
        """Whether pieces of 16-bit gradients are added up in fp32."""
        return self.stage > 0 and self.gradient == 4 and self.width == 2

    @property
    def gradients_stay(self) -> bool:
        """Whether each gradient waits in full, as a tensor of its own, until the pass is over."""
        return self.stage == 0 or (self.stage == 1 and (self.buckets == 1 or self.accumulating))

    @property
    def finds_gradients(self) -> bool:
        """Whether a backward pass leaves no new gradients: they are taken, or added to others."""
        return not self.gradients_stay or self.accumulating or self.adds

    @property
    def stays_before_the_last(self) -> bool:
        """Whether gradients stay in a backward pass in which others have come before, or in all."""
        return self.stage == 1 and (self.buckets == 1 or self.micros > 2)

    @property
    def begins_otherwise(self) -> bool:
        """Whether the first of two micro-batches keeps its gradients, and the second sends them."""
        return self.stage == 1 and self.buckets > 1 and self.micros == 2

    @property
    def sends_meanwhile(self) -> bool:
        """Whether gradients are sent while the backward pass goes on."""
        return self.stage == 2 or (self.stage == 1 and self.buckets > 1)
