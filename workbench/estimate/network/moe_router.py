"""`workbench.models.moe_router` on paper.

Which experts the tokens ask for is data. What is allocated hardly depends on it: `moe_symbols`
says where it does.

Shapes: B sequences, T positions, D width, E experts, M choices of a token, EG groups of experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.network.moe_balance import SLOTS, TOKENS, balance
from workbench.estimate.network.moe_fetch import Unit
from workbench.estimate.tape import ops, ops_plain
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.moe_structure import MoeStructure
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape

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
        (x_TD,) = enter(tape, "router", x_TD)
        routed, _ = _route(tape, x_TD, m)
        gate_TM, loss = leave(tape, "router", routed.gate_TM, routed.loss)
        return routed._replace(gate_TM=gate_TM, loss=loss)
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
    exact = ops.cast(tape, weight, 4, "fp32 weight of the router")
    product = ops.linear(tape, x_TD, exact, "E", None, "router logits")
    del exact
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
    logits_TE, share_TE = enter(tape, "router.balance", logits_TE, share_TE)
    loss, evenness, z_loss = balance(tape, logits_TE, share_TE, expert_TM, m)
    (loss,) = leave(tape, "router.balance", loss)
    dropped = tape.new((), 8, "number of dropped slots")
    if m.drops:
        expert_TM, dropped = _dropped(tape, expert_TM, m)
    left = (evenness.detach(), counts, dropped, *(() if z_loss is None else (z_loss.detach(),)))
    return Routed(gate_TM, expert_TM, loss, left), weight


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
