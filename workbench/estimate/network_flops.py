"""The parts of every family, walked on paper: what `workbench.models` multiplies, in its order.

Shapes: B sequences of a micro-batch, T positions, S positions of an encoder.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.config.linears import ALL_LINEAR
from workbench.estimate.passes import Adapters, Pass, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.estimate.amounts import Amount
    from workbench.estimate.flops_structure import Choices, Group, Quantities
    from workbench.estimate.passes import Layer, Pairs


class Network:
    """Walks one micro-batch through a network.

    Args:
        choices: What decides which products there are.
        of: What is multiplied.
        groups: The linear layers.
    """

    def __init__(self, choices: Choices, of: Quantities, groups: Sequence[Group]) -> None:
        self.choices, self.of, self.groups = choices, of, groups
        bias = choices.bias
        self.lora = None if bias is None else Adapters(of.rank, bias)
        self.total: dict[str, Work] = {}
        self.recomputed: Amount | int = 0
        self.recomputed_met: Amount | int = 0
        self._seen: dict[tuple[str, frozenset[str], bool], tuple[Pass, bool]] = {}

    def walk(self) -> None:
        """From the first block to the loss."""
        lora, groups, family = self.lora, self.groups, self.choices.family
        x = lora is None  # what comes out of the embedding
        if family == "bert":
            x = x or (lora is not None and lora.bias == "all" and self.choices.layernorm)
        stacks = [[g for g in groups if g.kind == "encoder"]] if family == "t5" else []
        stacks.append([g for g in groups if g.kind in ("dense", "routed", "decoder")])
        memory = False
        for stack in stacks:
            first = x
            out = self._stack(stack, first, memory)
            memory, last = out, out
        hidden = self._normed(x=last)
        for group in groups:
            if group.kind == "head":
                hidden = self._head(group, x=last)
        self._output(self.of.tokens, x=hidden)
        for group in groups:
            if group.kind == "ahead":
                self._ahead(group, hidden)

    def _stack(self, groups: list[Group], x: bool, memory: bool) -> bool:  # noqa: FBT001
        """All blocks of a stack, in order; equal ones are walked once."""
        if self.lora is None:
            for group in groups:
                part, x = self._block(group, frozenset(), x=x, memory=memory)
                self._take(part, group.times, ends_in_product=self._ends_in_product(group))
            return True
        order = sorted(((place, n) for n, group in enumerate(groups) for place in group.places))
        times: Counter[tuple[int, frozenset[str], bool]] = Counter()
        for place, number in order:
            adapted = self._adapted(groups[number], place)
            times[number, adapted, x] += 1
            x = self._block(groups[number], adapted, x=x, memory=memory)[1]
        for (number, adapted, before), count in times.items():
            group = groups[number]
            part = self._block(group, adapted, x=before, memory=memory)[0]
            self._take(part, count, ends_in_product=self._ends_in_product(group))
        return x

    def _take(
        self, part: Pass, times: Amount | int, *, ends_in_product: bool, run: bool = True
    ) -> None:
        """Count a part; blocks may be computed a second time in the backward pass."""
        for kind, work in part.work.items():
            more = work.times(times)
            before = self.total.get(kind)
            self.total[kind] = more if before is None else before.plus(more)
        if self.choices.again and run and part.wanted:
            square, met = part.forward()
            saved = ends_in_product * part.last
            self.recomputed += times * (square - saved)
            self.recomputed_met += times * (met - saved)

    def _ends_in_product(self, group: Group) -> bool:
        """Whether a block's last product is the last thing whose input has to be there again."""
        choices = self.choices
        if group.kind == "routed":
            return choices.shared and not choices.dropout
        return choices.family != "bert" and not choices.dropout

    def _adapted(self, group: Group, place: int) -> frozenset[str]:
        """Names of the layers of a part that have an adapter."""
        if self.lora is None:
            return frozenset()
        return _targets(tuple(group.layers), group.prefix.format(place), self.choices.targets)

    def _normed(self, *, x: bool) -> bool:
        """Whether the gradient of a norm's result is wanted: its own numbers may be trained."""
        lora = self.lora
        return x or lora is None or (self.choices.layernorm and lora.bias == "all")

    def _block(
        self, group: Group, adapted: frozenset[str], *, x: bool, memory: bool
    ) -> tuple[Pass, bool]:
        key = (group.kind, adapted, x)
        if key not in self._seen:
            part = Pass(adapted, self.lora)
            layers = group.layers
            if group.kind in ("encoder", "decoder"):
                wanted = self._t5_block(part, layers, x=x, memory=memory)
            elif self.choices.family == "bert":
                wanted = self._bert_block(part, layers, x=x)
            else:
                wanted = self._decoder_block(part, layers, x=x, routed=group.kind == "routed")
            self._seen[key] = part, wanted
        return self._seen[key]

    def _decoder_block(
        self, part: Pass, layers: dict[str, Layer], *, x: bool, routed: bool, prefix: str = ""
    ) -> bool:
        residual = self.choices.residual
        normed = self._normed(x=x)
        after = self._attention(part, layers, x=normed, prefix=prefix) or x
        if residual != "parallel_shared_norm":
            normed = self._normed(x=after if residual == "sequential" else x)
        name = f"{prefix}feed_forward"
        if not routed:
            y = self._feed_forward(part, layers, name, self.of.tokens, x=normed)
        else:
            y = self._experts(part, x=normed)
            if f"{name}.shared.up_proj" in layers:
                shared = self._feed_forward(
                    part, layers, f"{name}.shared", self.of.tokens, x=normed, kind="shared experts"
                )
                y = y or shared
        return after or y

    def _bert_block(self, part: Pass, layers: dict[str, Layer], *, x: bool) -> bool:
        x = self._normed(x=self._attention(part, layers, x=x) or x)
        y = self._feed_forward(part, layers, "feed_forward", self.of.tokens, x=x)
        return self._normed(x=x or y)

    def _t5_block(self, part: Pass, layers: dict[str, Layer], *, x: bool, memory: bool) -> bool:
        reads = "cross_attention.q_proj" not in layers
        of = self.of
        rows = of.read if reads else of.tokens
        own = of.encoder if reads else of.own
        n = self._normed(x=x)
        x = self._t5_attention(part, layers, "attention", (rows, rows), own, qkv=(n, n)) or x
        if not reads:
            n, names = self._normed(x=x), "cross_attention"
            shape = (rows, of.read)
            x = self._t5_attention(part, layers, names, shape, of.across, qkv=(n, memory)) or x
        n = self._normed(x=x)
        return self._feed_forward(part, layers, "feed_forward", rows, x=n) or x

    def _t5_attention(
        self,
        part: Pass,
        layers: dict[str, Layer],
        name: str,
        rows: tuple[Amount, Amount],
        pairs: Pairs,
        *,
        qkv: tuple[bool, bool],
    ) -> bool:
        kind = "attention projections"
        q = part.linear(kind, layers[f"{name}.q_proj"], rows[0], x=qkv[0])
        k = part.linear(kind, layers[f"{name}.k_proj"], rows[1], x=qkv[1])
        v = part.linear(kind, layers[f"{name}.v_proj"], rows[1], x=qkv[1])
        y = part.attend(pairs, self.of.heads, self.of.key, self.of.value, qkv=(q, k, v))
        return part.linear(kind, layers[f"{name}.o_proj"], rows[0], x=y)

    def _attention(
        self, part: Pass, layers: dict[str, Layer], *, x: bool, prefix: str = ""
    ) -> bool:
        of, kind = self.of, "attention projections"

        def linear(name: str, *, x: bool) -> bool:
            return part.linear(kind, layers[f"{prefix}attention.{name}"], of.tokens, x=x)

        if self.choices.latent:
            if not self.choices.query_latent:
                q = linear("q_proj", x=x)
            else:
                q = linear("q_b_proj", x=linear("q_a_proj", x=x) or self.lora is None)
            latent = linear("kv_a_proj", x=x)
            v = linear("kv_b_proj", x=latent)
            k = v or latent
        else:
            q, k, v = (linear(f"{each}_proj", x=x) for each in "qkv")
        y = part.attend(of.own, of.heads, of.key, of.value, qkv=(q, k, v))
        return linear("o_proj", x=y)

    def _feed_forward(
        self,
        part: Pass,
        layers: dict[str, Layer],
        name: str,
        rows: Amount,
        *,
        x: bool,
        kind: str = "feed-forward",
    ) -> bool:
        inner = part.linear(kind, layers[f"{name}.up_proj"], rows, x=x)
        if f"{name}.gate_proj" in layers:
            inner = part.linear(kind, layers[f"{name}.gate_proj"], rows, x=x) or inner
        return part.linear(kind, layers[f"{name}.down_proj"], rows, x=inner)

    def _experts(self, part: Pass, *, x: bool) -> bool:
        """The router and the experts, every choice of every token finding room.

        A capacity drops some of them while the router is uneven; this is the most there can be.
        """
        of, choices = self.of, self.choices
        width = of.width
        trained = self.lora is None
        router = 2 * of.tokens * of.experts * width
        part.add("router", router, (x + trained) * router)
        self._balance(part, x=x or trained)
        rows = of.tokens * of.visited
        biased = choices.mlp_bias and self.lora is not None and self.lora.bias == "all"
        each = 2 * rows * width * of.inner
        into = 2 if choices.gated else 1
        made = x or trained or biased
        part.add("experts", into * each, into * (x + trained) * each)
        part.add("experts", each, (made + trained) * each)
        part.last = 0
        part.wanted |= made
        return made

    def _balance(self, part: Pass, *, x: bool) -> None:
        """Mean shares of the experts, as products with a row of ones (`models.moe_balance`)."""
        mean = 2 * self.of.tokens * self.of.experts
        part.add("router", mean, mean if self.choices.weighed and x else 0)
        if self.choices.sequences:
            part.add("router", mean, mean if x else 0)

    def _head(self, group: Group, *, x: bool) -> bool:
        """What a bert has between its blocks and its output matrix."""
        part = Pass(self._adapted(group, 0), self.lora)
        for name, layer in group.layers.items():
            if name == "head.dense_proj":
                x = self._normed(x=part.linear("head", layer, self.of.tokens, x=x))
            elif name == "head.pooler_proj":
                x = part.linear("head", layer, self.of.sequences, x=x)
        self._take(part, 1, ends_in_product=False, run=False)
        return x

    def _output(self, rows: Amount, *, x: bool) -> None:
        """Logits and the gradients that are wanted, chunk by chunk."""
        lora = self.lora
        flops = 2 * rows * self.of.width * self.of.classes
        part = Pass(frozenset(), lora)
        part.add("output", flops, flops * (x + (lora is None)))
        self._take(part, 1, ends_in_product=False, run=False)

    def _ahead(self, group: Group, hidden: bool) -> None:  # noqa: FBT001
        """Heads of multi-token prediction, each with logits of its own."""
        known = hidden
        for place in group.places:
            adapted = self._adapted(group, place)
            part = Pass(adapted, self.lora)
            layers, tokens = group.layers, self.of.tokens
            if "join_proj" in layers:
                joined = self._normed(x=self.lora is None) or self._normed(x=known)
                x = part.linear("multi-token prediction", layers["join_proj"], tokens, x=joined)
                routed = not any(name.startswith("block.feed_forward.down") for name in layers)
                x = self._decoder_block(part, layers, x=x, routed=routed, prefix="block.")
                known = out = self._normed(x=x)
                self._take(part, 1, ends_in_product=False)
            else:
                x, kind = hidden, "multi-token prediction"
                if "up_proj" in layers:
                    x = part.linear(kind, layers["up_proj"], tokens, x=x)
                x = part.linear(kind, layers["down_proj"], tokens, x=x)
                out = x or hidden
                self._take(part, 1, ends_in_product=not self.choices.head_dropout)
            self._output(self.of.ahead[place], x=out)


@lru_cache(maxsize=4096)
def _targets(names: tuple[str, ...], prefix: str, targets: tuple[str, ...]) -> frozenset[str]:
    """The layers of a part that are among the targets."""
    return frozenset(
        name
        for name in names
        if any(
            target in (ALL_LINEAR, name.rpartition(".")[2])
            or (not target.isidentifier() and fnmatch.fnmatchcase(prefix + name, target))
            for target in targets
        )
    )
