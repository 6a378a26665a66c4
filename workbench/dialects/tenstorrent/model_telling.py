"""Our words to ``transformer_config``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from workbench.dialects.building import ABSENT
from workbench.dialects.tenstorrent.saying import held
from workbench.dialects.tenstorrent.words import (
    BASE,
    CHARACTERS,
    FIXED,
    LLAMA,
    MLA,
    MOE,
    ROPE,
    TYPES,
    default_inner,
    padded,
)

if TYPE_CHECKING:
    from workbench.dialects.telling import Teller


def kind_of(teller: Teller) -> str:
    """The ``model_type`` that is most like a config's network."""

    def strange(kind: str) -> int:
        return sum(teller.our(path) != value for path, value in FIXED[kind].items())

    return min(TYPES, key=strange)


def tell_model(teller: Teller, order: list[str], kept: dict[str, Any]) -> None:
    """Say the network, each key where the file had it, or in ``transformer_config``.

    Args:
        teller: The writing.
        order: The keys of the file that it came from.
        kept: The residue as it was before anything was said.
    """
    _ModelTeller(teller, order, kept).tell()


class _ModelTeller:
    def __init__(self, teller: Teller, order: list[str], kept: dict[str, Any]) -> None:
        self._to = teller
        self._order = order
        self._kept = kept
        self._kind = kind_of(teller)

    def tell(self) -> None:
        _tell_fixed(self._to, self._kind)
        self._type()
        self._sizes()
        self._inner()
        if self._kind == "gpt2":
            self._gpt2()
        else:
            self._rope()
        self._switches()
        self._dropout()
        self._length()
        self._vocabulary()

    def _place(self, name: str) -> str:
        overlay = f"training_config.transformer_config.{name}"
        nested = f"transformer_config.moe_hyperparam.{name}"
        found = (path for path in (overlay, nested) if path in self._order)
        return next(found, f"transformer_config.{name}")

    def _say(self, name: str, value: Any, *ours: str) -> None:
        """Say a key, unless the file's own value is kept as residue."""
        if held(self._kept, self._place(name)) is ABSENT:
            self._to.say(self._place(name), value, ours=ours)

    def _type(self) -> None:
        """The type: where it stood, and where a reader would take the network for another."""
        places = ("training_config.model_type", self._place("model_type"))
        typed = [path for path in places if path in self._order]
        guessed = (
            "llama"
            if any(self._place(n) in self._order for n in ("num_groups", "theta"))
            else "gpt2"
        )
        if not any("transformer_config" in path for path in self._order):
            # A file of its own is written, and today's tt-train takes gpt2 without a type.
            typed.append("transformer_config.model_type")
        elif not typed and self._kind != guessed:
            typed.append(self._place("model_type"))
        for path in typed:
            if held(self._kept, path) is ABSENT:
                self._to.say(path, self._kind)
        self._to.said("model.model_type")

    def _sizes(self) -> None:
        more = {"deepseek": MLA | MOE, "gpt2": {}}.get(self._kind, LLAMA)
        for name, ours in (BASE | more).items():
            value = self._to.our(ours)
            if value is None and ours == "model.num_key_value_heads":
                value = self._to.our("model.num_attention_heads")
            rare = name in ("head_dim", "attention_bias") and ours not in self._to.chosen
            if value is not None and not rare:
                self._say(name, value, ours)
        if self._kind == "deepseek":
            rank = self._to.our("model.mla.q_lora_rank")
            self._say("q_lora_rank", rank or 0, "model.mla.q_lora_rank")
        heads, width = self._to.our("model.num_attention_heads"), self._to.our("model.hidden_size")
        if self._to.our("model.head_dim") in (None, width // heads):
            self._to.said("model.head_dim")

    def _inner(self) -> None:
        width, inner = self._to.our("model.hidden_size"), self._to.our("model.intermediate_size")
        name = "inter_dim" if self._kind == "deepseek" else "intermediate_dim"
        usual = 4 * width if self._kind == "gpt2" else default_inner(width)
        if inner == usual and self._place(name) not in self._order:
            self._to.said("model.intermediate_size")
        elif self._kind == "gpt2":
            self._to.lose("model.intermediate_size", "gpt2 always has 4 x embedding_dim")
        else:
            self._say(name, inner, "model.intermediate_size")

    def _gpt2(self) -> None:
        bias = self._to.our("model.attention_bias")
        self._say("bias", bias, "model.attention_bias")
        if self._to.our("model.mlp_bias") == bias:
            self._to.said("model.mlp_bias")
        positions = self._to.our("model.position_embedding_type")
        fixed = held(self._kept, self._place("positional_embedding_type")) == "fixed"
        if positions == "learned":
            self._say("positional_embedding_type", "trainable", "model.position_embedding_type")
        elif positions == "none" and fixed:
            self._to.said("model.position_embedding_type")
        else:
            self._to.lose("model.position_embedding_type", "gpt2 has trainable or fixed positions")

    def _rope(self) -> None:
        kind = self._to.our("model.rope_scaling.type")
        if kind == "llama3":
            for their, ours in ROPE.items():
                if (value := self._to.our(ours)) is not None:
                    self._say(f"rope_scaling.{their}", value, ours)
        if kind in ("llama3", "none"):
            self._to.said(*ROPE.values(), "model.rope_scaling.type")

    def _switches(self) -> None:
        tied = "enabled" if self._to.our("model.tie_word_embeddings") else "disabled"
        self._say("weight_tying", tied, "model.tie_word_embeddings")
        again = self._to.our("training.gradient_checkpointing")
        runner = "memory_efficient" if again else "default"
        self._say("runner_type", runner, "training.gradient_checkpointing")
        if (path := self._to.our("model.pretrained_path")) is not None:
            self._say("model_path", path, "model.pretrained_path")

    def _dropout(self) -> None:
        dropout = self._to.our("model.hidden_dropout")
        self._say("dropout_prob", dropout, "model.hidden_dropout")
        meant = {
            "model.attention_dropout": dropout,
            "model.embedding_dropout": dropout if self._kind == "gpt2" else 0.0,
        }
        for path, value in meant.items():
            if self._to.our(path) == value:
                self._to.said(path)
            else:
                self._to.lose(path, "there is one dropout for all: dropout_prob")

    def _length(self) -> None:
        """One length for two: that of the sequences, unless a layer chose that of the model."""
        longest, length = "model.max_position_embeddings", "data.max_length"
        path = longest if longest in self._to.chosen else length
        value = self._to.our(path)
        self._say("max_sequence_length", value)
        for each in (longest, length):
            if self._to.our(each) == value or each not in self._to.chosen:
                self._to.said(each)
            else:
                self._to.lose(each, "there is one length: max_sequence_length")

    def _vocabulary(self) -> None:
        """The file's own number where the trainer makes ours of it, else ours."""
        vocab, place = self._to.our("model.vocab_size"), self._place("vocab_size")
        stood, tensor = held(self._kept, place), self._to.our("parallel.tensor_parallel_size")
        characters = vocab == padded(CHARACTERS, tensor)
        same = isinstance(stood, int) and padded(stood, tensor) == vocab
        same = same or (stood is not ABSENT and "model.vocab_size" not in self._to.chosen)
        left_out = stood is ABSENT and self._order and place not in self._order
        if not (same or (characters and (stood is not ABSENT or left_out))):
            self._to.say(place, vocab)
        self._to.said("model.vocab_size")


def _tell_fixed(teller: Teller, kind: str) -> None:
    for path, value in FIXED[kind].items():
        if teller.our(path) == value:
            teller.said(path)
        elif path in teller.chosen:
            shown = "null" if value is None else str(value).lower()
            teller.lose(path, f"model_type {kind} always has {shown}")


def tell_overlay(teller: Teller, order: list[str], kept: dict[str, Any]) -> None:
    """Say the keys that a file has which is no whole model, and no others."""
    simple = {
        **BASE, **LLAMA, **MLA, **MOE, "max_sequence_length": "model.max_position_embeddings",
        "dropout_prob": "model.hidden_dropout", "vocab_size": "model.vocab_size",
        "intermediate_dim": "model.intermediate_size", "inter_dim": "model.intermediate_size",
        "model_path": "model.pretrained_path", "weight_tying": "model.tie_word_embeddings",
        "runner_type": "training.gradient_checkpointing", "bias": "model.attention_bias",
        **{f"rope_scaling.{name}": ours for name, ours in ROPE.items()},
        **{f"moe_hyperparam.{name}": ours for name, ours in MOE.items()},
        "q_lora_rank": "model.mla.q_lora_rank",
    }  # fmt: skip
    words: dict[str, dict[Any, Any]] = {
        "weight_tying": {True: "enabled", False: "disabled"},
        "runner_type": {True: "memory_efficient", False: "default"},
        "q_lora_rank": {None: 0},
    }
    for path in order:
        name = re.sub(r"^(training_config\.)?transformer_config\.", "", path)
        if name == path or held(kept, path) is not ABSENT:
            continue
        if name in ("model_type", "positional_embedding_type"):
            teller.say(path, kind_of(teller) if name == "model_type" else "trainable")
        elif name in simple:
            value = teller.our(simple[name])
            teller.say(path, words.get(name, {}).get(value, value), ours=simple[name])
    teller.said("model.model_type", "model.rope_scaling.type", "model.position_embedding_type")
    if teller.our("data.max_length") == teller.our("model.max_position_embeddings"):
        teller.said("data.max_length")
    for path in ("model.attention_dropout", "model.embedding_dropout"):
        if teller.our(path) in (0.0, teller.our("model.hidden_dropout")):
            teller.said(path)
