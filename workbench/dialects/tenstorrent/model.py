"""``transformer_config``: the network, in tt-train's words and ours.

Facts: ``parse_model_config`` and ``create_model_from_config`` of tt-train's ``train_nanogpt.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.config.keys import keys
from workbench.dialects.building import ABSENT, NoPlace

if TYPE_CHECKING:
    from workbench.dialects.building import Builder
    from workbench.dialects.telling import Teller

TYPES: Final = ("gpt2", "llama", "qwen3", "deepseek")
TILE: Final = 32  # Tenstorrent computes in tiles of 32 x 32
CHARACTERS: Final = 65  # of tiny Shakespeare, which the character configs train on

_BASE: Final[dict[str, str]] = {
    "embedding_dim": "model.hidden_size",
    "num_blocks": "model.num_layers",
    "num_heads": "model.num_attention_heads",
}
_LLAMA: Final[dict[str, str]] = {
    "num_groups": "model.num_key_value_heads",
    "theta": "model.rope_theta",
    "head_dim": "model.head_dim",
    "attention_bias": "model.attention_bias",
}
_MLA: Final[dict[str, str]] = {
    "theta": "model.rope_theta",
    "kv_lora_rank": "model.mla.kv_lora_rank",
    "qk_nope_head_dim": "model.mla.qk_nope_head_dim",
    "qk_rope_head_dim": "model.mla.qk_rope_head_dim",
    "v_head_dim": "model.mla.v_head_dim",
    "n_dense_layers": "model.moe.num_dense_layers",
}
MOE: Final[dict[str, str]] = {
    "moe_inter_dim": "model.moe.expert_intermediate_size",
    "n_routed_experts": "model.num_experts",
    "n_shared_experts": "model.moe.num_shared_experts",
    "n_activated_experts": "model.num_experts_per_token",
    "n_expert_groups": "model.moe.num_expert_groups",
    "n_limited_groups": "model.moe.num_limited_groups",
    "score_func": "model.moe.score_function",
    "route_scale": "model.moe.routed_scaling_factor",
}
ROPE: Final[dict[str, str]] = {
    "scaling_factor": "model.rope_scaling.factor",
    "high_freq_factor": "model.rope_scaling.high_freq_factor",
    "low_freq_factor": "model.rope_scaling.low_freq_factor",
    "original_context_length": "model.rope_scaling.original_max_position_embeddings",
}

DEFAULTS: Final[dict[str, Any]] = {
    "model_type": "gpt2", "vocab_size": 256, "embedding_dim": 384, "num_blocks": 6, "num_heads": 6,
    "dropout_prob": 0.2, "bias": True, "max_sequence_length": 256, "runner_type": "default",
    "weight_tying": "disabled", "positional_embedding_type": "trainable", "num_groups": 3,
    "theta": 500000.0, "q_lora_rank": 256, "kv_lora_rank": 128, "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 32, "v_head_dim": 64, "n_dense_layers": 2, "moe_inter_dim": 256,
    "n_routed_experts": 8, "n_shared_experts": 1, "n_activated_experts": 2, "n_expert_groups": 2,
    "n_limited_groups": 1, "score_func": "sigmoid", "route_scale": 2.5,
}  # fmt: skip
"""What ``train_nanogpt.py`` takes for a key that is missing."""

_FIXED: Final[dict[str, dict[str, Any]]] = {
    "gpt2": {
        "model.model_type": "decoder", "model.norm_type": "layernorm", "model.hidden_act": "gelu",
        "model.residual_type": "sequential", "model.mla.enabled": False, "model.qk_norm": False,
        "model.num_experts": 1, "model.num_key_value_heads": None,
    },
    "llama": {
        "model.model_type": "decoder", "model.norm_type": "rmsnorm", "model.hidden_act": "swiglu",
        "model.position_embedding_type": "rope", "model.residual_type": "sequential",
        "model.mlp_bias": False, "model.mla.enabled": False, "model.qk_norm": False,
        "model.num_experts": 1,
    },
}  # fmt: skip
_FIXED["qwen3"] = _FIXED["llama"] | {"model.qk_norm": True}
_FIXED["deepseek"] = {
    path: value for path, value in _FIXED["llama"].items()
    if path not in ("model.num_experts", "model.qk_norm")
} | {"model.mla.enabled": True, "model.attention_bias": False}  # fmt: skip


def padded(vocab: int, tensor: int) -> int:
    """A vocabulary as the trainer pads it: to whole tiles on every tensor-parallel chip."""
    step = TILE * max(1, tensor)
    return -(-vocab // step) * step


def default_inner(width: int) -> int:
    """The inner width of a Llama without ``intermediate_dim``: 2/3 of 4 widths, in steps of 256."""
    return -(-(4 * width * 2 // 3) // 256) * 256


class ModelReader:
    """Understands ``transformer_config``, and what overlays it in ``training_config``.

    Args:
        builder: Its tree has the sections.
        tensor: Tensor-parallel degree, for the padding of the vocabulary.
        characters: Whether the tokens are characters of the text.
        characters_known: Whether the text is tiny Shakespeare.
    """

    def __init__(
        self, builder: Builder, *, tensor: int, characters: bool, characters_known: bool
    ) -> None:
        self._to = builder
        self._tensor = tensor
        self._characters = characters
        self._characters_known = characters_known
        self._sections = [
            ("training_config", "transformer_config"), ("transformer_config",)
        ]  # fmt: skip
        self._whole = any(builder.has((*s, "embedding_dim")) for s in self._sections)

    def kind(self, legacy: Any) -> tuple[str, tuple[str, ...]]:
        """The type of the network and where it stands; 2025's files have it in training_config.

        Without a type a network with groups of keys or a rotary base is a Llama.
        """
        path = self._path("model_type")
        if path is not None:
            return str(self._to.value(path)), path
        if legacy is not None:
            return str(legacy), ("training_config", "model_type")
        llama = any(self._path(name) for name in ("num_groups", "theta"))
        return ("llama" if llama else "gpt2"), ("transformer_config",)

    def understand(self, kind: str) -> None:
        """Put the network of a kind: one of `TYPES`."""
        to = self._to
        if self._whole:
            for ours, value in _FIXED[kind].items():
                if value != keys()[ours].default or ours == "model.model_type":
                    to.put(ours, value)
            if kind == "gpt2":
                bias = self._value("bias") is not False
                to.put("model.attention_bias", bias)
                to.put("model.mlp_bias", bias)
        self._all("model_type", "model.model_type", value="decoder", quiet=True)
        for name, ours in _BASE.items():
            self._all(name, ours)
        if kind == "gpt2":
            self._all("bias", "model.attention_bias", quiet=True)
            self._positions()
        elif kind == "deepseek":
            self._deepseek()
        else:
            for name, ours in _LLAMA.items():
                self._all(name, ours)
            self._rope()
        self._inner(kind)
        self._common()
        self._vocabulary()

    # ------------------------------------------------------------ values

    def _path(self, name: str) -> tuple[str, ...] | None:
        """Where a key stands: in the overlay, else in the model."""
        for section in self._sections:
            if self._to.has((*section, name)):
                return (*section, name)
        return None

    def _value(self, name: str) -> Any:
        path = self._path(name)
        if path is not None:
            return self._to.value(path)
        return DEFAULTS.get(name) if self._whole else None

    def _all(self, name: str, ours: str, *, value: Any = ABSENT, quiet: bool = False) -> None:
        """Put a key; what an overlay covers becomes residue."""
        path = self._path(name)
        meant = self._value(name) if value is ABSENT else value
        if path is None and (meant is None or quiet):
            return
        try:
            self._to.put(ours, meant, source=path or ())
        except NoPlace as error:
            if path is not None:
                self._to.keep(path, str(error))
        self._covered(name, path)

    def _covered(self, name: str, path: tuple[str, ...] | None) -> None:
        for section in self._sections:
            other = (*section, name)
            if path is not None and other != path and self._to.is_left(other):
                self._to.keep(other, "training_config.transformer_config overrides it")

    # ------------------------------------------------------------ parts

    def _positions(self) -> None:
        path = self._path("positional_embedding_type")
        kind = self._value("positional_embedding_type")
        if kind == "fixed":
            self._to.put("model.position_embedding_type", "none")
            if path:
                self._to.keep(path, "fixed sines are added to the embedding: nothing here does")
        elif self._whole or path:
            self._to.put("model.position_embedding_type", "learned", source=path or ())

    def _rope(self) -> None:
        for section in self._sections:
            scaling = self._to.value((*section, "rope_scaling"))
            if not isinstance(scaling, dict):
                continue
            if not scaling.get("scaling_factor"):
                self._to.keep((*section, "rope_scaling"), "scaling_factor 0 scales nothing")
                continue
            self._to.put("model.rope_scaling.type", "llama3")
            for name, ours in ROPE.items():
                path = (*section, "rope_scaling", name)
                if not self._to.is_left(path):
                    continue
                try:
                    self._to.put(ours, scaling[name], source=path)
                except NoPlace as error:
                    self._to.keep(path, str(error))

    def _inner(self, kind: str) -> None:
        name = "inter_dim" if kind == "deepseek" else "intermediate_dim"
        width = self._value("embedding_dim")
        if kind != "gpt2" and self._path(name) and self._value(name) is not None:
            self._all(name, "model.intermediate_size")
        elif isinstance(width, int):
            inner = 4 * width if kind == "gpt2" else default_inner(width)
            if inner > 0:
                self._to.put("model.intermediate_size", inner)
            if kind != "gpt2":
                self._to.assume((), f"without {name} the inner width is {inner}: 8/3 of "
                                "embedding_dim in steps of 256")  # fmt: skip

    def _deepseek(self) -> None:
        if self._whole:
            self._to.put("model.mla.enabled", True)
        if self._path("theta") is None and self._whole:
            self._to.put("model.rope_theta", 10000.0)
        for name, ours in _MLA.items():
            if name != "theta" or self._path(name):
                self._all(name, ours)
        rank = self._value("q_lora_rank")
        self._all("q_lora_rank", "model.mla.q_lora_rank", value=rank or None)
        nested = [(*section, "moe_hyperparam") for section in self._sections]
        where = next((path for path in nested if self._to.has(path)), None)
        for name, ours in MOE.items():
            if where is not None and self._to.has((*where, name)):
                try:
                    self._to.put(ours, self._to.value((*where, name)), source=(*where, name))
                except NoPlace as error:
                    self._to.keep((*where, name), str(error))
            elif where is None or self._path(name):
                self._all(name, ours)
        groups, limited = (self._to.ours("model.moe.num_expert_groups"),
                           self._to.ours("model.moe.num_limited_groups"))  # fmt: skip
        if groups is not None and limited is not None and limited > groups:
            self._to.put("model.moe.num_limited_groups", groups)

    def _common(self) -> None:
        runner = self._path("runner_type")
        efficient = self._value("runner_type")
        if efficient in ("memory_efficient", "default"):
            again = efficient == "memory_efficient"
            self._to.put("training.gradient_checkpointing", again, source=runner or ())
        elif runner:
            self._to.refused(runner, f"Unknown runner type: {efficient}")
            self._to.keep(runner, "it is default or memory_efficient")
        tied, path = self._value("weight_tying"), self._path("weight_tying")
        if tied in ("enabled", "disabled"):
            self._to.put("model.tie_word_embeddings", tied == "enabled", source=path or ())
        elif path:
            self._to.keep(path, "it is enabled or disabled")
        dropout = self._value("dropout_prob")
        self._all("dropout_prob", "model.hidden_dropout")
        if isinstance(dropout, int | float) and dropout and self._to.ours("model.hidden_dropout"):
            self._to.put("model.attention_dropout", dropout)
            if self._to.ours("model.norm_type") == "layernorm":
                self._to.put("model.embedding_dropout", dropout)
        self._all("max_sequence_length", "model.max_position_embeddings")
        length = self._to.ours("model.max_position_embeddings")
        if length:
            self._to.put("data.max_length", max(2, length))
        path = self._path("model_path")
        if path and self._value("model_path"):
            self._all("model_path", "model.pretrained_path")
        for section in self._sections:
            self._to.keep((*section, "experimental"), "a choice between Tenstorrent's kernels")
            self._to.keep((*section, "embedding_placement"),
                          "where tensor-parallel chips hold the embedding")  # fmt: skip
            self._to.keep((*section, "moe_type"), "how Tenstorrent's chips compute the experts")

    def _vocabulary(self) -> None:
        path, given = self._path("vocab_size"), self._value("vocab_size")
        self._covered("vocab_size", path)
        vocab = given
        if self._characters:
            vocab = CHARACTERS if self._characters_known or not isinstance(given, int) else given
            if self._characters_known:
                self._to.assume(path or (), f"the vocabulary is that of the text's characters, not "
                                f"{given}: {CHARACTERS} in tiny Shakespeare")  # fmt: skip
        if not isinstance(vocab, int) or isinstance(vocab, bool) or not 0 < vocab < 10**9:
            return
        size = padded(vocab, self._tensor)
        if size == given:
            self._to.put("model.vocab_size", size, source=path or ())
            return
        self._to.put("model.vocab_size", size)
        if path is None:
            return
        self._to.keep(path, f"the trainer makes {size} of it")
        if not self._characters_known or not self._characters:
            step = f"{TILE} x {self._tensor}" if self._tensor > 1 else str(TILE)
            self._to.remark(path, "translated", f"the trainer pads the vocabulary to a multiple of "
                            f"{step}: {vocab:,} becomes {size:,}")  # fmt: skip


def kind_of(teller: Teller) -> str:
    """The ``model_type`` that is most like a config's network."""

    def strange(kind: str) -> int:
        return sum(teller.our(path) != value for path, value in _FIXED[kind].items())

    return min(TYPES, key=strange)


