"""A DeepSpeed JSON file in the workbench's words."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from workbench.dialects.building import Builder, plant
from workbench.dialects.deepspeed.batch import read_batch
from workbench.dialects.deepspeed.fields import TOP_LEVEL
from workbench.dialects.deepspeed.hostfile import looks_like_hostfile, read_hostfile
from workbench.dialects.deepspeed.models import named
from workbench.dialects.deepspeed.neox import is_neox, read_neox
from workbench.dialects.deepspeed.precision import read_precision
from workbench.dialects.deepspeed.refusals import refusals
from workbench.dialects.deepspeed.removed import REMOVED
from workbench.dialects.deepspeed.tables import (
    ACTIVATIONS,
    AIO,
    BF16,
    DEGREES,
    FP16,
    MONITORS,
    REASONS,
    TOP,
    ZERO,
)
from workbench.dialects.deepspeed.training import (
    OPTIMIZERS,
    read_optimizer,
    read_scheduler,
)
from workbench.dialects.parsing import parse

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Reading

NAME = "deepspeed"
_ONE_BIT = ("onebitadam", "onebitlamb", "zerooneadam")


def read(foreign: Foreign) -> Reading:
    """Understand a config or a hostfile.

    Raises:
        ConfigError: It is neither.
    """
    return read_hostfile(foreign) if looks_like_hostfile(foreign.text) else _read_json(foreign)


def _read_json(foreign: Foreign) -> Reading:
    """Understand a config.

    Raises:
        ConfigError: It is no HJSON, or a key stands twice, which DeepSpeed refuses too.
    """
    document, remarks = parse(foreign, hjson=True)
    builder = Builder.of(NAME, foreign, document, remarks)
    builder.put("parallel.strategy", "deepspeed")
    builder.put("deepspeed.enabled", True)
    neox = is_neox(document.tree)
    travel = read_neox(builder) if neox else {}
    if builder.ours("model.hidden_size") is None:
        _read_model(builder, foreign.path.stem)
    builder.apply(DEGREES)
    world = read_batch(builder)
    read_precision(builder)
    _read_zero(builder)
    builder.apply(TOP)
    builder.apply(BF16, below="bf16")
    builder.apply(BF16, below="bfloat16")
    builder.apply(FP16, below="fp16")
    builder.apply(AIO, below="aio")
    _read_activations(builder)
    builder.apply(MONITORS)
    read_optimizer(builder)
    read_scheduler(builder)
    _judge(builder, document.tree, world)
    _leave(builder)
    return _with_spellings(builder.reading(), document.tree, travel)


def _with_spellings(
    reading: Reading, tree: dict[str, Any], travel: dict[tuple[str, ...], Any]
) -> Reading:
    """What a writer could not guess travels along: switches that are off, the optimizer's name."""
    chosen = reading.layer.tree.get("training", {}).get("mixed_precision")
    for section in ("bf16", "bfloat16", "fp16"):
        inner = tree.get(section)
        usual = section == chosen and isinstance(inner, dict) and inner.get("enabled") is True
        if f"{section}.enabled" in reading.places and isinstance(inner, dict) and not usual:
            travel[section, "enabled"] = inner["enabled"]
    if "optimizer.type" in reading.places:
        kind = tree["optimizer"]["type"]
        if kind not in OPTIMIZERS.values() or kind == "Adam":
            travel["optimizer", "type"] = kind
    if "optimizer.params.adam_w_mode" in reading.places:
        travel["optimizer", "params", "adam_w_mode"] = tree["optimizer"]["params"]["adam_w_mode"]
    if travel:
        kept = reading.layer.tree["imported"].setdefault("keys", {})
        for path, value in travel.items():
            plant(kept, path, value)
    return reading


def _read_model(builder: Builder, stem: str) -> None:
    model = named(stem)
    if model is None:
        builder.assume(
            (),
            "the file does not say which model is trained, nor how long sequences are: set model "
            "and data.max_length",
        )
        return
    for key, value in model.keys.items():
        builder.put(f"model.{key}", value)
    builder.assume(
        (),
        f"the model is {model.title}, by the name of the file; the file itself does not say, nor "
        "how long sequences are: see data.max_length",
    )


def _read_zero(builder: Builder) -> None:
    zero = builder.value("zero_optimization", {})
    if isinstance(zero, bool):
        builder.put("deepspeed.zero_stage", int(zero), source="zero_optimization")
        builder.remark(
            "zero_optimization",
            "translated",
            "true is stage 1: DeepSpeed warns that this form is deprecated",
        )
        return
    builder.apply(ZERO, below="zero_optimization")
    for old, ours in (
        ("cpu_offload", "deepspeed.offload_optimizer.device"),
        ("cpu_offload_param", "deepspeed.offload_param.device"),
    ):
        path = f"zero_optimization.{old}"
        if builder.value(path, None) is True:
            builder.put(ours, "cpu", source=path)
            builder.remark(path, "translated", f"the old form of {ours.partition('.')[2]}: cpu")
        elif builder.value(path, None) is False:
            builder.understood(path, ours)


def _read_activations(builder: Builder) -> None:
    builder.apply(ACTIVATIONS, below="activation_checkpointing")
    section = builder.value("activation_checkpointing", None)
    if isinstance(section, dict) and any(value not in (False, None) for value in section.values()):
        builder.put("training.gradient_checkpointing", True)
        builder.assume(
            "activation_checkpointing",
            "training.gradient_checkpointing: true; DeepSpeed recomputes only where the model "
            "calls deepspeed.checkpointing",
        )


def _judge(builder: Builder, tree: dict[str, Any], world: int) -> None:
    """What DeepSpeed refuses and what it ignores."""
    for refusal in refusals(tree, world):
        message = refusal.message
        kind = builder.value("optimizer.type", "")
        one_bit = refusal.path == ("optimizer", "type") and str(kind).lower() in _ONE_BIT
        if one_bit and builder.ours("deepspeed.zero_stage", 0) > 0:
            short = str(kind).lower().replace("onebit", "1bit-").replace("zeroone", "0/1 ")
            short = f"{short[:5]}{short[5:].capitalize()}"
            message += f"; releases that had it: {short} is not compatible with ZeRO"
        builder.refused(refusal.path, message)
    for name in {} if is_neox(tree) else tree:
        if name not in TOP_LEVEL and name not in REMOVED and not name.startswith("_"):
            close = difflib.get_close_matches(name, TOP_LEVEL, n=1, cutoff=0.75)
            meant = f"; did you mean {close[0]}?" if close else ""
            builder.ignored((name,), f"DeepSpeed ignores keys that it does not know{meant}")
    for path, _ in list(builder.left("activation_checkpointing")):
        builder.ignored(path, "DeepSpeed ignores keys that it does not know here")


def _leave(builder: Builder) -> None:
    """Say for every key that is left why it has no place."""
    for path, value in list(builder.left()):
        top = path[0]
        if value == "auto":
            reason = "auto: Hugging Face's Trainer fills it in; by itself it says nothing"
        elif top in REMOVED:
            reason = "DeepSpeed has removed it"
        elif path[-1].startswith("_"):
            reason = "a comment"
        else:
            reason = REASONS.get(top, "there is no such key here")
        builder.keep(path, reason)
