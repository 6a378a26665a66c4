"""DeepSpeed's ``optimizer`` and ``scheduler`` as keys of ``training``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.deepspeed.precision import auto_or
from workbench.dialects.deepspeed.strict import number_of, truth_of
from workbench.dialects.deepspeed.tables import plain, switch
from workbench.dialects.fitting import fit

if TYPE_CHECKING:
    from workbench.dialects.building import Builder

OPTIMIZERS = {
    "adamw": "AdamW",
    "adam": "Adam",
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "adafactor": "Adafactor",
    "lamb": "Lamb",
    "lion": "Lion",
    "muon": "Muon",
    "onebitadam": "OneBitAdam",
    "onebitlamb": "OneBitLamb",
    "zerooneadam": "ZeroOneAdam",
}
"""Our word for an optimizer and DeepSpeed's."""

_ADAMS = ("adamw", "adam", "onebitadam", "zerooneadam", "lamb", "onebitlamb")
WITHOUT_EPS = ("sgd", "lion", "muon")
WITHOUT_BETAS = ("sgd", "adagrad", "adafactor", "muon")
_DEFAULTS: dict[str, Any] = {
    "training.beta1": 0.9,
    "training.beta2": 0.999,
    "training.weight_decay": 0.0,
}
"""What an Adam of DeepSpeed does without being told; ours does something else."""

SCHEDULES = {
    "WarmupLR": "constant_with_warmup",
    "WarmupDecayLR": "linear",
    "WarmupCosineLR": "cosine",
    "OneCycle": "one_cycle",
}
"""DeepSpeed's schedules and ours."""

_WARMUP = {
    "warmup_min_lr": "training.warmup_start_lr",
    "warmup_max_lr": "training.learning_rate",
    "warmup_num_steps": "training.warmup_steps",
    "warmup_type": "training.warmup_schedule",
    "total_num_steps": "training.lr_decay_steps",
    "cos_min_ratio": "training.lr_end_ratio",
    "cycle_min_lr": "training.warmup_start_lr",
    "cycle_max_lr": "training.learning_rate",
    "cycle_first_step_size": "training.warmup_steps",
}


def read_optimizer(builder: Builder) -> None:
    """``optimizer``: its type, rate, averages and weight decay."""
    kind = builder.value("optimizer.type")
    if not isinstance(kind, str):
        return
    path = "optimizer.params.adam_w_mode"
    word = meaning(kind, builder.value(path, None))
    if word not in OPTIMIZERS:
        builder.keep("optimizer.type", f"the optimizer {kind} is not built")
        return
    if kind.lower() in ("adam", "adamw") and builder.has(path):
        builder.understood(path, "training.optimizer")
    if (kind.lower(), word) == ("adam", "adamw"):
        builder.remark(
            "optimizer.type",
            "translated",
            "adamw: DeepSpeed's Adam decouples weight decay unless adam_w_mode is false",
        )
    builder.put("training.optimizer", word, source="optimizer.type")
    for name, ours in (
        ("lr", "learning_rate"),
        ("eps", "eps"),
        ("weight_decay", "weight_decay"),
        ("momentum", "momentum"),
        ("nesterov", "nesterov"),
        ("amsgrad", "amsgrad"),
        ("freeze_step", "deepspeed.one_bit.freeze_step"),
        ("cuda_aware", "deepspeed.one_bit.cuda_aware"),
        ("comm_backend_name", "deepspeed.one_bit.comm_backend_name"),
    ):
        path = f"optimizer.params.{name}"
        if name == "eps" and word in WITHOUT_EPS:
            _keep_idle(builder, path, kind)
        elif builder.has(path):
            target = ours if "." in ours else f"training.{ours}"
            _put(builder, target, builder.value(path), path)
    if word in WITHOUT_BETAS:
        _keep_idle(builder, "optimizer.params.betas", kind)
    else:
        _read_betas(builder)
    if word in _ADAMS:
        _read_defaults(builder)


def _keep_idle(builder: Builder, path: str, kind: str) -> None:
    if builder.has(path):
        builder.keep(path, f"{kind} has no such setting")


def meaning(kind: str, mode: Any) -> str:
    """Our word for ``optimizer.type``; an Adam is an AdamW, unless ``adam_w_mode`` is false."""
    word = kind.lower()
    return "adamw" if word == "adam" and truth_of(mode) is not False else word


def _read_betas(builder: Builder) -> None:
    path = "optimizer.params.betas"
    betas = builder.value(path)
    if betas is ABSENT:
        return
    if not (isinstance(betas, list) and len(betas) == 2):
        builder.keep(path, auto_or("two numbers are meant", betas))
        return
    try:
        pair = [fit(f"training.beta{index + 1}", beta) for index, beta in enumerate(betas)]
    except NoPlace as error:
        builder.keep(path, str(error))
        return
    for index, beta in enumerate(pair):
        builder.put(f"training.beta{index + 1}", beta, source=path)
        builder.understood(path, f"training.beta{index + 1}")


