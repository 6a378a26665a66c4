"""What the lesson "MLA and DeepSeek's true sizes" asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import launched_from, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.lessons.evidence import RunEvidence, Work

_SMALLER: Final = 4  # the latent cache has to be so many times smaller than the plain one
_FEWEST_EXPERTS: Final = 4
_MET: Final = 2
_IDEAS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "model.mla.enabled": ("latent attention", bool),
    "model.num_experts": ("four experts", lambda count: count >= _FEWEST_EXPERTS),
    "model.num_experts_per_token": ("two experts per token", lambda count: count == _MET),
    "model.moe.num_shared_experts": ("a shared expert", lambda count: count >= 1),
    "model.moe.num_dense_layers": ("a first block without experts", lambda count: count == 1),
    "model.moe_balancing.method": ("balance without a loss", lambda how: how == "loss_free"),
}
"""What V3 has, by the key that says so: its name, and what the value has to be."""
_BYTES: Final = 16  # of weight, gradient and two moments, at 4 bytes each
_CARD: Final = 24 * 2**30


def _cached(run: RunEvidence) -> int:
    """Numbers that generation keeps for each token: a latent and a turned key, or keys and values
    of all heads (DeepSeek-V2, arXiv 2405.04434, table 1).
    """  # noqa: D205 - one sentence over two lines
    layers, mla = run.value("model.num_layers"), run.value("model.mla")
    if mla["enabled"]:
        return int(layers * (mla["kv_lora_rank"] + mla["qk_rope_head_dim"]))
    query_heads = run.value("model.num_attention_heads")
    heads = run.value("model.num_key_value_heads") or query_heads
    width = run.value("model.head_dim") or run.value("model.hidden_size") // query_heads
    return int(layers * 2 * heads * width)


@check(
    "latent",
    hints=(
        (
            "the latent cache has 2 × (kv_lora_rank + qk_rope_head_dim) numbers per token, and the "
            "number that the plain model has is printed above"
        ),
        "with enabled: true, kv_lora_rank and qk_rope_head_dim may add up to 32",
        (
            "kv_lora_rank: 16 and qk_rope_head_dim: 16, then "
            'learn.launch("latent", config="latent.yaml")'
        ),
    ),
)
def latent(work: Work, file: str = "latent.yaml", run: str = "latent") -> Outcome:
    """A trained model with latent attention whose cache is a quarter of the plain one, or less."""
    evidence, plain = work.run(run), work.run("plain")
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    if plain is None:
        return fail("run the cell that trains the model with plain attention first")
    if not evidence.value("model.mla.enabled"):
        return fail(f"{run} was trained with plain attention: model.mla.enabled is false")
    most, found = _cached(plain) // _SMALLER, _cached(evidence)
    if found > most:
        return fail(f"{run} keeps {found} numbers per token, and {most} are a quarter of plain")
    if refused := launched_from(work, evidence, file) or evidence.verify(work):
        return refused
    return passed(
        f"{found} numbers per token instead of {_cached(plain)}, and the model has learnt",
        cached=found,
        val_loss=evidence.val_loss,
        before=plain.val_loss,
    )


@check(
    "cards",
    hints=(
        "parameters in all × 16 bytes, divided by 24 × 2³⁰ bytes, and rounded up",
        "math.ceil(one.total * 16 / (24 * 2**30)), with `one` from the cell that shows the parts",
    ),
)
def cards(work: Work, answer: object = None) -> Outcome:
    """How many cards of 24 GiB hold the state of the model that is called 1b."""
    del work
    given = number(answer)
    if isinstance(given, Outcome):
        return given
    from workbench.plan import plan_from

    estimate = plan_from(layers=["models/deepseek_1b"]).estimate
    assert estimate is not None, "a shipped layer is a valid plan"
    state = estimate.size.total * _BYTES
    needed = math.ceil(state / _CARD)
    words = f"{state / 2**30:.1f} GiB of state, {state / _CARD:.2f} cards"
    if given == needed:
        return passed(words, cards=needed)
    if given == math.ceil(estimate.size.active * _BYTES / _CARD):
        return fail("that is the number for the active parameters; all of them must be stored")
    return fail(f"{given:g} is not it: reckon parameters × {_BYTES} bytes over 24 GiB, rounded up")


@check(
    "small-v3",
    hints=(
        (
            "the section model gets mla (as in latent.yaml), num_experts, num_experts_per_token, "
            "moe and moe_balancing; ava config keys names the values"
        ),
        (
            "num_experts: 4, num_experts_per_token: 2; below moe: num_shared_experts: 1 and "
            "num_dense_layers: 1; below moe_balancing: method: loss_free"
        ),
        'then learn.launch("small-v3", config="small-v3.yaml")',
    ),
)
def small_v3(work: Work, file: str = "small-v3.yaml", run: str = "small-v3") -> Outcome:
    """A trained model with the ideas of DeepSeek-V3."""
    evidence = work.run(run)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    if missing := [what for key, (what, wanted) in _IDEAS.items()
                   if not wanted(evidence.value(key))]:  # fmt: skip
        return fail(f"{run} lacks {', and '.join(missing)}")
    if refused := launched_from(work, evidence, file) or evidence.verify(work):
        return refused
    return passed(
        "latent attention, routed and shared experts, balanced by a bias",
        val_loss=evidence.val_loss,
    )
