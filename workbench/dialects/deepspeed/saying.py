"""The optimizer and the schedule of a plan in DeepSpeed's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.training import OPTIMIZERS, SCHEDULES, WITHOUT_EPS, meaning

if TYPE_CHECKING:
    from workbench.dialects.telling import Teller

_ONE_BIT = ("onebitadam", "onebitlamb", "zerooneadam")
_WITH_BETAS = ("adamw", "adam", "lamb", "lion", *_ONE_BIT)
_WITH_RATE = ("WarmupLR", "WarmupDecayLR", "OneCycle")
_SHAPES = {ours: theirs for theirs, ours in SCHEDULES.items()} | {"constant": "WarmupLR"}


def say_optimizer(teller: Teller, *, everything: bool) -> None:
    """``optimizer``; with `everything` also what no layer set."""
    word = teller.our("training.optimizer")
    if not everything and "training.optimizer" not in teller.chosen:
        return
    if word not in OPTIMIZERS:
        teller.lose("training.optimizer", f"DeepSpeed has no optimizer {word}")
        return
    _say_type(teller, word)
    says = _Params(teller, "optimizer", everything=everything)
    if not _rate_of_its_own(teller):
        says("lr", "training.learning_rate")
    says("weight_decay", "training.weight_decay")
    if word not in WITHOUT_EPS:
        says("eps", "training.eps")
    betas = ("training.beta1", "training.beta2")
    if word in _WITH_BETAS and (everything or set(betas) & teller.chosen):
        pair = [teller.our(beta) for beta in betas]
        teller.say("optimizer.params.betas", pair, ours=betas)
    says.chosen("amsgrad", "training.amsgrad")
    if word == "sgd":
        says.chosen("momentum", "training.momentum")
        says.chosen("nesterov", "training.nesterov")
    if word in _ONE_BIT:
        for name in ("freeze_step", "cuda_aware", "comm_backend_name"):
            says.chosen(name, f"deepspeed.one_bit.{name}")
    teller.tree["optimizer"].setdefault("params", {})


def _say_type(teller: Teller, word: str) -> None:
    """The optimizer by the name that an imported file has for it, or by DeepSpeed's."""
    optimizer = teller.tree.get("optimizer")
    before = optimizer.get("type") if isinstance(optimizer, dict) else None
    params = optimizer.get("params") if isinstance(optimizer, dict) else None
    mode = params.get("adam_w_mode") if isinstance(params, dict) else None
    if isinstance(before, str) and meaning(before, mode) == word:
        teller.said("training.optimizer")
        return
    teller.say("optimizer.type", OPTIMIZERS[word], ours="training.optimizer")
    if meaning(OPTIMIZERS[word], mode) == word:
        return
    if isinstance(params, dict):
        params.pop("adam_w_mode", None)
    if word == "adam":
        teller.say("optimizer.params.adam_w_mode", value=False)


def _rate_of_its_own(teller: Teller) -> bool:
    """Whether an imported file has another rate there than the schedule's, which counts."""
    optimizer = teller.tree.get("optimizer")
    params = optimizer.get("params") if isinstance(optimizer, dict) else None
    shape = _SHAPES.get(teller.our("training.lr_scheduler_type"))
    scheduled = "training.lr_scheduler_type" in teller.chosen and shape in _WITH_RATE
    return isinstance(params, dict) and "lr" in params and scheduled


def say_scheduler(teller: Teller, *, everything: bool) -> None:
    """``scheduler``; a constant rate without warm-up needs none."""
    training = teller.config.training
    shape = training.lr_scheduler_type
    if not everything and "training.lr_scheduler_type" not in teller.chosen:
        return
    if shape == "constant" and not training.warmup_steps and "scheduler" not in teller.tree:
        teller.said("training.lr_scheduler_type", "training.warmup_steps")
        return
    if shape not in _SHAPES:
        teller.lose("training.lr_scheduler_type", f"DeepSpeed has no schedule like {shape}")
        return
    kind = _SHAPES[shape]
    teller.say("scheduler.type", kind, ours="training.lr_scheduler_type")
    teller.tree["scheduler"].setdefault("params", {})
    says = _Params(teller, "scheduler", everything=everything)
    if kind == "OneCycle":
        says("cycle_min_lr", "training.warmup_start_lr")
        says("cycle_max_lr", "training.learning_rate")
        first = max(1, training.warmup_steps)  # DeepSpeed refuses 0
        says("cycle_first_step_size", "training.warmup_steps", first)
    else:
        _say_warmup(teller, says, kind)


def _given(teller: Teller) -> dict[str, Any]:
    """The schedule's ``params``; empty where a file has something else there."""
    params = teller.tree["scheduler"]["params"]
    return params if isinstance(params, dict) else {}


def _say_warmup(teller: Teller, says: _Params, kind: str) -> None:
    training = teller.config.training
    # DeepSpeed refuses 0 steps of warm-up; a file that has them anyway gets them back.
    least = 0 if _given(teller).get("warmup_num_steps") == 0 else 1
    says("warmup_num_steps", "training.warmup_steps", max(least, training.warmup_steps))
    _say_warmup_shape(teller, says)
    if kind == "WarmupCosineLR":
        _say_cosine(teller, says)
    else:
        says("warmup_min_lr", "training.warmup_start_lr")
        says("warmup_max_lr", "training.learning_rate")
    if kind != "WarmupLR":
        total = training.lr_decay_steps or training.max_steps
        says("total_num_steps", "training.lr_decay_steps", total)
        if training.max_steps == total and "total_num_steps" in _given(teller):
            teller.said("training.max_steps")
    if kind == "WarmupDecayLR":
        for ours in ("training.lr_end", "training.lr_end_ratio"):
            if ours in teller.chosen and teller.our(ours):
                teller.lose(ours, "WarmupDecayLR ends at 0")


class _Params:
    """Says the ``params`` of a section."""

    def __init__(self, teller: Teller, section: str, *, everything: bool) -> None:
        self._teller = teller
        self._section = section
        self._everything = everything

    def __call__(self, name: str, ours: str, value: Any = None) -> None:
        """Say a key where a layer set it, or where everything is said."""
        if self._everything or ours in self._teller.chosen:
            value = self._teller.our(ours) if value is None else value
            self._teller.say((self._section, "params", name), value, ours=ours)

    def chosen(self, name: str, ours: str) -> None:
        """Say a key only where a layer set it."""
        if ours in self._teller.chosen:
            self._teller.say((self._section, "params", name), self._teller.our(ours), ours=ours)


def _say_warmup_shape(teller: Teller, says: _Params) -> None:
    shape = teller.our("training.warmup_schedule")
    if shape == "cosine":
        teller.say("scheduler.params.warmup_type", "linear")
        teller.lose("training.warmup_schedule", "DeepSpeed warms up linearly or by a logarithm")
    else:
        says("warmup_type", "training.warmup_schedule")


def _say_cosine(teller: Teller, says: _Params) -> None:
    training = teller.config.training
    ratio = training.warmup_start_lr / training.learning_rate
    says("warmup_min_ratio", "training.warmup_start_lr", ratio)
    end = training.lr_end / training.learning_rate or training.lr_end_ratio or 0.0
    says("cos_min_ratio", "training.lr_end_ratio", end)
    if "training.lr_end" in teller.chosen:
        teller.say("scheduler.params.cos_min_ratio", end, ours="training.lr_end")
