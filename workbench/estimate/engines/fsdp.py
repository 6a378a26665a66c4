"""The ledger of FSDP2 on one of N devices, as `torch.distributed.fsdp.fully_shard` works.

Each block is a unit, and what is left, embedding and output with the loss, is another, which
computes in fp32 (`workbench.training.engines.fsdp`). A unit is fetched into one buffer, copied out
into its weights, and given back. On the way back the next unit's buffer is fetched ahead; gradients
are copied into one fp32 buffer, of which every device keeps its part; the buffer lives until the
next unit has its own (`_fsdp_collectives.py`, `_fsdp_param_group.py`, torch 2.13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.base import Part, Standing, moment
from workbench.estimate.engines.single import INPUTS, tensors_of, weights_of
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.segment import Sizes
    from workbench.estimate.optimizer import Rule

LATE = "buffer that the last block was fetched into"
SOURCE = "torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py"


def standing(net: Sized, rule: Rule, *, accumulating: bool) -> Standing:
    """This device's part of weights and optimizer, the inputs, and gradients that wait."""
    lines = []
    alignment = net.symbols[0]
    counter = -(-4 // alignment) * alignment
    for what, segment, times in weights_of(net):
        shard = times * _sizes(net, segment).shard
        if not shard:
            continue
        of = what if times == 1 else f"{times} {what}s"
        many = "" if times == 1 else f"{times} × "
        lines.append(Line(f"shards of {of}", f"{many}4 P/N", shard, "weights", "fp32 masters"))
        if rule.copies:
            lines.append(
                Line(
                    f"optimizer of the shards of {of}: {rule.text}",
                    f"{many}{4 * rule.copies:g} P/N",
                    round(rule.copies * shard),
                    "optimizer",
                    "fp32",
                )
            )
        if rule.counters:
            tensors = times * tensors_of(net, segment) * rule.counters
            lines.append(
                Line(
                    f"step counters of {of}",
                    f"{tensors} × 4 B, rounded up",
                    tensors * counter,
                    "optimizer",
                    "torch.optim keeps one per tensor",
                )
            )
        if accumulating:
            lines.append(
                Line(f"gradients of the shards of {of}", f"{many}4 P/N", shard, "gradients", SOURCE)
            )
    tokens = net.symbols[2] * net.symbols[3]
    each = -(-8 * tokens // alignment) * alignment
    lines.append(Line("tokens and targets", "2 × 8 B T", 2 * each, "inputs", INPUTS))
    return Standing.of(*lines)


def _sizes(net: Sized, segment: str | int) -> Sizes:
    if isinstance(segment, int):
        return net.blocks[segment]
    return net.front if segment == "front" else net.tail


def moments(
    net: Sized, base: Standing, *, width: int, accumulating: bool, reshard: bool
) -> list[Moment]:
    """The moments of a step.

    Args:
        net: The network.
        base: What stands.
        width: Bytes of the dtype that blocks compute in.
        accumulating: Whether sharded gradients stand.
        reshard: Whether weights are given back after the forward pass.
    """
    root = net.front.whole + net.tail.whole
    wide = 4 // width

    def line(
        name: str, formula: str, size: int, category: Category, stream: Stream = "compute"
    ) -> Line:
        return Line(name, formula, size, category, SOURCE, stream)

    def fetched(kind: int, times: int = 1) -> Line:
        size = times * net.blocks[kind].whole
        return line("weights of a block, fetched", f"{width} P", size, "weights")

    def buffer(kind: int, name: str = "buffer that a block is fetched into") -> Line:
        return line(name, f"{width} P", net.blocks[kind].whole, "communication", "gather")

    def reduced(kind: int) -> Line:
        size = wide * net.blocks[kind].whole
        return line("fp32 buffer of a block's gradients", "4 P", size, "communication")

    whole_root = line("weights of embedding and output, fetched", "4 P", root, "weights")
    root_buffer = line("buffer they are fetched into", "4 P", root, "communication", "gather")
    found = [moment("fetching the embedding", net, base, [], (whole_root, root_buffer))]
    found.append(moment("embedding, forward", net, base, [Part("front", "forward")], (whole_root,)))
    # Each buffer lives until the next unit has its own, so that copying out overlaps with it.
    saved: list[Part] = [Part("front", "saved")]
    total = sum(count for _, count in net.runs)
    held: list[Line] = []
    done = 0
    for kind, count in net.runs:
        done += count
        before = [*saved, Part(kind, "saved", count - 1)]
        kept = [] if reshard else [fetched(kind, count - 1)]
        standing_lines = (whole_root, *held, *kept)
        stream_in = line("residual stream", "k B T D", _stream(net, width), "activations")
        found.append(
            moment(
                f"fetching block {done} of {total}",
                net,
                base,
                before,
                (*standing_lines, stream_in, fetched(kind), buffer(kind)),
            )
        )
        found.append(
            moment(
                f"block {done} of {total}, forward",
                net,
                base,
                [*before, Part(kind, "forward")],
                (*standing_lines, fetched(kind), buffer(kind, LATE)),
            )
        )
        saved.append(Part(kind, "saved", count))
        if not reshard:
            held.append(fetched(kind, count))
    last = net.runs[-1][0]
    found.append(
        moment(
            "loss",
            net,
            base,
            [*saved, Part("tail", "forward")],
            (whole_root, buffer(last, LATE), *held),
        )
    )
    ahead = [buffer(last)] if reshard else []
    found.append(
        moment(
            "fetching the output",
            net,
            base,
            [*saved, Part("tail", "saved")],
            (whole_root, root_buffer, *held),
        )
    )
    found.append(
        moment(
            "loss, backward",
            net,
            base,
            [*saved, Part("tail", "backward")],
            (whole_root, *held, *ahead),
        )
    )
    grads: list[Part] = [Part("tail", "gradients")]
    shards = 0
    previous: Line | None = None
    runs = list(net.runs)
    for index in range(len(runs) - 1, -1, -1):
        kind, count = runs[index]
        saved.pop()
        if not reshard:
            held.pop()
        below = runs[index - 1][0] if index else None
        for place in {count - 1, max(0, count - 2), min(1, count - 1), 0}:
            finished = count - 1 - place
            following = kind if place else below
            sharded = shards + finished * net.blocks[kind].shard
            older = reduced(kind) if finished else previous
            extra = [whole_root, *held]
            if not accumulating and sharded:
                extra.append(line("sharded gradients", "4 P/N", sharded, "gradients", "reduce"))
            if not reshard and place:
                extra.append(fetched(kind, place))
            now = [*saved, Part(kind, "saved", place), *grads]
            name = f"block {done - finished} of {total}"
            first = [*extra, fetched(kind), *([older] if older else [])]
            stream_grad = line(
                "gradient of the residual stream", "k B T D", _stream(net, width), "temporaries"
            )
            if reshard:
                found.append(
                    moment(
                        f"fetching {name} again",
                        net,
                        base,
                        [*now, Part(kind, "saved")],
                        (*first, buffer(kind), stream_grad),
                    )
                )
            next_buffer = [buffer(following)] if reshard and following is not None else []
            found.append(
                moment(
                    f"{name}, backward",
                    net,
                    base,
                    [*now, Part(kind, "backward")],
                    (*first, *next_buffer),
                )
            )
            found.append(
                moment(
                    f"{name}, gradients on their way",
                    net,
                    base,
                    [*now, Part(kind, "gradients")],
                    (*extra, *next_buffer, reduced(kind), stream_grad),
                )
            )
        done -= count
        shards += count * net.blocks[kind].shard
        previous = reduced(kind)
    extra = [whole_root, *([previous] if previous else [])]
    if not accumulating:
        extra.append(line("sharded gradients", "4 P/N", shards, "gradients", "reduce"))
    found.append(
        moment("embedding, backward", net, base, [Part("front", "backward"), *grads], tuple(extra))
    )
    root_grads = line("gradients of embedding and output", "4 P", root, "gradients")
    root_reduced = line("fp32 buffer of their gradients", "4 P", root, "communication")
    found.append(
        moment(
            "gradients of embedding and output on their way",
            net,
            base,
            [],
            (*(each for each in extra if each.category == "gradients"), root_grads, root_reduced),
        )
    )
    if not accumulating:
        everything = shards + net.front.shard + net.tail.shard
        found.append(
            moment(
                "optimizer",
                net,
                base,
                [],
                (line("sharded gradients", "4 P/N", everything, "gradients", "reduce"),),
            )
        )
    return found


def _stream(net: Sized, width: int) -> int:
    alignment, _, batch, length, hidden = net.symbols[:5]
    return -(-width * batch * length * hidden // alignment) * alignment