def tell_model(teller: Teller, order: list[str], kept: dict[str, Any]) -> None:
    """Say the network, each key where the file had it, or in ``transformer_config``.

    Args:
        teller: The writing.
        order: The keys of the file that it came from.
        kept: The residue as it was before anything was said.
    """
    from workbench.dialects.tenstorrent.saying import held

    kind = kind_of(teller)
    _tell_fixed(teller, kind)

    def place(name: str) -> str:
        overlay = f"training_config.transformer_config.{name}"
        nested = f"transformer_config.moe_hyperparam.{name}"
        return next((p for p in (overlay, nested) if p in order), f"transformer_config.{name}")

    def say(name: str, value: Any, *ours: str) -> None:
        if held(kept, place(name)) is ABSENT:
            teller.say(place(name), value, ours=ours)

    typed = [p for p in ("training_config.model_type", place("model_type")) if p in order]
    llama = any(place(name) in order for name in ("num_groups", "theta"))
    own = any("transformer_config" in path for path in order)
    if not own:  # a file of its own is written, and today's tt-train takes gpt2 without a type
        typed = [*typed, "transformer_config.model_type"]
    elif not typed and kind != ("llama" if llama else "gpt2"):
        typed = [place("model_type")]
    teller.said("model.model_type")
    for path in typed:
        teller.say(path, kind, ours="model.model_type")
    names = _BASE | (_MLA | MOE if kind == "deepseek" else {} if kind == "gpt2" else _LLAMA)
    for name, ours in names.items():
        value = teller.our(ours)
        if value is None and ours == "model.num_key_value_heads":
            value = teller.our("model.num_attention_heads")
        if value is not None and (
            name not in ("head_dim", "attention_bias") or ours in teller.chosen
        ):
            say(name, value, ours)
    if kind == "deepseek":
        say("q_lora_rank", teller.our("model.mla.q_lora_rank") or 0, "model.mla.q_lora_rank")
    _tell_rest(teller, kind, say, place, kept, order)


