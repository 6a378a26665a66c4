"""`workbench.models.decoder` on paper: what comes before the blocks, a block, what comes after.

Shapes: B sequences, T positions, D width, V vocabulary, P longest sequence, R turned features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import keeps_mask
from workbench.estimate.network.attention import attention
from workbench.estimate.network.feed_forward import feed_forward
from workbench.estimate.network.loss import LossOf, cross_entropy
from workbench.estimate.network.mla import latent_attention
from workbench.estimate.network.moe import mixture
from workbench.estimate.network.mtp import ahead, last_chunk, rest_of, targets_of
from workbench.estimate.network.norm import norm
from workbench.estimate.network.segment import Extra
from workbench.estimate.network.sight import lent, see, shared_mask
from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import dropout
from workbench.estimate.tape.ops_plain import step
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape

Tables = dict[str, Tensor]
"""What all blocks share: angles, masks."""

Found = tuple[Tensor, None, tuple[Tensor, ...], tuple[Tensor, ...]]
"""The residual stream, nothing for other blocks, the losses of a router, and what it reports."""


def shared_tables(s: Structure, mask: Tensor | None = None) -> Tables:
    """The angles, as blocks see them: memory that is counted elsewhere; and the mask."""
    tables = {} if mask is None else {"mask": mask}
    if s.rotary:
        for name in ("cos", "sin"):
            tables[name] = Tensor(None, ("T", 1, "R"), 4)
    return tables


def front(tape: Tape, s: Structure) -> tuple[Tensor, Tables]:
    """Embedding of tokens and positions, and the tables that all blocks share."""
    begin_model(tape, s)
    table = Parameter(tape, "embedding", ("V", "D"))
    x = ops.embedding(tape, table, ("B", "T", "D"))
    if s.learned_positions:
        x = add_positions(tape, x, s)
    if s.options.embedding_dropout:
        x = dropout(tape, x, cpu=s.cpu)
    x = ops.cast(tape, x, s.width, "residual stream")
    tables = angles(tape, s)
    mask = see(tape, s)
    if mask is not None:
        tables["mask"] = mask
    return x, left_behind(s, tables)


def begin_model(tape: Tape, s: Structure, *weights: str) -> None:
    """The objective and the model in it begin.

    Args:
        tape: The tape.
        s: The structure.
        weights: What is the model's own beside embeddings and the output's bias.
    """
    bias = ("output_bias" if s.family == "bert" else "lm_head_bias",) if s.head_bias else ()
    learned = s.learned_positions and s.family != "t5"
    positions = ("position_embedding",) if learned else ()
    output = output_of(s)
    read = (output, *bias) if output == "embedding" else (*bias, output)
    enter(tape, "objective", weights=read)
    enter(tape, "model", weights=("embedding", *positions, *weights, *bias))


def output_of(s: Structure) -> str:
    """The name of the output matrix."""
    if s.family == "bert":
        return "embedding" if s.tied and s.options.head == "language" else "output.weight"
    return "embedding" if s.tied else "lm_head.weight"


def angles(tape: Tape, s: Structure) -> Tables:
    """The angles of rotary positions."""
    tables: Tables = {}
    if s.rotary:
        angle = tape.new(("T", "R2"), 4, "angles")
        both = tape.new(("T", "R"), 4, "angles")
        del angle
        cos = tape.new(("T", "R"), 4, "cosines")
        tables["cos"] = tape.new(("T", "R"), 4, "cosines of the angles")
        del cos
        sin = tape.new(("T", "R"), 4, "sines")
        tables["sin"] = tape.new(("T", "R"), 4, "sines of the angles")
        del sin, both
    return tables


def left_behind(s: Structure, tables: Tables) -> Tables:
    """The tables that live as long as the blocks."""
    mask = tables.get("mask")
    if mask is not None and not keeps_mask(s, mask.width, padded=s.options.padded[0]):
        del tables["mask"]
    return tables


def add_positions(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    """Add the embedding of each position, counted anew in each document."""
    positions = Parameter(tape, "position_embedding", ("P", "D"))
    if s.options.documents:
        place = tape.new(("B", "T"), 8, "positions in their documents")
        added = ops.embedding(tape, positions, ("B", "T", "D"), keep=place)
        return ops.add(tape, x, added)
    place = tape.new(("T",), 8, "positions")
    added = ops.embedding(tape, positions, ("T", "D"), keep=place)
    return ops.add_rows(tape, x, added)


def beside(s: Structure, *, first: bool = False) -> tuple[Extra, ...]:
    """What the forward pass holds while its blocks run, though they do not read it.

    Args:
        s: The structure.
        first: Whether it is about the first block alone, which may read the embedding itself.
    """
    found = []
    if embeds_apart(s) and (changes_embedding(s) or not first):
        width = 2 if s.weights == "half" else 4
        found.append(Extra("embedded tokens", ("B", "T", "D"), width, kept=False, read=False))
    if s.options.documents:
        found.append(Extra("what is no padding", ("B", "T"), 1, kept=False, read=False))
    return tuple(found)


def begins_with_embedding(s: Structure) -> bool:
    """Whether the first block reads what all blocks run beside: what came out of the embedding."""
    return s.family == "decoder" and embeds_apart(s) and not changes_embedding(s)


def embeds_apart(s: Structure) -> bool:
    """Whether what came out of the embedding is not what the first block keeps."""
    if s.offload is not None and s.offload.moves(Tensor(None, ("B", "T", "D"), s.width)):
        return True  # that is a copy on the host
    if s.weights == "half" and not (s.learned_positions or s.options.embedding_dropout):
        # 16-bit weights make what the first block takes; its norm keeps none of it.
        learns = s.lora is None or s.lora.kinds[s.lora.runs[0][0]].learns
        return s.recompute == "none" or not learns
    if changes_embedding(s) or s.lora is None:
        return changes_embedding(s)
    if s.recompute != "none":
        return not s.lora.kinds[s.lora.runs[0][0]].learns
    return s.norm != "layernorm" or s.lora.bias != "all"


def changes_embedding(s: Structure) -> bool:
    """Whether the first block reads something else than what came out of the embedding."""
    narrowed = s.width != 4 and s.weights != "half"
    return narrowed or s.learned_positions or s.options.embedding_dropout


def drop(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    """Dropout of what a block adds to the residual stream."""
    return dropout(tape, x, cpu=s.cpu) if s.options.hidden_dropout else x


def block(
    tape: Tape, x_BTD: Tensor, s: Structure, tables: Tables, *, routed: bool = False
) -> Tensor | Found:
    """Attention and a feed-forward network or experts, each behind a norm, each added.

    Args:
        tape: The tape.
        x_BTD: The residual stream.
        s: The structure.
        tables: What all blocks share.
        routed: Whether this block has experts.
    """
    parallel = s.residual != "sequential"
    (x_BTD,) = enter(tape, "block", x_BTD)
    normed_BTD = norm(tape, x_BTD, "attention_norm", s)
    attend = attention if s.mla is None else latent_attention
    y_BTD = attend(tape, normed_BTD, s, tables)
    after_BTD = ops.add(tape, x_BTD, drop(tape, y_BTD, s), "residual stream")
    if s.residual != "parallel_shared_norm":
        normed_BTD = norm(tape, x_BTD if parallel else after_BTD, "feed_forward_norm", s)
    if not routed:
        y_BTD = feed_forward(tape, normed_BTD, s)
        result = ops.add(tape, after_BTD, drop(tape, y_BTD, s), "residual stream")
        return leave(tape, "block", result)[0]
    y_BTD, found = mixture(tape, normed_BTD, s)
    result = ops.add(tape, after_BTD, drop(tape, y_BTD, s), "residual stream")
    result, loss = leave(tape, "block", result, found.loss)
    return result, None, (loss,), (loss.detach(), *found.left)


def behind_blocks(s: Structure) -> tuple[Extra, ...]:
    """What the forward pass still holds when its blocks are done: the mask first."""
    others = beside(s)
    if s.mtp is not None and embeds_apart(s):
        others = others[1:]  # its heads read the embedded tokens
    return lent((*shared_mask(s), *others))


def tail(tape: Tape, given: list[Tensor], s: Structure) -> Tensor:
    """The last norm and the loss; the model has returned when the loss begins."""
    hidden_BTD = norm(tape, given[0], "norm", s)
    found, losses = ([], []) if s.mtp is None else _ahead(tape, hidden_BTD, s, given)
    given.clear()
    hidden_BTD, *others = leave(tape, "model", hidden_BTD, *losses, *found)
    losses, found = others[: len(losses)], others[len(losses) :]
    name = output_of(s)
    narrow = tape.narrow and not s.tied and tape.lora is None
    output = Parameter(tape, name, ("V", "D"), shared=s.tied, narrow=narrow)
    if s.tied:
        # It waits in the autograd engine until that of the embedding has come, too.
        output.has_gradient = False
    bias = Parameter(tape, "lm_head_bias", ("V",)) if s.head_bias else None
    if s.mtp is None:
        loss = cross_entropy(tape, hidden_BTD, output, s, bias)
    else:
        loss = _losses(tape, hidden_BTD, found, losses, (output, bias), s)
    # The plain loss, and the others added up.
    several = s.mtp is not None and s.options.special is None
    return leave(tape, "objective", loss, hooks=1 + several)[0]


def _ahead(
    tape: Tape, hidden_BTD: Tensor, s: Structure, given: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """The hidden states of later tokens, and the losses of the routers on the way there."""
    assert s.mtp is not None
    routed = s.mtp.routed
    losses: list[Tensor] = []
    mask = None
    for each in shared_mask(s):
        mask = Tensor(None, each.shape, each.width) if each.kept else given[1]

    def run(tape: Tape, x: Tensor) -> Tensor:
        path, tape.path = tape.path, f"{tape.path}block."
        try:
            result = block(tape, x, s, shared_tables(s, mask), routed=routed)
        finally:
            tape.path = path
        if not isinstance(result, tuple):
            return result
        y, _, roots, behind = result
        region = tape.region
        if region is None or region.phase == "forward":
            losses.extend(roots)
            tape.left.extend(behind)
        return y

    return ahead(tape, hidden_BTD, s, run, apart=embeds_apart(s)), losses


def _losses(
    tape: Tape,
    hidden_BTD: Tensor,
    found: list[Tensor],
    routers: list[Tensor],
    output: tuple[Parameter, Parameter | None],
    s: Structure,
) -> Tensor:
    """The losses of all distances, added up; gradients of the output matrix wait for each other."""
    assert s.mtp is not None
    weight, bias = (each and _shared(tape, each) for each in output)
    assert weight is not None
    total = cross_entropy(tape, hidden_BTD, weight, s, bias)
    if s.mtp.weighted:
        total = ops.add(tape, total, step(tape, total, (), 4, "weighted loss"), "loss")
    for each in routers:
        total = ops.add(tape, total, step(tape, each, (), 4, "loss of a router"), "loss")
    for place, chunks in enumerate(s.mtp.chunks):
        distance = place + 1
        rest = rest_of(tape, found[place], distance, several=s.mtp.several)
        targets = targets_of(tape, distance, s)
        part = LossOf(chunks, last_chunk(distance))
        ahead_loss = cross_entropy(tape, rest, weight, s, bias, part)
        del rest, targets
        weighted = step(tape, ahead_loss, (), 4, "weighted loss of later tokens")
        total = ops.add(tape, total, weighted, "loss")
        del ahead_loss, weighted
    return total


def _shared(tape: Tape, weight: Parameter) -> Tensor:
    """A weight that several losses read: it gets their gradients when the last one has come."""
    if not weight.needs_grad:
        return weight
    return Tensor(None, weight.shape, weight.width, Node(tape, (weight,), _same))


def _same(_node: Node, grad: Tensor) -> tuple[Tensor, ...]:
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)
