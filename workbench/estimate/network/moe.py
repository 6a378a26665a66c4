"""`workbench.models.moe` on paper: a router, experts over sorted rows, and the way there and back.

Shapes: B sequences, T positions, D width, E experts, M choices of a token, Q slots that go to an
expert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.feed_forward import feed_forward
from workbench.estimate.network.moe_balance import SLOTS, TOKENS
from workbench.estimate.network.moe_experts import experts
from workbench.estimate.network.moe_router import router
from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import dropout
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.moe_router import Routed
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape


def mixture(tape: Tape, x_BTD: Tensor, s: Structure) -> tuple[Tensor, Routed]:
    """The feed-forward half of a block with experts."""
    m = s.moe
    assert m is not None
    (x_BTD,) = enter(tape, "feed_forward", x_BTD)
    x_TD = ops.view(tape, x_BTD, (TOKENS, "D"))
    routed = router(tape, x_TD, s)
    flat = routed.expert_TM
    if m.drops and not m.one_choice:
        flat = tape.new((SLOTS,), 8, "experts of the slots in a row")
    expert_S = tape.new((SLOTS,), 8, "experts of the sorted slots")
    order_S = tape.new((SLOTS,), 8, "order of the slots")
    del flat
    place_S = tape.new((SLOTS,), 8, "places of the slots")
    numbers = tape.new((SLOTS,), 8, "numbers of the slots")
    del numbers
    counts = tape.new(("E+1",), 8, "slots of each expert")
    sums = tape.new(("E",), 8, "sums of the slots")
    del counts
    ends_E = tape.new(("E",), 4, "ends of the experts")
    del sums
    rows: Dim = "Q" if m.lacks else SLOTS
    x_RD = _to_experts(tape, x_TD, place_S, rows, lacks=m.lacks)
    (x_RD,) = enter(tape, "experts", x_RD)
    (y_RD,) = leave(tape, "experts", experts(tape, x_RD, expert_S, s, m))
    if m.dropout:
        y_RD = dropout(tape, y_RD, cpu=s.cpu)
    y_TD = _to_tokens(tape, y_RD, routed.gate_TM, order_S, place_S, s)
    y_BTD = ops.view(tape, y_TD, x_BTD.shape)
    if m.shared:
        path, tape.path = tape.path, f"{tape.path}shared."
        try:
            shared = feed_forward(tape, x_BTD, s, "U")
        finally:
            tape.path = path
        y_BTD = ops.add(tape, y_BTD, shared, "routed and shared experts")
    del ends_E, expert_S
    y_BTD, loss = leave(tape, "feed_forward", y_BTD, routed.loss)
    return y_BTD, routed._replace(loss=loss)


def _to_experts(tape: Tape, x_TD: Tensor, place_S: Tensor, rows: Dim, *, lacks: bool) -> Tensor:
    token = tape.new((rows,), 8, "tokens of the slots")
    node = None
    if tape.grad and x_TD.needs_grad:
        node = Node(tape, (x_TD,), _to_experts_back, (x_TD.shape, lacks))
        node.save(place_S)
    y = tape.new((rows, "D"), x_TD.width, "tokens sorted by expert", node)
    del token
    return y


def _to_experts_back(node: Node, grad: Tensor) -> Gradients:
    shape, lacks = node.memo
    node.kept()
    slots = _back(node.tape, grad.shape, grad.width, lacks=lacks)
    result = node.tape.new(shape, grad.width, "gradient of the tokens")
    del slots
    return (result,)


def _back(tape: Tape, shape: tuple[Dim, ...], width: int, *, lacks: bool) -> Tensor:
    """Rows in the order of the slots, with zeros for those that went nowhere."""
    others = []
    if lacks:
        others.append(tape.new((f"{shape[0]}+1", *shape[1:]), width, "rows and a row of zeros"))
        others.append(tape.new((SLOTS,), 8, "places of the slots or of the zeros"))
    found = tape.new((SLOTS, *shape[1:]), width, "rows in the order of the slots")
    others.clear()
    return found


def _to_tokens(
    tape: Tape, y_RD: Tensor, gate_TM: Tensor, order_S: Tensor, place_S: Tensor, s: Structure
) -> Tensor:
    m, width = s.moe, y_RD.width
    assert m is not None
    node = None
    if tape.grad and (y_RD.needs_grad or gate_TM.needs_grad):
        memo = (m.lacks, gate_TM.needs_grad)
        node = Node(tape, (y_RD, gate_TM), _to_tokens_back, memo)
    slots = _back(tape, y_RD.shape, width, lacks=m.lacks)
    copy = None
    if s.cpu and width != 4:
        copy = tape.new((TOKENS, "D"), 4, "first choices in fp32, as a CPU multiplies")
    exact = tape.new((TOKENS, "D"), 4, "weighted sum of the choices", node)
    del copy
    result = exact
    if width != 4:
        result = tape.new((TOKENS, "D"), width, "tokens after their experts", node)
    del exact, slots
    if node is not None:
        node.save(y_RD, gate_TM, order_S, place_S)
    return result


def _to_tokens_back(node: Node, grad: Tensor) -> Gradients:
    tape, width = node.tape, grad.width
    y_RD, gate_TM, _, _ = node.kept()
    lacks, _ = node.memo
    rows = y_RD.shape[0]
    token = tape.new((rows,), 8, "tokens of the slots")
    grad_RD = tape.new(y_RD.shape, width, "gradient of the experts' results")
    product = tape.new(y_RD.shape, width, "gains of the gates")
    gain = tape.new((rows,), 4, "gains of the gates")
    del product
    found = _back(tape, (rows, 1), 4, lacks=lacks)
    gain_TM = Tensor(found.storage, gate_TM.shape, 4)
    gates = tape.new((rows, 1), 4, "gates of the slots")
    del token, gain, found, gates, y_RD, gate_TM
    return grad_RD, gain_TM
