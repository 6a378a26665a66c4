"""A mixture of experts of which most do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage

_EXPERTS: Final = 8
_LAYERS: Final = 2
_LAST: Final = 10  # steps at the end that are judged
_SHAPE: Final = (
    "--max_steps 60 --lr_scheduler_type constant --hidden_size 32 --intermediate_size 32"
    f" --num_experts {_EXPERTS} --num_experts_per_token 1 --mixed_precision no --max_new_tokens 0"
)


@fault(
    "collapsed-router",
    "The router has collapsed",
    what_happens="A mixture of 8 experts sends all tokens of a layer to one of them.",
    see="expert_load at 8, which is all; dead_experts above half; the loss tells nothing",
    recover="balance: model.router_aux_loss_coef, or model.moe_balancing.method loss_free",
    starts=2,
)
def collapsed_router(stage: Stage) -> None:
    """Train a mixture without balance, then one with it."""
    stage.breaks("Eight experts in each of two layers, one per token; nothing keeps them even.")
    printed = stage.ava(
        f"train lesson --name collapsed {_SHAPE} --router_aux_loss_coef 0",
        show="^warning: nothing|^  try:   model|^finished|^loss|^validation",
    )
    stage.expects("a finding warned of it", "nothing keeps the experts equally busy" in printed)
    stage.sees("The loss falls as in any training. Look at the experts instead:")
    loads, dead = _experts(stage, "collapsed")
    title = "load of the busiest expert, in fair shares"
    stage.shows_curves(title, "expert_load", {"no balance": stage.run("collapsed")})
    stage.expects(
        "one expert got every token of a layer",
        max(loads) > 0.99 * _EXPERTS,
        f"{max(loads):.3g} times its fair share, and {_EXPERTS} times is all of them",
    )
    stage.expects(
        "most experts got none in the end",
        dead > _EXPERTS * _LAYERS / 2,
        f"{dead:.1f} of {_EXPERTS * _LAYERS} idle in the last {_LAST} steps",
    )
    stage.because(
        "Who is chosen gets the gradient and improves, so it is chosen again; who is not chosen "
        "learns nothing. You pay for 8 experts in memory and train one. The loss of a model with "
        "one expert is a fair loss, so the curve cannot tell."
    )
    stage.repairs(
        "One key: an auxiliary loss for uneven load. In a long training 0.01 is usual; to turn a "
        "router round in 60 steps takes more, and the warning about it is right."
    )
    stage.ava(
        f"train lesson --name balanced {_SHAPE} --router_aux_loss_coef 1",
        show="^warning: with|^finished|^loss|^validation",
    )
    stage.proves("")
    both = {"no balance": stage.run("collapsed"), "balanced": stage.run("balanced")}
    stage.shows_curves(title, "expert_load", both)
    even, idle = _experts(stage, "balanced")
    before, after = (sum(each[-_LAST:]) / _LAST for each in (loads, even))
    stage.expects("the load is spread", after < 0.75 * before, f"{before:.2g} → {after:.2g}")
    stage.expects("the experts are at work", idle < dead / 3, f"idle: {dead:.1f} → {idle:.1f}")


def _experts(stage: Stage, run: str) -> tuple[list[float], float]:
    """Load of the busiest expert by step, and idle experts in the mean of the last steps."""
    idle = lab.series(stage.run(run), "dead_experts").values[-_LAST:]
    return list(lab.series(stage.run(run), "expert_load").values), sum(idle) / len(idle)
