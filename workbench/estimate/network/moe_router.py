"""`workbench.models.moe_router` and `moe_balance` on paper.

Which experts the tokens ask for is data. What is allocated hardly depends on it: `moe_symbols`
says where it does.

Shapes: B sequences, T positions, D width, E experts, M choices of a token, EG groups of experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.network.moe_fetch import Unit
from workbench.estimate.tape import ops, ops_plain
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.moe_structure import MoeStructure
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape

TOKENS = "B*T"
SLOTS = "B*T*M"
_TE = (TOKENS, "E")
_TM = (TOKENS, "M")


class Routed(NamedTuple):
    """What a router gives.

    Attributes:
        gate_TM: What each chosen expert's result is multiplied by.
        expert_TM: The chosen experts.
        loss: The auxiliary losses.
        left: What is reported once the step is done.
    """

    gate_TM: Tensor
    expert_TM: Tensor
    loss: Tensor
    left: tuple[Tensor, ...]


def router(tape: Tape, x_TD: Tensor, s: Structure) -> Routed:
    """Choose, as a unit of its own where weights are fetched."""
    m = s.moe
    assert m is not None
    if not s.sharded:
        return _route(tape, x_TD, m)[0]
    unit = Unit(tape, x_TD, reshard=m.reshards)
    routed, unit.parameter = _route(tape, unit.given.pop(), m)
    gate_TM, loss = unit.done(routed.gate_TM, routed.loss)
    return Routed(gate_TM, routed.expert_TM, loss, routed.left)


def _route(tape: Tape, x_TD: Tensor, m: MoeStructure) -> tuple[Routed, Parameter]:
    """Choose; in fp32."""
    x_TD = ops.cast(tape, x_TD, 4, "fp32 input of the router")
    if m.jitter:
        noise = tape.new(x_TD.shape, 4, "jitter")
        x_TD = ops.mul(tape, x_TD, noise, "input of the router with jitter")
        del noise
    weight = Parameter(tape, "router.weight", ("E", "D"), exact=True)
    for name, there in (("router.balance.bias", m.bias), ("router.balance.load", m.remembers)):
        if there:
            tape.buffers.append((name, ("E",), 4))
    product = ops.linear(tape, x_TD, weight, "E", None, "router logits")
    logits_TE = ops_plain.step(tape, product, _TE, 4, "router logits by temperature")
    del product
    if m.noise:
        random = tape.new(_TE, 4, "random numbers")
        scaled = tape.new(_TE, 4, "noise")
        del random
        noisy = ops.add(tape, logits_TE, scaled, "noisy router logits")
        del scaled
        logits_TE = noisy
        del noisy
    score_TE = ops_plain.step(tape, logits_TE, _TE, 4, "router scores", keep_result=True)
    expert_TM = _choose(tape, m)
    gate_TM = ops_plain.step(tape, score_TE, _TM, 4, "gates", keep=(expert_TM,), on_the_way=(_TE,))
    if m.normalise:
        total = ops_plain.spread(tape, gate_TM, (TOKENS, 1), "sum of the gates")
        more = _added(tape, total, "sum of the gates, never 0")
        del total
        gate_TM = ops_plain.divided(tape, gate_TM, more, "gates that add up to one")
        del more
    gate_TM = ops_plain.step(tape, gate_TM, _TM, 4, "scaled gates")
    counts = tape.new(("E+1",), 8, "slots that asked for each expert")
    share_TE = score_TE
    if m.sigmoid:
        total = ops_plain.spread(tape, score_TE, (TOKENS, 1), "sum of the scores")
        share_TE = ops_plain.divided(tape, score_TE, total, "shares of the scores")
        del total
    loss, evenness = _balance(tape, logits_TE, share_TE, expert_TM, m)
    dropped = tape.new((), 8, "number of dropped slots")
    if m.drops:
        expert_TM, dropped = _dropped(tape, expert_TM, m)
    return Routed(gate_TM, expert_TM, loss, (evenness.detach(), counts, dropped)), weight


def _added(tape: Tape, x: Tensor, label: str) -> Tensor:
    """Plus a number: its gradient is the same one."""
    return ops.make(tape, (x,), x.shape, x.width, label, back=_same)


def _same(_node: object, grad: Tensor) -> tuple[Tensor, ...]:
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)


def _choose(tape: Tape, m: MoeStructure) -> Tensor:
    """The best experts; in the best groups where there are some."""
    score_TE: Tensor | None = None
    if m.bias:
        score_TE = tape.new(_TE, 4, "scores with their bias")
    if m.best:
        values = tape.new((TOKENS, "EG", m.best), 4, "best scores of each group")
        places = tape.new((TOKENS, "EG", m.best), 8, "best experts of each group")
        del places
        group = tape.new((TOKENS, "EG"), 4, "scores of the groups")
        del values
        nothing = tape.new((TOKENS, "EG"), 1, "no group")
        values = tape.new((TOKENS, "EV"), 4, "scores of the best groups")
        places = tape.new((TOKENS, "EV"), 8, "best groups")
        del values
        visited = tape.new((TOKENS, "EG"), 1, "visited groups")
        del nothing, places
        others = tape.new((TOKENS, "EG"), 1, "other groups")
        score_TE = tape.new(_TE, 4, "scores in the best groups")
        del others, group, visited
    values = tape.new(_TM, 4, "best scores")
    expert_TM = tape.new(_TM, 8, "chosen experts")
    del values, score_TE
    return expert_TM


def _balance(
    tape: Tape, logits_TE: Tensor, share_TE: Tensor, expert_TM: Tensor, m: MoeStructure
) -> tuple[Tensor, Tensor]:
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
    balance = ops_plain.step(tape, total, (), 4, "balance")
    del total
    loss = tape.new((), 4, "no loss yet")
    if m.loss == "load":
        loss = _weighted(tape, loss, balance)
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
        loss = _z_loss(tape, loss, logits_TE, weight)
    if m.sequence_loss:
        loss = _weighted(tape, loss, _within_sequences(tape, share_TE, present))
    return loss, balance


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


def _z_loss(tape: Tape, loss: Tensor, logits_TE: Tensor, weight: Tensor) -> Tensor:
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
    return _weighted(tape, loss, total)


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


def _dropped(tape: Tape, expert_TM: Tensor, m: MoeStructure) -> tuple[Tensor, Tensor]:
    """`drop_beyond`: slots that find no room."""

    def count(label: str) -> Tensor:
        where = tape.new(_TM, 1, "slots that go nowhere")
        number = tape.new((), 8, label)
        del where
        return number

    before = count("slots that went nowhere before")
    kept = _drop_beyond(tape, expert_TM, m)
    after = count("slots that go nowhere")
    difference = tape.new((), 8, "number of dropped slots")
    del after, before
    return kept, difference


def _drop_beyond(tape: Tape, expert_TM: Tensor, m: MoeStructure) -> Tensor:
    by_choice = expert_TM if m.one_choice else tape.new((SLOTS,), 8, "slots, first choices first")
    counts = tape.new(("E+1",), 8, "slots of each expert")
    values = tape.new((SLOTS,), 8, "sorted slots")
    order = tape.new((SLOTS,), 8, "order of the slots")
    del values
    ends = tape.new(("E+1",), 8, "ends of the experts")
    starts = tape.new(("E+1",), 8, "starts of the experts")
    del ends
    place = tape.new((SLOTS,), 8, "place of each slot")
    numbers = tape.new((SLOTS,), 8, "numbers of the slots")
    del numbers
    first = tape.new((SLOTS,), 8, "start of each slot's expert")
    del first
    fits = tape.new((SLOTS,), 1, "slots that find room")
    nobody = tape.new((), 8, "number of nobody")
    kept = tape.new((SLOTS,), 8, "experts of the slots that find room")
    del fits, nobody, by_choice, counts, order, starts, place
    return kept
