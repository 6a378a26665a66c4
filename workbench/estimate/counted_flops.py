"""FLOPs of a micro-batch as functions: a network is walked once for all sizes of one structure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.linears import GATED, expert_width, groups_of, head_width
from workbench.config.remembered import remembered
from workbench.estimate.amounts import Amount, written
from workbench.estimate.flops_structure import Choices, Group, Quantities
from workbench.estimate.network_flops import Network
from workbench.estimate.passes import Layer, Pairs
from workbench.estimate.tape.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.config.linears import Kind
    from workbench.config.schema import LoraConfig, ModelConfig
    from workbench.config.schema.training.mtp import MtpConfig


class Counted(NamedTuple):
    """FLOPs of a structure.

    Attributes:
        kinds: What products are counted under.
        evaluate: From a row of numbers: forward, backward, plain, met, met_backward as
            `passes.Work` has them; what is recomputed, and of that what is met; then what each
            kind takes, forwards and backwards.
    """

    kinds: tuple[str, ...]
    evaluate: Callable[[Sequence[int]], tuple[int, ...]]


class Sign(NamedTuple):
    """What of a group decides which products there are.

    Attributes:
        kind: What its parts are.
        prefix: What stands before the name of a layer.
        places: The numbers of the parts: with adapters, and of heads for later tokens.
        names: The layers.
        biases: Whether each has one.
    """

    kind: Kind
    prefix: str
    places: tuple[int, ...]
    names: tuple[str, ...]
    biases: tuple[bool, ...]


class Known(NamedTuple):
    """What the sections of a plan say of its products.

    Attributes:
        choices: Which there are.
        signs: The groups.
        numbers: What is multiplied, in the order of `_OF_MODEL` and of the groups.
        ahead: Heads for later tokens.
    """

    choices: Choices
    signs: tuple[Sign, ...]
    numbers: tuple[int, ...]
    ahead: int


_OF_BATCH = (
    "sequences", "tokens", "read", "own", "own met", "encoder", "encoder met", "across",
    "across met",
)  # fmt: skip
"""What a micro-batch says, in the order of a row."""

_OF_MODEL = (
    "width", "heads", "key", "value", "experts", "visited", "inner", "classes", "rank",
)  # fmt: skip
"""What a model says, in the order of a row; then, for each group, how often it comes, and the
inputs and outputs of its layers; then the rows of the output of each head for later tokens."""


@remembered
def known_of(model: ModelConfig, mtp: MtpConfig, lora: LoraConfig) -> Known:
    """What decides which products there are, and what they multiply."""
    groups, mla = groups_of(model, mtp), model.mla
    adapted = lora.enabled
    key = value = head_width(model)
    if mla.enabled and model.model_type != "t5":
        key, value = mla.qk_nope_head_dim + mla.qk_rope_head_dim, mla.v_head_dim
    bert = model.model_type == "bert"
    balancing = model.moe_balancing
    choices = Choices(
        family=model.model_type,
        layernorm=model.norm_type == "layernorm" and model.model_type != "t5",
        residual=model.residual_type,
        gated=model.hidden_act in GATED,
        mlp_bias=model.mlp_bias,
        shared=bool(model.moe.num_shared_experts),
        dropout=bool(model.hidden_dropout),
        latent=mla.enabled,
        query_latent=mla.q_lora_rank is not None,
        weighed=balancing.method == "aux_loss" and model.router_aux_loss_coef != 0,
        sequences=bool(balancing.sequence_loss_coef),
        bias=lora.bias if adapted else None,
        targets=tuple(lora.target_modules) if adapted else (),
        head_dropout=bool(mtp.head_dropout),
        again=False,
    )
    signs = tuple(
        Sign(
            group.kind,
            group.prefix,
            tuple(group.places) if adapted or group.kind == "ahead" else (),
            tuple([each.name for each in group.linears]),
            tuple([each.bias for each in group.linears]),
        )
        for group in groups
    )
    numbers = [
        model.hidden_size,
        model.num_attention_heads,
        key,
        value,
        model.num_experts,
        model.num_experts_per_token,
        expert_width(model),
        model.vocab_size if not bert or model.head == "language" else model.num_labels,
        lora.r,
    ]
    for group in groups:
        numbers.append(len(group.places))
        for each in group.linears:
            numbers += each[1:3]
    ahead = next((len(group.places) for group in groups if group.kind == "ahead"), 0)
    return Known(choices, signs, tuple(numbers), ahead)


@lru_cache(maxsize=256)
def counted(choices: Choices, signs: tuple[Sign, ...], fused: tuple[bool, bool, bool]) -> Counted:
    """Walk a network with names instead of numbers.

    Args:
        choices: What decides which products there are.
        signs: The groups of layers.
        fused: Whether the kernels of self-attention, of an encoder's, and of a decoder's over its
            encoder compute the scores again on the way back.
    """
    names = [*_OF_BATCH, *_OF_MODEL]

    def named(name: str) -> Amount:
        names.append(name)
        return Amount.named(name)

    groups, ahead = [], 0
    for place, sign in enumerate(signs):
        times = named(f"{place}")
        layers = {
            name: Layer(name, named(f"{place} {name} in"), named(f"{place} {name} out"), bias)
            for name, bias in zip(sign.names, sign.biases, strict=True)
        }
        groups.append(Group(sign.kind, sign.prefix, sign.places, times, layers))
        ahead += len(sign.places) if sign.kind == "ahead" else 0
    sizes: dict[str, Any] = {each: Amount.named(each) for each in (*_OF_BATCH[:3], *_OF_MODEL)}
    for each, again in zip(("own", "encoder", "across"), fused, strict=True):
        sizes[each] = Pairs(Amount.named(each), Amount.named(f"{each} met"), again)
    rows = tuple(named(f"ahead {place}") for place in range(ahead))
    network = Network(choices, Quantities(**sizes, ahead=rows), groups)
    network.walk()
    source = Source(("r",))
    sums = [sum(each) for each in zip(*network.total.values(), strict=True)]
    sums += [network.recomputed, network.recomputed_met]
    sums += [each.forward + each.backward for each in network.total.values()]
    function = source.function([written(each, source, names) for each in sums])
    return Counted(tuple(network.total), function)
