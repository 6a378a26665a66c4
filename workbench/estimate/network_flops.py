"""The parts of every family, walked on paper: what `workbench.models` multiplies, in its order.

Shapes: B sequences of a micro-batch, T positions, S positions of an encoder.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.config.linears import ALL_LINEAR, GATED, expert_width, groups_of, head_width
from workbench.config.linears import Linear as Layer
from workbench.estimate.passes import Pairs, Pass, Work

if TYPE_CHECKING:
    from workbench.config.linears import Group
    from workbench.config.schema import Config, LoraConfig


class Network:
    """Walks one micro-batch through a network.

    Args:
        config: The plan.
        sequences: B.
        length: T; of a t5 what its decoder writes.
        read: S; of a t5 what its encoder reads.
        own: The pairs of self-attention.
        encoder: Those of an encoder over itself.
        across: Those of a decoder over its encoder.
    """

    def __init__(
        self,
        config: Config,
        *,
        sequences: int,
        length: int,
        read: int,
        own: Pairs,
        encoder: Pairs,
        across: Pairs,
    ) -> None:
        self.model, self.training = config.model, config.training
        self.lora: LoraConfig | None = config.lora if config.lora.enabled else None
        self.sequences, self.tokens, self.read = sequences, sequences * length, sequences * read
        self.own, self.encoder, self.across = own, encoder, across
        self.layernorm = self.model.norm_type == "layernorm" and self.model.model_type != "t5"
        self.total: dict[str, Work] = {}
        self.recomputed = self.recomputed_met = 0
        self._seen: dict[tuple[str, frozenset[str], bool], tuple[Pass, bool]] = {}

    def walk(self) -> None:
        """From the first block to the loss."""
        model, lora = self.model, self.lora
        x = lora is None  # what comes out of the embedding
        groups = list(groups_of(model, self.training.mtp))
        if model.model_type == "bert":
            x = x or (lora is not None and lora.bias == "all" and self.layernorm)
        stacks = [[g for g in groups if g.kind == "encoder"]] if model.model_type == "t5" else []
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
        self._output(self.tokens, x=hidden)
        for group in groups:
            if group.kind == "ahead":
                self._ahead(group, hidden)

    def _stack(self, groups: list[Group], x: bool, memory: bool) -> bool:  # noqa: FBT001
        """All blocks of a stack, in order; equal ones are walked once."""
        if self.lora is None:
            for group in groups:
                part, x = self._block(group, frozenset(), x=x, memory=memory)
                self._take(part, len(group.places), ends_in_product=self._ends_in_product(group))
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

    def _take(self, part: Pass, times: int, *, ends_in_product: bool, run: bool = True) -> None:
        """Count a part; blocks may be computed a second time in the backward pass."""
        for kind, work in part.work.items():
            more = work.times(times)
            before = self.total.get(kind)
            self.total[kind] = more if before is None else before.plus(more)
        whole = self.training.gradient_checkpointing and (
            self.training.gradient_checkpointing_kind == "block"
        )
        if whole and run and part.wanted:
            square, met = part.forward()
            saved = ends_in_product * part.last
            self.recomputed += times * (square - saved)
            self.recomputed_met += times * (met - saved)

    def _ends_in_product(self, group: Group) -> bool:
        """Whether a block's last product is the last thing whose input has to be there again."""
        model = self.model
        if group.kind == "routed":
            return bool(model.moe.num_shared_experts) and not model.hidden_dropout
        return model.model_type != "bert" and not model.hidden_dropout

    def _adapted(self, group: Group, place: int) -> frozenset[str]:
        """Names of the layers of a part that have an adapter."""
        if self.lora is None:
            return frozenset()
        names = tuple(layer.name for layer in group.linears)
        return _targets(names, group.prefix.format(place), tuple(self.lora.target_modules))

    def _normed(self, *, x: bool) -> bool:
        """Whether the gradient of a norm's result is wanted: its own numbers may be trained."""
        lora = self.lora
        return x or lora is None or (self.layernorm and lora.bias == "all")

    def _block(
        self, group: Group, adapted: frozenset[str], *, x: bool, memory: bool
    ) -> tuple[Pass, bool]:
        key = (group.kind, adapted, x)
        if key not in self._seen:
            part = Pass(adapted, self.lora)
            layers = {layer.name: layer for layer in group.linears}
            if group.kind in ("encoder", "decoder"):
                wanted = self._t5_block(part, layers, x=x, memory=memory)
            elif self.model.model_type == "bert":
                wanted = self._bert_block(part, layers, x=x)
            else:
                wanted = self._decoder_block(part, layers, x=x, routed=group.kind == "routed")
            self._seen[key] = part, wanted
        return self._seen[key]

    def _decoder_block(
        self, part: Pass, layers: dict[str, Layer], *, x: bool, routed: bool, prefix: str = ""
    ) -> bool:
        residual = self.model.residual_type
        normed = self._normed(x=x)
        after = self._attention(part, layers, x=normed, prefix=prefix) or x
        if residual != "parallel_shared_norm":
            normed = self._normed(x=after if residual == "sequential" else x)
        name = f"{prefix}feed_forward"
        if not routed:
            y = self._feed_forward(part, layers, name, self.tokens, x=normed)
        else:
            y = self._experts(part, x=normed)
            if f"{name}.shared.up_proj" in layers:
                shared = self._feed_forward(
                    part, layers, f"{name}.shared", self.tokens, x=normed, kind="shared experts"
                )
                y = y or shared
        return after or y

    def _bert_block(self, part: Pass, layers: dict[str, Layer], *, x: bool) -> bool:
        x = self._normed(x=self._attention(part, layers, x=x) or x)
        y = self._feed_forward(part, layers, "feed_forward", self.tokens, x=x)
        return self._normed(x=x or y)

    def _t5_block(self, part: Pass, layers: dict[str, Layer], *, x: bool, memory: bool) -> bool:
        reads = "cross_attention.q_proj" not in layers
        rows = self.read if reads else self.tokens
        own = self.encoder if reads else self.own
        n = self._normed(x=x)
        x = self._t5_attention(part, layers, "attention", (rows, rows), own, qkv=(n, n)) or x
        if not reads:
            n, names = self._normed(x=x), "cross_attention"
            shape = (rows, self.read)
            x = self._t5_attention(part, layers, names, shape, self.across, qkv=(n, memory)) or x
        n = self._normed(x=x)
        return self._feed_forward(part, layers, "feed_forward", rows, x=n) or x

    def _t5_attention(
        self,
        part: Pass,
        layers: dict[str, Layer],
        name: str,
        rows: tuple[int, int],
        pairs: Pairs,
        *,
        qkv: tuple[bool, bool],
    ) -> bool:
        kind = "attention projections"
        q = part.linear(kind, layers[f"{name}.q_proj"], rows[0], x=qkv[0])
        k = part.linear(kind, layers[f"{name}.k_proj"], rows[1], x=qkv[1])
        v = part.linear(kind, layers[f"{name}.v_proj"], rows[1], x=qkv[1])
        width = head_width(self.model)
        y = part.attend(pairs, self.model.num_attention_heads, width, width, qkv=(q, k, v))
        return part.linear(kind, layers[f"{name}.o_proj"], rows[0], x=y)

    def _attention(
        self, part: Pass, layers: dict[str, Layer], *, x: bool, prefix: str = ""
    ) -> bool:
        model, kind, mla = self.model, "attention projections", self.model.mla

        def linear(name: str, *, x: bool) -> bool:
            return part.linear(kind, layers[f"{prefix}attention.{name}"], self.tokens, x=x)

        key = value = head_width(model)
        if model.mla.enabled:
            key, value = mla.qk_nope_head_dim + mla.qk_rope_head_dim, mla.v_head_dim
            if mla.q_lora_rank is None:
                q = linear("q_proj", x=x)
            else:
                q = linear("q_b_proj", x=linear("q_a_proj", x=x) or self.lora is None)
            latent = linear("kv_a_proj", x=x)
            v = linear("kv_b_proj", x=latent)
            k = v or latent
        else:
            q, k, v = (linear(f"{each}_proj", x=x) for each in "qkv")
        y = part.attend(self.own, model.num_attention_heads, key, value, qkv=(q, k, v))
        return linear("o_proj", x=y)

    def _feed_forward(
        self,
        part: Pass,
        layers: dict[str, Layer],
        name: str,
        rows: int,
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
        model = self.model
        experts, width, inner = model.num_experts, model.hidden_size, expert_width(model)
        trained = self.lora is None
        router = 2 * self.tokens * experts * width
        part.add("router", router, (x + trained) * router)
        self._balance(part, x=x or trained)
        rows = self.tokens * model.num_experts_per_token
        biased = model.mlp_bias and self.lora is not None and self.lora.bias == "all"
        each = 2 * rows * width * inner
        into = 2 if model.hidden_act in GATED else 1
        made = x or trained or biased
        part.add("experts", into * each, into * (x + trained) * each)
        part.add("experts", each, (made + trained) * each)
        part.last = 0
        part.wanted |= made
        return made

    def _balance(self, part: Pass, *, x: bool) -> None:
        """Mean shares of the experts, as products with a row of ones (`models.moe_balance`)."""
        model, balancing = self.model, self.model.moe_balancing
        mean = 2 * self.tokens * model.num_experts
        weighed = balancing.method == "aux_loss" and model.router_aux_loss_coef != 0
        part.add("router", mean, mean if weighed and x else 0)
        if balancing.sequence_loss_coef:
            part.add("router", mean, mean if x else 0)

    def _head(self, group: Group, *, x: bool) -> bool:
        """What a bert has between its blocks and its output matrix."""
        part = Pass(self._adapted(group, 0), self.lora)
        for layer in group.linears:
            if layer.name == "head.dense_proj":
                x = self._normed(x=part.linear("head", layer, self.tokens, x=x))
            elif layer.name == "head.pooler_proj":
                x = part.linear("head", layer, self.sequences, x=x)
        self._take(part, 1, ends_in_product=False, run=False)
        return x

    def _output(self, rows: int, *, x: bool) -> None:
        """Logits and the gradients that are wanted, chunk by chunk."""
        model, lora = self.model, self.lora
        bert = model.model_type == "bert"
        classes = model.vocab_size if not bert or model.head == "language" else model.num_labels
        flops = 2 * rows * model.hidden_size * classes
        part = Pass(frozenset(), lora)
        part.add("output", flops, flops * (x + (lora is None)))
        self._take(part, 1, ends_in_product=False, run=False)

    def _ahead(self, group: Group, hidden: bool) -> None:  # noqa: FBT001
        """Heads of multi-token prediction, each with logits of its own."""
        known = hidden
        for place in group.places:
            adapted = self._adapted(group, place)
            part = Pass(adapted, self.lora)
            layers = {layer.name: layer for layer in group.linears}
            if "join_proj" in layers:
                joined = self._normed(x=self.lora is None) or self._normed(x=known)
                x = part.linear(
                    "multi-token prediction", layers["join_proj"], self.tokens, x=joined
                )
                routed = not any(name.startswith("block.feed_forward.down") for name in layers)
                x = self._decoder_block(part, layers, x=x, routed=routed, prefix="block.")
                known = out = self._normed(x=x)
                self._take(part, 1, ends_in_product=False)
            else:
                x, kind = hidden, "multi-token prediction"
                if "up_proj" in layers:
                    x = part.linear(kind, layers["up_proj"], self.tokens, x=x)
                x = part.linear(kind, layers["down_proj"], self.tokens, x=x)
                out = x or hidden
                self._take(part, 1, ends_in_product=not self.training.mtp.head_dropout)
            distance = place + 1
            rows = max(0, self.tokens - distance * self.sequences)
            self._output(rows, x=out)


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
