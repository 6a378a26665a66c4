"""What of a mixture of experts decides which operations run, and the symbols of its sizes.

Which experts tokens ask for is not known before they do. The ledger and the tracer assume the same:
every expert is asked for equally often, the first ones once more where that does not divide. What
depends on it is little: nothing on CUDA, except how many slots find room under
``expert_capacity_factor``, and equal shares fill the most room; on a CPU, what one expert's rows
take on their way through it.

Shapes: D width, E experts, I inner width of an expert, M choices of a token.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple

from workbench.config.linears import expert_width, has_experts, layers_with_experts, shared_width

if TYPE_CHECKING:
    from workbench.config.schema import Config, ModelConfig

Way = Literal["by_expert", "swiglu", "grouped", "loop"]
"""How experts compute: one after another (CPUs), three grouped products, grouped products with
biases or other activations, or, where widths do not suit, a loop over single products."""

MOE_MEANINGS = {
    "E": "num_experts",
    "M": "num_experts_per_token",
    "I": "inner width of an expert",
    "U": "inner width of the shared experts",
    "EG": "num_expert_groups",
    "EV": "num_limited_groups",
    "Q": "slots that go to an expert, experts being asked for equally often",
    "QP": "the same, filled up for each expert to a number of rows that CPUs know",
    "N1": "rows of the first expert, filled up",
    "N2": "rows of another, filled up",
    "W1": "rows of the first expert if they had to be filled up, else 0",
    "W2": "rows of another if they had to be filled up, else 0",
    "EL": "layers with experts",
}

_ALIGNMENT = 16
"""Bytes that rows begin at multiples of in a grouped product (`ava_kernels.grouped`)."""


class MoeStructure(NamedTuple):
    """The choices of `workbench.models.moe`.

    Attributes:
        way: How experts compute.
        gated: Whether they have gates.
        bias: Whether the balance has a bias (loss_free).
        remembers: Whether it has a running mean.
        best: Experts by which a group is judged; 0: there are no groups.
        sigmoid: Whether scores are sigmoids.
        normalise: Whether gates are made to add up to one.
        jitter: Whether the router's input is shaken.
        noise: Whether its logits are.
        loss: ``load`` or ``entropy``; None: no auxiliary loss.
        z_loss: Whether large logits cost.
        sequence_loss: Whether single sequences are balanced.
        drops: Whether experts have only so much room.
        lacks: Whether some slots find none.
        one_choice: Whether a token visits one expert.
        shared: Whether there are shared experts.
        dropout: Whether results of experts are dropped.
        experts: Number of experts where each is an operation of its own; else 0.
        ahead: Whether the blocks of multi-token prediction have experts, too.
        reshards: Whether FSDP gives the router's weights back between the passes.
    """

    way: Way
    gated: bool
    bias: bool
    remembers: bool
    best: int
    sigmoid: bool
    normalise: bool
    jitter: bool
    noise: bool
    loss: str | None
    z_loss: bool
    sequence_loss: bool
    drops: bool
    lacks: bool
    one_choice: bool
    shared: bool
    dropout: bool
    experts: int
    ahead: bool
    reshards: bool


def moe_structure_of(config: Config, tokens: int, *, cpu: bool, width: int) -> MoeStructure | None:
    """The choices of a config; None for a dense one."""
    model = config.model
    if model.num_experts <= 1:
        return None
    moe, balancing = model.moe, model.moe_balancing
    way = way_of(model, cpu=cpu, width=width)
    sigmoid = moe.score_function == "sigmoid"
    slots = tokens * model.num_experts_per_token
    best = 0
    if moe.num_expert_groups > 1:
        best = min(2, model.num_experts // moe.num_expert_groups) if sigmoid else 1
    has_loss = balancing.method == "aux_loss" and model.router_aux_loss_coef > 0
    return MoeStructure(
        way=way,
        gated=model.hidden_act in ("swiglu", "geglu"),
        bias=balancing.method == "loss_free",
        remembers=balancing.method == "loss_free" and balancing.bias_decay > 0,
        best=best,
        sigmoid=sigmoid,
        normalise=moe.normalize_expert_weights and model.num_experts_per_token > 1,
        jitter=model.router_jitter_noise > 0,
        noise=moe.router_noise_std > 0,
        loss=balancing.loss_type if has_loss else None,
        z_loss=model.router_z_loss_coef > 0,
        sequence_loss=balancing.sequence_loss_coef > 0,
        drops=model.expert_capacity_factor is not None,
        lacks=_rows(model, slots)[0] < slots,
        one_choice=model.num_experts_per_token == 1,
        shared=moe.num_shared_experts > 0,
        dropout=model.expert_dropout > 0,
        experts=model.num_experts if way == "loop" else 0,
        reshards=config.fsdp.reshard_after_forward
        and config.fsdp.sharding_strategy != "shard_grad_op",
        ahead=config.training.mtp.enabled and has_experts(model, model.num_layers),
    )


def way_of(model: ModelConfig, *, cpu: bool, width: int) -> Way:
    """Which of `ava_kernels` multiplies, as their dispatch decides."""
    fused = model.hidden_act == "swiglu" and not model.mlp_bias
    if fused and cpu:
        return "by_expert"
    if any(each * width % _ALIGNMENT for each in (model.hidden_size, expert_width(model))):
        return "loop"
    return "swiglu" if fused else "grouped"


def moe_symbols(model: ModelConfig, tokens: int, *, width: int) -> tuple[int, ...]:
    """The numbers behind `MOE_MEANINGS`, in their order."""
    if model.num_experts <= 1:
        return (0,) * len(MOE_MEANINGS)
    rows, first, other = _rows(model, tokens * model.num_experts_per_token)
    padded = [filled(each, width) for each in (first, other)]
    total = sum(filled(each, width) * n for each, n in _loads(model, rows))
    return (
        model.num_experts,
        model.num_experts_per_token,
        expert_width(model),
        shared_width(model),
        model.moe.num_expert_groups,
        model.moe.num_limited_groups,
        rows,
        total,
        *padded,
        padded[0] if padded[0] != first else 0,
        padded[1] if padded[1] != other else 0,
        sum(layers_with_experts(model)),
    )


def filled(rows: int, width: int) -> int:
    """Rows of an expert as a CPU multiplies them (`ava_kernels.grouped_swiglu`)."""
    if width == 4 or not rows:
        return rows
    step = max(16, 1 << max(0, rows.bit_length() - 4))
    return -(-rows // step) * step


def _rows(model: ModelConfig, slots: int) -> tuple[int, int, int]:
    """Rows of all experts, of the first one, and of the second."""
    least, more = divmod(slots, model.num_experts)
    room = slots
    if model.expert_capacity_factor is not None:
        fair = ceil(model.expert_capacity_factor * slots / model.num_experts)
        room = max(model.moe.min_expert_capacity, fair)
    large, small = min(room, least + 1), min(room, least)
    rows = more * large + (model.num_experts - more) * small
    return rows, large if more else small, large if more > 1 else small


def _loads(model: ModelConfig, rows: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(rows, experts with so many)."""
    least, more = divmod(rows, model.num_experts)
    return (least + 1, more), (least, model.num_experts - more)
