"""What DeepSpeed's and torch's optimizers and schedules take as ``params``.

The names are those of release 0.19.8 and of torch 2; a test asks the installed ones.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Takes(NamedTuple):
    """The keyword arguments of a class.

    Attributes:
        names: All of them.
        needed: Those without a default.
        numbers: Those that are computed with when the class is made, so that text ends it.
    """

    names: frozenset[str]
    needed: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


def _takes(names: str, needed: str = "", numbers: str = "") -> Takes:
    return Takes(
        frozenset((*needed.split(), *names.split())), tuple(needed.split()), tuple(numbers.split())
    )


SCHEDULES: Final[dict[str, Takes]] = {
    "LRRangeTest": _takes(
        "lr_range_test_min_lr lr_range_test_step_size lr_range_test_step_rate "
        "lr_range_test_staircase last_batch_iteration"
    ),
    "OneCycle": _takes(
        "decay_lr_rate cycle_first_step_size cycle_second_step_size cycle_first_stair_count "
        "cycle_second_stair_count decay_step_size cycle_momentum cycle_min_mom cycle_max_mom "
        "decay_mom_rate last_batch_iteration",
        needed="cycle_min_lr cycle_max_lr",
        numbers="decay_lr_rate decay_step_size",
    ),
    "WarmupLR": _takes(
        "warmup_min_lr warmup_max_lr warmup_num_steps warmup_type last_batch_iteration",
        numbers="warmup_min_lr warmup_max_lr",
    ),
    "WarmupDecayLR": _takes(
        "warmup_min_lr warmup_max_lr warmup_num_steps warmup_type last_batch_iteration",
        needed="total_num_steps",
        numbers="total_num_steps warmup_min_lr warmup_max_lr",
    ),
    "WarmupCosineLR": _takes(
        "warmup_min_ratio warmup_num_steps cos_min_ratio warmup_type last_batch_iteration",
        needed="total_num_steps",
        numbers="total_num_steps",
    ),
}
"""DeepSpeed's schedules."""

TORCH_SCHEDULES: Final[dict[str, Takes]] = {
    "ConstantLR": _takes("factor total_iters last_epoch"),
    "CosineAnnealingLR": _takes("eta_min last_epoch", needed="T_max"),
    "CosineAnnealingWarmRestarts": _takes("T_mult eta_min last_epoch", needed="T_0"),
    "CyclicLR": _takes(
        "step_size_up step_size_down mode gamma scale_fn scale_mode cycle_momentum base_momentum "
        "max_momentum last_epoch",
        needed="base_lr max_lr",
    ),
    "ExponentialLR": _takes("last_epoch", needed="gamma"),
    "LambdaLR": _takes("last_epoch", needed="lr_lambda"),
    "LinearLR": _takes("start_factor end_factor total_iters last_epoch"),
    "MultiStepLR": _takes("gamma last_epoch", needed="milestones"),
    "MultiplicativeLR": _takes("last_epoch", needed="lr_lambda"),
    "OneCycleLR": _takes(
        "total_steps epochs steps_per_epoch pct_start anneal_strategy cycle_momentum "
        "base_momentum max_momentum div_factor final_div_factor three_phase last_epoch",
        needed="max_lr",
    ),
    "PolynomialLR": _takes("total_iters power last_epoch"),
    "ReduceLROnPlateau": _takes(
        "mode factor patience threshold threshold_mode cooldown min_lr eps"
    ),
    "SequentialLR": _takes("last_epoch", needed="schedulers milestones"),
    "StepLR": _takes("gamma last_epoch", needed="step_size"),
}
"""torch's schedules, which DeepSpeed takes by name."""

_ADAM: Final = "lr betas eps weight_decay amsgrad"
_TORCH: Final = "foreach maximize capturable differentiable"

OPTIMIZERS: Final[dict[str, Takes]] = {
    "FusedAdam": _takes(f"{_ADAM} bias_correction set_grad_none"),
    "DeepSpeedCPUAdam": _takes(f"{_ADAM} bias_correction"),
    "FusedLamb": _takes(f"{_ADAM} bias_correction eps_inside_sqrt max_coeff min_coeff"),
    "FusedLion": _takes("lr betas weight_decay set_grad_none"),
    "DeepSpeedCPULion": _takes("lr betas weight_decay fp32_optimizer_states"),
    "DeepSpeedCPUAdagrad": _takes("lr eps weight_decay amsgrad fp32_optimizer_states"),
    "ASGD": _takes(f"lr lambd alpha t0 weight_decay {_TORCH}"),
    "Adadelta": _takes(f"lr rho eps weight_decay {_TORCH}"),
    "Adafactor": _takes("lr beta2_decay eps d weight_decay foreach maximize"),
    "Adagrad": _takes(
        "lr lr_decay weight_decay initial_accumulator_value eps foreach maximize differentiable "
        "fused"
    ),
    "Adam": _takes(f"{_ADAM} {_TORCH} fused decoupled_weight_decay"),
    "AdamW": _takes(f"{_ADAM} {_TORCH} fused"),
    "Adamax": _takes(f"lr betas eps weight_decay {_TORCH}"),
    "LBFGS": _takes(
        "lr max_iter max_eval tolerance_grad tolerance_change history_size line_search_fn"
    ),
    "NAdam": _takes(f"lr betas eps weight_decay momentum_decay decoupled_weight_decay {_TORCH}"),
    "RAdam": _takes(f"lr betas eps weight_decay decoupled_weight_decay {_TORCH}"),
    "RMSprop": _takes(f"lr alpha eps weight_decay momentum centered {_TORCH}"),
    "Rprop": _takes(f"lr etas step_sizes {_TORCH}"),
    "SGD": _takes(
        "lr momentum dampening weight_decay nesterov maximize foreach differentiable fused"
    ),
    "SparseAdam": _takes("lr betas eps maximize"),
}
"""The classes that the engine makes, by their names; Muon and muP's sort their own."""


def optimizer_class(name: str, params: dict[str, object], *, on_cpu: bool) -> str | None:
    """The class that the engine makes for an optimizer; None where it has its own way.

    Args:
        name: ``optimizer.type``, lower case where DeepSpeed knows it.
        params: ``optimizer.params``.
        on_cpu: Whether the optimizer is offloaded.
    """
    if name in ("adam", "adamw"):
        if params.get("torch_adam"):
            plain = name == "adam" and not params.get("adam_w_mode", True)
            return "Adam" if plain else "AdamW"
        return "DeepSpeedCPUAdam" if on_cpu else "FusedAdam"
    if name == "adagrad":
        return "DeepSpeedCPUAdagrad" if on_cpu else "Adagrad"
    if name == "lion":
        return "DeepSpeedCPULion" if on_cpu else "FusedLion"
    return {"lamb": "FusedLamb"}.get(name, name)


TAKEN_OUT: Final = ("adam_w_mode", "torch_adam", "fp32_optimizer_states", "foreach")
"""Keys of an Adam's ``params`` that the engine takes out before it makes the class."""