def _tell_rest(
    teller: Teller, kind: str, say: Any, place: Any, kept: dict[str, Any], order: list[str]
) -> None:
    from workbench.dialects.tenstorrent.saying import held

    width, inner = teller.our("model.hidden_size"), teller.our("model.intermediate_size")
    name = "inter_dim" if kind == "deepseek" else "intermediate_dim"
    if (
        inner == (4 * width if kind == "gpt2" else default_inner(width))
        and place(name) not in order
    ):
        teller.said("model.intermediate_size")
    elif kind == "gpt2":
        teller.lose("model.intermediate_size", "gpt2 always has 4 x embedding_dim")
    else:
        say(name, inner, "model.intermediate_size")
    if kind == "gpt2":
        bias = teller.our("model.attention_bias")
        say("bias", bias, "model.attention_bias")
        if teller.our("model.mlp_bias") == bias:
            teller.said("model.mlp_bias")
        positions = teller.our("model.position_embedding_type")
        if positions in ("learned", "none"):
            teller.said("model.position_embedding_type")
        if positions == "learned":
            say("positional_embedding_type", "trainable")
    elif teller.our("model.rope_scaling.type") == "llama3":
        for their, ours in ROPE.items():
            if (value := teller.our(ours)) is not None:
                say(f"rope_scaling.{their}", value, ours)
        teller.said("model.rope_scaling.type")
    elif teller.our("model.rope_scaling.type") == "none":
        teller.said(*ROPE.values(), "model.rope_scaling.type")
    say("weight_tying", "enabled" if teller.our("model.tie_word_embeddings") else "disabled",
        "model.tie_word_embeddings")  # fmt: skip
    again = teller.our("training.gradient_checkpointing")
    say(
        "runner_type", "memory_efficient" if again else "default", "training.gradient_checkpointing"
    )
    dropout = teller.our("model.hidden_dropout")
    say("dropout_prob", dropout, "model.hidden_dropout")
    for path in ("model.attention_dropout", "model.embedding_dropout"):
        embedding = path.endswith("embedding_dropout") and kind != "gpt2"
        if teller.our(path) == (0.0 if embedding else dropout):
            teller.said(path)
        else:
            teller.lose(path, "there is one dropout for all: dropout_prob")
    length = teller.our("model.max_position_embeddings")
    say("max_sequence_length", length, "model.max_position_embeddings")
    if teller.our("data.max_length") == length:
        teller.said("data.max_length")
    else:
        teller.lose("data.max_length", "there is one length: max_sequence_length")
    if teller.our("model.pretrained_path") is not None:
        say("model_path", teller.our("model.pretrained_path"), "model.pretrained_path")
    vocab, stood = teller.our("model.vocab_size"), held(kept, place("vocab_size"))
    tensor = teller.our("parallel.tensor_parallel_size")
    characters = vocab == padded(CHARACTERS, tensor)
    if stood is ABSENT or not (characters or padded(int(stood), tensor) == vocab):
        if stood is ABSENT and order and place("vocab_size") not in order and characters:
            teller.said("model.vocab_size")
        else:
            teller.say(place("vocab_size"), vocab, ours="model.vocab_size")
    else:
        teller.said("model.vocab_size")
    if teller.our("model.head_dim") in (None, width // teller.our("model.num_attention_heads")):
        teller.said("model.head_dim")


def _tell_fixed(teller: Teller, kind: str) -> None:
    for path, value in _FIXED[kind].items():
        if teller.our(path) == value:
            teller.said(path)
        elif path in teller.chosen:
            shown = "null" if value is None else str(value).lower()
            teller.lose(path, f"model_type {kind} always has {shown}")


def overlay_keys(order: list[str]) -> list[tuple[str, str]]:
    """The keys of a network that a file has which is no whole model, and what they are here."""
    simple = {
        **_BASE, **_LLAMA, **_MLA, **MOE, "max_sequence_length": "model.max_position_embeddings",
        "dropout_prob": "model.hidden_dropout", "vocab_size": "model.vocab_size",
    }  # fmt: skip
    sections = ("training_config.transformer_config.", "transformer_config.")
    return [
        (path, simple[name])
        for path in order
        for begin in sections
        if (name := path.removeprefix(begin)) in simple and path.startswith(begin)
    ]
