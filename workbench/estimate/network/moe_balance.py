"""`workbench.models.moe_balance` on paper: the auxiliary losses of a router.

Shapes: B sequences, T positions, E experts, M choices of a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops, ops_plain

if TYPE_CHECKING:
    from workbench.estimate.network.moe_structure import MoeStructure
    from workbench.estimate.tape.tensor import Tape, Tensor

TOKENS = "B*T"
SLOTS = "B*T*M"
_TE = (TOKENS, "E")


def balance(
    tape: Tape, logits_TE: Tensor, share_TE: Tensor, expert_TM: Tensor, m: MoeStructure
) -> tuple[Tensor, Tensor, Tensor | None]:
    """`Balance.forward`."""
    del expert_TM
    found = tape.new((TOKENS,), 1, "which tokens are no padding")
    present = tape.new((TOKENS,), 4, "the same in fp32")
    del found
    weight = _divided_by_sum(tape, (TOKENS,), 4, "weights of the tokens")
    row = ops_plain.step(
        tape, share_TE, (1, "E"), 4, "mean share of each expert", keep=(weight,), kind="product"
    )
    mean = ops.piece(tape, row, ("E",))
    del row
    fraction = _divided_by_sum(tape, ("E",), 8, "share of the slots of each expert")
    each = ops.mul(tape, mean, fraction, "balance of each expert")
    total = ops_plain.spread(tape, each, (), "balance of the experts")
    del each
    evenness = ops_plain.step(tape, total, (), 4, "balance")
    del total
    loss, z_loss = tape.new((), 4, "no loss yet"), None
    if m.loss == "load":
        loss = _weighted(tape, loss, evenness)
    elif m.loss == "entropy":
        part = ops_plain.step(
            tape, mean, ("E",), 4, "entropy of each expert", keep=(mean, mean), on_the_way=()
        )
        total = ops_plain.spread(tape, part, (), "sum of the entropies")
        negative = ops_plain.step(tape, total, (), 4, "entropy")
        del part, total
        term = ops_plain.step(tape, negative, (), 4, "lack of entropy")
        del negative
        loss = _weighted(tape, loss, term)
        del term
    if m.z_loss:
        loss, z_loss = _z_loss(tape, loss, logits_TE, weight)
    if m.sequence_loss:
        loss = _weighted(tape, loss, _within_sequences(tape, share_TE, present))
    return loss, evenness, z_loss


def _divided_by_sum(tape: Tape, shape: tuple[str, ...], width: int, label: str) -> Tensor:
    total = tape.new((), width, "sum")
    least = tape.new((), width, "sum, at least 1")
    del total
    shares = tape.new(shape, 4, label)
    del least
    return shares


def _weighted(tape: Tape, loss: Tensor, term: Tensor) -> Tensor:
    """``loss + coefficient * term``."""
    weighted = ops_plain.step(tape, term, (), 4, "weighted term")
    return ops.add(tape, loss, weighted, "auxiliary loss")


def _z_loss(tape: Tape, loss: Tensor, logits_TE: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """ST-MoE, arXiv 2202.08906, equation 5."""
    peak = ops_plain.step(
        tape,
        logits_TE,
        (TOKENS,),
        4,
        "log of the sum of each row",
        keep=(logits_TE,),
        keep_result=True,
        on_the_way=(_TE, _TE),
    )
    squared = ops.square(tape, peak)
    del peak
    part = ops.mul(tape, squared, weight, "weighted squares")
    del squared
    total = ops_plain.spread(tape, part, (), "z loss")
    del part
    return _weighted(tape, loss, total), total


def _within_sequences(tape: Tape, share_TE: Tensor, present: Tensor) -> Tensor:
    """The balance of each single sequence (arXiv 2412.19437, equations 17 to 20)."""
    count = tape.new(("B",), 8, "sequences")
    repeated = tape.new((TOKENS,), 8, "sequence of each token")
    del count
    place = tape.new((TOKENS,), 8, "where its counts begin")
    del repeated
    counted = tape.new((SLOTS,), 8, "sequence and expert of each slot")
    counts = tape.new(("B*(E+1)",), 8, "slots of each expert in each sequence")
    del counted
    total = tape.new(("B",), 4, "length of each sequence")
    length = tape.new(("B",), 4, "length of each sequence, at least 1")
    del total
    slots = tape.new(("B",), 4, "slots of each sequence")
    fraction = tape.new(("B", "E"), 4, "share of each expert in each sequence")
    del slots
    product = ops_plain.step(
        tape, share_TE, ("B", 1, "E"), 4, "scores added up", keep=(present,), kind="product"
    )
    mean = ops_plain.step(
        tape, ops.piece(tape, product, ("B", "E")), ("B", "E"), 4, "mean shares", keep=(length,)
    )
    del product
    part = ops.mul(tape, mean, fraction, "balance of each expert in each sequence")
    total = ops_plain.spread(tape, part, ("B",), "balance of each sequence")
    del part
    balance = ops_plain.step(tape, total, ("B",), 4, "balance of each sequence")
    del total
    lengths = tape.new(("B",), 4, "length of each sequence")
    some = tape.new(("B",), 1, "sequences that are not empty")
    del lengths
    weights = tape.new(("B",), 4, "the same in fp32")
    del some
    weighted = ops.mul(tape, balance, weights, "balance of sequences that are not empty")
    summed = ops_plain.spread(tape, weighted, (), "sum of the balances")
    del weighted
    number = tape.new((), 4, "number of sequences")
    least = tape.new((), 4, "number of sequences, at least 1")
    del number
    result = ops_plain.step(tape, summed, (), 4, "mean balance", keep=(least,))
    del summed, least, place, counts
    return result
