"""A plan as DeepSpeed's JSON.

After an import only what a layer set is said, so that a file comes back as it was; otherwise
everything that decides the training, because DeepSpeed's defaults are not ours.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from workbench.config.degrees import Degrees
from workbench.config.offload import optimizer_place, parameters_place
from workbench.dialects.deepspeed.hostfile import write_hostfile
from workbench.dialects.deepspeed.judging import BATCH
from workbench.dialects.deepspeed.neox import has_schedule, is_neox, say_neox
from workbench.dialects.deepspeed.saying import say_optimizer, say_scheduler
from workbench.dialects.deepspeed.strict import truth_of
from workbench.dialects.deepspeed.tables import (
    ACTIVATIONS,
    AIO,
    BF16,
    DEGREES,
    FP16,
    MONITORS,
    TOP,
    ZERO,
)
from workbench.dialects.telling import Teller
from workbench.hardware.devices import device, names

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Writing

_REST = "DeepSpeed's file has no such key: the script that it is given to has to say it"


def write(config: Config, chosen: frozenset[str]) -> Writing:
    """The config, a hostfile where one was imported, and the command.

    Args:
        config: The plan.
        chosen: The keys that a layer set.
    """
    teller = Teller("deepspeed", config, chosen)
    hosts = teller.tree.pop("hostfile", None)
    again = config.imported.system == "deepspeed"
    degrees = Degrees.of(config)
    teller.said("parallel.strategy", "deepspeed.enabled", "parallel.num_nodes",
                "parallel.devices_per_node", "parallel.data_parallel_size")  # fmt: skip
    neox = again and is_neox(teller.tree)
    if neox:
        say_neox(teller)
    _batch(teller, degrees.data, everything=not again)
    _precision(teller, everything=not again)
    _zero(teller, everything=not again)
    teller.apply(TOP)
    if not again:
        teller.say(
            "gradient_clipping", config.training.max_gradient_norm,
            ours="training.max_gradient_norm",
        )  # fmt: skip
    teller.apply(ACTIVATIONS, below="activation_checkpointing")
    section = teller.tree.get("activation_checkpointing")
    kept = isinstance(section, dict) and any(each not in (False, None) for each in section.values())
    if kept == config.training.gradient_checkpointing:
        teller.said("training.gradient_checkpointing")
    teller.apply(AIO, below="aio")
    teller.apply(MONITORS)
    teller.apply(DEGREES)
    _unbuilt(teller)
    say_optimizer(teller, everything=not again)
    if not (neox and has_schedule(teller.tree)):
        say_scheduler(teller, everything=not again)
    name = _name(config)
    files = {name: json.dumps(_ordered(teller.tree), indent=2, ensure_ascii=False) + "\n"}
    where = ""
    if isinstance(hosts, dict) and hosts:
        files["hostfile"] = write_hostfile(_hosts(hosts, config))
        where = "--hostfile hostfile "
    parallel = config.parallel
    count = f"--num_nodes {parallel.num_nodes} --num_gpus {parallel.devices_per_node}"
    command = f"deepspeed {where}{count} train.py --deepspeed_config {name}"
    return teller.writing(files, command=command, rest=_REST)


def _name(config: Config) -> str:
    files = (config.imported.source or "").split(", ")
    if config.imported.system == "deepspeed":
        for file in files:
            if file.endswith((".json", ".jsonc", ".hjson")):
                return PurePath(file).name
    return "ds_config.json"


def _hosts(hosts: dict[str, Any], config: Config) -> dict[str, int]:
    """The machines of the import, as many of them as the plan has now."""
    nodes, slots = config.parallel.num_nodes, config.parallel.devices_per_node
    counts = [count for count in hosts.values() if isinstance(count, int)]
    if len(hosts) == nodes == len(counts) and min(counts) == slots:
        return hosts
    names = [*hosts, *(f"worker-{index + 1}" for index in range(len(hosts), nodes))]
    return dict.fromkeys(names[:nodes], slots)


def _batch(teller: Teller, world: int, *, everything: bool) -> None:
    training = teller.config.training
    whole = training.batch_size * training.gradient_accumulation_steps * world
    said = training.global_batch_size
    open_yet = "training.batch_size" not in teller.chosen
    never = said and said % (training.batch_size * training.gradient_accumulation_steps)
    if not everything and (open_yet or never):
        # The file leaves the other two open; or it fits no number of devices, which is its own
        # affair: DeepSpeed says so, and no figure is changed in silence.
        whole = said or whole
    figures = (
        whole,
        training.batch_size,
        training.gradient_accumulation_steps,
    )
    ours = ("global_batch_size", "batch_size", "gradient_accumulation_steps")
    for theirs, name, figure in zip(BATCH, ours, figures, strict=True):
        if everything or f"training.{name}" in teller.chosen:
            teller.say(theirs, figure, ours=f"training.{name}")


def _precision(teller: Teller, *, everything: bool) -> None:
    word = teller.our("training.mixed_precision")
    chosen = _left_open(teller) if word == "auto" else word
    bf16 = "bfloat16" if "bfloat16" in teller.tree and "bf16" not in teller.tree else "bf16"
    if everything or "training.mixed_precision" in teller.chosen:
        for name, section in (("bf16", bf16), ("fp16", "fp16")):
            inner = teller.tree.get(section)
            stood = isinstance(inner, dict) and "enabled" in inner
            before = truth_of(inner["enabled"]) if isinstance(inner, dict) and stood else None
            if stood and (before is (chosen == name) or (before is None and chosen != name)):
                continue  # as it stood, whatever the spelling; DeepSpeed drops auto
            if chosen == name or isinstance(inner, dict) or (name == "bf16" and everything):
                teller.say((section, "enabled"), chosen == name)
        if chosen in ("auto", "fp8"):
            teller.lose(
                "training.mixed_precision",
                f"DeepSpeed has no {chosen}: it trains in fp32 unless bf16 or fp16 is enabled",
            )
        else:
            teller.said("training.mixed_precision")
    teller.apply(BF16, below=bf16)
    teller.apply(FP16, below="fp16", everything=chosen == "fp16" and everything)


def _left_open(teller: Teller) -> str:
    """What ``auto`` is on the hardware of the plan; DeepSpeed does not ask the device."""
    name = teller.our("run.hardware")
    if name in names() and "bf16" in device(name).precisions:
        return "bf16"
    return "auto"


def _zero(teller: Teller, *, everything: bool) -> None:
    if everything or "deepspeed.zero_stage" in teller.chosen:
        before = teller.tree.get("zero_optimization")
        if not isinstance(before, dict):
            teller.tree["zero_optimization"] = {}
        teller.say(
            "zero_optimization.stage", teller.our("deepspeed.zero_stage"),
            ours="deepspeed.zero_stage",
        )  # fmt: skip
    teller.apply(ZERO, below="zero_optimization")
    zero = teller.tree.get("zero_optimization")
    if isinstance(zero, dict) and zero.get("stage3_model_persistence_threshold", 0) is None:
        del zero["stage3_model_persistence_threshold"]  # no limit goes without saying
    section = teller.config.deepspeed
    if section.cpu_offload or section.nvme_offload:
        for name, place in (
            ("offload_optimizer", optimizer_place(section)),
            ("offload_param", parameters_place(section)),
        ):
            if place != "none":
                teller.say(("zero_optimization", name, "device"), place)
    teller.said("deepspeed.cpu_offload", "deepspeed.nvme_offload")
    _drop_nulls(teller.tree.get("zero_optimization"))


def _drop_nulls(section: Any) -> None:
    """Null is no device and no folder to DeepSpeed: the key is left out."""
    for name in ("offload_optimizer", "offload_param"):
        inner = section.get(name) if isinstance(section, dict) else None
        if isinstance(inner, dict):
            for key in ("device", "nvme_path"):
                if inner.get(key, "") is None:
                    del inner[key]


def _unbuilt(teller: Teller) -> None:
    """Keys that DeepSpeed removed: to say them would make it refuse the file."""
    for path, place in (
        ("deepspeed.sparse_gradients", None),
        ("deepspeed.mics_shard_size", "zero_optimization"),
        ("deepspeed.mics_hierarchical_params_gather", "zero_optimization"),
    ):
        home = teller.tree.get(place) if place else teller.tree
        name = path.rpartition(".")[2]
        again = teller.config.imported.system == "deepspeed"
        if path in teller.chosen and not again and isinstance(home, dict):
            home.pop(name, None)
            teller.unsay(path, "DeepSpeed has removed it and refuses a file that has it")


_ORDER = (*BATCH, "steps_per_print", "gradient_clipping", "bf16", "fp16", "zero_optimization",
          "optimizer", "scheduler")  # fmt: skip


def _ordered(tree: dict[str, Any]) -> dict[str, Any]:
    """The sections in the order in which DeepSpeed's examples have them."""
    first = {name: tree[name] for name in _ORDER if name in tree}
    return first | {name: value for name, value in tree.items() if name not in first}
