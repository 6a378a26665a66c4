"""Reading a main file: the claims of `tables`, and what has to be reckoned with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.building import ABSENT, Builder, NoPlace
from workbench.dialects.claims import finished
from workbench.dialects.deepseek_v3 import remarks
from workbench.dialects.deepseek_v3.placeless import KEPT
from workbench.dialects.deepseek_v3.tables import MAIN

if TYPE_CHECKING:
    from workbench.dialects.base import Reading


def read_main(builder: Builder) -> Reading:
    """Understand a file with the sections model, training, data, distributed and so on."""
    travel = understand(builder)
    remarks.of_upstream(builder)
    for path, why in KEPT.items():
        builder.keep(path, why.reason)
    return finished(builder, travel)


def understand(builder: Builder) -> dict[tuple[str, ...], Any]:
    """Everything of a main file that has a place; the leaves that travel for a writer."""
    _key_groups(builder)
    travel = MAIN.read(builder)
    _attention(builder)
    _dense(builder)
    devices = _devices(builder)
    travel |= _batch(builder, devices)
    remarks.of_size(builder)
    remarks.of_data(builder)
    return travel


def _key_groups(builder: Builder) -> None:
    groups, heads = builder.value("model.mla.num_kv_heads"), builder.value("model.mla.num_heads")
    if groups is not ABSENT and groups is not None and groups != heads:
        builder.keep(
            "model.mla.num_kv_heads",
            "latent attention makes keys and values for every head; a group of heads shares none",
        )


def _attention(builder: Builder) -> None:
    """Latent attention; the system's heads turn wholly, ours have a part that does not."""
    width, heads = builder.ours("model.hidden_size"), builder.ours("model.num_attention_heads")
    if not isinstance(builder.value("model.mla"), dict) or not width or not heads:
        return
    derive(builder, "model.mla.enabled", True)
    head = width // heads
    if head < 4:
        return
    turning = max(2, head // 2 - head // 2 % 2)
    derive(builder, "model.mla.qk_nope_head_dim", head - turning)
    derive(builder, "model.mla.qk_rope_head_dim", turning)
    derive(builder, "model.mla.v_head_dim", head)
    builder.assume(
        "model.mla",
        f"each query of {head} features keeps {head - turning} without position and turns "
        f"{turning}: upstream turns all {head}, which keys made from a latent vector cannot share",
    )


def dense_width(width: int) -> int:
    """Inner width at which three matrices are as large as the four-fold two of a GELU."""
    return round(8 * width / 3)


def _dense(builder: Builder) -> None:
    width = builder.ours("model.hidden_size")
    if not width or not builder.has("model.moe"):
        return
    derive(builder, "model.hidden_act", "swiglu")
    derive(builder, "model.intermediate_size", dense_width(width))
    builder.assume(
        "model.dense_layer_interval",
        f"dense layers are SwiGLU of {dense_width(width):,} features here, as many parameters as "
        f"upstream's GELU of {4 * width:,}: a model has one activation",
    )


def _devices(builder: Builder) -> int:
    """How many devices the file means: those of Slurm, or the product of the degrees."""
    degrees = {
        name: builder.ours(f"parallel.{name}_parallel_size", 1)
        for name in ("tensor", "pipeline", "expert")
    }
    product = degrees["tensor"] * degrees["pipeline"] * degrees["expert"]
    asked = builder.value("distributed.data_parallel_size")
    if isinstance(asked, int) and not isinstance(asked, bool) and asked >= 1:
        product *= asked
        derive(
            builder,
            "parallel.data_parallel_size",
            asked * degrees["expert"],
            source="distributed.data_parallel_size",
        )
        if degrees["expert"] > 1:
            builder.remark(
                "distributed.data_parallel_size",
                "translated",
                f"{asked} x expert degree {degrees['expert']}: here experts are divided inside "
                "the data-parallel degree",
            )
    elif asked == -1:
        derive(builder, "parallel.data_parallel_size", -1, source="distributed.data_parallel_size")
    nodes = builder.value("distributed.slurm.nodes")
    per_node = builder.value("distributed.slurm.gpus_per_node")
    if _positive(nodes) and _positive(per_node):
        derive(builder, "parallel.num_nodes", nodes, source="distributed.slurm.nodes")
        derive(
            builder, "parallel.devices_per_node", per_node, source="distributed.slurm.gpus_per_node"
        )
        devices = int(nodes * per_node)
    else:
        devices = int(product)
        if builder.has("distributed"):
            derive(builder, "parallel.devices_per_node", devices)
    remarks.of_devices(builder, devices, degrees)
    return devices


def _batch(builder: Builder, devices: int) -> dict[tuple[str, ...], Any]:
    """Accumulation from the sequences of a step; upstream divides by all devices."""
    micro = builder.ours("training.batch_size", 1)
    total = builder.value("training.global_batch_size")
    own = ("training", "gradient_accumulation_steps")
    if not _positive(total):
        if (given := builder.value(own)) is not ABSENT:
            derive(builder, "training.gradient_accumulation_steps", given, source=own)
            return {own: given}
        return {}
    held = builder.ours("parallel.tensor_parallel_size", 1)
    held *= builder.ours("parallel.pipeline_parallel_size", 1)
    data = builder.ours("parallel.data_parallel_size", -1)
    data = data if data > 0 else max(1, devices // held)
    steps = max(1, total // (micro * data))
    derive(builder, "training.gradient_accumulation_steps", steps)
    reached = micro * steps * data
    where = "training.global_batch_size"
    if reached == total:
        derive(builder, "training.global_batch_size", total, source=where)
    else:
        builder.keep(
            where,
            f"{total:,} sequences are no multiple of {micro} x {data} devices: a step has "
            f"{reached:,}",
        )
    remarks.of_batch(builder, total, micro, data, steps, devices)
    given = builder.value(own)
    if given is ABSENT:
        return {}
    if given == steps:
        builder.understood(own, "training.gradient_accumulation_steps")
        return {own: given}
    builder.keep(own, f"global_batch_size makes it {steps}")
    return {}


def derive(builder: Builder, ours: str, value: Any, *, source: str | tuple[str, ...] = ()) -> None:
    """Set a key that was reckoned; where it is out of all bounds, its source becomes residue."""
    try:
        builder.put(ours, value, source=source)
    except NoPlace as error:
        if source:
            builder.keep(source, str(error))


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