def _read_defaults(builder: Builder) -> None:
    params = builder.value("optimizer.params", {})
    if not isinstance(params, dict) or "auto" in [v for v in params.values() if isinstance(v, str)]:
        return  # Hugging Face's Trainer fills in the rest as well
    for ours, value in _DEFAULTS.items():
        theirs = "betas" if "beta" in ours else "weight_decay"
        if theirs not in params and builder.ours(ours) is None:
            builder.put(ours, value)
            builder.assume(f"optimizer.params.{theirs}", f"{ours}: {value}, DeepSpeed's default")


def read_scheduler(builder: Builder) -> None:
    """``scheduler``: warm-up and shape; without one the rate stays where it is."""
    kind = builder.value("scheduler.type")
    if not isinstance(kind, str):
        shaped = builder.ours("training.lr_scheduler_type") is not None
        if not shaped and isinstance(builder.value("optimizer.params.lr"), int | float):
            builder.put("training.lr_scheduler_type", "constant")
            builder.assume(
                "scheduler", "constant: without a scheduler the script has to move the rate"
            )
        return
    if kind not in SCHEDULES:
        builder.keep("scheduler", f"the schedule {kind} is not built")
        return
    builder.put("training.lr_scheduler_type", SCHEDULES[kind], source="scheduler.type")
    for name, ours in _WARMUP.items():
        path = f"scheduler.params.{name}"
        if builder.has(path):
            _put(builder, ours, builder.value(path), path)
    _compare_rates(builder)
    _read_ratio(builder)
    if kind.startswith("Warmup"):
        _read_warmup(builder, kind)
    elif builder.has("scheduler.params.cycle_second_step_size"):
        builder.remark(
            "scheduler", "translated", "one_cycle: here its fall is a cosine to the end of the run"
        )


def _read_warmup(builder: Builder, kind: str) -> None:
    params = builder.value("scheduler.params", {})
    if not isinstance(params, dict):
        return
    if "warmup_num_steps" not in params:
        builder.put("training.warmup_steps", 1000)
        builder.assume(
            "scheduler.params.warmup_num_steps",
            "training.warmup_steps: 1000, DeepSpeed's default",
        )
    if "warmup_type" not in params:
        builder.put("training.warmup_schedule", "log")
        builder.assume(
            "scheduler.params.warmup_type", "training.warmup_schedule: log, DeepSpeed's default"
        )
    if kind == "WarmupCosineLR" and "cos_min_ratio" not in params:
        builder.put("training.lr_end_ratio", 1e-4)
        builder.assume(
            "scheduler.params.cos_min_ratio",
            "training.lr_end_ratio: 1.0e-04, DeepSpeed's default",
        )
    if builder.value("scheduler.params.warmup_num_steps", None) == 0:
        path = "scheduler.params.warmup_num_steps"
        builder.give_up(path, "DeepSpeed refuses 0 steps of warm-up; here it means none")
    if (steps := builder.ours("training.lr_decay_steps")) is not None:
        builder.put("training.max_steps", steps)
        builder.assume(
            "scheduler.params.total_num_steps",
            f"training.max_steps: {steps}: the schedule's length is taken for the run's",
        )


def _read_ratio(builder: Builder) -> None:
    """``warmup_min_ratio`` is a share of the rate."""
    path = "scheduler.params.warmup_min_ratio"
    if not builder.has(path):
        return
    ratio, rate = number_of(builder.value(path)), builder.ours("training.learning_rate")
    if ratio is None or (ratio and rate is None):
        builder.keep(path, "a share of a rate that the file does not say")
    else:
        _put(builder, "training.warmup_start_lr", ratio * (rate or 0.0), path)


def _compare_rates(builder: Builder) -> None:
    """The rate of the optimizer stays as it is where the schedule sets another in every step."""
    path = "optimizer.params.lr"
    rate = builder.value(path)
    for name in ("warmup_max_lr", "cycle_max_lr"):
        peak = builder.value(f"scheduler.params.{name}")
        numbers = isinstance(rate, int | float) and isinstance(peak, int | float)
        if numbers and rate != peak and builder.ours("training.learning_rate") == peak:
            words = f"the schedule sets the rate in every step: {name} {peak} counts, lr {rate} "
            builder.ignored(path, f"{words}does not")
            builder.give_up(path, f"{name} counts: the schedule sets the rate in every step")


def _put(builder: Builder, ours: str, value: Any, path: str) -> None:
    """Put a value, or keep it where it has no place."""
    convert = switch if ours.endswith(("nesterov", "amsgrad", "cuda_aware")) else plain
    try:
        builder.put(ours, convert(value), source=path)
    except NoPlace as error:
        builder.keep(path, str(error))
