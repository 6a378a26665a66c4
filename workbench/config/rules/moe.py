"""Rules about mixtures of experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule
from workbench.config.rules.parallel import largest_divisor
from workbench.config.size import expert_width, num_expert_layers

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("experts-per-token", "error")
def experts_per_token(subject: Subject) -> Iterator[Problem]:
    """num_experts_per_token is at most num_experts."""
    model = subject.config.model
    if 1 < model.num_experts < model.num_experts_per_token:
        yield Problem(
            subject.blame("model.num_experts_per_token", "model.num_experts"),
            f"each token is to visit {model.num_experts_per_token} experts, "
            f"but there are {model.num_experts}",
            (
                put("model.num_experts_per_token", min(2, model.num_experts // 2)),
                put("model.num_experts", 2 * model.num_experts_per_token),
            ),
        )


@rule("no-experts", "warning")
def no_experts(subject: Subject) -> Iterator[Problem]:
    """Settings for experts come with num_experts above 1."""
    model = subject.config.model
    if model.num_experts > 1:
        return
    if model.num_experts_per_token > 1 or model.moe.num_shared_experts > 0:
        path = subject.blame("model.num_experts_per_token", "model.moe.num_shared_experts")
        yield Problem(
            path,
            f"num_experts is 1, an ordinary feed-forward network: {path} has no effect",
            (
                put("model.num_experts", 4 * model.num_experts_per_token),
                (
                    "no experts",
                    {"model.num_experts_per_token": 1, "model.moe.num_shared_experts": 0},
                ),
            ),
        )


@rule("switch-is-top-1", "error")
def switch_is_top_1(subject: Subject) -> Iterator[Problem]:
    """router_type switch sends each token to exactly one expert."""
    model = subject.config.model
    if model.num_experts > 1 and model.router_type == "switch" and model.num_experts_per_token != 1:
        yield Problem(
            subject.blame("model.router_type", "model.num_experts_per_token"),
            "a switch router sends each token to one expert (Switch Transformer, section 2.1), "
            f"but num_experts_per_token is {model.num_experts_per_token}",
            (put("model.router_type", "topk"), put("model.num_experts_per_token", 1)),
        )


@rule("gshard-is-top-2", "error")
def gshard_is_top_2(subject: Subject) -> Iterator[Problem]:
    """router_type gshard sends each token to exactly two experts."""
    model = subject.config.model
    if model.num_experts > 1 and model.router_type == "gshard" and model.num_experts_per_token != 2:
        yield Problem(
            subject.blame("model.router_type", "model.num_experts_per_token"),
            "a GShard router sends each token to two experts (arXiv 2006.16668, section 2.2), but "
            f"num_experts_per_token is {model.num_experts_per_token}",
            (put("model.num_experts_per_token", 2), put("model.router_type", "topk")),
        )


@rule("every-expert-visited", "warning")
def every_expert_visited(subject: Subject) -> Iterator[Problem]:
    """A token visits some of the experts, not all: else they are one expensive network."""
    model = subject.config.model
    if model.num_experts_per_token == model.num_experts > 1:
        yield Problem(
            subject.blame("model.num_experts_per_token", "model.num_experts"),
            f"every token visits all {model.num_experts} experts, so nothing is saved over one "
            "network of their width",
            (put("model.num_experts_per_token", max(1, model.num_experts // 4)),),
        )


@rule("capacity-drops-tokens", "warning")
def capacity_drops_tokens(subject: Subject) -> Iterator[Problem]:
    """expert_capacity_factor is at least 1, or tokens are dropped even in perfect balance."""
    model = subject.config.model
    factor = model.expert_capacity_factor
    if model.num_experts > 1 and factor is not None and factor < 1:
        yield Problem(
            "model.expert_capacity_factor",
            f"with room for {factor:g} of its fair share an expert drops {1 - factor:.0%} of the "
            "tokens even in perfect balance",
            (put("model.expert_capacity_factor", 1.25), put("model.expert_capacity_factor", None)),
        )


@rule("nothing-balances-experts", "warning")
def nothing_balances_experts(subject: Subject) -> Iterator[Problem]:
    """Something keeps the experts busy: an auxiliary loss or a bias."""
    model = subject.config.model
    method = model.moe_balancing.method
    if model.num_experts == 1 or method == "loss_free":
        return
    if method == "none" or model.router_aux_loss_coef == 0:
        path = "model.moe_balancing.method" if method == "none" else "model.router_aux_loss_coef"
        yield Problem(
            path,
            "nothing keeps the experts equally busy: a few of them will get all the tokens",
            (
                (
                    "model.router_aux_loss_coef: 0.01",
                    {"model.router_aux_loss_coef": 0.01, "model.moe_balancing.method": "aux_loss"},
                ),
                put("model.moe_balancing.method", "loss_free"),
            ),
        )


@rule("balanced-twice", "warning")
def balanced_twice(subject: Subject) -> Iterator[Problem]:
    """Loss-free balancing stands in for the auxiliary loss, not beside it."""
    model = subject.config.model
    if (
        model.num_experts > 1
        and model.moe_balancing.method == "loss_free"
        and subject.is_set("model.router_aux_loss_coef")
        and model.router_aux_loss_coef > 0
    ):
        yield Problem(
            "model.router_aux_loss_coef",
            "loss-free balancing replaces the auxiliary loss, whose gradient it is there to avoid",
            (
                put("model.router_aux_loss_coef", 0.0),
                put("model.moe_balancing.method", "aux_loss"),
            ),
        )


@rule("balance-loss-high", "warning")
def balance_loss_high(subject: Subject) -> Iterator[Problem]:
    """router_aux_loss_coef is small beside the language loss: at most 0.1."""
    model = subject.config.model
    if model.num_experts > 1 and model.router_aux_loss_coef > 0.1:
        yield Problem(
            "model.router_aux_loss_coef",
            f"with a weight of {model.router_aux_loss_coef:g} the router learns to be even rather "
            "than right; 0.01 is usual",
            (put("model.router_aux_loss_coef", 0.01),),
        )


@rule("expert-groups-divide", "error")
def expert_groups_divide(subject: Subject) -> Iterator[Problem]:
    """Expert groups are equally large, and the limited ones hold enough experts for a token."""
    model = subject.config.model
    groups, limited, k = (
        model.moe.num_expert_groups,
        model.moe.num_limited_groups,
        model.num_experts_per_token,
    )
    if model.num_experts == 1 or groups == 1:
        return
    if model.num_experts % groups:
        yield Problem(
            "model.moe.num_expert_groups",
            f"{model.num_experts} experts cannot be divided into {groups} equal groups",
            (put("model.moe.num_expert_groups", largest_divisor(model.num_experts, groups)),),
        )
    elif limited > groups or limited * (model.num_experts // groups) < k:
        enough = -(-k // (model.num_experts // groups))
        yield Problem(
            subject.blame("model.moe.num_limited_groups", "model.moe.num_expert_groups"),
            f"{limited} of {groups} groups of {model.num_experts // groups} experts are to offer "
            f"{k} experts per token",
            (put("model.moe.num_limited_groups", min(groups, max(enough, 1))),),
        )


@rule("segments-add-up", "error")
def segments_add_up(subject: Subject) -> Iterator[Problem]:
    """The segments of an expert add up to its width."""
    model = subject.config.model
    count, sizes, width = (
        model.moe.num_expert_segments,
        model.moe.expert_segment_sizes,
        expert_width(model),
    )
    if model.num_experts == 1 or count == 1:
        return
    if sizes is not None and (len(sizes) != count or sum(sizes) != width or min(sizes) < 1):
        yield Problem(
            "model.moe.expert_segment_sizes",
            f"{len(sizes)} segments with {sum(sizes)} features in all do not make {count} segments "
            f"of an expert {width} features wide",
            (put("model.moe.expert_segment_sizes", None),),
        )
    if sizes is None and width % count:
        yield Problem(
            "model.moe.num_expert_segments",
            f"an expert {width} features wide cannot be cut into {count} equal segments",
            (put("model.moe.num_expert_segments", largest_divisor(width, count)),),
        )


@rule("no-expert-layer", "warning")
def no_expert_layer(subject: Subject) -> Iterator[Problem]:
    """At least one layer has experts when there are experts."""
    model = subject.config.model
    if model.num_experts > 1 and num_expert_layers(model) == 0:
        path = subject.blame("model.moe.dense_layer_interval", "model.moe.num_dense_layers")
        yield Problem(
            path,
            f"all {model.num_layers} layers are dense, so the {model.num_experts} experts are in "
            "none of them",
            (
                (
                    "experts in every layer",
                    {"model.moe.dense_layer_interval": None, "model.moe.num_dense_layers": 0},
                ),
            ),
        )


@rule("shared-width-without-shared", "hint")
def shared_width_without_shared(subject: Subject) -> Iterator[Problem]:
    """shared_intermediate_size comes with num_shared_experts."""
    moe = subject.config.model.moe
    if moe.shared_intermediate_size is not None and moe.num_shared_experts == 0:
        yield Problem(
            "model.moe.shared_intermediate_size",
            "there are no shared experts whose width it could be",
            (
                put("model.moe.num_shared_experts", 1),
                put("model.moe.shared_intermediate_size", None),
            ),
        )
